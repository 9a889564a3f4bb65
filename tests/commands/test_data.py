"""`tema data` end to end, with the official files of every release on a local server.

Pictures by address, one interruption, and the folder read back.
"""

import gzip
import os
from unittest import mock

import pandas as pd
import pytest

from tema_lib.data.dataset import RawData
from tema_lib.datasets.amazon.releases import FILES, PAIRS
from tema_lib.datasets.load import load_dataset, read_data
from tema_lib.datasets.synthetic.official import write_official
from tests.helpers.commands import tema
from tests.helpers.file_server import serving

WORLD = load_dataset("synthetic")
FEW = WORLD.interactions[WORLD.interactions["user_id"] <= "u0150"]


def small_world():
    """The first 150 users of the synthetic data set, and the items of their events."""
    return RawData(
        "small",
        WORLD.folder,
        FEW.reset_index(drop=True),
        WORLD.items[WORLD.items["item_id"].isin(set(FEW["item_id"]))].reset_index(drop=True),
        "",
    )


def make_data(server, tmp_path, *more, year=2014, pair="food-kitchen"):
    given = ("--pair", pair, "--year", year)
    places = ("--out", tmp_path / "out", "--downloads", tmp_path / "downloads")
    with mock.patch.dict(os.environ, TEMA_AMAZON_ADDRESS=server.address):
        return tema("data", *given, *places, *more)


@pytest.mark.parametrize(
    ("pair", "year", "more"),
    [
        ("food-kitchen", 2014, ["--events", "reviews"]),
        ("movies-books", 2014, []),
        ("food-kitchen", 2018, []),
        ("food-kitchen", 2023, []),
    ],
)
def test_official_files_become_the_folder_they_came_from(tmp_path, pair, year, more):
    """With pictures, byte for byte. One picture is a web page, one is gone."""
    world = small_world()
    web = tmp_path / "web"
    (web / "pictures").mkdir(parents=True)
    pictured = [image for image in world.items["image"] if image]
    for image in pictured[2:]:
        (web / image).write_bytes((WORLD.folder / image).read_bytes())
    (web / pictured[0]).write_bytes(b"<html>not here</html>")
    with serving(web) as server:
        write_official(world, web, year, pictures=server.address)
        for path in [
            path for path in web.rglob("*") if path.is_file() and path.parent.name != "pictures"
        ]:  # the same domains under the pair's names
            for written, wanted in zip(PAIRS["food-kitchen"], PAIRS[pair]):
                if written in path.name:
                    path.rename(path.with_name(path.name.replace(written, wanted)))
        done = make_data(server, tmp_path, "--core", "0", *more, year=year, pair=pair)
        assert done.returncode == 0, done.stderr
        back = read_data(tmp_path / "out")
        expected = world.items.assign(
            image=[image if image not in pictured[:2] else "" for image in world.items["image"]]
        ).astype(object)
        pd.testing.assert_frame_equal(back.interactions, world.interactions)
        pd.testing.assert_frame_equal(back.items, expected)
        for image in pictured[2:]:
            assert (tmp_path / "out" / image).read_bytes() == (WORLD.folder / image).read_bytes()
        for words in (
            "pictures: 1 left out, cannot be decoded",
            "pictures: 1 left out, the server answered 404",
            "Seconds",
            "Next: make run DATA=",
        ):
            assert words in done.stdout
        server.asked.clear()
        again = make_data(server, tmp_path, "--core", "0", *more, year=year, pair=pair)
        assert again.returncode == 0
        assert "already prepared" in again.stdout
        assert {method for method, _, _ in server.asked} == {"HEAD"}


def test_an_interrupted_run_goes_on_and_ends_with_the_same_files(tmp_path):
    """The server goes away in the middle of the second file; the next run fetches only the rest."""
    with serving(tmp_path / "web") as server:
        write_official(small_world(), tmp_path / "web", 2014)
        names = FILES[2014]
        food, _kitchen = PAIRS["food-kitchen"]
        whole = (tmp_path / "web" / names["metadata"].format(food)).read_bytes()
        server.troubles = [None, ("break", len(whole) // 2), ("status", 404, {})]
        first = make_data(server, tmp_path, "--core", "2", "--no-pictures")
        assert first.returncode == 1
        assert "answered 404" in first.stderr
        assert first.stderr.count("\n") == 1
        server.asked.clear()
        assert make_data(server, tmp_path, "--core", "2", "--no-pictures").returncode == 0
        assert next(
            wanted
            for _, path, wanted in server.asked
            if path.endswith(names["metadata"].format(food))
        ).startswith("bytes=")
        one = {
            name: (tmp_path / "out" / name).read_bytes()
            for name in ("interactions.tsv", "items.tsv")
        }
        (tmp_path / "out").rename(tmp_path / "first")
        assert make_data(server, tmp_path, "--core", "2", "--no-pictures").returncode == 0
        assert one == {name: (tmp_path / "out" / name).read_bytes() for name in one}


def test_wrong_words_and_damaged_files_are_one_sentence(tmp_path):
    with serving(tmp_path / "web") as server:
        write_official(small_world(), tmp_path / "web", 2014)
        for more, words in (
            (["--year", "2015"], "YEAR=2015: there is no such release"),
            (["--pair", "shoes"], "PAIR=shoes: no such pair"),
            (["--core", "400"], "lower CORE"),
        ):
            done = make_data(server, tmp_path, "--no-pictures", *more)
            assert done.returncode == 1
            assert words in done.stderr
            assert done.stderr.count("\n") == 1
        meta = tmp_path / "web" / FILES[2014]["metadata"].format(PAIRS["food-kitchen"][1])
        meta.write_bytes(gzip.compress(b"{'asin': 'B1'}\n" * 9000)[:-20])
        for path in (tmp_path / "downloads").rglob("*.gz"):
            path.unlink()
        done = make_data(server, tmp_path, "--no-pictures")
        assert done.returncode == 1
        assert "gzip" in done.stderr
        assert "it was deleted" in done.stderr
