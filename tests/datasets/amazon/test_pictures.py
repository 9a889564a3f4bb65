"""Pictures by address: checked before they are kept, under names that every system can hold."""

import io

import pytest
from PIL import Image

from tema_lib.data.files import DataError
from tema_lib.datasets.amazon import pictures
from tema_lib.datasets.amazon.pictures import download_pictures
from tests.helpers.file_server import serving
from tests.helpers.full_disk import full_disk


@pytest.fixture
def server(tmp_path):
    (tmp_path / "web").mkdir()
    with serving(tmp_path / "web") as running:
        yield running


@pytest.fixture
def waits():
    return []


def picture(kind="PNG", size=(20, 20)):
    data = io.BytesIO()
    Image.effect_noise(size, 50).save(data, kind)
    return data.getvalue()


def test_pictures_are_checked_before_they_are_kept(server, tmp_path, waits, monkeypatch):
    monkeypatch.setattr(pictures, "LARGEST_PICTURE", 20_000)
    web = tmp_path / "web"
    whole = picture()
    files = {
        "good.png": whole,
        "photo.jpg": picture("JPEG"),
        "cut.png": whole[:-60],
        "cut.jpg": picture("JPEG", (64, 64))[:-900],
        "tiny.png": picture(size=(1, 1)),
        "page.html": b"<html>no</html>",
        "text.png": b"not a picture",
        "large.png": picture(size=(300, 300)),
        "icon.png": picture("BMP"),
    }
    for name, content in files.items():
        (web / name).write_bytes(content)
    addresses = {name.replace(".", "-"): server.address + name for name in files} | {
        "gone": server.address + "gone.png",
        "file": f"file://{web}/good.png",
        "../odd": server.address + "good.png",
    }
    found, left_out = download_pictures(addresses, tmp_path / "pictures", sleep=waits.append)
    assert found["good-png"] == "good-png.png"
    assert found["photo-jpg"] == "photo-jpg.jpg"
    assert set(found) == {"good-png", "photo-jpg", "../odd"}
    assert (tmp_path / "pictures" / "good-png.png").read_bytes() == whole
    assert "/" not in found["../odd"]
    assert left_out == {
        "cannot be decoded": 4,
        "a placeholder of a few pixels": 1,
        "not a picture by its content type": 1,
        "larger than 0 MiB": 1,
        "the server answered 404": 1,
        "no http address": 1,
    }
    assert len(list((tmp_path / "pictures").iterdir())) == 3


def test_pictures_that_are_here_are_not_fetched_again_and_a_busy_server_is_waited_for(
    server, tmp_path, waits
):
    for name in ("a", "b"):
        (tmp_path / "web" / f"{name}.png").write_bytes(picture())
    download_pictures({"a": server.address + "a.png"}, tmp_path / "pictures")
    server.asked.clear()
    server.troubles = [("status", 429, {"Retry-After": "3"})]
    found, left_out = download_pictures(
        {name: f"{server.address}{name}.png" for name in ("a", "b")},
        tmp_path / "pictures",
        sleep=waits.append,
    )
    assert found == {"a": "a.png", "b": "b.png"}
    assert not left_out
    assert waits == [3]
    assert {path for _, path, _ in server.asked} == {"/b.png"}


def test_pictures_have_names_that_every_system_can_keep_apart(server, tmp_path):
    """Windows and macOS take `b01` for `B01`; Windows has devices where others have files."""
    items, contents = ["B01", "b01", "NUL", "com1", "B 02", "B:02", "plain"], {}
    for number, item in enumerate(items):
        contents[item] = picture(size=(20 + number, 20))
        (tmp_path / "web" / f"{number}.png").write_bytes(contents[item])
    found, _ = download_pictures(
        {item: f"{server.address}{number}.png" for number, item in enumerate(items)},
        tmp_path / "pictures",
    )
    assert len({name.lower() for name in found.values()}) == len(items)
    assert found["plain"] == "plain.png"
    assert not {name.lower().partition(".")[0] for name in found.values()} & {
        "nul",
        "com1",
    }
    assert not set(" :") & set("".join(found.values()))
    assert all(
        (tmp_path / "pictures" / found[item]).read_bytes() == contents[item] for item in items
    )


def test_a_full_disk_stops_the_pictures_and_not_only_one(server, tmp_path):
    """Two hundred are wanted; after the first that cannot be kept, the rest is not asked for."""
    (tmp_path / "web" / "large.png").write_bytes(picture(size=(400, 400)))
    with (
        full_disk(100_000),
        pytest.raises(DataError, match=r"pictures cannot be written \(File too large\)"),
    ):
        download_pictures(
            {f"item{number}": server.address + "large.png" for number in range(200)},
            tmp_path / "pictures",
            threads=1,
        )
    assert len(server.asked) < 200
    assert list((tmp_path / "pictures").iterdir()) == []
