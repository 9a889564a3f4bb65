"""Metadata of every release: nothing is run, page source is left out, the main picture is found."""

from tema_lib.datasets.amazon.metadata import read_metadata, read_text
from tests.helpers.review_files import lines


def test_2014_metadata_are_python_literals_and_nothing_in_them_is_run(tmp_path):
    mark = tmp_path / "ran"
    path = lines(
        tmp_path / "meta.json.gz",
        """{'asin': 'B00SYN0001', 'title': "Chef's Pan &amp; Lid", 'price': 12.5, """
        """'imUrl': 'http://example.org/1.jpg', 'categories': [['Kitchen', 'Cookware']]}""",
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
    assert items.iloc[0].to_dict() == {
        "item_id": "B00SYN0001",
        "title": "Chef's Pan & Lid",
        "description": "",
        "image": "http://example.org/1.jpg",
    }
    assert items["title"][1] == "NA"
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
            "imageURL": ["http://e.org/s.jpg"],
            "imageURLHighRes": ["http://e.org/l.jpg", "http://e.org/2.jpg"],
        },
        {"asin": "B1", "title": "A second line"},
        {"asin": "B2", "title": '<span id="x">Kettle</span>'},
        {"asin": "B3", "title": "var t = new Date().getTime();", "imageURL": []},
    )
    items, notes = read_metadata(path, 2018)
    assert notes.repeated == 1
    assert items["title"].tolist() == ["Café press", "", ""]
    assert items["description"][0] == 'One. Two "2".'
    assert items["image"].tolist() == ["http://e.org/l.jpg", "", ""]


def test_2023_metadata_are_joined_on_the_parent(tmp_path):
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
            "images": [{**image, "variant": "PT01", "large": "http://e.org/side.jpg"}, image],
            "description": [],
        },
        {
            "parent_asin": "P2",
            "title": None,
            "images": {"hi_res": ["http://e.org/h.jpg"], "large": [None], "variant": ["MAIN"]},
        },
        {"parent_asin": "P3", "images": None},
    )
    items, _ = read_metadata(path, 2023)
    assert items["item_id"].tolist() == ["P1", "P2", "P3"]
    assert items["title"].tolist() == ["Kettle", "", ""]
    assert items["image"].tolist() == ["http://e.org/l.jpg", "http://e.org/h.jpg", ""]


def test_a_text_is_cleaned_and_a_list_of_texts_joined():
    assert read_text(["a ", 5, "b\n"]) == "a b"
    assert read_text(None) == ""
    assert read_text("&amp;amp;lt; x") == "< x"
