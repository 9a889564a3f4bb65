"""Which format a folder has, what happens to repeats, and the sizes of the real folders."""

import gzip
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tema_lib.data.dataset import encode_ids
from tema_lib.data.filters import k_core
from tema_lib.data.sequences import build_sequences
from tema_lib.data.splits import published_split
from tema_lib.data.summary import data_quality_warnings
from tema_lib.datasets.amazon.core import Limits
from tema_lib.datasets.amazon.preparation import prepare
from tema_lib.datasets.amazon.reviews import read_reviews
from tema_lib.datasets.amazon.tables import Source
from tema_lib.datasets.load import read_data
from tema_lib.workspace import ROOT
from tests.helpers.data_folders import EVENTS, ITEMS, order, parquet, tables, write_c2dsr

real = pytest.mark.skipif(
    "TEMA_REAL_DATA" not in os.environ, reason="real data: TEMA_REAL_DATA names no folder"
)


@pytest.mark.parametrize("end", ["", ".gz", "parquet"])
@pytest.mark.parametrize(
    "other", ["train_overlap.txt", "traindata_new.txt", "train_new.txt", "x_preprocessed.txt"]
)
def test_our_own_two_tables_win_over_a_guessed_format(tmp_path, end, other):
    if end == "parquet":
        parquet(tmp_path, "VALUES ('mina', 'k1', 'B', 100), ('mina', 't1', 'A', 200)")
    else:
        tables(
            tmp_path,
            *(gzip.compress(text.encode()) if end else text for text in (ITEMS, EVENTS)),
            end,
        )
    (tmp_path / other).write_text("1\t0,1\n")
    assert order(read_data(tmp_path))["mina"].startswith("k1 t1")
    assert not read_data(tmp_path).published


def test_a_published_split_is_left_as_it_is_and_says_that_it_repeats(tmp_path):
    raw = read_data(write_c2dsr(tmp_path))
    assert order(raw)["test:2"] == "k2 t1 k2", "the target is that of the paper"
    assert raw.repeats == "keep"
    assert not raw.dropped
    assert "1 events repeat" in " ".join(data_quality_warnings(raw))


def test_a_published_format_without_a_split_is_treated_like_our_own_tables(tmp_path):
    (tmp_path / "a_preprocessed.txt").write_text("0 1|10 2|20 2|20 1|30\n")
    (tmp_path / "map_item.txt").write_text('{"t1": [1, 0], "k1": [2, 1]}')
    (tmp_path / "map_user.txt").write_text('{"mina": 0}')
    raw = read_data(tmp_path)
    assert order(raw) == {"mina": "t1 k1"}
    assert raw.dropped == {"identical": 1, "repeats": 1}
    assert order(read_data(tmp_path, repeats="keep")) == {"mina": "t1 k1 t1"}


ODD = [
    "s[1]",
    "s*",
    "s?",
    "[!a]",
    "s{1,2}",
    "it's",
    "a $HOME b",
    'a"b',
    "back\\slash",
    "~",
    "domain=B",
    "ü 木",
]


@pytest.mark.parametrize("name", ODD)
def test_a_path_is_a_name_and_never_a_pattern(tmp_path, name):
    """Beside each odd name stand files that it would match as a pattern."""
    for decoy in ("s1", "sx", "b", "as", "s2"):
        parquet(tmp_path / "x" / decoy, "VALUES ('wrong', 't1', 'A', 1)")
        (tmp_path / "x" / f"{decoy}.json").write_text(
            '{"reviewerID": "wrong", "asin": "X", "unixReviewTime": 1365811200}\n'
        )
        (tmp_path / "x" / f"{decoy}.csv").write_text("wrong,X,5.0,1365811200\n")
    folder = parquet(tmp_path / "x" / name, "VALUES ('right', 't1', 'A', 1)")
    assert order(read_data(folder)) == {"right": "t1"}
    (folder / f"{name}.json").write_text(
        '{"reviewerID": "right", "asin": "X", "unixReviewTime": 1365811200}\n'
    )
    (folder / f"{name}.csv").write_text("right,X,5.0,1365811200\n")
    for end in ("json", "csv"):
        assert read_reviews(folder / f"{name}.{end}", 2014)[0]["user_id"].tolist() == ["right"]
    prepare(
        {domain: Source(folder / f"{name}.json") for domain in "AB"},
        folder / f"out {name}",
        Limits(1, 0),
    )
    assert order(read_data(folder / f"out {name}")) == {"right": "X"}


@real
@pytest.mark.parametrize(
    ("name", "users", "items", "events"),
    [
        ("fk_tiny", 240, 608, 5341),
        ("fk_mini", 2083, 1045, 47116),
        ("fk_core5", 6093, 7810, 120142),
        ("fk_abxi", 7144, 28095, 173548),
        ("fk_llmcdsr", 53061, 36298, 436127),
    ],
)
def test_real_folders_have_the_documented_sizes(name, users, items, events):
    raw = read_data(Path(os.environ["TEMA_REAL_DATA"]) / name)
    sequences = build_sequences(raw, encode_ids(raw))
    assert (len(sequences), len(raw.items), len(sequences.items)) == (users, items, events)
    if raw.published:
        split = published_split(raw, sequences)
        domain = encode_ids(raw).domain_of_item
        assert (len(split.valid), len(split.test)) == (960, 937)
        assert np.bincount(domain[split.test.last.numpy()]).tolist() == [300, 637]


@real
@pytest.mark.parametrize(("name", "items"), [("fk_mini", 15), ("fk_core5", 5)])
def test_docs_say_how_the_real_data_are_built(name, items):
    """`docs/own-data.md`, but for the order of one day's events."""
    folder = Path(os.environ["TEMA_REAL_DATA"])
    whole, wanted = read_data(folder / "fk_abxi"), read_data(folder / name)
    titled = set(whole.items.loc[whole.items["title"] != "", "item_id"])
    events = whole.interactions[whole.interactions["item_id"].isin(titled)]
    built = k_core(replace(whole, interactions=events), items=items, users_per_domain=3)

    def pairs(raw):
        return set(zip(raw.interactions["user_id"], raw.interactions["item_id"]))

    assert pairs(built) == pairs(wanted)
    recipe = (ROOT / "docs" / "own-data.md").read_text(encoding="utf-8")
    assert (
        f"`items={items}` for `{name}`" in recipe or f"items={items}, users_per_domain=3" in recipe
    )
