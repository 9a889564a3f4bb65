"""Marks as tables for a spreadsheet."""

import csv

import pytest

from tema_lib.course.gradebook import write_tables
from tema_lib.course.marking import Mark, Marks


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("text", ["=cmd()", "+1", "-1", "@sum", "\t=cmd()", "two\nlines"])
def test_a_student_s_words_are_no_formula_and_stay_on_one_line(tmp_path, text):
    marks = Marks("a1", (Mark("one", 0.5, 2, text), Mark("two", None, 3)), (text,))
    tables = write_tables([(text, marks)], tmp_path)
    [whole] = rows(tables[0])
    assert [whole[name] for name in ("score", "max_score", "by_hand")] == ["0.5", "5", "3"]
    one, two = rows(tables[1])
    assert (one["score"], two["score"]) == ("0.5", "")
    for given in (whole["student"], whole["notes"], one["message"]):
        assert given[0] not in "=+-@\t"
        assert "\n" not in given
        assert text.strip().split()[-1] in given
