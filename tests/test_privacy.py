"""Nothing private is committed: no title of research-only data, no name of a machine or a user."""

import html
import json
import os
import pathlib
import re
import socket

import pytest

from tema_lib.workspace import ROOT
from tests.helpers.sources import text_of, tracked_files


def words(text):
    """Lower-case words and numbers, one space between: the same for JSON, HTML and plain text."""
    text = text.replace("\\n", " ").replace("\\t", " ").replace('\\"', '"')
    return " " + re.sub(r"[\W_]+", " ", html.unescape(text).lower()).strip() + " "


def titles_in(text, titles):
    """Which of the titles occur in the text, as whole words.

    Quick for many titles: their first 25 characters are looked up.
    """
    opening = {}
    for title in map(words, titles):
        if len(title) >= 27:  # 25 and a space on either side; shorter ones name kinds of things
            opening.setdefault(title[:26], set()).add(title)
    text = words(text)
    starts = (i for i, character in enumerate(text) if character == " ")
    return {t for i in starts for t in opening.get(text[i : i + 26], ()) if text.startswith(t, i)}


def test_the_search_for_titles_finds_them():
    titles = ['Acme &amp; Sons "Blue" Enamel Kettle, 2 Quart', "Short one"]
    assert titles_in('{"title": "Acme & Sons \\"Blue\\" enamel kettle, 2 quart"}', titles)
    assert not titles_in("Acme & Sons Blue Enamel Kettles; Short one", titles)


def test_no_tracked_file_holds_a_title_of_the_real_data():
    folder = os.environ.get("TEMA_REAL_DATA")
    if not folder:
        pytest.skip("TEMA_REAL_DATA is not set: cannot look for its titles")
    tables = sorted(pathlib.Path(folder).rglob("items.tsv"))
    assert tables, "TEMA_REAL_DATA holds no items.tsv"
    titles = set()
    for table in tables:
        head, *lines = table.read_text(encoding="utf-8").splitlines()
        column = head.split("\t").index("title")
        titles |= {line.split("\t")[column] for line in lines}
    assert len(titles) > 100
    text = "\n".join(f"{p.name}\n{t}" for p in tracked_files() if (t := text_of(p)) is not None)
    found = titles_in(text, titles)
    assert not found, (
        f"{len(found)} titles of research-only data in tracked files (titles not shown here)"
    )


def strings(value):
    """Every text in a JSON value, keys as well."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    elif isinstance(value, str):
        yield value


MACHINE_PATH = re.compile(r"""(?:^|[\s"'=:,(])(?:/|~/|[A-Za-z]:[\\/])(?=[\w.])""")


@pytest.mark.parametrize(
    ("text", "private"),
    [
        ("make run DATA=/home/me/fk", True),
        ("C:\\Users\\me", True),
        ("~/data", True),
        ("items/s", False),
        ("results/a.json", False),
        ("HR@1/5/10", False),
    ],
)
def test_machine_paths_are_recognised(text, private):
    assert bool(MACHINE_PATH.search(text)) == private


def test_records_name_no_machine():
    host = socket.gethostname()
    for path in sorted((ROOT / "results").rglob("*.json")):
        for text in strings(json.loads(path.read_text(encoding="utf-8"))):
            assert not MACHINE_PATH.search(text), f"{path.name}: machine path in {text!r}"
            if len(host) > 3:
                named = re.search(rf"\b{re.escape(host)}\b", text)
                assert not named, f"{path.name}: host name in {text!r}"


def test_no_tracked_file_names_a_path_of_this_machine():
    private = [str(ROOT), str(pathlib.Path.home()) + os.sep]
    for path in tracked_files():
        text = text_of(path) or ""
        found = [place for place in private if len(place) > 5 and place in text]
        assert not found, f"{path.relative_to(ROOT)}: a path of this machine"
