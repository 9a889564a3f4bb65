"""The notebooks are complete and fresh, and run with papermill.

All run in a chain, by the command that a user types, with a language model that is really asked
about every item; so whatever they assert holds for live replies as for the shipped ones. What the
chain leaves is in TEMA_CHAIN, where that is set: nbval shares it, but for the two notebooks that it
runs alone (`conftest.run_alone`).
"""

import os
import pathlib
import re
import statistics
import subprocess
import sys

import nbformat
import pytest

import conftest
from tema_lib.experiment import Experiment
from tema_lib.llm.local import LocalModel
from tema_lib.llm.store import ReplyStore, reply_key
from tema_lib.models.systems import LESSON, SMALL_TAGS
from tema_lib.notebook import expect, show
from tema_lib.records import read_records
from tema_lib.tags.draft import prompt_for
from tema_lib.workspace import ROOT, cache_folder, weights_folder

sys.path.insert(0, str(ROOT / "tools"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
KNOWN_TAGS = {"parameters", "nbval-approx", "nbval-ignore-output", "nbval-skip", "hide-input"}
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def tags(cell):
    return set(cell.metadata.get("tags", []))


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def test_the_lectures_are_all_there():
    """An empty folder would make every other test here pass."""
    assert [path.stem[:2] for path in NOTEBOOKS] == [f"{number:02}" for number in range(10)]


# --- what is committed ---


@each_notebook
def test_outputs_are_complete_and_fresh(path):
    from refresh import stamp

    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    in_order = [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert in_order, "not run from top to bottom in one kernel"
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    injected = [cell for cell in notebook.cells if "injected-parameters" in tags(cell)]
    assert not injected, "papermill wrote into it; refresh it"
    assert notebook.metadata.kernelspec.name == "python3"
    fresh = notebook.metadata.get("tema", {}).get("stamp") == stamp(notebook)
    assert fresh, f"stale: run `python tools/refresh.py {path.stem}`"
    assert path.stat().st_size < 2_000_000


@each_notebook
def test_parameters_are_those_of_the_design(path):
    cells = [c for c in nbformat.read(path, 4).cells if "parameters" in tags(c)]
    assert len(cells) == 1
    assert cells[0].cell_type == "code"
    values = {}
    exec(compile(cells[0].source, path.name, "exec"), values)  # our own, committed assignments
    assert (values["seed"], values["data"]) == (0, "synthetic")
    assert (values["tags"], values["replies"]) == ("", "shipped")


@each_notebook
def test_nothing_escapes_the_comparison_or_the_page(path):
    """nbval skips cells that were never run, skipped cells and magic comments.

    None of these may hide an output.
    """
    notebook = nbformat.read(path, 4)
    cells = code_cells(notebook)
    for cell in notebook.cells:
        assert tags(cell) <= KNOWN_TAGS, f"unknown tags {sorted(tags(cell) - KNOWN_TAGS)}"
    for cell in cells:
        comment = re.search(r"#\s*(NBVAL_|PYTEST_VALIDATE)", cell.source)
        assert not comment, "use tags, not nbval comments"
        hidden = cell.source.rstrip().endswith(";") and "nbval-ignore-output" not in tags(cell)
        assert not hidden, "nbval ignores a trailing `;`; end with plt.show()"
        # Only the Colab set-up may be skipped; papermill runs it, so it has a guard.
        assert "nbval-skip" not in tags(cell) or "google.colab" in cell.source
    unchecked = [c for c in cells if tags(c) & {"nbval-ignore-output", "nbval-skip"}]
    wide = [line for cell in cells for line in cell.source.splitlines() if len(line) > 120]
    assert not wide, f"wider than the page of JupyterLab: {wide}"
    assert 3 * len(unchecked) <= len(cells), (
        f"{len(unchecked)} of {len(cells)} code cells are unchecked; at most a third may be"
    )


@each_notebook
def test_no_cell_is_too_long_to_teach_with(path):
    lines = [
        sum(bool(line.strip()) and not line.strip().startswith("#") for line in source.splitlines())
        for source in (cell.source for cell in code_cells(nbformat.read(path, 4)))
    ]
    assert max(lines) <= 25
    assert statistics.median(lines) <= 6


def test_kernels_import_this_checkout(tmp_path):
    found = subprocess.run(
        [sys.executable, "-c", "import tema_lib; print(tema_lib.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert ROOT in pathlib.Path(found).resolve().parents


# --- the tolerance of shown numbers ---


@pytest.mark.parametrize(
    "metric", [0.0010, 0.0040, 0.0123, 0.05, 0.0871, 0.3, 0.4321, 1.4327, 12.5, 250.0]
)
@pytest.mark.parametrize("factor", [0.5, 1.5, -1.0, 0.0])
def test_a_metric_off_by_half_is_noticed(metric, factor):
    committed = f"NDCG@10 {metric:.4f} of 24 items"
    fresh = f"NDCG@10 {metric * factor:.4f} of 24 items"
    assert conftest.map_to_nearest(committed, fresh) != committed


@pytest.mark.parametrize(
    ("committed", "fresh"),
    [
        ("loss 1.4328", "loss 1.4290"),
        ("A 0.0812  B 0.1", "A 0.0840  B  0.1"),
        ("1.20e-03", "1.25e-03"),
        ("-0.0", "0.0"),
    ],
)
def test_another_processor_passes(committed, fresh):
    assert conftest.map_to_nearest(committed, fresh) == committed


@pytest.mark.parametrize(
    ("committed", "fresh"),
    [
        ("24 items, 0.50", "12 items, 0.50"),
        ("tema 0.10", "sasrec 0.10"),
        ("0.10 0.20", "0.10"),
        ("0.10", "nan"),
    ],
)
def test_words_and_whole_numbers_must_agree(committed, fresh):
    assert conftest.map_to_nearest(committed, fresh) != committed


def test_one_wrong_number_among_right_ones_is_noticed():
    mixed = conftest.map_to_nearest("0.1000 0.2000 0.0040", "0.1010 0.2010 0.0020")
    assert mixed == "0.1000 0.2000 0.0020"


def same_to_nbval(cell, committed, fresh):
    if "nbval-approx" in tags(cell):
        fresh = conftest.map_to_nearest(committed, fresh)
    return fresh == committed


@each_notebook
def test_every_shown_number_off_by_half_is_noticed(path):
    """Each decimal in each compared output in turn, by half, in the digits in which it is shown."""
    for cell in code_cells(nbformat.read(path, 4)):
        if tags(cell) & {"nbval-ignore-output", "nbval-skip"}:
            continue
        for text in [out["text"] for out in cell.outputs if out.output_type == "stream"]:
            assert same_to_nbval(cell, text, text)
            for match in conftest.DECIMAL.finditer(text):
                digits = len(match[0].partition(".")[2])
                for factor in (0.5, 1.5):
                    wrong = f"{float(match[0]) * factor:.{digits}f}"
                    changed = text[: match.start()] + wrong + text[match.end() :]
                    noticed = wrong == match[0] or not same_to_nbval(cell, changed, text)
                    assert noticed, f"{match[0]} passes for {wrong} in\n{text}"


def test_an_expected_number_is_known_better_than_to_its_half():
    """`expect` prints the same line whatever was measured, so it has to be narrow by itself."""
    expect("close", 0.0041, 0.0040, rel=0.1)
    for value in (0.0020, 0.0060, float("nan")):
        with pytest.raises(AssertionError, match="measured"):
            expect("off by half", value, 0.0040, rel=0.49)
    with pytest.raises(ValueError, match="could be off by half"):
        expect("too wide", 0.0040, 0.0040, abs=0.002)


def test_a_figure_that_could_not_be_drawn_shows_nothing(capsys):
    show(None, "what it would have shown")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("trained in 3.2 s", True),
        ("8.1 it/s", True),
        ("0.12 s.e.", False),
        ("NDCG 0.12", False),
        ("24 items", False),
    ],
)
def test_only_durations_are_sanitised(text, hidden):
    settings = (ROOT / "tests" / "nbval_sanitize.cfg").read_text(encoding="utf-8")
    pattern = re.search(r"\[elapsed time\]\s*regex: (.*)", settings).group(1)
    assert bool(re.search(pattern, text)) == hidden


def test_nothing_is_shown_where_nothing_could_be_drawn(capsys):
    show(None, "an empty heat map")
    assert capsys.readouterr().out == ""


# --- papermill ---


def run_command(home):
    """`tema run` as `make run` calls it, with a home of its own, in a log and not a terminal.

    Texts and pictures that are encoded already are not encoded again.
    """
    encoded = cache_folder()
    encoded.mkdir(parents=True, exist_ok=True)
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "cache").exists():
        (home / "cache").symlink_to(encoded, target_is_directory=True)
    return subprocess.run(
        [sys.executable, "-m", "tema_lib", "run"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("TEMA_")},
            "TEMA_HOME": str(home),
            "TEMA_CACHE": str(weights_folder()),
            "OMP_NUM_THREADS": "1",
        },
    )


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    home = pathlib.Path(os.environ.get("TEMA_CHAIN") or tmp_path_factory.mktemp("chain"))
    return home, run_command(home)


def test_the_chain_ends_with_a_table_and_what_it_says(chain):
    home, done = chain
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for system in LESSON:
        assert f"| {system}" in done.stdout
    words = done.stdout.partition("In words")[2]
    for sentence in ("has the highest mean NDCG@10 of 9 systems", "TEMA-LLM is ", "its tags add"):
        assert sentence in words
    records = read_records(home / "results" / "synthetic")
    assert sorted(record["system"] for record in records) == sorted(LESSON)
    source = {record["system"]: record["config"]["tags_source"] for record in records}
    assert source[SMALL_TAGS]["source"] == "live"
    assert {source[name]["source"] for name in set(LESSON) - {SMALL_TAGS}} == {"export"}


def test_the_language_model_was_asked_about_every_item(chain):
    home, _ = chain
    run, llm = Experiment("synthetic", replies="live"), LocalModel()
    with ReplyStore(home / "replies.sqlite") as store:
        for item in range(1, run.items.count + 1):
            prompt = prompt_for(run.items, item, run.tag_config)
            assert store.get(reply_key(llm.fingerprint, prompt, llm.settings)) is not None


def test_the_log_of_a_run_is_short_and_calm(chain):
    _, done = chain
    lines = (done.stdout + done.stderr).splitlines()
    assert len(lines) <= 54  # the set-up before it has up to six lines
    for word in ("%|", "it/s]", "Warning", "WARNING", "Traceback"):
        assert not [line for line in lines if word in line]


@each_notebook
def test_chain(path, chain):
    home, _ = chain
    notebook = nbformat.read(home / "run" / "synthetic" / path.name, 4)
    assert notebook.metadata.papermill.exception is None
    assert all(cell.execution_count for cell in code_cells(notebook))
    (page,) = home.glob(f"html/synthetic/{path.stem}.html")
    assert page.stat().st_size > 10_000


def test_a_second_run_keeps_what_has_not_changed(chain):
    home, _ = chain
    before = {path: path.stat().st_mtime_ns for path in home.glob("run/synthetic/*.ipynb")}
    again = run_command(home)
    assert again.returncode == 0, again.stderr
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert len(before) == len(NOTEBOOKS)


# --- nbval ---


def test_two_notebooks_find_nothing_trained_unless_others_are_named(monkeypatch):
    monkeypatch.delenv("TEMA_ALONE", raising=False)
    assert len(set(conftest.run_alone())) == 2
    for wish, count in (("04,05", 2), ("06", 1), ("all", len(NOTEBOOKS))):
        monkeypatch.setenv("TEMA_ALONE", wish)
        assert len(conftest.run_alone()) == count


def test_nbval_gives_each_notebook_the_systems_of_the_chain_or_none(tmp_path):
    """A notebook of one cell under the name of a lecture, run alone and not."""
    cell = nbformat.v4.new_code_cell(
        "import os, pathlib\nprint(pathlib.Path(os.environ['TEMA_ARTIFACTS']).parent.name)",
        execution_count=1,
    )
    for wish, found in (("01", "alone"), ("02", "artifacts")):
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=f"{found}\n")]
        notebook = nbformat.v4.new_notebook(cells=[cell])
        path = tmp_path / NOTEBOOKS[1].name
        nbformat.write(notebook, path)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "--nbval", str(path), "-p", "conftest"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "TEMA_CHAIN": str(tmp_path / "chain"), "TEMA_ALONE": wish},
        )
        assert done.returncode == 0, done.stdout
