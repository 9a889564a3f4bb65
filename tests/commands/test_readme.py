"""`tema readme`: the tables are what the records say, and no link is broken."""

import re
from argparse import Namespace

import pytest

from tema_lib.commands import readme
from tema_lib.workspace import ROOT


def test_the_headline_table_names_systems_that_exist():
    from tema_lib.models.systems import SYSTEMS

    assert set(readme.HEADLINE) <= set(SYSTEMS)


def test_the_tables_are_what_the_records_say(capsys):
    readme.main(Namespace(check=True))
    if "nothing to compare" in capsys.readouterr().out:
        pytest.skip("no evaluation record in results/ yet")


def test_the_notebook_table_lists_every_notebook():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    notebooks = list((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    assert notebooks
    for path in notebooks:
        assert f"(notebooks/{path.name})" in text, f"README.md: {path.name} is missing"


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))])
def test_no_link_is_broken(path):
    text = path.read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text):
        assert (path.parent / link).exists(), f"{path.relative_to(ROOT)}: broken link {link}"
