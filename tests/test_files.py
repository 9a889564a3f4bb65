"""Files as people have them: whatever wraps a table is read or told in one sentence; times, paths and repeats are never silently wrong."""

import gzip
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from tema_lib.data.dataset import DataError, encode_ids
from tema_lib.data.filters import first_interactions
from tema_lib.data.interactions import moment
from tema_lib.data.readers import listed, numbered_lines, read_json, sql_path, table_blocks
from tema_lib.data.sequences import build_sequences
from tema_lib.data.summary import check_runnable, data_quality_warnings
from tema_lib.datasets.amazon.preparation import Limits, Source, code_of, prepare
from tema_lib.datasets.amazon.reviews import read_reviews
from tema_lib.datasets.load import read_data

ROOT = Path(__file__).resolve().parents[1]
ITEMS = "item_id\tdomain\ttitle\nt1\tA\tGreen tea\nt2\tA\tOat flakes\nk1\tB\tWok\nk2\tB\tKettle\n"
EVENTS = "user_id\titem_id\tdomain\ttimestamp\nmina\tk1\tB\t100\nmina\tt1\tA\t200\nmina\tt2\tA\t300\nmina\tk2\tB\t400\n"
RIGHT = {"mina": "k1 t1 t2 k2"}


def tables(folder, items=ITEMS, events=EVENTS, end=""):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("items", items), ("interactions", events)):
        (folder / f"{name}.tsv{end}").write_bytes(
            content if isinstance(content, bytes) else content.encode()
        )
    return folder


def parquet(
    folder,
    events,
    items="VALUES ('t1', 'A', 'Tea'), ('t2', 'A', 'Oats'), ('k1', 'B', 'Wok'), ('k2', 'B', 'Kettle')",
):
    """Two parquet tables; written under a harmless name first, so that a wrong reading is the reader's alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, values, columns in (
        ("interactions", events, "user_id, item_id, domain, timestamp"),
        ("items", items, "item_id, domain, title"),
    ):
        plain = folder.parent / "plain.parquet"
        duckdb.execute(
            f"COPY (SELECT * FROM ({values}) t({columns})) TO '{plain}' (FORMAT parquet)"
        )
        plain.rename(folder / f"{name}.parquet")
    return folder


def order(raw):
    """{user: "item item ..."} as the models will see it."""
    items = encode_ids(raw)
    sequences = build_sequences(raw, items)
    return {
        user: " ".join(items.item_id[item] for item in sequences[row].tolist())
        for row, user in enumerate(sequences.user_id)
    }


# ------------------------------------------------------------------------------------------------------- what wraps a table

MARK = b"\xef\xbb\xbf"
WRAPPED = {
    "a byte-order mark": (lambda text: MARK + text.encode(), ""),
    "a mark, packed": (lambda text: gzip.compress(MARK + text.encode()), ".gz"),
    "blank lines everywhere": (lambda text: "\n" + text.replace("\n", "\n\n \n\t\t\t\n"), ""),
    "Windows line ends": (lambda text: text.replace("\n", "\r\n") + "\r\n\t\t\r\n", ""),
    "old Mac line ends": (lambda text: text.replace("\n", "\r"), ""),
    "line ends of each kind": (
        lambda text: text.replace("\n", "\r\n", 2)[::-1].replace("\n", "\r", 1)[::-1],
        "",
    ),
    "no last line end": (lambda text: text[:-1], ""),
    "spelt header": (
        lambda text: (
            text.replace("item_id", " Item ID")
            .replace("domain", "DOMAIN ", 1)
            .replace("user_id", "User-Id")
        ),
        "",
    ),
    "blanks around ids": (lambda text: text.replace("t1", " t1 ").replace("\t100", "\t 100 "), ""),
    "an empty last column": (lambda text: text.replace("\n", "\t\n"), ""),
    "zeros behind the packed end": (lambda text: gzip.compress(text.encode()) + bytes(512), ".gz"),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_what_wraps_a_table_changes_nothing(tmp_path, name):
    wrap, end = WRAPPED[name]
    raw = read_data(tables(tmp_path, wrap(ITEMS), wrap(EVENTS), end))
    assert order(raw) == RIGHT
    assert raw.items["title"].tolist() == [
        "Green tea",
        "Oat flakes",
        "Wok",
        "Kettle",
    ]
    assert raw.interactions["timestamp"].tolist() == [100, 200, 300, 400]


@pytest.mark.parametrize("size", [150_000, 3_000_000])
def test_a_field_of_any_length_is_read(tmp_path, size):
    raw = read_data(tables(tmp_path, ITEMS.replace("Green tea", "leaf " * (size // 5))))
    assert len(raw.items["title"][0]) == size - 1
    assert order(raw) == RIGHT


@pytest.mark.parametrize(
    ("items", "events", "words"),
    [
        (
            ITEMS.encode("utf-16"),
            EVENTS,
            'items.tsv is UTF-16 (Excel\'s "Unicode text"): save it as UTF-8',
        ),
        (ITEMS, EVENTS.encode("utf-16-le"), "interactions.tsv is no plain text, or UTF-16"),
        (
            ITEMS.replace("title", "item-id"),
            EVENTS,
            "items.tsv, line 1: column item_id stands there twice; keep one",
        ),
        (
            ITEMS,
            EVENTS.replace("00\n", "00\t5\n").replace("timestamp", "timestamp\tTimestamp"),
            "interactions.tsv, line 1: column timestamp stands there twice",
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
        (ITEMS + "\tB\tnameless\n", EVENTS, "items.tsv, line 6: '' is no item"),
        (b"PK\x03\x04", EVENTS, "items.tsv is an Excel workbook or a zip"),
        (gzip.compress(ITEMS.encode()), EVENTS, "items.tsv is gzipped: let its name end in .gz"),
        (ITEMS.replace("Wok", "Wök").encode("latin-1"), EVENTS, "items.tsv is not UTF-8 (line 4)"),
        (ITEMS, EVENTS.replace("\t100", "\t" + "9" * 5000), "99...' is no time"),
        (ITEMS, EVENTS.replace("\t100", "\t1700000000123.5"), "looks like milliseconds"),
        (ITEMS, EVENTS.replace("\t100", "\t1.7E+09"), "line 2: '1.7E+09' has lost its last digits"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_sentence(tmp_path, items, events, words):
    with pytest.raises(DataError) as caught:
        read_data(tables(tmp_path, items, events))
    assert words in str(caught.value)
    assert len(str(caught.value).replace(str(tmp_path), "")) < 300


def test_numbers_and_texts_as_ids_of_two_parquet_tables(tmp_path):
    def ids(kind):
        return f"VALUES ({kind.format(1)}, 'A', 'Tea'), ({kind.format(2)}, 'B', 'Wok')"

    def events(kind):
        return f"VALUES ({kind.format(7)}, {kind.format(1)}, 'A', 100), ({kind.format(7)}, {kind.format(2)}, 'B', 200)"

    kinds = ("{}::BIGINT", "{}::DOUBLE", "'{}'", "{}::DECIMAL(9, 2)", "'{}'::BLOB")
    for number, kind in enumerate(kinds):
        assert order(
            read_data(parquet(tmp_path / f"{number}", events(kind), ids(kinds[number - 1])))
        ) == {"7": "1 2"}
    with pytest.raises(DataError, match="row 1: '1' is not in items.tsv, which has '01'"):
        read_data(parquet(tmp_path / "zero", events("{}"), ids("'0{}'")))
    with pytest.raises(DataError, match="row 1: '' is no user"):
        read_data(parquet(tmp_path / "nan", "VALUES ('nan'::DOUBLE, '1', 'A', 100)", ids("'{}'")))


def test_a_parquet_file_without_rows_or_with_32_bit_times_is_told(tmp_path):
    with pytest.raises(DataError, match="interactions.parquet holds no rows"):
        read_data(parquet(tmp_path / "empty", "SELECT 'mina', 't1', 'A', 1 WHERE false"))
    with pytest.raises(DataError, match="32-bit floats, which cannot hold seconds"):
        read_data(parquet(tmp_path / "short", "VALUES ('mina', 't1', 'A', 1700000000::FLOAT)"))


def test_names_that_macos_adds_are_no_files_of_ours(tmp_path):
    tables(tmp_path)
    for name in ("._interactions.tsv", "._items.tsv", "._a_preprocessed.txt", "._map_item.txt"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7Mac OS X")
    assert order(read_data(tmp_path)) == RIGHT
    assert listed(tmp_path, "*_preprocessed.txt") == []


@pytest.mark.parametrize("end", ["", ".gz", "parquet"])
@pytest.mark.parametrize(
    "other", ["train_overlap.txt", "traindata_new.txt", "train_new.txt", "x_preprocessed.txt"]
)
def test_our_own_two_tables_win_over_a_guessed_form(tmp_path, end, other):
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


def test_json_is_read_with_a_mark_and_as_utf_16(tmp_path):
    for content in (
        MARK + b'{"domains": ["tea", "pots"]}',
        '{"domains": ["tea", "pots"]}'.encode("utf-16"),
    ):
        (tables(tmp_path) / "dataset.json").write_bytes(content)
        assert read_data(tmp_path).domains == ("tea", "pots")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="deep.json is no JSON"):
        read_json(tmp_path / "deep.json")


def test_lines_have_the_numbers_of_an_editor(tmp_path):
    (tmp_path / "x").write_bytes(MARK + b"one\r\n\r\n \ttwo\x0bstill two\rthree")
    assert list(numbered_lines(tmp_path / "x")) == [
        (1, "one"),
        (3, " \ttwo\x0bstill two"),
        (4, "three"),
    ]


# ------------------------------------------------------------------------------------------------------- times

BACKWARDS = pytest.mark.filterwarnings("ignore:.*goes backwards")
TIMES = ("100.5", "100.25", "100.75", "101")  # k1 t1 t2 k2 of one second: t1 comes first
TICKS = {
    "seconds with a fraction": "{0}",
    "a double": "{0}::DOUBLE",
    "a decimal": "{0}::DECIMAL(12, 3)",
    "text": "'{0}'",
    "nanoseconds": "make_timestamp_ns(CAST({0} * 4 AS BIGINT) + 1700000000000000000)",
    "microseconds": "make_timestamp(CAST({0} * 100 AS BIGINT))",
    "milliseconds": "TIMESTAMP_MS '1970-01-01' + INTERVAL (CAST({0} * 100 AS BIGINT)) MILLISECOND",
    "a time zone": "TIMESTAMPTZ '2020-01-01 00:00:00+05' + INTERVAL (CAST({0} * 100 AS BIGINT)) MILLISECOND",
}


@BACKWARDS
@pytest.mark.parametrize("kind", TICKS)
def test_parquet_times_keep_their_order_inside_a_second(tmp_path, kind):
    rows = ", ".join(
        f"('mina', '{item}', '{'B' if item[0] == 'k' else 'A'}', {TICKS[kind].format(time)})"
        for item, time in zip(("k1", "t1", "t2", "k2"), TIMES)
    )
    raw = read_data(parquet(tmp_path, f"VALUES {rows}"))
    assert order(raw) == {"mina": "t1 k1 t2 k2"}
    assert raw.interactions["timestamp"].dtype == "int64"


@BACKWARDS
@pytest.mark.parametrize("places", [1, 3, 6, 9])
def test_text_times_keep_their_order_down_to_the_nanosecond(tmp_path, positions):
    events = EVENTS
    for old, step in ((100, 2), (200, 1), (300, 3)):
        events = events.replace(f"\t{old}\n", f"\t1700000000.{step:0{positions}d}\n")
    raw = read_data(tables(tmp_path, events=events.replace("\t400\n", "\t1700000001\n")))
    assert order(raw) == {"mina": "t1 k1 t2 k2"}
    assert raw.interactions["timestamp"].tolist() == [1700000000] * 3 + [1700000001]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", (5, 0)),
        (" 5.25 ", (5, 250_000_000)),
        (".5", (0, 500_000_000)),
        ("1.3749696E9", (1374969600, 0)),
        ("1700000000.1234567899", (1700000000, 123456789)),
        ("-0.5", (-1, 500_000_000)),
        ("1700000000123", (1700000000123, 0)),
    ],
)
def test_a_time_is_seconds_and_nanoseconds(text, expected):
    assert moment(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "soon", "1e400", "-1e400", "9" * 5000, "nan", "inf", "1_0", "0x10", "--1", "2013-04-13"],
)
def test_what_is_no_time_is_said(text):
    with pytest.raises(ValueError, match="is no time: write Unix seconds"):
        moment(text)


@pytest.mark.parametrize(("year", "scale"), [(2014, 1), (2018, 1), (2023, 1000)])
def test_a_preparation_keeps_the_order_inside_a_second_and_so_does_its_reader(
    tmp_path, year, scale
):
    """A's fifth event comes before B's fifth, and so on, a tenth of a second apart; a hash of the ids would mix them."""
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


# ------------------------------------------------------------------------------------------------------- paths

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
    """Beside each odd name stand files that it would match as a pattern, or that its signs would lead to."""
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


def test_a_path_that_cannot_be_told_is_refused_and_no_other_file_read(tmp_path):
    folder = parquet(tmp_path / "a\\b[1]", "VALUES ('right', 't1', 'A', 1)")
    with pytest.raises(
        DataError, match="a backslash and one of .* cannot be told to DuckDB: rename it"
    ):
        read_data(folder)
    assert sql_path("/it's") == "'/it''s'"


# ------------------------------------------------------------------------------------------------------- repeats

AGAIN = EVENTS + "mina\tk1\tB\t500\nmina\tt1\tA\t200\n"


@BACKWARDS
def test_repeats_are_dropped_and_counted_or_kept(tmp_path):
    raw = read_data(tables(tmp_path, events=AGAIN))
    assert order(raw) == RIGHT
    assert raw.dropped == {"identical": 1, "repeats": 1}
    assert raw.repeats == "first"
    said = " ".join(data_quality_warnings(raw))
    assert "1 rows stood there again, to the letter" in said
    assert "1 later events of a user with the same item were dropped" in said
    kept = read_data(tmp_path, repeats="keep")
    assert order(kept) == {"mina": "k1 t1 t2 k2 k1"}
    assert kept.dropped == {"identical": 1, "repeats": 0}
    assert kept.repeats == "keep"
    assert "1 events repeat a user's earlier interaction" in " ".join(data_quality_warnings(kept))
    assert order(first_interactions(kept)) == RIGHT
    (tmp_path / "dataset.json").write_text('{"repeats": "keep"}')
    assert order(read_data(tmp_path)) == order(kept)
    assert order(read_data(tmp_path, repeats="first")) == RIGHT
    (tmp_path / "dataset.json").write_text('{"repeats": "all"}')
    with pytest.raises(DataError, match="dataset.json: repeats is 'all': write first or keep"):
        read_data(tmp_path)
    (tmp_path / "dataset.json").unlink()
    with pytest.raises(DataError, match="repeats='last': choose first or keep"):
        read_data(tmp_path, repeats="last")


@BACKWARDS
def test_the_first_of_repeats_is_the_first_by_the_full_time(tmp_path):
    raw = read_data(
        tables(
            tmp_path,
            events=EVENTS.replace("\t100\n", "\t450.75\n")
            + "mina\tk1\tB\t450.25\nmina\tt1\tA\t450.5\n",
        )
    )
    assert order(raw) == {"mina": "t1 t2 k2 k1"}
    assert raw.dropped == {"identical": 0, "repeats": 2}
    kept = read_data(tmp_path, repeats="keep")
    assert order(kept) == {"mina": "t1 t2 k2 k1 t1 k1"}, "450.25, 450.5, 450.75"


def c2dsr(
    folder,
    lists=("7\tt1\t0\n8\tt2\t1\n", "3\tk1\t0\n4\tk2\t1\n"),
    train="0\t9\t0|1|x|\t2|2|x|\t1|3|x|\t3|4|x|\n",
):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("Alist", lists[0]),
        ("Blist", lists[1]),
        ("traindata_new", train),
        ("validdata_new", "1\t2\t0|1|x|\t3|2|x|\n"),
        ("testdata_new", "2\t2\t3|1|x|\t0|2|x|\t3|3|x|\n"),
    ):
        (folder / f"{name}.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def test_a_published_split_is_left_as_it_is_and_says_that_it_repeats(tmp_path):
    raw = read_data(c2dsr(tmp_path))
    assert order(raw)["test:2"] == "k2 t1 k2", "the target is that of the paper"
    assert raw.repeats == "keep"
    assert not raw.dropped
    assert "1 events repeat" in " ".join(data_quality_warnings(raw))


def test_a_published_form_without_a_split_is_treated_like_our_own_tables(tmp_path):
    (tmp_path / "a_preprocessed.txt").write_text("0 1|10 2|20 2|20 1|30\n")
    (tmp_path / "map_item.txt").write_text('{"t1": [1, 0], "k1": [2, 1]}')
    (tmp_path / "map_user.txt").write_text('{"mina": 0}')
    raw = read_data(tmp_path)
    assert order(raw) == {"mina": "t1 k1"}
    assert raw.dropped == {"identical": 1, "repeats": 1}
    assert order(read_data(tmp_path, repeats="keep")) == {"mina": "t1 k1 t1"}


# ------------------------------------------------------------------------------------------------------- published forms

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
    assert order(read_data(c2dsr(tmp_path / "new", LISTS[lists]))) == order(
        read_data(c2dsr(tmp_path / "local"))
    )


def test_published_times_keep_their_fractions(tmp_path):
    raw = read_data(c2dsr(tmp_path, train="0\t9\t0|5.5|x|\t2|5.25|x|\t1|5|x|\t3|6|x|\n"))
    assert order(raw)["train:0"] == "t2 k1 t1 k2"
    assert raw.interactions["timestamp"].tolist()[:4] == [5, 5, 5, 6]


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


@pytest.mark.parametrize(
    ("kind", "content", "words"),
    [
        ("item", "[1, 2]", "map_item.txt: not asin"),
        ("item", '{"t1": 1}', "map_item.txt: not asin"),
        ("user", "[]", "map_user.txt: not user"),
        ("user", "[" * 100_000, "map_user.txt is no JSON"),
    ],
)
def test_maps_of_another_shape_are_told(tmp_path, kind, content, words):
    (tmp_path / "a_preprocessed.txt").write_text("0 1|10\n")
    (tmp_path / "map_item.txt").write_text('{"t1": [1, 0]}')
    (tmp_path / "map_user.txt").write_text('{"mina": 0}')
    (tmp_path / f"map_{kind}.txt").write_text(content)
    with pytest.raises(DataError, match=words):
        read_data(tmp_path)


# ------------------------------------------------------------------------------------------------------- official files

ROWS = ["A1AAAAAAAAAAA,0001,5.0,1365811200", "A2AAAAAAAAAAA,0002,4.0,1365811201.5"]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda rows: MARK + "\n".join(rows).encode(),
        lambda rows: "\r\n".join(["", *rows, "", " ", ""]).encode(),
        lambda rows: "\r".join([*rows, ""]).encode(),
        lambda rows: "\n".join(
            ",".join(f'"{cell}"' for cell in row.split(",")) for row in rows
        ).encode(),
        lambda rows: (rows[0] + "\r\n\n" + rows[1] + "\n").encode(),
        lambda rows: "\n".join(row.replace(",", " , ") for row in rows).encode(),
    ],
)
def test_a_ratings_table_is_read_whatever_wraps_it(tmp_path, wrap):
    (tmp_path / "r.csv").write_bytes(wrap(ROWS))
    table, notes = read_reviews(tmp_path / "r.csv", 2014, ("moment",))
    assert table[["user_id", "item_id", "moment"]].values.tolist() == [
        ["A1AAAAAAAAAAA", "0001", 1365811200000000],
        ["A2AAAAAAAAAAA", "0002", 1365811201500000],
    ]
    assert notes.bad == 0


def test_a_bad_row_behind_empty_lines_has_its_own_number(tmp_path):
    (tmp_path / "r.csv").write_text("\n".join([ROWS[0], "", " ", "only,two", ROWS[1], ""]))
    assert read_reviews(tmp_path / "r.csv", 2014)[1].bad_lines == [4]


@pytest.mark.parametrize("name", ["r.json", "r.json.gz"])
def test_reviews_and_metadata_with_a_mark_lose_no_line(tmp_path, name):
    from tema_lib.datasets.amazon.metadata import read_metadata

    content = (
        MARK
        + b'\n{"reviewerID": "A1", "asin": "B1", "unixReviewTime": 1365811200}\n'.lstrip()
        + b'\n{"reviewerID": "A2", "asin": "B2", "unixReviewTime": 1365811200}\r\n'
    )
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    table, notes = read_reviews(tmp_path / name, 2014)
    assert table["user_id"].tolist() == ["A1", "A2"]
    assert notes.bad == 0
    for year in (2014, 2018):
        items, notes = read_metadata(tmp_path / name, year)
        assert items["item_id"].tolist() == ["B1", "B2"]
        assert notes.bad == 0


def test_an_official_file_in_utf_16_is_told(tmp_path):
    for name, text in (
        ("r.json", '{"reviewerID": "A1", "asin": "B1", "unixReviewTime": 1365811200}\n'),
        ("r.csv", ROWS[0]),
    ):
        (tmp_path / name).write_bytes(text.encode("utf-16"))
        with pytest.raises(DataError, match=f"{name} is UTF-16"):
            read_reviews(tmp_path / name, 2014)


def test_reviews_that_end_their_lines_with_a_carriage_return_alone_lose_none_in_silence(tmp_path):
    (tmp_path / "r.json").write_text(
        "".join(
            f'{{"reviewerID": "A{n}", "asin": "B1", "unixReviewTime": 1365811200}}\r'
            for n in range(3)
        ),
        newline="",
    )
    with pytest.raises(DataError, match="r.json: its lines end with a carriage return alone"):
        read_reviews(tmp_path / "r.json", 2014)


def test_two_reviews_on_one_line_are_counted_as_bad_and_no_other_line_is_read_twice(tmp_path):
    def one(user):
        return f'{{"reviewerID": "{user}", "asin": "B1", "unixReviewTime": 1365811200}}'

    (tmp_path / "r.json").write_text(
        f"{one('A1')}\r{one('A2')}\n{one('A3')}\n{one('A4')}{one('A5')}\n{{cut\n{one('A6')}\n",
        newline="",
    )
    table, notes = read_reviews(tmp_path / "r.json", 2014)
    assert table["user_id"].tolist() == ["A3", "A6"]
    assert notes.bad_lines == [1, 3, 4]
    assert notes.lines == 5


def test_times_in_microseconds_are_told_by_line(tmp_path):
    (tmp_path / "r.json").write_text(
        '{"reviewerID": "A1", "asin": "B1", "unixReviewTime": 1365811200000000}\n'
    )
    with pytest.raises(DataError, match="r.json, line 1: the time .* lies outside 1995 to 2035"):
        read_reviews(tmp_path / "r.json", 2014)


def test_image_features_that_are_missing_or_cut_are_told(tmp_path):
    from tema_lib.datasets.amazon.metadata import read_image_features

    (tmp_path / "f.b.gz").write_bytes(gzip.compress(bytes(40_000))[:-15])
    for name in ("f.b.gz", "gone.b"):
        with pytest.raises(DataError, match=f"{name} is missing, cut off or damaged"):
            read_image_features(tmp_path / name)


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


# ------------------------------------------------------------------------------------------------------- stages, and what a run needs


def test_every_module_that_makes_a_stage_is_in_its_fingerprint(tmp_path):
    """The package copied, one module after the other changed: those that preparation imports count, directly or not; others do not."""
    shutil.copytree(ROOT / "tema_lib" / "data", tmp_path / "data")
    before = code_of(tmp_path / "data" / "preparation.py")
    for name, counts in (
        ("reviews", True),
        ("interactions", True),
        ("interactions", True),
        ("files", True),
        ("amazon", True),
        ("preparation", True),
        ("statistics", False),
        ("synthetic", False),
    ):
        module = tmp_path / "data" / f"{name}.py"
        plain = module.read_text()
        module.write_text(plain + "\n# mended\n")
        assert (code_of(tmp_path / "data" / "preparation.py") != before) == counts, name
        module.write_text(plain)


def test_a_mended_reader_reads_anew(tmp_path):
    """In a copy of the library: an interrupted preparation is taken up again, but not after `reviews.py` was mended."""
    shutil.copytree(
        ROOT / "tema_lib", tmp_path / "tema_lib", ignore=shutil.ignore_patterns("__pycache__")
    )
    for domain in "AB":
        (tmp_path / domain).write_text(
            "".join(
                f'{{"reviewerID": "u{n}", "asin": "{domain}{n % 2}", "unixReviewTime": 1365811200}}\n'
                for n in range(9)
            )
        )
    program = (
        "from tema_lib.data import preparation as p\nimport sys\n"
        "if sys.argv[1] == 'stop': p._tsv = lambda table: sys.exit(0)\n"
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
    with open(tmp_path / "tema_lib" / "data" / "reviews.py", "a") as file:
        file.write("\n# mended\n")
    assert "kept from an earlier run" not in run("on")


def people(*histories):
    return "user_id\titem_id\tdomain\ttimestamp\n" + "".join(
        f"u{user}\t{item}\t{'B' if item[0] == 'k' else 'A'}\t{position}\n"
        for user, history in enumerate(histories)
        for position, item in enumerate(history.split(), start=1)
    )


@pytest.mark.parametrize(
    ("histories", "words"),
    [
        (["t1 t2", "t2 t1"], r"no event of domain B \(pots\): this course is about two domains"),
        (["k1 k2"], r"no event of domain A \(tea\)"),
        (["t1 k1", "k2 t2"], "no user with three events"),
    ],
)
def test_what_no_run_can_use_is_one_sentence_and_still_read(tmp_path, histories, words):
    (tables(tmp_path, events=people(*histories)) / "dataset.json").write_text(
        '{"domains": ["tea", "pots"]}'
    )
    raw = read_data(tmp_path)
    assert len(order(raw)) == len(histories)
    with pytest.raises(DataError, match=words):
        check_runnable(raw)


def test_users_of_three_events_and_no_user_of_both_domains_run_with_a_word(tmp_path):
    raw = read_data(
        tables(tmp_path, items=ITEMS + "t3\tA\t\nk3\tB\t\n", events=people("t1 t2 t3", "k3 k2 k1"))
    )
    check_runnable(raw)
    said = data_quality_warnings(raw)
    assert (
        "no user has events in both domains: nothing can be carried over from one to the other"
        in said
    )
    assert "domain A has 1 test target: its numbers say next to nothing" in said
    assert "domain B has no test targets: it has no numbers" in data_quality_warnings(
        read_data(tables(tmp_path, events=people("k1 k2 t1")))
    )


def test_a_published_split_without_a_test_is_told(tmp_path):
    folder = c2dsr(tmp_path)
    check_runnable(read_data(folder))
    (folder / "testdata_new.txt").write_text("")
    with pytest.raises(DataError, match="has no test sequence of two events"):
        check_runnable(read_data(folder))


def test_titles_that_are_missing_or_shared_and_times_that_tie_are_said(tmp_path):
    def said(items):
        return " ".join(
            data_quality_warnings(read_data(tables(tmp_path, items, people("t1 k1 t2 k2"))))
        )

    assert "title" not in said(ITEMS)
    assert "no item has a title" in said(
        "".join(
            f"{line[: line.rindex(chr(9))]}\t{'title' if line.startswith('item') else ''}\n"
            for line in ITEMS.splitlines()
        )
    )
    assert "2 of 4 titled items share their title with another item" in said(
        ITEMS.replace("Wok", "Kettle")
    )
    tied = tables(tmp_path, events=EVENTS.replace("\t200", "\t100").replace("\t300", "\t100"))
    assert "67% of consecutive events have equal times" in " ".join(
        data_quality_warnings(read_data(tied))
    )


# ------------------------------------------------------------------------------------------------------- memory


def test_a_row_costs_some_numbers_and_no_texts(tmp_path):
    """400,000 rows in a process of its own: at most 200 bytes a row above what the import takes (over 400 when each field was a text of its own)."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import data as bench

    bench.write_own_tables(tmp_path, 400_000, seed=0)
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "benchmarks" / "data.py"),
            "--way",
            "read",
            "--folder",
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["rows"] + found["dropped"]["repeats"] + found["dropped"]["identical"] == 400_000
    assert found["users"] == 25_000
    assert (found["read_mib"] - found["import_mib"]) * 2**20 / 400_000 < 200


def test_a_table_comes_in_blocks(tmp_path):
    tables(tmp_path, events=EVENTS + "".join(f"u{n}\tt1\tA\t{n}\n" for n in range(60_000)))
    blocks = list(table_blocks(tmp_path / "interactions.tsv"))
    assert len(blocks) > 1
    assert sum(len(block["user_id"]) for block in blocks) == 60_004
    assert set(blocks[0]) == {"user_id", "item_id", "domain", "timestamp"}
