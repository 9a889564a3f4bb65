"""The notebooks, cell by cell, on small folders such as people bring: none stops on what they lack.

Eight kernels for each folder would load torch eight times over; here one process runs all of it,
with the shell and the figures that a kernel has.  Only one folder goes through the command itself,
in kernels: the one without titles, in which there is nothing that could be drawn wrongly.
"""

import os
import random
import re
import shutil
import subprocess
import sys

import duckdb
import nbformat
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from matplotlib import pyplot as plt
from matplotlib.mathtext import MathTextParser
from PIL import Image
from traitlets.config import Config

from tema_lib import cli
from tema_lib.workspace import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
OWN = NOTEBOOKS[:8]  # 08 measures on the synthetic data and 09 reads records, whatever is named


# --- folders ---

GOODS = [
    f"{kind} {thing}"
    for thing in ("bread", "soup", "cheese", "juice", "jam")
    for kind in ("rye", "pumpkin", "goat", "plum", "bitter", "smoked")
]
TOOLS = [
    f"{stuff} {thing}"
    for thing in ("ladle", "board", "jug", "grater", "tin")
    for stuff in ("beech", "copper", "slate", "enamel", "bamboo", "zinc")
]


def shelf(count):
    """`count` items, the first half in A, with ten telling titles a domain and no description."""
    half = [count // 2, count - count // 2]
    rows = [
        (f"{domain.lower()}{number}", domain, titles[3 * number % 30], "")
        for domain, titles, size in zip("AB", (GOODS, TOOLS), half)
        for number in range(size)
    ]
    return pd.DataFrame(rows, columns=["item_id", "domain", "title", "description"])


def histories(items, users, shortest, longest, seed=0, domains=("AB",), last="AB"):
    """`users` people, each in one of `domains`, none with one item twice.

    `last`: the domains in which the last two interactions may lie.
    """
    rng, rows = random.Random(seed), []
    for user in range(users):
        allowed = items[items["domain"].isin(list(domains[user % len(domains)]))][
            "item_id"
        ].tolist()
        seen = rng.sample(allowed, rng.randint(shortest, longest))
        seen[-2:] = rng.sample(
            [item for item in allowed if item[0].upper() in last and item not in seen[:-2]], 2
        )
        rows += [
            (f"u{user}", item, item[0].upper(), 1_600_000_000 + 86_400 * (40 * user + 3 * day))
            for day, item in enumerate(seen)
        ]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "domain", "timestamp"])


def write(folder, items, events):
    folder.mkdir()
    for name, table in (("items", items), ("interactions", events)):
        rows = [table.columns, *table.itertuples(index=False)]
        text = "".join("\t".join(map(str, row)) + "\n" for row in rows)
        (folder / f"{name}.tsv").write_text(text, encoding="utf-8")
    return folder


ODD = [
    "US$ 5 off, was $$9",
    "$$ $x^2_1$ noodles",
    "C:\\new\\table \\frac{1}{2}",
    "\\$ard\\ $",
    "<script>alert(1)</script> & <b>tea</b>",
    "100 % rye_flour #1 ^top^ {x}",
    "🍜 ramen 👩‍🍳",
    "خبز بالزعتر 250 غ",
    "שוקולד מריר",
    "海苔 のり 김",
    "very " * 150 + "long",
    "x" * 800,
    "two\nlines\tand a tab",
    "*bold* `code` [link](http://a.b)",
    "e\u0301clair a\u0308pfel",
    "42",
]


def odd_titles(folder):
    """18 items with strange titles, two twice, one picture, two descriptions, odd domains."""
    items = shelf(18)
    items["title"] = ODD[:9] + ODD[7:]
    items.loc[[0, 13], "description"] = ["$$ nothing < something \\ else 🍜", "words about a jug"]
    items["image"] = ["one.png", *[""] * 17]
    write(folder, items, histories(items, 40, 3, 8))
    (folder / "items.tsv").unlink()  # line breaks inside a title need another form
    duckdb.from_df(items.astype(object)).write_parquet(str(folder / "items.parquet"))
    Image.new("RGB", (30, 20), "#aa3377").save(folder / "one.png")
    (folder / "dataset.json").write_text('{"domains": ["$tore_1$", "wares <b>"]}', encoding="utf-8")
    return folder


def three_events_no_titles(folder):
    """Ids alone, and three events each: training parts have one event, nothing can be learned."""
    items = shelf(60).assign(title="")
    return write(folder, items, histories(items, 30, 3, 3))


def one_sided_targets(folder):
    """No target is in B; some people have no test case, most histories have two events."""
    items = shelf(60)
    return write(folder, items, histories(items, 40, 2, 4, last="A"))


def nobody_in_both(folder):
    """Two domains without a common user."""
    items = shelf(24)
    return write(folder, items, histories(items, 60, 4, 7, domains=("A", "B")))


# Builder -> the systems that are trained on its folder.
FOLDERS = {
    odd_titles: "popularity co-occurrence sasrec tema llm-emf llm-rec man",
    one_sided_targets: "popularity co-occurrence sasrec tema",
    nobody_in_both: "popularity co-occurrence tema tema-no-tags llm-emf",
}
EXPORTED = {nobody_in_both}  # whose tags are exported first; notebook 02 still shows how they arise


# --- cells ---


class Shell(InteractiveShell):
    """A kernel without a browser.

    What fails while a figure is drawn stops no cell there, it shows as a traceback: here it counts.
    """

    def enable_gui(self, gui=None):
        pass

    def showtraceback(self, *_, **__):
        self.failed = sys.exc_info()[1] or getattr(sys, "last_value", None)


@pytest.fixture(scope="module")
def shell():
    from tema_lib.models.systems import SYSTEMS

    Shell.clear_instance()
    main = sys.modules["__main__"]
    made = Shell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    known = dict(SYSTEMS)
    made.run_line_magic("matplotlib", "inline")
    yield made
    plt.close("all")
    plt.switch_backend("agg")
    Shell.clear_instance()
    sys.modules["__main__"] = main  # the shell's own has no `__spec__`: no process could be spawned
    SYSTEMS.clear()  # notebook 07 adds one of its own
    SYSTEMS.update(known)


@pytest.fixture
def formulas(monkeypatch):
    """What matplotlib reads as a formula while a test runs; it goes on reading."""
    read, parse = [], MathTextParser.parse

    def listened(self, text, *rest, **named):
        read.append(text)
        return parse(self, text, *rest, **named)

    monkeypatch.setattr(MathTextParser, "parse", listened)
    return read


def run_cells(shell, path, **parameters):
    """Run a notebook from top to bottom; a cell or a figure that fails fails the test."""
    shell.reset(new_session=True)
    cells = [
        cell
        for cell in nbformat.read(path, 4).cells
        if cell.cell_type == "code" and cell.source.strip()
    ]
    for number, cell in enumerate(cells, start=1):
        shell.failed = None
        done = shell.run_cell(cell.source)
        error = done.error_before_exec or done.error_in_exec or shell.failed
        if error is not None:
            said = f"{path.stem}, cell {number}: {type(error).__name__}: {error}"
            raise AssertionError(said) from error
        if "parameters" in cell.metadata.get("tags", []):
            known = {name: value for name, value in parameters.items() if name in shell.user_ns}
            shell.user_ns.update(known)


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda make: make.__name__)
def own(request, tmp_path_factory):
    """One folder as parameters of the notebooks; each finds what those before it left."""
    scratch = tmp_path_factory.mktemp(request.param.__name__)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEMA_ARTIFACTS", str(scratch / "artifacts"))
        patch.setenv("TEMA_RESULTS", str(scratch / "results"))
        patch.setenv("TEMA_REPLIES", str(scratch.parent / "replies.sqlite"))
        folder = str(request.param(scratch / "domain"))
        parameters = {"data": folder, "systems": FOLDERS[request.param]}
        if request.param in EXPORTED:
            export = scratch / "export"
            assert cli.main(["tags", "--data", folder, "--out", str(export)]) == 0
            (path,) = export.glob("*.tsv.gz")
            parameters |= {"tags": str(path), "domains": "$food,tools"}
        yield parameters


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.stem)
def test_every_cell_runs_on_own_data(path, own, shell, formulas, recwarn):
    """Titles are drawn as they are, and no page is flooded with warnings about what is missing."""
    run_cells(shell, path, seed=0, **own)
    if "tags" in own and path in OWN[2:]:
        assert str(shell.user_ns["run"].export) == own["tags"]
        assert shell.user_ns["run"].domains[0] == "$food"
    ours = re.compile(r"\$\\mathdefault\{.*\}\$|length of the share .*")  # ticks, and one label
    assert [text for text in formulas if not ours.fullmatch(text)] == []
    flood = {
        str(warning.message)
        for warning in recwarn
        if issubclass(warning.category, RuntimeWarning) or "Glyph" in str(warning.message)
    }
    assert flood == set()


def test_the_command_goes_through_all_that_own_data_change(tmp_path):
    """The same with real kernels, on the folder from which nothing can be learned.

    What fails while a figure is drawn, and what warns, stands in the outputs.
    """
    name = f"own-data-{tmp_path.name}"
    folder = three_events_no_titles(tmp_path / name)
    try:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "tema_lib",
                "run",
                "--data",
                str(folder),
                "--systems",
                "popularity co-occurrence sasrec tema tema-no-tags llm4cdsr",
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            env={**os.environ, "TEMA_REPLIES": str(tmp_path / "replies.sqlite")},
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0, said[-3000:]
        assert "07_other_systems" in done.stdout
        assert "Traceback" not in said
        assert "notebooks 08 and 09, which say the same whatever the data are" in said
        assert len(list(ROOT.glob(f"build/html/{name}*/0*.html"))) == len(OWN)
        executed = sorted(ROOT.glob(f"build/run/{name}*/0*.ipynb"))
        assert [path.name for path in executed] == [path.name for path in OWN]
        for path in executed:
            cells = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
            outputs = [output for cell in cells for output in cell.outputs]
            assert outputs
            assert [one for one in outputs if one.output_type == "error"] == []
            warned = [one.text for one in outputs if one.get("name") == "stderr"]
            assert [
                text for text in warned if re.search("Traceback|RuntimeWarning|Glyph", text)
            ] == []
    finally:
        for made in ROOT.glob(f"build/*/{name}*"):
            shutil.rmtree(made)
