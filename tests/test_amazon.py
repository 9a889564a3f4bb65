"""The official files: each pitfall on a few lines written for it, and the synthetic data set written out in every release and read back."""

import gzip
import json
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tema_lib.data.dataset import DataError
from tema_lib.datasets.amazon.metadata import (
    read_count,
    read_image_features,
    read_metadata,
    read_price,
    read_rank,
    read_text,
)
from tema_lib.datasets.amazon.preparation import Limits, Source, prepare
from tema_lib.datasets.amazon.releases import FILES, PAIRS, addresses
from tema_lib.datasets.amazon.reviews import read_ratings, read_reviews
from tema_lib.datasets.load import read_data
from tema_lib.datasets.synthetic.formats import write_official

WORLD = read_data(Path(__file__).resolve().parents[1] / "data" / "synthetic")


def lines(path, *rows, end="\n"):
    """Rows as they are, or as JSON; gzipped where the name says so."""
    content = "".join(
        (row if isinstance(row, str) else json.dumps(row)) + end for row in rows
    ).encode("utf-8", "surrogatepass")
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def review(user="A1AAAAAAAAAAA", item="0132793040", seconds=1365811200, **more):
    return {
        "reviewerID": user,
        "asin": item,
        "unixReviewTime": seconds,
        "overall": 5.0,
        "summary": "fine",
        **more,
    }


# ------------------------------------------------------------------------------------------------------- reviews


def test_ids_are_texts_and_lines_stay_in_file_order(tmp_path):
    table, notes = read_reviews(
        lines(
            tmp_path / "r.json.gz",
            review(item="0132793040"),
            review("NA", "000100039X", 1365724800),
            review("None", "1234567890"),
        ),
        2014,
        ("rating", "headline"),
    )
    assert table["item_id"].tolist() == ["0132793040", "000100039X", "1234567890"]
    assert table["user_id"].tolist() == ["A1AAAAAAAAAAA", "NA", "None"]
    assert table["timestamp"].tolist() == [1365811200, 1365724800, 1365811200]
    assert table["timestamp"].dtype == "int64"
    assert table["rating"].tolist() == [5.0] * 3
    assert (notes.lines, notes.bad) == (3, 0)


@pytest.mark.parametrize(
    ("name", "end"),
    [("r.json", "\n"), ("r.json.gz", "\n"), ("r.json", "\r\n"), ("r.json.gz", "\r\n")],
)
def test_plain_and_packed_files_with_either_line_end_and_corrupt_lines_in_the_middle(
    tmp_path, name, end
):
    path = lines(
        tmp_path / name,
        review(),
        '{"reviewerID": "A2',
        review("A2AAAAAAAAAAA"),
        "",
        {"asin": "B", "unixReviewTime": 1365811200},
        review("A3AAAAAAAAAAA"),
        review(""),
        review(item=None),
        review("A\tB"),
        review(seconds="soon"),
        "[1, 2]",
        end=end,
    )
    table, notes = read_reviews(path, 2014)
    assert table["user_id"].tolist() == ["A1AAAAAAAAAAA", "A2AAAAAAAAAAA", "A3AAAAAAAAAAA"]
    assert notes.bad == 7 and notes.bad_lines == [2, 5, 7, 8, 9, 10, 11], (
        "numbers as an editor shows them, the empty line counted"
    )
    assert "7 of 10 lines could not be read (lines 2, 5, 7" in notes.sentence(path)


def test_a_line_that_only_the_strict_parser_refuses_is_saved(tmp_path):
    table, notes = read_reviews(
        lines(
            tmp_path / "r.json.gz",
            '{"reviewerID": "A1", "asin": "B1", "unixReviewTime": 1365811200, "overall": 4.0, "reviewText": "\\ud83d"}',
            review("A2"),
        ),
        2014,
    )
    assert table["user_id"].tolist() == ["A1", "A2"]
    assert notes.bad == 0
    assert table["rating"].tolist() == [4.0, 5.0]


def test_a_damaged_file_is_refused(tmp_path):
    path = lines(
        tmp_path / "r.json.gz",
        *[review(f"A{number:012d}", summary=f"{number * 7919 % 1000}") for number in range(3000)],
    )
    whole = path.read_bytes()
    for broken in (
        whole[: len(whole) // 2],
        whole[: len(whole) // 2] + b"\x00\xff\x00\xff" + whole[len(whole) // 2 + 4 :],
        b"no gzip file at all",
    ):
        path.write_bytes(broken)
        with pytest.raises(
            DataError, match="r.json.gz (is cut off|cannot be read|is cut off or damaged)"
        ):
            read_reviews(path, 2014)
    with pytest.raises(DataError, match="is missing"):
        read_reviews(tmp_path / "nowhere.json.gz", 2014)
    with pytest.raises(DataError, match="none of 2 lines"):
        read_reviews(
            lines(tmp_path / "meta.json.gz", {"asin": "B1", "title": "x"}, {"asin": "B2"}), 2014
        )
    with pytest.raises(
        DataError, match="YEAR=2015: there is no such release; choose 2014, 2018, 2023"
    ):
        read_reviews(lines(tmp_path / "x.json", review()), 2015)


def review_2023(item, parent, seconds=1577836800, **more):
    return {
        "user_id": "AGUSER",
        "asin": item,
        "parent_asin": parent,
        "timestamp": seconds * 1000 + 1,
        "rating": 4.0,
        "title": "Best value",
        "helpful_vote": 3,
        **more,
    }


def test_2023_counts_milliseconds_and_is_joined_on_the_parent(tmp_path):
    table, _ = read_reviews(
        lines(
            tmp_path / "r.jsonl.gz",
            review_2023("B0VARIANT1", "B0PARENT01"),
            review_2023("B0VARIANT2", "B0PARENT01", 1577836799),
        ),
        2023,
        ("headline", "votes"),
    )
    assert table["item_id"].tolist() == ["B0PARENT01"] * 2
    assert table["timestamp"].tolist() == [
        1577836800,
        1577836799,
    ]
    assert table["headline"].tolist() == ["Best value"] * 2 and table["votes"].tolist() == [3, 3], (
        "the review's title is a headline, never a title"
    )


@pytest.mark.parametrize(
    ("year", "name", "rows", "line"),
    [
        (2014, "r.json", [review(), review(seconds=1365811200000)], 2),
        (2014, "r.json", [review(), review(), review(seconds=86400)], 3),
        (
            2023,
            "r.jsonl",
            [review_2023("B1", "B1"), review_2023("B1", "B1", timestamp=1577836800)],
            2,
        ),
    ],
)
def test_mixed_and_implausible_times_are_refused(tmp_path, year, name, rows, line):
    with pytest.raises(
        DataError, match=f"{name}, line {line}: the time .* lies outside 1995 to 2035"
    ):
        read_reviews(lines(tmp_path / name, *rows), year)


def test_votes_have_thousands_commas(tmp_path):
    table, _ = read_reviews(
        lines(tmp_path / "r.json.gz", review(vote="1,234"), review(vote="7"), review()),
        2018,
        ("votes",),
    )
    assert table["votes"].tolist() == [1234, 7, 0]
    assert [read_count(value) for value in (3, "3", None, float("nan"), "")] == [3, 3, 0, 0, 0]


# ------------------------------------------------------------------------------------------------------- ratings

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
    """The rows tell which column is the user, whatever the release is said to have; the header line is no rating."""
    rows = [
        ",".join([user, item][:: 1 if order == "ui" else -1])
        + f",5.0,{seconds * (1000 if year == 2023 else 1)}"
        for user, item, seconds in TRIPLES
    ]
    path = tmp_path / "ratings.csv"
    path.write_text(header + "\n".join(rows) + "\n")
    table, notes = read_ratings(path, year)
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
        table, notes = read_ratings(path, year)
        assert table["user_id"].tolist() == first
        assert notes.bad_lines == [2, 3]
    with pytest.raises(DataError, match="have a header"):
        read_ratings(path, 2023)
    path.write_text("what is this\n")
    with pytest.raises(DataError, match="line 1: not four columns"):
        read_ratings(path, 2014)


# ------------------------------------------------------------------------------------------------------- metadata


def test_2014_metadata_are_python_literals_and_nothing_in_them_is_run(tmp_path):
    mark = tmp_path / "ran"
    path = lines(
        tmp_path / "meta.json.gz",
        """{'asin': 'B00SYN0001', 'title': "Chef's Pan &amp; Lid", 'price': 12.5, 'imUrl': 'http://example.org/1.jpg', 'categories': [['Home & Kitchen', 'Cookware']]}""",
        f"{{'asin': 'B00SYN0002', 'title': __import__('pathlib').Path({str(mark)!r}).touch()}}",
        "{'asin': '0001', 'title': 'NA', 'salesRank': {'Kitchen': 7}}",
        "{'asin': 'B00SYN0003', 'title': 'cut",
        "['B00SYN0004']",
        "{'asin': 5}",
        "(" * 5000,
    )
    items, notes = read_metadata(path, 2014)
    assert items["item_id"].tolist() == ["B00SYN0001", "0001"]
    assert not mark.exists()
    assert items.iloc[0].to_dict() | {"rank": None} == {
        "item_id": "B00SYN0001",
        "title": "Chef's Pan & Lid",
        "description": "",
        "brand": "",
        "category": "Cookware",
        "price": 12.5,
        "rank": None,
        "image": "http://example.org/1.jpg",
    }
    assert items["title"][1] == "NA"
    assert items["rank"][1] == 7
    assert notes.bad_lines == [2, 4, 5, 6, 7]


def test_only_wanted_items_are_parsed(tmp_path):
    path = lines(
        tmp_path / "meta.json.gz",
        "{'asin': 'B1', 'title': 'One'}",
        "{'asin': 'B2', broken",
        "{'title': \"says 'asin': 'B1' too\", 'asin': 'B3'}",
    )
    items, notes = read_metadata(path, 2014, {"B1"})
    assert items["item_id"].tolist() == ["B1"]
    assert notes.bad == 0
    assert read_metadata(path, 2014, {"B3"})[0]["item_id"].tolist() == ["B3"]


def test_2018_metadata_repeat_items_and_hold_page_source(tmp_path):
    path = lines(
        tmp_path / "meta.json.gz",
        {
            "asin": "B1",
            "title": "Caf&amp;#233;\tpress",
            "description": ["One.", "Two &amp;quot;2&amp;quot;."],
            "brand": "Acme",
            "category": ["Home", "Press"],
            "price": "$1,234.56",
            "rank": ["#2,345 in Kitchen (", ">#12 in Presses ("],
            "imageURL": ["http://e.org/s.jpg"],
            "imageURLHighRes": ["http://e.org/l.jpg", "http://e.org/2.jpg"],
        },
        {"asin": "B1", "title": "A second line"},
        {
            "asin": "B2",
            "title": '<span id="x">Domain</span>',
            "price": "",
            "rank": "1,234 in Home (",
        },
        {
            "asin": "B3",
            "title": "var t = new Date().getTime();",
            "price": ".a-box { color: red }",
            "imageURL": [],
        },
    )
    items, notes = read_metadata(path, 2018)
    assert notes.repeated == 1
    assert items["title"].tolist() == ["Café press", "", ""]
    assert items["description"][0] == 'One. Two "2".'
    assert items["image"].tolist() == ["http://e.org/l.jpg", "", ""]
    assert items["brand"][0] == "Acme"
    assert items["category"][0] == "Press"
    assert items["price"][0] == 1234.56
    assert items["price"][1:].isna().all()
    assert items["rank"][:2].tolist() == [12, 1234]
    assert np.isnan(items["rank"][2])


def test_2023_metadata_are_joined_on_the_parent_and_prices_come_in_every_type(tmp_path):
    image = {
        "thumb": "http://e.org/t.jpg",
        "large": "http://e.org/l.jpg",
        "variant": "MAIN",
        "hi_res": None,
    }
    path = lines(
        tmp_path / "meta.jsonl.gz",
        {
            "parent_asin": "P1",
            "asin": "V1",
            "title": "Kettle",
            "store": "Acme",
            "price": 9.99,
            "images": [{**image, "variant": "PT01", "large": "http://e.org/side.jpg"}, image],
            "description": [],
            "categories": ["Kitchen", "Kettles"],
        },
        {
            "parent_asin": "P2",
            "title": None,
            "price": None,
            "images": {"hi_res": ["http://e.org/h.jpg"], "large": [None], "variant": ["MAIN"]},
        },
        {"parent_asin": "P3", "price": "12.50", "images": None},
    )
    items, _ = read_metadata(path, 2023)
    assert items["item_id"].tolist() == ["P1", "P2", "P3"]
    assert items["brand"].tolist() == ["Acme", "", ""]
    assert items["title"].tolist() == ["Kettle", "", ""]
    assert items["image"].tolist() == ["http://e.org/l.jpg", "http://e.org/h.jpg", ""]
    assert items["price"].fillna(-1).tolist() == [9.99, -1, 12.5]


def test_prices_ranks_and_texts():
    assert [read_price(value) for value in (12.5, 3, "$1,234.56", "9.99", "$.50")] == [
        12.5,
        3,
        1234.56,
        9.99,
        0.5,
    ]
    assert all(
        np.isnan(read_price(value))
        for value in ("", None, "$9.99 - $12.00", True, float("inf"), -1, ["$3"])
    )
    assert read_rank({"Kitchen": 7, "Home": 3}) == 3
    assert read_rank("1,234 in Domain (") == 1234
    assert np.isnan(read_rank(None))
    assert np.isnan(read_rank([]))
    assert read_text(["a ", 5, "b\n"]) == "a b"
    assert read_text(None) == ""
    assert read_text("&amp;amp;lt; x") == "< x"


def test_image_features_are_read_record_by_record(tmp_path):
    vectors = {
        "B00SYN0001": np.arange(4096, dtype="<f4"),
        "0132793040": np.full(4096, 0.5, dtype="<f4"),
    }
    path = tmp_path / "image_features_X.b"
    path.write_bytes(b"".join(name.encode() + vector.tobytes() for name, vector in vectors.items()))
    back = read_image_features(path)
    assert list(back) == list(vectors)
    assert all(np.array_equal(back[name], vectors[name]) for name in vectors)
    assert back["0132793040"].dtype == np.float32
    assert list(read_image_features(path, {"0132793040"})) == ["0132793040"]
    path.write_bytes(path.read_bytes() + b"B00SYN0003" + struct.pack("<f", 1.0))
    with pytest.raises(DataError, match="record 3: 14 bytes where a record has 16,394"):
        read_image_features(path)


def test_addresses_of_the_documented_pairs():
    found = addresses("food-kitchen", 2014, "ratings")
    assert found["A"][0].endswith("categoryFiles/ratings_Grocery_and_Gourmet_Food.csv")
    assert found["B"][1].endswith("meta_Home_and_Kitchen.json.gz")
    assert addresses("movies-books", 2018, "reviews_5", "http://localhost:1")["B"] == (
        "http://localhost:1/categoryFilesSmall/Books_5.json.gz",
        "http://localhost:1/metaFiles2/meta_Books.json.gz",
    )
    for wrong, words in (
        (
            ("shoes", 2014, "ratings"),
            "PAIR=shoes: no such pair; choose food-kitchen or movies-books",
        ),
        (("food-kitchen", 2015, "ratings"), "YEAR=2015"),
        (
            ("food-kitchen", 2023, "ratings"),
            "FROM=ratings: the release of 2023 has no such events; choose reviews",
        ),
    ):
        with pytest.raises(DataError, match=words):
            addresses(*wrong)


# ------------------------------------------------------------------------------------------------------- the synthetic data set, there and back


@pytest.mark.parametrize(
    ("year", "kind"),
    [(2014, "reviews"), (2014, "ratings"), (2018, "reviews"), (2018, "ratings"), (2023, "reviews")],
)
def test_the_planted_world_comes_back_from_each_release(tmp_path, year, kind):
    """Identical: users, items, domains, seconds, order, titles, descriptions. Pictures lie at addresses: see test_make_data.py."""
    write_official(WORLD, tmp_path, year)
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
    pd.testing.assert_frame_equal(back.interactions, WORLD.interactions)
    pd.testing.assert_frame_equal(
        back.items.drop(columns="image"), WORLD.items.drop(columns="image")
    )
    assert report["picture_addresses"] == {"A": 270, "B": 270}
    assert len(report["skipped"]) == 2 * (kind == "reviews")
