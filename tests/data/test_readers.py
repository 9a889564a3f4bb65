"""Tables in every wrapping and of every type read alike."""

import gzip

import duckdb
import pandas as pd
import pytest

from tema_lib.data.dataset import encode_ids
from tema_lib.data.files import DataError
from tema_lib.data.readers import table_blocks
from tema_lib.datasets.load import read_data
from tests.helpers.data_folders import EVENTS, ITEMS, MARK, RIGHT, order, parquet, tables

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


def test_numbers_and_texts_as_ids_of_two_parquet_tables(tmp_path):
    def ids(kind):
        return f"VALUES ({kind.format(1)}, 'A', 'Tea'), ({kind.format(2)}, 'B', 'Wok')"

    def events(kind):
        user, first, second = (kind.format(number) for number in (7, 1, 2))
        return f"VALUES ({user}, {first}, 'A', 100), ({user}, {second}, 'B', 200)"

    kinds = ("{}::BIGINT", "{}::DOUBLE", "'{}'", "{}::DECIMAL(9, 2)", "'{}'::BLOB")
    for number, kind in enumerate(kinds):
        assert order(
            read_data(parquet(tmp_path / f"{number}", events(kind), ids(kinds[number - 1])))
        ) == {"7": "1 2"}
    with pytest.raises(DataError, match="row 1: '1' is not in items.tsv, which has '01'"):
        read_data(parquet(tmp_path / "zero", events("{}"), ids("'0{}'")))
    with pytest.raises(DataError, match="row 1: '' is not a user id"):
        read_data(parquet(tmp_path / "nan", "VALUES ('nan'::DOUBLE, '1', 'A', 100)", ids("'{}'")))


def test_a_parquet_file_without_rows_or_with_32_bit_times_is_told(tmp_path):
    with pytest.raises(DataError, match="interactions.parquet holds no rows"):
        read_data(parquet(tmp_path / "empty", "SELECT 'mina', 't1', 'A', 1 WHERE false"))
    with pytest.raises(DataError, match="32-bit floats, which cannot hold seconds"):
        read_data(parquet(tmp_path / "short", "VALUES ('mina', 't1', 'A', 1700000000::FLOAT)"))


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
    "a time zone": "TIMESTAMPTZ '2020-01-01 00:00:00+05' + "
    "INTERVAL (CAST({0} * 100 AS BIGINT)) MILLISECOND",
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


def own_tables(folder, kind="parquet", **changed):
    events = pd.DataFrame(
        {
            "user_id": ["u1", "u1", "u2"],
            "item_id": ["0001", "b1", "b1"],
            "domain": ["A", "B", "B"],
            "timestamp": [1_300_000_000, 1_300_086_400, 1_300_000_000],
        }
    )
    items = pd.DataFrame(
        {
            "item_id": ["0001", "b1"],
            "domain": ["A", "B"],
            "title": ["NA", 'Caf&amp;#233; "2"'],
            "description": [None, "x"],
        }
    )
    tables = {"interactions": events.assign(**changed), "items": items}
    for name, table in tables.items():
        duckdb.from_df(table).write_parquet(str(folder / f"{name}.parquet"))
    return folder


def test_parquet_tables_are_read_like_tsv(tmp_path):
    raw = read_data(own_tables(tmp_path))
    assert raw.items[["item_id", "title", "description"]].values.tolist() == [
        ["0001", "NA", ""],
        ["b1", 'Café "2"', "x"],
    ]
    assert raw.interactions["timestamp"].dtype == "int64"
    assert encode_ids(raw).count == 2
    assert len(raw.sha256) == 64
    stamped = read_data(
        own_tables(
            tmp_path,
            timestamp=pd.to_datetime([1_300_000_000, 1_300_086_400, 1_300_000_000], unit="s"),
        )
    )
    assert stamped.interactions["timestamp"].tolist() == raw.interactions["timestamp"].tolist()
    with pytest.raises(DataError, match="interactions.parquet, row 2: 'C' is not a domain"):
        read_data(own_tables(tmp_path, domain=["A", "C", "B"]))
    (tmp_path / "items.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="items.parquet cannot be read as parquet"):
        read_data(tmp_path)


def test_a_table_comes_in_blocks(tmp_path):
    tables(tmp_path, events=EVENTS + "".join(f"u{n}\tt1\tA\t{n}\n" for n in range(60_000)))
    blocks = list(table_blocks(tmp_path / "interactions.tsv"))
    assert len(blocks) > 1
    assert sum(len(block["user_id"]) for block in blocks) == 60_004
    assert set(blocks[0]) == {"user_id", "item_id", "domain", "timestamp"}
