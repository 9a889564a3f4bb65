"""Each bug does to a number what its exhibit says; beside it, the right function does not."""

import inspect

import pytest
import torch

from tema_lib.data.sequences import domain_view
from tema_lib.evaluation import ranking
from tema_lib.evaluation.protocols import Protocol
from tema_lib.evaluation.ranking import evaluate
from tema_lib.models.layers import positions_of, scaled_dot_product_attention
from tema_lib.models.llm4cdsr import soft_contrastive_loss
from tema_lib.museum import histories, networks, ranks
from tema_lib.museum.exhibits import EXHIBITS
from tema_lib.museum.place import in_place
from tema_lib.training import train
from tests.helpers.models import DOMAIN, LITTLE, fitted, sequences, small_split
from tests.helpers.ranking import Fixed, random_cases
from tests.helpers.sources import LIBRARY

CONSTANT, COLUMNS = torch.zeros(3, 101), torch.tensor([0, 50, 100])


@pytest.mark.parametrize("name", EXHIBITS)
def test_an_exhibit_says_where_from_and_what_and_has_the_right_signature(name):
    exhibit = EXHIBITS[name]
    assert exhibit.source
    assert exhibit.effect
    expected = list(inspect.signature(exhibit.right).parameters)
    for broken in exhibit.broken:
        assert broken.__doc__.startswith("BUG: ")
        found = list(inspect.signature(broken).parameters)
        assert found == expected or found[-1] == "options"


def test_a_module_of_the_museum_is_short():
    lines = {
        path.name: len(path.read_text(encoding="utf-8").splitlines())
        for path in LIBRARY
        if path.parent.name == "museum"
    }
    assert len(lines) == 7
    assert max(lines.values()) <= 220


# --- ranking ---


def hit_rate(rank):
    return (rank <= 10).float().mean()


def test_a_constant_model_is_perfect_unless_its_target_stands_in_the_middle():
    assert ranks.rank_in_the_middle(CONSTANT, COLUMNS).tolist() == [51] * 3
    for rule in (
        ranks.rank_in_a_stable_sort,
        ranks.rank_by_higher_scores,
        ranks.rank_by_clearly_higher_scores,
    ):
        assert rule(CONSTANT, COLUMNS).tolist() == [1] * 3
    assert ranks.rank_after_all_ties(CONSTANT, COLUMNS).tolist() == [101] * 3


def test_without_ties_all_rules_agree():
    scores = torch.randn(50, 30, generator=torch.Generator().manual_seed(0))
    target = torch.arange(50) % 30
    right = ranks.rank_in_the_middle(scores, target)
    assert len(right.unique()) > 10
    for name in ("stable sort", "strictly higher", "NaN"):
        for rule in EXHIBITS[name].broken:
            assert (rule(scores, target) - right).abs().max() <= 1e-6, rule.__name__


def test_nothing_is_higher_than_a_target_without_a_number():
    scores = torch.full((4, 20), torch.nan)
    target = torch.arange(4)
    assert hit_rate(ranks.rank_without_a_check(scores, target)) == 1
    scores[:, 10:] = 0  # one number is enough for the relative
    assert hit_rate(ranks.rank_unless_all_are_nan(scores, target)) == 1
    with pytest.raises(FloatingPointError):
        ranks.rank_in_the_middle(scores, target)


@pytest.mark.parametrize("name", ["stable sort", "strictly higher"])
def test_in_the_evaluator_a_rule_ranks_the_same_candidates(name):
    """Without ties its ranks are the right ones: the history does not compete there either."""
    cases, domain, rng = random_cases(users=40)
    scores = Fixed(rng.normal(size=(40, len(domain))))
    right = evaluate(scores, cases, domain)
    with in_place(name):
        broken = evaluate(scores, cases, domain)
        constant = evaluate(Fixed(torch.zeros(40, len(domain))), cases, domain)
    assert broken.rank.tolist() == right.rank.tolist()
    assert constant.metric("HR@1") == 1


@pytest.mark.parametrize(
    "draw", [ranking.draw_negatives, ranks.draw_negatives_anew, ranks.draw_negatives_by_batch]
)
def test_negatives_that_are_drawn_anew_give_another_number(draw, monkeypatch):
    monkeypatch.setattr(ranking, "draw_negatives", draw)
    cases, domain, rng = random_cases(a=60, b=60, users=80)
    model, few = Fixed(rng.normal(size=(80, len(domain)))), Protocol(negatives=20)
    found = [
        evaluate(model, cases, domain, protocol=few, batch_size=size).metric("MRR", sampled=True)
        for size in (80, 80, 7)
    ]
    different = {"draw_negatives": 1, "draw_negatives_anew": 3, "draw_negatives_by_batch": 2}
    assert len(set(found)) == different[draw.__name__]


def test_two_lists_change_a_number_upwards_or_downwards():
    """Branches that agree about negatives compete less; branches that disagree, more."""
    rng = torch.Generator().manual_seed(0)
    first, noise = torch.randn(2, 4000, 101, generator=rng)
    candidates = torch.arange(101).expand(4000, -1)
    change = {}
    for sign in (1, -1):
        second = sign * 0.9 * first + 0.4 * noise
        second[:, 0] = first[:, 0]  # of the target, both branches think the same
        hits = [
            hit_rate(ranks.rank_in_the_middle(add(first, second, candidates), candidates[:, 0]))
            for add in (ranks.added, ranks.added_from_two_lists)
        ]
        change[sign] = hits[1] - hits[0]
    assert change[1] > 0.02
    assert change[-1] < -0.02


# --- histories ---


def test_views_that_read_too_much_and_too_little():
    sequence = torch.tensor([[1, 13, 2, 14, 3]])
    right = domain_view(sequence, DOMAIN, 1)
    assert right.read_at.tolist() == [[0, 0, 0, 1, 1]]
    assert right.has_any.tolist() == [[False, True, True, True, True]]
    future = histories.domain_view_with_the_future(sequence, DOMAIN, 1)
    assert future.sequence.tolist() == right.sequence.tolist()
    assert future.read_at.tolist() == [[1] * 5]
    assert future.has_any.all()
    assert histories.domain_view_one_event_late(sequence, DOMAIN, 1).read_at.tolist() == [
        [1, 1, 1, 1, 1]
    ]
    for domain in (0, 1):
        nothing = histories.domain_view_with_swapped_masks(sequence, DOMAIN, domain)
        assert (nothing.read(torch.ones(1, 1, 4)) == 0).all()  # whatever the states are
        other = histories.domain_view_of_the_other_domain(sequence, DOMAIN, domain)
        assert torch.equal(other.sequence, domain_view(sequence, DOMAIN, 1 - domain).sequence)


def test_a_model_that_repeats_what_it_reads_is_perfect_with_the_target_in_the_history():
    class Again(Fixed):
        def score(self, batch, candidates):
            return (batch.sequence[..., None] == candidates).any(1).float()

    split = small_split()
    right = evaluate(Again([]), split.test, DOMAIN)
    with in_place("target in the history"):
        broken = evaluate(Again([]), split.test, DOMAIN)
    assert broken.metric("HR@1") == 1
    assert right.metric("HR@1") == 0


def test_ranks_of_the_cases_that_chose_the_epoch_are_those_of_other_targets():
    split, model = small_split(), Fixed(torch.rand(40, 23))
    for broken in EXHIBITS["validation as test"].broken:
        assert broken(model, split, DOMAIN).target.tolist() == split.valid.last.tolist()
    right = histories.ranks_on_test(model, split, DOMAIN)
    assert right.target.tolist() == split.test.last.tolist()


# --- networks ---


def test_attention_without_anything_to_attend_to():
    x = torch.randn(1, 1, 4, 8)
    mask = torch.tensor([True, True, False, False]).expand(1, 1, 4, 4).clone()
    mask[:, :, 0] = False
    found = {
        function: function(x, x, x, mask)[1][0, 0, 0].tolist()
        for function in (scaled_dot_product_attention, *EXHIBITS["nothing to attend to"].broken)
    }
    right, nan, padding = found.values()
    assert right == [0] * 4
    assert all(weight != weight for weight in nan)
    assert padding == [0.25] * 4
    for broken in EXHIBITS["nothing to attend to"].broken:  # elsewhere nothing is wrong
        mask[:, :, 0] = True
        pairs = zip(broken(x, x, x, mask), scaled_dot_product_attention(x, x, x, mask))
        assert all(torch.allclose(one, other) for one, other in pairs)


def test_positions_from_the_wrong_end_and_from_the_padding():
    x, length = torch.zeros(2, 4, 1), torch.tensor([4, 2])
    assert positions_of(x, length, True).tolist() == [[3, 2, 1, 0], [1, 0, 0, 0]]
    assert networks.positions_from_the_other_end(x, length, True).tolist() == [0, 1, 2, 3]
    padding = networks.positions_from_the_padding
    assert padding(x, length, True).tolist() == [[3, 2, 1, 0]] * 2
    assert padding(x[1:, :2], length[1:], True).tolist() == [[1, 0]]  # alone it is another


@pytest.mark.parametrize(
    ("loss", "reached"),
    [
        (soft_contrastive_loss, (True, True)),
        (networks.contrastive_loss_of_fixed_states, (True, False)),
        (networks.contrastive_loss_for_show, (False, False)),
    ],
)
def test_a_contrastive_loss_has_its_value_and_reaches_what_it_reaches(loss, reached):
    rng = torch.Generator().manual_seed(0)
    x, y = (torch.randn(6, 4, generator=rng).requires_grad_() for _ in range(2))
    value = loss(x, y, 2.0)
    assert value.item() == pytest.approx(soft_contrastive_loss(x, y, 2.0).item())
    value.backward()
    assert tuple(bool(t.grad is not None and t.grad.any()) for t in (x, y)) == reached


def test_an_item_that_is_a_negative_and_never_a_target_ends_last():
    from tema_lib.models.sasrec import SASRec, SASRecConfig

    users = [list(range(1, 12)), list(range(11, 0, -1)), [2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]] * 4
    never, rank = 12, {}
    for name in ("right", "impossible negatives"):
        torch.manual_seed(0)
        model = SASRec(DOMAIN, SASRecConfig(hidden=16, max_length=20))
        if name == "right":
            fitted(model, sequences(users))
        else:
            with in_place(name):
                fitted(model, sequences(users))
        last = evaluate(model, sequences([[user[0], never] for user in users]), DOMAIN)
        rank[name] = last.rank.mean()
    assert rank["impossible negatives"] == 11  # of the item in the history and the 11 others
    assert rank["right"] < 10


def test_the_best_epoch_on_test_is_chosen_where_test_takes_the_place_of_validation():
    from tema_lib.models.sasrec import SASRec, SASRecConfig

    split = small_split()
    for fit, part in ((train, split.valid), (networks.train_selected_on_test, split.test)):
        torch.manual_seed(0)
        model = SASRec(DOMAIN, SASRecConfig(hidden=16, max_length=20))
        history = fit(model, split, DOMAIN, LITTLE)
        found = evaluate(model, part, DOMAIN)
        mrr = sum(found.of_domain(domain).metric("MRR") for domain in (0, 1)) / 2
        assert mrr == pytest.approx(history.valid_mrr[history.best]["mean"])
        assert mrr == pytest.approx(max(epoch["mean"] for epoch in history.valid_mrr))


def test_one_tolerance_lets_nothing_pass_for_a_small_number():
    networks.expect_within_one_tolerance("MAP", 0.0, 0.0255)
    networks.within_a_tenth("MAP", 0.0260, 0.0255)
    with pytest.raises(AssertionError):
        networks.within_a_tenth("MAP", 0.0, 0.0255)
