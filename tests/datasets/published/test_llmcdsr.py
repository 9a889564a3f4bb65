"""The format of LLMCDSR: its numbering, its counts, its pickles, and the way there and back."""

import pickle
from pathlib import Path

import pandas as pd
import pytest

from tema_lib.data.dataset import encode_ids
from tema_lib.data.files import DataError
from tema_lib.data.sequences import build_sequences
from tema_lib.data.splits import published_split
from tema_lib.data.summary import data_quality_warnings
from tema_lib.datasets.load import read_data
from tema_lib.datasets.published.llmcdsr import read_pickled_dict
from tema_lib.datasets.synthetic.published import part_of, pickled, write_published
from tests.helpers.data_folders import MARK, order
from tests.helpers.published_folders import llmcdsr
from tests.helpers.synthetic_data import SYNTHETIC


def test_llmcdsr_numbers_its_items_from_zero_and_b_behind_a(tmp_path):
    raw = read_data(llmcdsr(tmp_path))
    assert raw.items[["item_id", "domain", "title"]].values.tolist() == [
        ["0001", "A", "Café"],
        ["00A", "A", "NA"],
        ["0B", "B", ""],
        ["B1", "B", "Pan"],
        ["B2", "B", ""],
    ]
    items = encode_ids(raw)
    split = published_split(raw, build_sequences(raw, items))
    assert [items.item_id[item] for item in split.test[0]] == ["B2", "B1", "00A"]
    assert items.item_id[int(split.valid.last[0])] == "B1", "the last id is the target"
    assert "0, 1, 2" in data_quality_warnings(raw)[0]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"num__txt": "3\n2\n"}, "num.txt says 3 2, but there are 2 3"),
        ({"instance_num__txt": "1\n1\n1\n"}, "instance_num.txt says 1 1 1, but there are 1 2 1"),
        ({"test__txt": "1\t4,5\n"}, "test.txt, line 1: .*ids from 0 to 4"),
        (
            {"item_set_B__pkl": pickle.dumps({"B1": 1, "B2": 3, "0B": 0})},
            "item_set_B.pkl: its numbers are not 0 to 2",
        ),
        ({"text_A__pkl": b"\x80\x04x"}, "text_A.pkl is not a whole pickle"),
        ({"text_A__pkl": pickle.dumps(["list"])[:-1] + b"."}, "text_A.pkl"),
        ({"valid__txt": b"1\t0,\xff\n"}, "valid.txt is not UTF-8"),
    ],
)
def test_llmcdsr_is_checked_against_its_own_counts(tmp_path, changed, words):
    with pytest.raises(DataError, match=words):
        read_data(llmcdsr(tmp_path, **changed))


class Evil:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Path.touch, (Path(self.target),)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_is_read_as_data_and_nothing_in_it_is_run(tmp_path, protocol):
    texts = {
        "0001": 'Café "dark"',
        "A2": "NA",
        "A3": None,
        "A4": 70_000,
        "A5": -1,
        "A6": "0001",
        "A7": 1.5,
    }
    path = tmp_path / "text.pkl"
    path.write_bytes(pickle.dumps(texts, protocol))
    assert read_pickled_dict(path) == texts
    path.write_bytes(pickle.dumps({"A1": Evil(str(tmp_path / "ran"))}, protocol))
    with pytest.raises(DataError, match="text.pkl: the pickle wants to run"):
        read_pickled_dict(path)
    path.write_bytes(b"cbuiltins\nprint\n(S'x'\ntR.")
    with pytest.raises(DataError, match="wants to run builtins.print"):
        read_pickled_dict(path)
    assert not (tmp_path / "ran").exists()
    path.write_bytes(b"Pelsewhere\n.")
    with pytest.raises(DataError, match="wants to load 'elsewhere' from elsewhere"):
        read_pickled_dict(path)
    path.write_bytes(pickle.dumps({"A1": [1]}, protocol))
    with pytest.raises(DataError, match="does not hold a dict from items to texts or numbers"):
        read_pickled_dict(path)


def test_our_own_pickles_are_real_ones():
    texts = {"A1": "Café", "A2": 7}
    assert pickle.loads(pickled(texts)) == texts


def ordered(raw):
    return raw.interactions.sort_values(["user_id", "timestamp"], kind="stable").reset_index(
        drop=True
    )


def test_the_synthetic_data_set_comes_back_from_llmcdsr(tmp_path):
    """Items with domains and titles, and every sequence in its order, are identical."""
    write_published(SYNTHETIC, tmp_path, "llmcdsr")
    back = read_data(tmp_path)
    pd.testing.assert_frame_equal(
        back.items[["item_id", "domain", "title"]], SYNTHETIC.items[["item_id", "domain", "title"]]
    )

    def sequences(raw):
        return sorted(tuple(rows) for _, rows in ordered(raw).groupby("user_id")["item_id"])

    assert sequences(back) == sequences(SYNTHETIC)
    parts = [part_of(position) for position in range(SYNTHETIC.interactions["user_id"].nunique())]
    split = published_split(back, build_sequences(back, encode_ids(back)))
    assert [len(split.train), len(split.valid), len(split.test)] == [
        parts.count(name) for name in ("train", "valid", "test")
    ]


def test_items_may_come_from_a_table(tmp_path):
    (tmp_path / "items.tsv").write_text(
        "item_index\tasin\tdomain\ttitle\n"
        + "".join(f"{i}\t0{i}\t{'AB'[i >= 2]}\tt{i}\n" for i in range(4))
    )
    for name, text in {
        "train_A": "1\t0,1\n",
        "train_B": "1\t2,3\n",
        "train_overlap": "1\t0,3,1\n",
        "valid": "1\t0,2,3\n",
        "test": "1\t3,1\n",
    }.items():
        (tmp_path / f"{name}.txt").write_text(text)
    raw = read_data(tmp_path)
    items = encode_ids(raw)
    split = published_split(raw, build_sequences(raw, items))
    assert (len(split.train), len(split.valid), len(split.test)) == (3, 1, 1)
    assert [items.item_id[item] for item in split.valid[0]] == ["00", "02", "03"], (
        "published order, last id = target"
    )
    for broken in ("1\t0,9\n", "1\t0,-1\n", "1;0,1\n"):
        (tmp_path / "test.txt").write_text(broken)
        with pytest.raises(DataError, match="test.txt, line 1"):
            read_data(tmp_path)


def test_lines_of_one_number_are_sequences_of_their_own(tmp_path):
    for name, text in {
        "train_A": "1\t0,1\n1\t1,0\n",
        "train_B": "1\t2,3\n",
        "train_overlap": "\n1\t0,3,1\n",
        "valid": "1\t0,2,3\n",
        "test": "1\t3,1\n",
    }.items():
        (tmp_path / f"{name}.txt").write_bytes(MARK + text.encode())
    for domain, names in (("A", ("t1", "t2")), ("B", ("k1", "k2"))):
        (tmp_path / f"item_set_{domain}.pkl").write_bytes(
            pickle.dumps({name: position for position, name in enumerate(names)})
        )
        (tmp_path / f"text_{domain}.pkl").write_bytes(pickle.dumps({}))
    found = order(read_data(tmp_path))
    assert found["train_A:1"] == "t1 t2"
    assert found["train_A:1#2"] == "t2 t1"
