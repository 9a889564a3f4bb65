"""The stages of a preparation: notes of earlier runs, the code's fingerprint, all releases."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tema_lib.data.files import DataError
from tema_lib.datasets.amazon.core import Limits
from tema_lib.datasets.amazon.preparation import code_of, prepare
from tema_lib.datasets.amazon.releases import FILES, PAIRS
from tema_lib.datasets.amazon.reviews import read_reviews
from tema_lib.datasets.amazon.tables import Source
from tema_lib.datasets.load import read_data
from tema_lib.datasets.synthetic.official import write_official
from tests.helpers.data_folders import order
from tests.helpers.synthetic_data import SYNTHETIC

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(("year", "scale"), [(2014, 1), (2018, 1), (2023, 1000)])
def test_a_preparation_keeps_the_order_inside_a_second_and_so_does_its_reader(
    tmp_path, year, scale
):
    """A's and B's events take turns within a second; a hash of the ids would mix them."""
    keys = (
        ("user_id", "parent_asin", "timestamp")
        if year == 2023
        else ("reviewerID", "asin", "unixReviewTime")
    )
    for domain in "AB":
        (tmp_path / domain).write_text(
            "".join(
                json.dumps(
                    dict(
                        zip(
                            keys,
                            (
                                "u1",
                                f"{domain}{position}",
                                (1_588_687_728 + position / 10 + (domain == "B") / 100) * scale,
                            ),
                        )
                    )
                )
                + "\n"
                for position in range(8, -1, -1)
            )
        )
    prepare(
        {domain: Source(tmp_path / domain, "", year) for domain in "AB"},
        tmp_path / "out",
        Limits(1, 1),
    )
    right = [f"{domain}{position}" for position in range(9) for domain in "AB"]
    assert [
        line.split("\t")[1]
        for line in (tmp_path / "out" / "interactions.tsv").read_text().splitlines()[1:]
    ] == right
    assert order(read_data(tmp_path / "out")) == {"u1": " ".join(right)}
    table, _ = read_reviews(tmp_path / "A", year, ("moment",))
    assert table["moment"].is_monotonic_decreasing
    assert table["moment"].nunique() == 9
    assert set(table["timestamp"]) == {1_588_687_728}


@pytest.mark.parametrize("report", ['{"cut', "[]", "{}", "\ufeff{}"])
def test_a_broken_note_of_an_earlier_preparation_is_none(tmp_path, report):
    for domain in "AB":
        (tmp_path / domain).write_text(
            "".join(
                f'{{"reviewerID": "u{n}", "asin": "{domain}1", "unixReviewTime": 1365811200}}\n'
                for n in range(3)
            )
        )
    (tmp_path / "out" / "stages").mkdir(parents=True)
    for note in ("preparation.json", "stages/made_from.json"):
        (tmp_path / "out" / note).write_text(report, encoding="utf-8")
    prepare({domain: Source(tmp_path / domain) for domain in "AB"}, tmp_path / "out", Limits(1, 1))
    assert len(read_data(tmp_path / "out").interactions) == 6


def test_a_stage_that_the_engine_cannot_read_is_one_sentence(tmp_path):
    """The first run stops after the stages; one of them is damaged before the second."""
    for domain in "AB":
        (tmp_path / domain).write_text(
            "".join(
                f'{{"reviewerID": "u{n}", "asin": "{domain}1", "unixReviewTime": 1365811200}}\n'
                for n in range(3)
            )
        )
    sources = {domain: Source(tmp_path / domain) for domain in "AB"}
    with pytest.raises(ZeroDivisionError):
        prepare(
            sources, tmp_path / "out", Limits(1, 1), say=lambda line: 1 / ("core: " not in line)
        )
    (tmp_path / "out" / "stages" / "events_a.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(
        DataError, match="the preparation stopped .* or delete .*stages, and run it again"
    ):
        prepare(sources, tmp_path / "out", Limits(1, 1))


def test_every_module_that_makes_a_stage_is_in_its_fingerprint(tmp_path):
    """In a copy of the package: the modules that `preparation` imports count, directly or not."""
    package = tmp_path / "tema_lib"
    shutil.copytree(
        ROOT / "tema_lib", package, ignore=shutil.ignore_patterns("__pycache__", "models")
    )
    preparation = package / "datasets" / "amazon" / "preparation.py"
    before = code_of(preparation, package)
    for name, counts in (
        ("datasets/amazon/preparation", True),
        ("datasets/amazon/core", True),
        ("datasets/amazon/reviews", True),
        ("datasets/amazon/columns", True),
        ("datasets/amazon/metadata", True),
        ("datasets/amazon/tables", True),
        ("datasets/amazon/releases", True),
        ("data/dataset", True),
        ("data/files", True),
        ("data/readers", True),
        ("workspace", True),
        ("datasets/amazon/pictures", False),
        ("data/summary", False),
        ("datasets/synthetic/generator", False),
    ):
        module = package / f"{name}.py"
        plain = module.read_text()
        module.write_text(plain + "\n# mended\n")
        assert (code_of(preparation, package) != before) == counts, name
        module.write_text(plain)


def test_a_mended_reader_reads_anew(tmp_path):
    """In a copy of the library: an interrupted preparation goes on, unless a reader was mended."""
    shutil.copytree(
        ROOT / "tema_lib", tmp_path / "tema_lib", ignore=shutil.ignore_patterns("__pycache__")
    )
    for domain in "AB":
        (tmp_path / domain).write_text(
            "".join(
                f'{{"reviewerID": "u{n}", "asin": "{domain}{n % 2}", "unixReviewTime": 1365811200}}'
                "\n"
                for n in range(9)
            )
        )
    program = (
        "from tema_lib.datasets.amazon import preparation as p\nimport sys\n"
        "if sys.argv[1] == 'stop': p.tsv_bytes = lambda table: sys.exit(0)\n"
        "p.prepare({d: p.Source(p.Path(d)) for d in 'AB'}, 'out', p.Limits(1, 1), say=print)"
    )

    def run(word):
        return subprocess.run(
            [sys.executable, "-c", program, word],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    run("stop")
    assert "events_a: kept from an earlier run" in run("stop")
    with open(tmp_path / "tema_lib" / "datasets" / "amazon" / "reviews.py", "a") as file:
        file.write("\n# mended\n")
    assert "kept from an earlier run" not in run("on")


@pytest.mark.parametrize(
    ("year", "kind"),
    [(2014, "reviews"), (2014, "ratings"), (2018, "reviews"), (2018, "ratings"), (2023, "reviews")],
)
def test_the_synthetic_data_set_comes_back_from_each_release(tmp_path, year, kind):
    """Users, items, domains, seconds, order, titles, descriptions; pictures: test_make_data.py."""
    write_official(SYNTHETIC, tmp_path, year)
    sources = {
        domain: Source(
            tmp_path / FILES[year][kind].format(category),
            tmp_path / FILES[year]["metadata"].format(category),
            year,
        )
        for domain, category in zip("AB", PAIRS["food-kitchen"])
    }
    report = prepare(sources, tmp_path / "out", Limits(items=0, users_per_domain=0))
    back = read_data(tmp_path / "out")
    pd.testing.assert_frame_equal(back.interactions, SYNTHETIC.interactions)
    pd.testing.assert_frame_equal(
        back.items.drop(columns="image"), SYNTHETIC.items.drop(columns="image")
    )
    assert report["picture_addresses"] == {"A": 270, "B": 270}
    assert len(report["skipped"]) == 2 * (kind == "reviews")
