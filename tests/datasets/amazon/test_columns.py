"""Ratings tables: with and without a header, in either order, whatever wraps them."""

import pytest

from tema_lib.data.files import DataError
from tema_lib.datasets.amazon.reviews import read_reviews
from tests.helpers.data_folders import MARK

TRIPLES = [
    ("AKM1MP6P0OYPR", "0132793040", 1365811200),
    ("A2CX7LUOHB2NDG", "000100039X", 1365724800),
]


@pytest.mark.parametrize(
    ("year", "order", "header"),
    [
        (2014, "ui", ""),
        (2018, "iu", ""),
        (2018, "ui", ""),
        (2014, "iu", ""),
        (2023, "ui", "user_id,parent_asin,rating,timestamp\n"),
    ],
)
def test_ratings_tables_with_and_without_swapped_columns_and_header(tmp_path, year, order, header):
    """The rows tell which column is the user, whatever the release; a header is not a rating."""
    rows = [
        ",".join([user, item][:: 1 if order == "ui" else -1])
        + f",5.0,{seconds * (1000 if year == 2023 else 1)}"
        for user, item, seconds in TRIPLES
    ]
    path = tmp_path / "ratings.csv"
    path.write_text(header + "\n".join(rows) + "\n")
    table, notes = read_reviews(path, year)
    assert (
        list(table[["user_id", "item_id", "timestamp"]].itertuples(index=False, name=None))
        == TRIPLES
    )
    assert notes.bad == 0
    assert table["rating"].tolist() == [5.0, 5.0]


def test_ratings_that_do_not_tell_follow_the_release_and_bad_rows_are_counted(tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text(
        "u1,i1,5.0,1365811200\r\nu2,i2\r\nu3,i3,4.0,1365811200,9\r\nu4,i4,3.0,1365811200\r\n"
    )
    for year, first in ((2014, ["u1", "u4"]), (2018, ["i1", "i4"])):
        table, notes = read_reviews(path, year)
        assert table["user_id"].tolist() == first
        assert notes.bad_lines == [2, 3]
    with pytest.raises(DataError, match="have a header"):
        read_reviews(path, 2023)
    path.write_text("what is this\n")
    with pytest.raises(DataError, match="line 1: not four columns"):
        read_reviews(path, 2014)


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
