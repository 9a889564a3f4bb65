"""A small graded assignment of our own, and what students make of it."""

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tema_lib.course.notebooks import Assignment, Submission

FIRST = """def doubled(values):
    ### BEGIN SOLUTION
    return [2 * value for value in values]
    ### END SOLUTION
"""
FIRST_TESTS = """assert doubled([1, 2]) == [2, 4], "every value is multiplied by two"
### BEGIN HIDDEN TESTS
secret = [31415, 92653]
assert doubled(secret) == [62830, 185306], f"large values too, not {doubled(secret)}"
### END HIDDEN TESTS
"""
SECOND = """def largest(values):
    ### BEGIN SOLUTION
    return np.max(values)
    ### END SOLUTION
"""
SECOND_TESTS = """assert largest(np.arange(4)) == 3, "the largest value of an array"
"""
HIDDEN_WORDS = ("31415", "92653", "62830", "185306", "secret", "HIDDEN TESTS")


def about(name, **marks):
    """nbgrader's metadata of a cell."""
    usual = {"schema_version": 3, "grade": False, "locked": False, "solution": False, "task": False}
    return {"nbgrader": usual | {"grade_id": name, "cell_type": "code"} | marks}


def source():
    """The author's notebook: imports, two functions, 2 and 3 points."""
    test = {"grade": True, "locked": True}
    return new_notebook(
        cells=[
            new_markdown_cell("# Two functions"),
            new_code_cell("import numpy as np\nTWO = 2", metadata=about("imports", locked=True)),
            new_code_cell(FIRST, metadata=about("first", solution=True)),
            new_code_cell(FIRST_TESTS, metadata=about("first_tests", points=2, **test)),
            new_code_cell(SECOND, metadata=about("second", solution=True)),
            new_code_cell(SECOND_TESTS, metadata=about("second_tests", points=3, **test)),
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )


def project():
    """A notebook that a person marks: a text for 4 points, and a task for 6."""
    by_hand = {"grade": True, "solution": True, "points": 4, "cell_type": "markdown"}
    task = {"task": True, "locked": True, "points": 6, "cell_type": "markdown"}
    return new_notebook(
        cells=[
            new_markdown_cell("Your claim", metadata=about("claim", **by_hand)),
            new_markdown_cell("Refute it", metadata=about("control", **task)),
        ]
    )


def write(notebook, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def handed_in(first=FIRST, second=SECOND, own=""):
    """A student's notebook: other texts for its solutions, and a cell of the student's own."""
    notebook = source()
    for cell in notebook.cells:
        if "BEGIN HIDDEN" in cell.source:
            cell.source = cell.source.partition("### BEGIN HIDDEN")[0]
    notebook.cells[2].source, notebook.cells[4].source = first, second
    if own:
        notebook.cells.insert(2, new_code_cell(own))
    return notebook


def submission(folder, **texts):
    return Submission.read(write(handed_in(**texts), folder / "tiny.ipynb"))


def assignment(folder):
    return Assignment.read(write(source(), folder / "source" / "tiny" / "tiny.ipynb"))
