"""The format of C2DSR: time order, numberings of its lists, and the way there and back."""

import pandas as pd
import pytest

from tema_lib.data.dataset import encode_ids
from tema_lib.data.files import DataError
from tema_lib.data.sequences import build_sequences
from tema_lib.data.splits import published_split
from tema_lib.datasets.load import read_data
from tema_lib.datasets.synthetic.published import part_of, write_published
from tests.helpers.data_folders import MARK, order, write_c2dsr
from tests.helpers.published_folders import c2dsr
from tests.helpers.synthetic_data import SYNTHETIC


def test_c2dsr_lines_are_put_into_time_order_and_b_begins_behind_a(tmp_path):
    raw = read_data(c2dsr(tmp_path))
    items = encode_ids(raw)
    assert (raw.interactions.groupby("user_id")["timestamp"].diff().dropna() >= 0).all(), (
        "the table itself is in time order already"
    )
    split = published_split(raw, build_sequences(raw, items))

    def names(sequence):
        return [items.item_id[item] for item in sequence]

    assert names(split.test[0]) == ["B1", "0001", "A2", "B2"], (
        "sorted by Unix time, equal times in file order; 2 and 3 are B's first and second"
    )
    assert names(split.train[0]) == ["0001", "B1"]
    assert names(split.valid[0]) == ["A2", "0001", "B2"]
    assert split.test.user_id == ("test:AUSER0",)
    assert raw.interactions["timestamp"].max() == 400, (
        "neither clock text nor second column is used"
    )


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"testdata_new__txt": "0\t2\t3|300|x\n"}, "testdata_new.txt, line 1"),
        ({"testdata_new__txt": "0\t2\t4|300|x|\n"}, "testdata_new.txt, line 1: .*0 to 3"),
        ({"Blist__txt": "5\tB1\t3\n6\tB2\t4\n"}, "Blist.txt, line 1"),
        ({"Blist__txt": "5\tB1\t2\n6\tB2\t1\n"}, "Blist.txt, line 2: .*<TAB>3"),
        ({"Alist__txt": "7\tA1\t2\n8\tA2\t3\n"}, "Alist.txt, line 1"),
        ({"Blist__txt": "5\tB1\t2\tx\n"}, "Blist.txt, line 1"),
        ({"testdata_new__txt": "0\t2\n"}, "testdata_new.txt, line 1"),
    ],
)
def test_c2dsr_lines_of_another_format_are_named(tmp_path, changed, words):
    with pytest.raises(DataError, match=words):
        read_data(c2dsr(tmp_path, **changed))


def test_c2dsr_with_the_other_names_and_with_titles_beside(tmp_path):
    c2dsr(tmp_path, items__tsv="asin\tdomain\ttitle\nB2\tB\tPan &amp; lid\n")
    for old, new in {
        "Alist": "items_x",
        "Blist": "items_y",
        "traindata_new": "train_new",
        "validdata_new": "val_new",
        "testdata_new": "test_new",
    }.items():
        (tmp_path / f"{old}.txt").rename(tmp_path / f"{new}.txt")
    assert read_data(tmp_path).items["title"].tolist() == ["", "", "", "Pan & lid"]


def test_an_item_that_both_lists_hold_stays_two_items(tmp_path):
    raw = read_data(c2dsr(tmp_path, Blist__txt="5\t0001\t0\n6\tB2\t1\n"))
    assert raw.items["item_id"].tolist() == ["0001", "A2", "0001@B", "B2"]
    assert encode_ids(raw).count == 4


LISTS = {
    "numbers that go on from A's": ("7\tt1\t0\n8\tt2\t1\n", "3\tk1\t2\n4\tk2\t3\n"),
    "two columns, numbered": ("t1\t0\nt2\t1\n", "k1\t0\nk2\t1\n"),
    "two columns, numbers go on": ("t1\t0\nt2\t1\n", "k1\t2\nk2\t3\n"),
    "two columns, old ids": ("7\tt1\n8\tt2\n", "3\tk1\n4\tk2\n"),
    "a mark, blank lines, \\r\\n": (
        MARK + b"7\tt1\t0\r\n\r\n8\tt2\t1\r\n",
        MARK + b"\r\n3\tk1\t2\r\n4\tk2\t3\r\n",
    ),
    "two kinds": ("t1\t0\nt2\t1\n", "3\tk1\t2\n4\tk2\t3\n"),
}


@pytest.mark.parametrize("lists", LISTS)
def test_c2dsr_lists_of_every_numbering_give_the_same_sequences(tmp_path, lists):
    assert order(read_data(write_c2dsr(tmp_path / "new", LISTS[lists]))) == order(
        read_data(write_c2dsr(tmp_path / "local"))
    )


def test_published_times_keep_their_fractions(tmp_path):
    raw = read_data(write_c2dsr(tmp_path, train="0\t9\t0|5.5|x|\t2|5.25|x|\t1|5|x|\t3|6|x|\n"))
    assert order(raw)["train:0"] == "t2 k1 t1 k2"
    assert raw.interactions["timestamp"].tolist()[:4] == [5, 5, 5, 6]


def ordered(raw):
    return raw.interactions.sort_values(["user_id", "timestamp"], kind="stable").reset_index(
        drop=True
    )


def test_the_synthetic_data_set_comes_back_from_c2dsr(tmp_path):
    """Users (behind the name of their part), items, domains, seconds, order are identical."""
    write_published(SYNTHETIC, tmp_path, "c2dsr")
    back = read_data(tmp_path)
    part = {
        user: part_of(position)
        for position, user in enumerate(sorted(SYNTHETIC.interactions["user_id"].unique()))
    }
    expected = SYNTHETIC.interactions.assign(split=SYNTHETIC.interactions["user_id"].map(part))
    expected["user_id"] = expected["split"] + ":" + expected["user_id"]
    expected = (
        expected.astype({"user_id": object, "split": object})
        .sort_values(["user_id", "timestamp"], kind="stable")
        .reset_index(drop=True)
    )
    pd.testing.assert_frame_equal(ordered(back), expected)
    pd.testing.assert_frame_equal(
        back.items[["item_id", "domain"]], SYNTHETIC.items[["item_id", "domain"]]
    )
    lines = (tmp_path / "testdata_new.txt").read_text().splitlines()
    times = [[int(token.split("|")[1]) for token in line.split("\t")[2:]] for line in lines]
    assert any(line != sorted(line) for line in times), "some lines are unsorted"
