"""From the author's notebooks to a graded class of five, by the commands of docs/teaching."""

import csv
import json
import os
import shutil
import subprocess
import sys

import nbformat
import pytest
from nbgrader.api import Gradebook

from tema_lib.course.release import COURSE, ReleaseError, release
from tests.helpers import assignments
from tests.helpers.commands import tema


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """What `tema assignments` makes of one small assignment, on a PATH without our programs."""
    home = tmp_path_factory.mktemp("home")
    assignments.write(assignments.source(), home / "sources" / "tiny" / "tiny.ipynb")
    assignments.write(assignments.project(), home / "sources" / "project" / "project.ipynb")
    (home / "sources" / "tiny" / "table.csv").write_text("a,b\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEMA_HOME", str(home))
        patch.setenv("PATH", "/usr/bin:/bin")
        done = tema("assignments", "--sources", home / "sources")
    assert done.returncode == 0, done.stderr
    assert "tiny" in done.stdout
    assert "5 points" in done.stdout
    return home


def test_students_get_stubs_and_no_hidden_tests(course):
    text = (course / "assignments" / "release" / "tiny" / "tiny.ipynb").read_text()
    assert text.count("raise NotImplementedError()") == 2
    for word in (*assignments.HIDDEN_WORDS, "BEGIN SOLUTION", "np.max"):
        assert word not in text
    assert "every value is multiplied by two" in text
    assert (course / "assignments" / "release" / "tiny" / "table.csv").is_file()


def test_the_exchange_holds_the_same(course):
    ready = course / "assignments" / "exchange" / COURSE
    copy = (ready / "outbound" / "tiny" / "tiny.ipynb").read_text()
    assert copy == (course / "assignments" / "release" / "tiny" / "tiny.ipynb").read_text()
    assert (ready / "inbound").stat().st_mode & 0o777 == 0o733  # students may put, not read


def test_nbgrader_works_in_the_course_folder(course):
    """Its own commands find settings, grade book and exchange there."""
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", "list"],
        cwd=course / "assignments",
        env=os.environ | {"HOME": str(course)},
        capture_output=True,
        text=True,
    )
    assert f"{COURSE} tiny" in done.stdout + done.stderr


def test_a_second_time_changes_nothing_but_what_is_new(course, monkeypatch):
    monkeypatch.setenv("TEMA_HOME", str(course))
    copy = course / "assignments" / "release" / "tiny" / "tiny.ipynb"
    before = json.loads(copy.read_text())
    assert tema("assignments", "--sources", course / "sources").returncode == 0
    assert json.loads(copy.read_text()) == before


@pytest.mark.parametrize(
    ("cell", "change", "words"),
    [
        (2, {"metadata": {}}, "Solution region detected in a non-solution cell"),
        (
            3,
            {"source": "1\n### begin hidden tests\n2"},
            "not read the line '### begin hidden tests'",
        ),
    ],
)
def test_a_source_that_would_give_something_away_is_no_release(
    course, tmp_path, cell, change, words
):
    notebook = assignments.source()
    notebook.cells[cell].update(change)
    path = assignments.write(notebook, tmp_path / "other" / "other.ipynb")
    with pytest.raises(ReleaseError, match=words):
        release(path, course / "assignments")
    assert not (course / "assignments" / "release" / "other" / "other.ipynb").exists()


def test_a_class_of_five_is_graded(course, shut_in, monkeypatch):
    """One solved all, one half, one nothing; one loops, and one handed in no notebook."""
    monkeypatch.setenv("TEMA_HOME", str(course))
    handed_in = course / "class"
    untouched = course / "assignments" / "release" / "tiny"
    shutil.copytree(untouched, handed_in / "cy" / "tiny")
    solved = nbformat.read(untouched / "tiny.ipynb", 4)
    for cell, source in zip(solved.cells[2:6:2], (assignments.FIRST, assignments.SECOND)):
        cell.source = source
    assignments.write(solved, handed_in / "ada" / "tiny" / "tiny.ipynb")
    half = assignments.handed_in(second="def largest(values): return values[0]")
    assignments.write(half, handed_in / "bob" / "tiny.ipynb")
    leaves = assignments.handed_in(first="import os\ndef doubled(values): os._exit(1)")
    assignments.write(leaves, handed_in / "dan" / "tiny.ipynb")
    assignments.write(assignments.project(), handed_in / "ada" / "project.ipynb")
    (handed_in / "eve").mkdir()
    (handed_in / "eve" / "tiny.ipynb").write_text("no notebook")

    done = tema("grade", handed_in, "--sources", course / "sources")
    assert done.returncode == 0, done.stderr
    assert "[6/6] eve, tiny: 0 of 5\n    tiny.ipynb is no notebook" in done.stdout
    grades = course / "grades"
    with open(grades / "marks.csv", newline="") as file:
        project, *others = csv.DictReader(file)
        marks = {row["student"]: row for row in others}
    assert "[1/6] ada, project: 0 of 0, 10 by hand\n" in done.stdout
    assert (project["assignment"], project["by_hand"]) == ("project", "10.0")
    assert {name: row["score"] for name, row in marks.items()} == {
        "ada": "5.0",
        "bob": "2.0",
        "cy": "0.0",
        "dan": "0.0",
        "eve": "0.0",
    }
    assert "was stopped: its process ended" in marks["dan"]["notes"]
    assert "is no notebook" in marks["eve"]["notes"]
    for name in marks:
        assert f"{name} " in done.stdout
        page = (grades / name / "tiny.html").read_text()
        assert not [word for word in assignments.HIDDEN_WORDS if word in page]
    assert "the largest value of an array" in (grades / "bob" / "tiny.html").read_text()
    with Gradebook(f"sqlite:///{course}/assignments/gradebook.db", COURSE) as book:
        scores = {one.student.id: one.score for one in book.assignment_submissions("tiny")}
        assert scores == {name: float(row["score"]) for name, row in marks.items()}
        for cell, points in (("claim", 3), ("control", 5)):  # as the formgrader enters them
            grade = book.find_grade(cell, "project", "project", "ada")
            assert grade.needs_manual_grade
            grade.manual_score, grade.needs_manual_grade = points, False
        book.db.commit()
    to_mark = course / "assignments" / "autograded"
    assert {path.parts[-3] for path in to_mark.glob("*/tiny/tiny.ipynb")} == set(marks) - {"eve"}
    # A second time, with another answer: the new marks count, and those of a person stay.
    shutil.rmtree(handed_in / "cy")
    assignments.write(half, handed_in / "cy" / "tiny.ipynb")
    assert tema("grade", handed_in, "--sources", course / "sources").returncode == 0
    with Gradebook(f"sqlite:///{course}/assignments/gradebook.db", COURSE) as book:
        assert book.find_submission("tiny", "cy").score == 2
        done = book.find_submission("project", "ada")
        assert (done.score, done.needs_manual_grade) == (8, False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("grade", "no such folder"), "there is no such folder"),
        (("grade", ".", "--sources", "no such folder"), "holds no assignment"),
        (("assignments", "--sources", "no such folder"), "holds no assignment"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    done = tema(*arguments)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_without_submissions_is_said_to_be_empty(course, tmp_path):
    done = tema("grade", tmp_path, "--sources", course / "sources")
    assert done.returncode == 1
    assert "holds no submission" in done.stderr
