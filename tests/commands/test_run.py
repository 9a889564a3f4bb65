"""`tema run`: what is wrong is said before anything is made, and what was left out at the end."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from tema_lib.commands import run
from tema_lib.commands.common import check
from tema_lib.experiment import Experiment
from tema_lib.models.systems import SYSTEMS
from tema_lib.workspace import home


@pytest.fixture
def folder(tmp_path):
    """Two items and one user, without pictures and descriptions."""
    (tmp_path / "items.tsv").write_text("item_id\tdomain\ttitle\na1\tA\tRice\nb1\tB\tPot\n")
    (tmp_path / "interactions.tsv").write_text(
        "user_id\titem_id\tdomain\ttimestamp\nu\ta1\tA\t10\nu\tb1\tB\t30\n"
    )
    return tmp_path


def append(folder, name, text):
    with open(folder / name, "a") as file:
        file.write(text)


def test_a_run_says_what_it_skipped(folder):
    full = Experiment("synthetic", fast=False)
    assert run.passed_over(full, set(SYSTEMS)) == [
        "live profiles for all but 24 users (the others are shipped)"
    ]
    trained = set(SYSTEMS) - {"sasrec", "tema-no-tags"}
    text = "\n".join(run.passed_over(Experiment("synthetic", fast=True), trained))
    assert "few epochs" in text
    assert "24 items a domain" in text
    assert "systems sasrec, tema-no-tags" in text
    assert "pictures" not in text


def test_a_run_on_own_data_says_what_these_lack(folder):
    append(folder, "interactions.tsv", "v\ta1\tA\t10\nv\tb1\tB\t11\nv\ta2\tA\t12\n")
    append(folder, "items.tsv", "a2\tA\tOats\n")
    text = "\n".join(run.passed_over(Experiment(str(folder), fast=False), set(SYSTEMS)))
    for word in ("descriptions", "pictures", "truth"):
        assert word in text
    for word in ("fast", "systems"):
        assert word not in text


def test_with_exported_tags_no_reply_is_called_live():
    replayed = Experiment("synthetic", fast=True, tags="export")
    assert not [line for line in run.passed_over(replayed, set(SYSTEMS)) if "live" in line]


def test_a_run_says_what_should_be_known_of_its_data_before_a_number_is_believed(folder):
    """Rows that were written twice, a time that goes backwards: read, counted, and told."""
    append(
        folder,
        "interactions.tsv",
        "v\tb1\tB\t19\nv\ta1\tA\t18\nv\tb1\tB\t19\nv\ta1\tA\t25\nv\ta2\tA\t30\n",
    )
    append(folder, "items.tsv", "a2\tA\tOats\n")
    experiment, remarks = check(str(folder), ["haf-vt"], domains="books,films")
    told = "\n".join(remarks)
    assert "line 5: the time of user v goes backwards" in told
    assert "1 rows repeat another row exactly" in told
    assert "1 later events of a user with the same item were dropped" in told
    assert "domain A (books) has 1 test target" in told
    assert experiment.raw.dropped == {"identical": 1, "repeats": 1}
    assert experiment.domains == ("books", "films")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("--data", "{folder}"),
            "interactions.tsv, line 3: 'soon' is not a time: write Unix seconds",
        ),
        (("--data", "{folder}/nowhere"), "there is no such folder"),
        (("--systems", "tema tame"), "system 'tame' is unknown: choose from popularity"),
        (("--replay", "--systems", "tame"), "system 'tame' is unknown"),
        (("--replay", "--tags", "exprot"), 'tags "exprot" are unknown'),
    ],
)
def test_bad_tables_and_names_stop_the_run_before_anything_is_made(folder, arguments, sentence):
    table = folder / "interactions.tsv"
    table.write_text(table.read_text().replace("30", "soon"))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tema_lib",
            "run",
            *(text.format(folder=folder) for text in arguments),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((home() / "run").glob(f"{folder.name}*"))


def test_without_notebooks_a_run_names_the_way_that_needs_none(monkeypatch):
    monkeypatch.setattr(run, "NOTEBOOKS", [])
    chosen = SimpleNamespace(replay=False, data="synthetic")
    with pytest.raises(SystemExit, match="tema run --replay"):
        run.main(chosen)
