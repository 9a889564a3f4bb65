"""Review files of every release: ids, times, damage, and lines that cannot be read."""

import gzip

import pytest

from tema_lib.data.files import DataError
from tema_lib.datasets.amazon.metadata import read_count, read_metadata
from tema_lib.datasets.amazon.reviews import read_reviews
from tests.helpers.data_folders import MARK
from tests.helpers.review_files import lines, review, review_2023


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
    assert notes.bad == 7
    assert notes.bad_lines == [2, 5, 7, 8, 9, 10, 11], "as an editor counts, with the empty line"
    assert "7 of 10 lines could not be read (lines 2, 5, 7" in notes.sentence(path)


def test_a_line_that_only_the_strict_parser_refuses_is_saved(tmp_path):
    table, notes = read_reviews(
        lines(
            tmp_path / "r.json.gz",
            '{"reviewerID": "A1", "asin": "B1", "unixReviewTime": 1365811200, "overall": 4.0, '
            '"reviewText": "\\ud83d"}',
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
    assert table["headline"].tolist() == ["Best value"] * 2, "a review's title is a headline"
    assert table["votes"].tolist() == [3, 3]


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
        DataError, match=f"{name}, line {line}: the time .* is outside 1995 to 2035"
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


ROW = "A1AAAAAAAAAAA,0001,5.0,1365811200"


@pytest.mark.parametrize("name", ["r.json", "r.json.gz"])
def test_reviews_and_metadata_with_a_mark_lose_no_line(tmp_path, name):
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
        ("r.csv", ROW),
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
    with pytest.raises(DataError, match="r.json, line 1: the time .* is outside 1995 to 2035"):
        read_reviews(tmp_path / "r.json", 2014)
