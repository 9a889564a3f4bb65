"""Submissions for nbgrader's formgrader, in which a person gives points by hand.

It shows a student's Markdown and outputs as HTML, scripts included, inside the lecturer's own
Jupyter. So it gets text cells as they were typed, and of the outputs text and pictures.
Status: ours.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tema_lib.course.notebooks import read_cells
from tema_lib.workspace import write_atomically

BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")
SHOWN = ("text/plain", "image/png")


def hand_over(submission: Path, source: Path, student: str, course: Path) -> Path:
    """Write a submission where the formgrader looks for it.

    Args:
        submission: the student's notebook; NotANotebook if it cannot be read.
        source: the author's, whose metadata count.
        student: the student's name.
        course: the folder that `tema assignments` made.
    """
    about = {}
    for cell in read_cells(source):
        if name := cell.metadata.get("nbgrader", {}).get("grade_id"):
            about[name] = cell.metadata["nbgrader"]
    notebook = new_notebook(cells=[_shown(cell, about) for cell in read_cells(submission)])
    place = course / "autograded" / student / source.stem / f"{source.stem}.ipynb"
    write_atomically(place, nbformat.writes(notebook))
    return place


def _shown(cell: Any, about: dict[str, Any]) -> Any:
    """A cell with the author's metadata."""
    own = cell.metadata.get("nbgrader")
    name = str(own.get("grade_id")) if isinstance(own, dict) else ""
    metadata = {"nbgrader": about[name]} if name in about else {}
    if cell.cell_type != "code":
        typed = textwrap.indent(cell.source, "    ", lambda line: True)  # a block of code
        return new_markdown_cell(typed, metadata=metadata)
    outputs = [shown for output in cell.outputs for shown in _outputs(output)]
    return new_code_cell(cell.source, metadata=metadata, outputs=outputs)


def _outputs(output: Any) -> list[Any]:
    """Text and pictures of one output."""
    if output.output_type == "stream":
        return [new_output("stream", name=output.name, text=output.text)]
    if output.output_type == "error":
        return [new_output("stream", name="stderr", text=f"{output.ename}: {output.evalue}")]
    data = {kind: output.data[kind] for kind in SHOWN if kind in output.data}
    if not BASE64.fullmatch(data.get("image/png", "")):
        del data["image/png"]
    return [new_output("display_data", data=data)] if data else []
