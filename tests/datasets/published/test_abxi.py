"""The format of ABXI: its numbering, its maps, and the way there and back."""

import json

import pandas as pd
import pytest

from tema_lib.data.dataset import encode_ids
from tema_lib.data.files import DataError
from tema_lib.data.sequences import build_sequences
from tema_lib.data.splits import leave_one_out
from tema_lib.datasets.load import read_data
from tema_lib.datasets.synthetic.published import write_published
from tests.helpers.published_folders import abxi
from tests.helpers.synthetic_data import SYNTHETIC


def test_abxi_counts_items_from_one_and_users_from_zero(tmp_path):
    raw = read_data(abxi(tmp_path))
    assert raw.items[["item_id", "domain"]].values.tolist() == [
        ["0001", "A"],
        ["A2", "A"],
        ["B1", "B"],
    ]
    assert not raw.published
    assert raw.interactions[["user_id", "item_id", "domain", "timestamp"]].values.tolist()[:3] == [
        ["AU0", "A2", "A", 100],
        ["AU0", "B1", "B", 100],
        ["AU0", "0001", "A", 200],
    ]
    assert len(leave_one_out(build_sequences(raw, encode_ids(raw))).test) == 2


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"afk_50_preprocessed__txt": "0 0|100\n"}, "line 1: .*items from 1 to 3"),
        ({"afk_50_preprocessed__txt": "2 1|100\n"}, "line 1: .*a user of the map"),
        (
            {"map_item_50__txt": json.dumps({"B1": [3, 1], "0001": [0, 0]})},
            "map_item_50.txt: expected asin",
        ),
        ({"map_item_50__txt": "{'a': 1}"}, "is not valid JSON"),
    ],
)
def test_abxi_lines_of_another_format_are_named(tmp_path, changed, words):
    with pytest.raises(DataError, match=words):
        read_data(abxi(tmp_path, **changed))


@pytest.mark.parametrize(
    ("kind", "content", "words"),
    [
        ("item", "[1, 2]", "map_item.txt: expected asin"),
        ("item", '{"t1": 1}', "map_item.txt: expected asin"),
        ("user", "[]", "map_user.txt: expected user"),
        ("user", "[" * 100_000, "map_user.txt is not valid JSON"),
    ],
)
def test_maps_of_another_shape_are_told(tmp_path, kind, content, words):
    (tmp_path / "a_preprocessed.txt").write_text("0 1|10\n")
    (tmp_path / "map_item.txt").write_text('{"t1": [1, 0]}')
    (tmp_path / "map_user.txt").write_text('{"mina": 0}')
    (tmp_path / f"map_{kind}.txt").write_text(content)
    with pytest.raises(DataError, match=words):
        read_data(tmp_path)


def ordered(raw):
    return raw.interactions.sort_values(["user_id", "timestamp"], kind="stable").reset_index(
        drop=True
    )


def test_the_synthetic_data_set_comes_back_from_abxi(tmp_path):
    """Users, items, domains, seconds and order are identical."""
    write_published(SYNTHETIC, tmp_path, "abxi")
    back = read_data(tmp_path)
    pd.testing.assert_frame_equal(ordered(back), ordered(SYNTHETIC))
    pd.testing.assert_frame_equal(
        back.items[["item_id", "domain"]], SYNTHETIC.items[["item_id", "domain"]]
    )
