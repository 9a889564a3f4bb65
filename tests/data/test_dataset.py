"""What a data folder says, and one sentence for each way in which it can be wrong."""

import dataclasses
import gzip
import random

import pandas as pd
import pytest

from tema_lib.data.dataset import clean_text, encode_ids
from tema_lib.data.files import DataError
from tema_lib.datasets.load import read_data
from tests.helpers.data_folders import (
    CAFE_EVENTS,
    CAFE_ITEMS,
    EVENTS,
    ITEMS,
    cafe_folder,
    tables,
    write_tables,
)
from tests.helpers.synthetic_data import SYNTHETIC


def test_text_survives_reading(tmp_path):
    raw = read_data(cafe_folder(tmp_path))
    items = encode_ids(raw)
    assert items.item_id == ("", "0001", "a2", "b1", "b2"), "leading zeros stay, A comes before B"
    assert items.title[1] == "NA"
    assert items.title[2] == 'Café "dark"'
    assert items.title[4] == ""
    assert items.domain_of_item.tolist() == [-1, 0, 0, 1, 1]
    assert (
        raw.sha256
        != read_data(cafe_folder(tmp_path, events=CAFE_EVENTS.replace("70", "71"))).sha256
    )


@pytest.mark.parametrize(
    ("items", "events", "words"),
    [
        (
            CAFE_ITEMS,
            CAFE_EVENTS.replace("timestamp", "time"),
            "interactions.tsv, line 1: column timestamp is missing",
        ),
        (
            CAFE_ITEMS.replace("title", "name"),
            CAFE_EVENTS,
            "items.tsv, line 1: column title is missing",
        ),
        (CAFE_ITEMS, CAFE_EVENTS.replace("b1\tB\t50", "b1\tC\t50"), "line 2: 'C' is not a domain"),
        (CAFE_ITEMS.replace("a2\tA", "0001\tA"), CAFE_EVENTS, "item 0001 appears twice"),
        ("", CAFE_EVENTS, "holds no rows"),
        (CAFE_ITEMS, CAFE_EVENTS.replace("\t20\n", "\tsoon\n"), "line 4: 'soon' is not a time"),
        (CAFE_ITEMS, CAFE_EVENTS.replace("\t20\n", "\t1381536000000\n"), "looks like milliseconds"),
        (CAFE_ITEMS, CAFE_EVENTS.replace("\t20\n", "\t-20\n"), "line 4: '-20' is before 1970"),
        (CAFE_ITEMS, CAFE_EVENTS.replace("u1\tb1", "\tb1"), "line 4: '' is not a user id"),
        (
            CAFE_ITEMS,
            CAFE_EVENTS.replace("u1\tb1\tB", "u1\tb9\tB"),
            "line 4: 'b9' is not in items.tsv",
        ),
        (CAFE_ITEMS, CAFE_EVENTS.replace("u1\tb1\tB", "u1\tb1\tA"), "is in another domain"),
        (
            CAFE_ITEMS,
            CAFE_EVENTS.replace("u1\tb1\tB\t20", "u1\tb1\tB"),
            "line 4: 3 columns where the header has 4",
        ),
    ],
)
def test_bad_tables_get_one_sentence(tmp_path, items, events, words):
    with pytest.raises(DataError) as caught:
        read_data(cafe_folder(tmp_path, items, events))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_folder_file_picture_and_encoding(tmp_path):
    with pytest.raises(DataError, match="is not a folder"):
        read_data(tmp_path / "nowhere")
    with pytest.raises(DataError, match="items.tsv is missing"):
        read_data(tmp_path)
    pictured = cafe_folder(
        tmp_path,
        CAFE_ITEMS.replace("title\n", "title\timage\n")
        .replace("NA\n", "NA\tgone.png\n")
        .replace('"\n', '"\t\n')
        .replace("Pan\n", "Pan\t\n")
        .replace("b2\tB\t\n", "b2\tB\t\t\n"),
    )
    pictured.joinpath("items.tsv").write_text(
        pictured.joinpath("items.tsv").read_text().replace("Pan\t", "Pan\tlost.png")
    )
    all_at_once = "missing pictures: [^,]*gone.png, [^,]*lost.png; bring them"
    with pytest.raises(DataError, match=all_at_once):
        encode_ids(read_data(pictured))
    (tmp_path / "items.tsv").write_bytes(CAFE_ITEMS.encode() + b"b3\tB\t\xff\n")
    with pytest.raises(DataError, match="not UTF-8"):
        read_data(tmp_path)


@pytest.mark.parametrize("path", ["../outside.png", "pictures/../../outside.png", "{}/outside.png"])
def test_a_table_chooses_no_picture_outside_of_its_folder(path, tmp_path):
    """It would be encoded, and shown on the pages that are passed on."""
    (tmp_path / "outside.png").write_bytes(b"anything")
    (tmp_path / "data" / "pictures").mkdir(parents=True)
    raw = read_data(cafe_folder(tmp_path / "data"))
    images = [path.format(tmp_path), *[""] * (len(raw.items) - 1)]
    with pytest.raises(DataError, match="1 pictures are not in the folder, such as '"):
        encode_ids(dataclasses.replace(raw, items=raw.items.assign(image=images)))


def test_gzipped_tables_read_alike_and_a_truncated_one_is_refused(tmp_path):
    plain = read_data(cafe_folder(tmp_path))
    table = tmp_path / "interactions.tsv"
    packed = gzip.compress(table.read_bytes())
    table.unlink()
    twin = tmp_path / "interactions.tsv.gz"
    twin.write_bytes(packed)
    pd.testing.assert_frame_equal(read_data(tmp_path).interactions, plain.interactions)
    for broken in (packed[:-12], b"user_id\titem_id\n", packed[:20] + b"\xff" * 9 + packed[29:]):
        twin.write_bytes(broken)
        with pytest.raises(
            DataError,
            match="interactions.tsv.gz is cut off or not a gzip file: copy or download it again",
        ):
            read_data(tmp_path)


@pytest.mark.parametrize(
    ("items", "events", "words"),
    [
        (
            ITEMS.encode("utf-16"),
            EVENTS,
            'items.tsv is UTF-16 (Excel\'s "Unicode text"): save it as UTF-8',
        ),
        (ITEMS, EVENTS.encode("utf-16-le"), "interactions.tsv is not plain text, or is UTF-16"),
        (
            ITEMS.replace("title", "item-id"),
            EVENTS,
            "items.tsv, line 1: column item_id appears twice; keep one",
        ),
        (
            ITEMS,
            EVENTS.replace("00\n", "00\t5\n").replace("timestamp", "timestamp\tTimestamp"),
            "interactions.tsv, line 1: column timestamp appears twice",
        ),
        (ITEMS, EVENTS[: EVENTS.index("mina")], "interactions.tsv holds no rows"),
        ("\n \n\t\n", EVENTS, "items.tsv holds no rows"),
        (
            ITEMS,
            EVENTS.replace("t1", "t1.0"),
            "interactions.tsv, line 3: 't1.0' is not in items.tsv, which has 't1': write ids alike",
        ),
        (
            ITEMS.replace("t1", "007"),
            EVENTS.replace("t1", "7"),
            "interactions.tsv, line 3: '7' is not in items.tsv, which has '007'",
        ),
        (
            ITEMS,
            "\n\n" + EVENTS.replace("t1", "t9"),
            "interactions.tsv, line 5: 't9' is not in items.tsv: add",
        ),
        (ITEMS + "\tB\tnameless\n", EVENTS, "items.tsv, line 6: '' is not an item id"),
        (b"PK\x03\x04", EVENTS, "items.tsv is an Excel workbook or a zip"),
        (
            gzip.compress(ITEMS.encode(), mtime=0),
            EVENTS,
            "items.tsv is gzipped: let its name end in .gz",
        ),
        (ITEMS.replace("Wok", "Wök").encode("latin-1"), EVENTS, "items.tsv is not UTF-8 (line 4)"),
        (ITEMS, EVENTS.replace("\t100", "\t" + "9" * 5000), "99...' is not a time"),
        (ITEMS, EVENTS.replace("\t100", "\t1700000000123.5"), "looks like milliseconds"),
        (ITEMS, EVENTS.replace("\t100", "\t1.7E+09"), "line 2: '1.7E+09' has lost its last digits"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_sentence(tmp_path, items, events, words):
    with pytest.raises(DataError) as caught:
        read_data(tables(tmp_path, items, events))
    assert words in str(caught.value)
    assert len(str(caught.value).replace(str(tmp_path), "")) < 300


def test_all_missing_columns_of_both_tables_stand_in_one_message(tmp_path):
    (tmp_path / "items.tsv").write_text("item\tdomain\nx\tA\n")
    (tmp_path / "interactions.tsv").write_text("user\titem_id\tdomain\ttime\nu\tx\tA\t1\n")
    with pytest.raises(DataError) as caught:
        read_data(tmp_path)
    for words in (
        "items.tsv, line 1: column item_id, title is missing (found item, domain)",
        "interactions.tsv, line 1: column user_id, timestamp is missing (found user",
    ):
        assert words in str(caught.value)


def test_our_own_form_is_stable_under_writing_and_reading(tmp_path):
    texts = ['Caf&amp;amp;#233; "dark"', "NA", "a\tb\nc\x00d", "&lt;b&gt; &amp;amp;amp; none"]
    titles = [
        clean_text(random.Random(number).choice(texts)) for number in range(len(SYNTHETIC.items))
    ]
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    write_tables(
        dataclasses.replace(SYNTHETIC, items=SYNTHETIC.items.assign(title=titles, image="")), first
    )
    write_tables(read_data(first), second)
    for table in ("items.tsv", "interactions.tsv"):
        assert (first / table).read_bytes() == (second / table).read_bytes()
    assert {'Café "dark"', "NA", "a b c d"} <= set(read_data(second).items["title"])
