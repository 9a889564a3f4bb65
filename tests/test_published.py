"""The forms of LLMCDSR, C2DSR and ABXI: each pitfall on a few lines written for it, and the synthetic data set written out and read back."""

import json
import pickle
import random
from pathlib import Path

import pandas as pd
import pytest

from tema_lib.data.dataset import DataError, encode_ids
from tema_lib.data.sequences import build_sequences
from tema_lib.data.splits import leave_one_out, published_split
from tema_lib.data.summary import data_quality_warnings
from tema_lib.datasets.load import read_data
from tema_lib.datasets.published import read_pickled_dict
from tema_lib.datasets.synthetic.formats import part_of, pickled, write_published, write_tables

WORLD = read_data(Path(__file__).resolve().parents[1] / "data" / "synthetic")


def write(folder, **files):
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        path.write_bytes(content) if isinstance(content, bytes) else path.write_text(
            content, encoding="utf-8"
        )
    return folder


# ------------------------------------------------------------------------------------------------------- LLMCDSR


def llmcdsr(folder, **changed):
    return write(
        folder,
        **{
            "train_A__txt": "1\t0,1\n",
            "train_B__txt": "1\t4,2\n2\t3,4\n",
            "train_overlap__txt": "1\t0,3,1\n",
            "valid__txt": "1\t0,2,3\n",
            "test__txt": "1\t4,3,1\n",
            "num__txt": "2\n3\n",
            "instance_num__txt": "1\n2\n1\n",
            "item_set_A__pkl": pickle.dumps({"00A": 1, "0001": 0}),
            "item_set_B__pkl": pickle.dumps({"B1": 1, "B2": 2, "0B": 0}),
            "text_A__pkl": pickle.dumps({"0001": "Caf&amp;#233;", "00A": "NA"}),
            "text_B__pkl": pickle.dumps({"B1": "Pan", "0B": None}),
            **changed,
        },
    )


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
    assert [items.item_id[item] for item in split.test[0]] == ["B2", "B1", "00A"] and items.item_id[
        int(split.valid.last[0])
    ] == "B1", "last id = target"
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
        ({"text_A__pkl": b"\x80\x04x"}, "text_A.pkl is no whole pickle"),
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
    with pytest.raises(DataError, match="text.pkl, byte [0-9]+: the pickle wants to run"):
        read_pickled_dict(path)
    path.write_bytes(b"cbuiltins\nprint\n(S'x'\ntR.")
    with pytest.raises(DataError, match="wants to run GLOBAL builtins print"):
        read_pickled_dict(path)
    assert not (tmp_path / "ran").exists()


def test_our_own_pickles_are_real_ones():
    texts = {"A1": "Café", "A2": 7}
    assert pickle.loads(pickled(texts)) == texts


# ------------------------------------------------------------------------------------------------------- C2DSR


def c2dsr(folder, **changed):
    """One training line; a test line that is not in time order and has two events in one second."""
    return write(
        folder,
        **{
            "Alist__txt": "77\t0001\t0\n12\tA2\t1\n",
            "Blist__txt": "5\tB1\t0\n6\tB2\t1\n",
            "userlist__txt": "AUSER0\t0\nAUSER1\t1\n",
            "traindata_new__txt": "0\t99\t0|100|1970-01-01 08:01:40|\t2|200|1970-01-01 08:03:20|\n",
            "validdata_new__txt": "1\t3\t1|100|x|\t0|300|x|\t3|400|x|\n",
            "testdata_new__txt": "0\t2\t3|300|1970-01-01 08:05:00|\t2|100|1970-01-01 08:01:40|\t0|200|x|\t1|200|x|\n",
            **changed,
        },
    )


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
    assert split.test.user_id == ("test:AUSER0",) and raw.interactions["timestamp"].max() == 400, (
        "the clock text is not used, the second column neither"
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
def test_c2dsr_lines_of_another_form_are_named(tmp_path, changed, words):
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


# ------------------------------------------------------------------------------------------------------- ABXI


def abxi(folder, **changed):
    return write(
        folder,
        **{
            "afk_50_preprocessed__txt": "0 2|100 3|100 1|200\n1 1|50 3|60 2|70\n",
            "map_user_50__txt": json.dumps({"AU1": 1, "AU0": 0}),
            "map_item_50__txt": json.dumps({"B1": [3, 1], "0001": [1, 0], "A2": [2, 0]}),
            **changed,
        },
    )


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
            "map_item_50.txt: not asin",
        ),
        ({"map_item_50__txt": "{'a': 1}"}, "is no JSON"),
    ],
)
def test_abxi_lines_of_another_form_are_named(tmp_path, changed, words):
    with pytest.raises(DataError, match=words):
        read_data(abxi(tmp_path, **changed))


# ------------------------------------------------------------------------------------------------------- the synthetic data set, there and back


def ordered(raw):
    return raw.interactions.sort_values(["user_id", "timestamp"], kind="stable").reset_index(
        drop=True
    )


def test_the_planted_world_comes_back_from_abxi(tmp_path):
    """Identical: users, items, domains, seconds, order. The form holds no texts and no pictures."""
    write_published(WORLD, tmp_path, "abxi")
    back = read_data(tmp_path)
    pd.testing.assert_frame_equal(ordered(back), ordered(WORLD))
    pd.testing.assert_frame_equal(
        back.items[["item_id", "domain"]], WORLD.items[["item_id", "domain"]]
    )


def test_the_planted_world_comes_back_from_c2dsr(tmp_path):
    """Identical: users (behind the name of their part), items, domains, seconds, order. The form holds no texts and no pictures."""
    write_published(WORLD, tmp_path, "c2dsr")
    back = read_data(tmp_path)
    part = {
        user: part_of(position)
        for position, user in enumerate(sorted(WORLD.interactions["user_id"].unique()))
    }
    expected = WORLD.interactions.assign(split=WORLD.interactions["user_id"].map(part))
    expected["user_id"] = expected["split"] + ":" + expected["user_id"]
    expected = (
        expected.astype({"user_id": object, "split": object})
        .sort_values(["user_id", "timestamp"], kind="stable")
        .reset_index(drop=True)
    )
    pd.testing.assert_frame_equal(ordered(back), expected)
    pd.testing.assert_frame_equal(
        back.items[["item_id", "domain"]], WORLD.items[["item_id", "domain"]]
    )
    assert "|1" in (lines := (tmp_path / "testdata_new.txt").read_text()) and any(
        (times := [int(token.split("|")[1]) for token in line.split("\t")[2:]]) != sorted(times)
        for line in lines.splitlines()
    ), "some lines are unsorted"


def test_the_planted_world_comes_back_from_llmcdsr(tmp_path):
    """Identical: items with domains and titles, and every sequence in its order. The form holds no user ids, no times, no descriptions, no pictures."""
    write_published(WORLD, tmp_path, "llmcdsr")
    back = read_data(tmp_path)
    pd.testing.assert_frame_equal(
        back.items[["item_id", "domain", "title"]], WORLD.items[["item_id", "domain", "title"]]
    )

    def sequences(raw):
        return sorted(tuple(rows) for _, rows in ordered(raw).groupby("user_id")["item_id"])

    assert sequences(back) == sequences(WORLD)
    parts = [part_of(position) for position in range(WORLD.interactions["user_id"].nunique())]
    split = published_split(back, build_sequences(back, encode_ids(back)))
    assert [len(split.train), len(split.valid), len(split.test)] == [
        parts.count(name) for name in ("train", "valid", "test")
    ]


def test_our_own_form_is_stable_under_writing_and_reading(tmp_path):
    texts = ['Caf&amp;amp;#233; "dark"', "NA", "a\tb\nc\x00d", "&lt;b&gt; &amp;amp;amp; none"]
    raw = read_data(WORLD.folder)
    items = raw.items.assign(
        title=[random.Random(number).choice(texts) for number in range(len(raw.items))], image=""
    )
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    from tema_lib.data.dataset import clean_text

    write_tables(
        type(raw)(**{**vars(raw), "items": items.assign(title=items["title"].map(clean_text))}),
        tmp_path / "first",
    )
    write_tables(read_data(tmp_path / "first"), tmp_path / "second")
    for table in ("items.tsv", "interactions.tsv"):
        assert (tmp_path / "first" / table).read_bytes() == (
            tmp_path / "second" / table
        ).read_bytes()
    assert {'Café "dark"', "NA", "a b c d"} <= set(read_data(tmp_path / "second").items["title"])
