"""Text, JSON and paths: what wraps a file changes nothing, and a path is a name."""

import pytest

from tema_lib.data.files import DataError, listed, numbered_lines, read_json, sql_path
from tema_lib.datasets.load import read_data
from tests.helpers.data_folders import MARK, RIGHT, order, parquet, tables


def test_names_that_macos_adds_are_no_files_of_ours(tmp_path):
    tables(tmp_path)
    for name in ("._interactions.tsv", "._items.tsv", "._a_preprocessed.txt", "._map_item.txt"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7Mac OS X")
    assert order(read_data(tmp_path)) == RIGHT
    assert listed(tmp_path, "*_preprocessed.txt") == []


def test_json_is_read_with_a_mark_and_as_utf_16(tmp_path):
    for content in (
        MARK + b'{"domains": ["tea", "pots"]}',
        '{"domains": ["tea", "pots"]}'.encode("utf-16"),
    ):
        (tables(tmp_path) / "dataset.json").write_bytes(content)
        assert read_data(tmp_path).domains == ("tea", "pots")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="deep.json is not valid JSON"):
        read_json(tmp_path / "deep.json")


def test_lines_have_the_numbers_of_an_editor(tmp_path):
    (tmp_path / "x").write_bytes(MARK + b"one\r\n\r\n \ttwo\x0bstill two\rthree")
    assert list(numbered_lines(tmp_path / "x")) == [
        (1, "one"),
        (3, " \ttwo\x0bstill two"),
        (4, "three"),
    ]


def test_a_path_that_cannot_be_told_is_refused_and_no_other_file_read(tmp_path):
    folder = parquet(tmp_path / "a\\b[1]", "VALUES ('right', 't1', 'A', 1)")
    with pytest.raises(
        DataError, match="DuckDB cannot open a path with both a backslash and one of .*: rename it"
    ):
        read_data(folder)
    assert sql_path("/it's") == "/it's"
