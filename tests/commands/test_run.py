"""`tema run`: what is wrong is said before anything is made, and what was left out at the end."""

import re
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
    live = Experiment("synthetic", replies="live")
    assert run.passed_over(live, list(SYSTEMS)) == [
        "live profiles for all but 8 users (the others are shipped)"
    ]
    trained = sorted(set(SYSTEMS) - {"sasrec", "tema-no-tags"})
    text = "\n".join(run.passed_over(Experiment("synthetic", replies="shipped"), trained))
    assert "24 items a domain" in text
    assert "(SYSTEMS=all trains them): sasrec, tema-no-tags" in text
    assert "pictures" not in text


def test_a_run_on_own_data_says_what_these_lack(folder):
    append(folder, "interactions.tsv", "v\ta1\tA\t10\nv\tb1\tB\t11\nv\ta2\tA\t12\n")
    append(folder, "items.tsv", "a2\tA\tOats\n")
    experiment = Experiment(str(folder))
    text = "\n".join(run.passed_over(experiment, list(SYSTEMS)))
    for word in ("descriptions", "pictures", "truth"):
        assert word in text
    for word in ("systems", "written profiles"):
        assert word not in text
    lesson = "\n".join(run.passed_over(experiment, experiment.systems()))
    assert 'written profiles for LLM4CDSR, which cost many answers (SYSTEMS="llm4cdsr")' in lesson


def test_where_nobody_is_asked_no_reply_is_called_live():
    replayed = Experiment("synthetic", replies="export")
    assert not [line for line in run.passed_over(replayed, list(SYSTEMS)) if "live" in line]


def test_a_run_says_what_should_be_known_of_its_data_before_a_number_is_believed(folder):
    """Rows that were written twice, a time that goes backwards: read, counted, and told."""
    append(
        folder,
        "interactions.tsv",
        "v\tb1\tB\t19\nv\ta1\tA\t18\nv\tb1\tB\t19\nv\ta1\tA\t25\nv\ta2\tA\t30\n",
    )
    append(folder, "items.tsv", "a2\tA\tOats\n")
    experiment, remarks = check(str(folder), "haf-vt", domains="books,films")
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


# --- the plan ---


def test_every_step_waits_for_what_it_reads(tmp_path):
    experiment = Experiment("synthetic", replies="live")
    chosen = SimpleNamespace(seed=0, domains="", tags="", systems="", epochs=None)
    setting = run.setting_of(chosen, "synthetic", experiment)
    todo = run.plan(setting, experiment, experiment.systems())
    asked = [name for name in todo if name.startswith("language model")]
    assert len(asked) == run.processes()
    assert set(todo["tags"].after) == {*asked, "texts and pictures"}
    trained = {name for name in todo if name.startswith("train ")}
    assert trained == {f"train {system}" for system in experiment.systems()}
    assert all(todo[name].after == ("tags",) for name in trained)
    waits = {path.stem[:2]: set(todo[path.stem].after) for path in run.NOTEBOOKS}
    assert waits["00"] == waits["01"] == waits["08"] == waits["09"] == set()
    assert waits["02"] == waits["03"] == {"tags"}
    assert all(waits[number] == trained for number in ("04", "05", "06", "07"))
    read = Experiment("synthetic", replies="export")
    assert not [name for name in run.plan(setting, read, ["tema"]) if "language model" in name]


def test_an_estimate_grows_with_the_data_and_with_a_slower_machine(monkeypatch):
    record = {"probe": 1.0, "items": 600, "events": 13655, "epochs": 20}
    record["steps"] = {"language model": 100.0, "train tema": 5.0, "01_data_preparation": 9.0}
    monkeypatch.setattr(run, "read_benchmark", lambda name: record)
    monkeypatch.setattr(run, "probe", lambda: 2.0)
    monkeypatch.setattr(run, "processes", lambda: 2)
    todo = dict.fromkeys(["language model, part 1 of 2", "train tema", "01_data_preparation"])
    same = run.expected_seconds(todo, Experiment("synthetic"))
    assert list(same.values()) == [100.0, 10.0, 18.0]
    longer = run.expected_seconds(todo, Experiment("synthetic", epochs=40))
    assert list(longer.values()) == [100.0, 20.0, 18.0]


def test_the_drawings_that_notebooks_show_lie_beside_their_pages(tmp_path):
    run.write_index(tmp_path, "synthetic", {path.stem: 1.0 for path in run.NOTEBOOKS})
    texts = [path.read_text("utf-8") for path in run.NOTEBOOKS]
    shown = {name for text in texts for name in re.findall(r"\]\(([\w-]+\.svg)\)", text)}
    assert shown
    assert shown <= {path.name for path in tmp_path.iterdir()}
