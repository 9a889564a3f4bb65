"""The project's own tests catch every bug of the museum: put in its place, each makes them fail.

All of them run in one session of pytest: once without any bug, and then each test with its bug.
"""

import pytest

from tema_lib.museum.exhibits import EXHIBITS
from tema_lib.museum.place import in_place
from tema_lib.workspace import ROOT
from tests.helpers.sources import LIBRARY, imported

RANKING = "tests/evaluation/test_ranking.py::"
EVERY_MODEL = "tests/models/test_properties.py::test_every_model"
EVERY_PARAMETER = "every_trained_parameter_is_reached_and_can_change_a_score"
# Exhibit -> tests that existed for the sake of the right function, and catch the broken one.
CAUGHT_BY = {
    "stable sort": [
        f"{RANKING}test_a_constant_model_stands_mid_list",
        f"{RANKING}test_ties_stand_at_mid_rank",
    ],
    "strictly higher": [
        f"{RANKING}test_a_constant_model_stands_mid_list",
        f"{RANKING}test_ties_stand_at_mid_rank",
    ],
    "NaN": [f"{RANKING}test_a_score_that_is_no_number_raises[nan]"],
    "negatives anew": [
        f"{RANKING}test_the_same_negatives_are_drawn_for_every_system_and_others_for_another_seed"
    ],
    "two lists": [
        f"{EVERY_MODEL}[the_order_of_users_and_of_candidates_changes_nothing-llm4cdsr]",
        f"{EVERY_MODEL}[a_scorer_gives_the_scores_a_few_rows_at_a_time-llm4cdsr]",
    ],
    "future of the other domain": [
        "tests/data/test_sequences.py::test_domain_view_finds_the_way_back_to_merged_time",
        f"{EVERY_MODEL}[the_loss_of_the_past_does_not_know_the_future-tema, plain]",
    ],
    "target in the history": [
        "tests/data/test_batches.py::test_ranking_batches_hide_the_target",
    ],
    "validation as test": [
        "tests/test_experiment.py::test_a_system_is_ranked_on_the_test_targets",
    ],
    "nothing to attend to": [
        "tests/models/test_layers.py::test_attention_is_torchs_attention",
    ],
    "swapped masks": [
        "tests/data/test_sequences.py::test_domain_view_finds_the_way_back_to_merged_time",
        f"{EVERY_MODEL}[{EVERY_PARAMETER}-sasrec-per-domain]",
    ],
    "wrong end": ["tests/models/test_layers.py::test_positions_count_from_either_end"],
    "loss without effect": [
        f"{EVERY_MODEL}[{EVERY_PARAMETER}-llm4cdsr]",
    ],
    "impossible negatives": [
        "tests/models/test_losses.py::"
        "test_only_items_seen_in_training_are_negatives_where_that_is_asked[sasrec]"
    ],
    "selection on test": [
        "tests/test_training.py::test_training_never_reads_the_test_part",
    ],
    "one tolerance": [
        "tests/test_notebooks.py::test_an_expected_number_is_known_better_than_to_its_half",
    ],
}
PAIRS = [(name, test) for name, tests in CAUGHT_BY.items() for test in tests]


class Bugs:
    """A plugin of pytest that runs each test without a bug, and then with those it shall catch."""

    def __init__(self):
        self.outcomes, self.errors = {}, {}
        self.bug = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        found = {item.nodeid: item for item in session.items}
        for test, item in found.items():
            self.run(None, test, item)
        for name, test in PAIRS:
            with in_place(name):
                self.run(name, test, found[test])
        return True

    def run(self, bug, test, item):
        self.bug = (bug, test)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.failed:
            self.outcomes[self.bug] = report.outcome, report.when

    def pytest_exception_interact(self, call):
        self.errors[self.bug] = call.excinfo.type


@pytest.fixture(scope="module")
def bugs():
    """By (exhibit or None, test): ("passed" or "failed", "setup", "call" or "teardown"); errors."""
    bugs = Bugs()
    tests = [str(ROOT / test) for test in dict.fromkeys(test for _, test in PAIRS)]
    quiet = ["-q", "--no-header", "--no-summary", "--tb=no", "-p", "no:cacheprovider"]
    options = [f"--rootdir={ROOT}", "-o", "addopts=--import-mode=importlib"]
    pytest.main([*tests, *quiet, *options], plugins=[bugs])
    return bugs


def test_every_exhibit_has_a_test_that_catches_it():
    assert list(CAUGHT_BY) == list(EXHIBITS)


@pytest.mark.parametrize("test", dict.fromkeys(test for _, test in PAIRS))
def test_without_a_bug_the_test_passes(test, bugs):
    assert bugs.outcomes[None, test] == ("passed", "call")


@pytest.mark.parametrize(("name", "test"), PAIRS)
def test_with_the_bug_the_test_fails(name, test, bugs):
    """It says what is wrong; it does not stumble over a function of another signature."""
    assert bugs.outcomes[name, test] == ("failed", "call")
    says = (AssertionError, pytest.fail.Exception)
    if name == "selection on test":  # of a part that is not there
        says = (AttributeError,)
    assert issubclass(bugs.errors[name, test], says)


@pytest.mark.parametrize("name", EXHIBITS)
def test_a_bug_is_in_place_inside_the_block_only(name):
    module, _, path = EXHIBITS[name].place.partition(":")

    def there():
        found = __import__(module, fromlist=["_"])
        for part in path.split("."):
            found = getattr(found, part)
        return found

    before = there()
    with in_place(name):
        assert there() is EXHIBITS[name].placed
    assert there() is before


def test_nothing_else_imports_the_museum():
    for path in LIBRARY:
        if "museum" not in path.parts:
            found = [module for module in imported(path) if "museum" in module]
            assert not found, f"{path.relative_to(ROOT)} imports {found}"
