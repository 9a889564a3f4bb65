"""Downloads against a real server that breaks off, refuses, asks to wait, and changes the file."""

import email.utils
import gzip
import hashlib
import json
import random
import time

import pytest

from tema_lib.data.files import DataError
from tema_lib.datasets.amazon import download as subject
from tema_lib.datasets.amazon import web
from tema_lib.datasets.amazon.download import download
from tema_lib.datasets.amazon.pictures import download_pictures
from tests.helpers.file_server import serving
from tests.helpers.full_disk import full_disk

CONTENT = gzip.compress(random.Random(0).randbytes(1_500_000), mtime=0)


@pytest.fixture
def server(tmp_path):
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "x.gz").write_bytes(CONTENT)
    with serving(tmp_path / "web") as running:
        yield running


@pytest.fixture
def waits():
    return []


def test_a_file_comes_whole_with_a_note(server, tmp_path):
    path = download(server.address + "x.gz", tmp_path / "x.gz")
    assert path.read_bytes() == CONTENT
    note = json.loads((tmp_path / "x.gz.json").read_text())
    assert note["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert note["size"] == len(CONTENT)
    assert note["published_checksum"] is False
    assert note["etag"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["web", "x.gz", "x.gz.json"], (
        "no part, lock or note of a part is left"
    )


def test_a_broken_connection_goes_on_where_it_stopped(server, tmp_path, waits):
    server.troubles = [("break", 400_000), ("break", 300_000)]
    assert (
        download(server.address + "x.gz", tmp_path / "x.gz", sleep=waits.append).read_bytes()
        == CONTENT
    )
    starts = [int(wanted.removeprefix("bytes=").rstrip("-")) for _, _, wanted in server.asked[1:]]
    assert len(starts) == 2
    assert 0 < starts[0] <= 400_000 < starts[1] <= 700_000


def test_an_interrupted_run_goes_on_in_the_next_and_ends_with_the_same_bytes(server, tmp_path):
    def stop(_):
        raise KeyboardInterrupt

    server.troubles = [("break", 500_000)]
    with pytest.raises(KeyboardInterrupt):
        download(server.address + "x.gz", tmp_path / "x.gz", sleep=stop)
    assert not (tmp_path / "x.gz").exists()
    assert (tmp_path / "x.gz.part").stat().st_size > 0
    assert download(server.address + "x.gz", tmp_path / "x.gz").read_bytes() == CONTENT
    assert server.asked[-1][2]
    assert server.asked[-1][2] != "bytes=0-"


@pytest.mark.parametrize(
    ("sends_etag", "heeds", "size"),
    [(True, True, 1_400_000), (True, False, 1_500_000), (False, True, 1_400_000)],
)
def test_a_file_that_changed_meanwhile_is_noticed(server, tmp_path, sends_etag, heeds, size):
    """By If-Range; by the answer's ETag where the server ignores that; by the size without an ETag.

    The second case has the same size.
    """
    other = gzip.compress(random.Random(1).randbytes(size), mtime=0)
    server.sends_etag, server.heeds_conditions = sends_etag, heeds
    server.troubles = [("break", 500_000)]

    def change(_):
        return (tmp_path / "web" / "x.gz").write_bytes(other)

    assert download(server.address + "x.gz", tmp_path / "x.gz", sleep=change).read_bytes() == other
    assert server.conditions[1] == (
        f'"{hashlib.sha256(CONTENT).hexdigest()[:16]}"' if sends_etag else None
    )


def test_a_server_that_ignores_ranges_starts_anew(server, tmp_path, waits):
    server.ranges, server.troubles = False, [("break", 500_000)]
    assert (
        download(server.address + "x.gz", tmp_path / "x.gz", sleep=waits.append).read_bytes()
        == CONTENT
    )


def test_416_when_all_is_here_and_when_the_file_shrank(server, tmp_path, waits):
    etag = f'"{hashlib.sha256(CONTENT).hexdigest()[:16]}"'
    (tmp_path / "x.gz.part").write_bytes(CONTENT)
    (tmp_path / "x.gz.part.json").write_text(
        json.dumps({"etag": etag, "last_modified": "", "total": len(CONTENT)})
    )
    assert download(server.address + "x.gz", tmp_path / "x.gz").read_bytes() == CONTENT
    assert [method for method, _, _ in server.asked] == ["GET"], "nothing was fetched again"
    (tmp_path / "y.gz.part").write_bytes(CONTENT + b"more")
    (tmp_path / "y.gz.part.json").write_text(
        json.dumps({"etag": "", "last_modified": "", "total": len(CONTENT) + 4})
    )
    (tmp_path / "web" / "y.gz").write_bytes(CONTENT)
    assert (
        download(server.address + "y.gz", tmp_path / "y.gz", sleep=waits.append).read_bytes()
        == CONTENT
    )


def test_429_and_503_are_waited_for_as_long_as_the_server_asks(server, tmp_path, waits):
    soon = email.utils.formatdate(time.time() + 30, usegmt=True)
    server.troubles = [
        ("status", 429, {"Retry-After": "7"}),
        ("status", 503, {}),
        ("status", 503, {"Retry-After": soon}),
        ("status", 500, {"Retry-After": "99999"}),
    ]
    download(server.address + "x.gz", tmp_path / "x.gz", sleep=waits.append)
    assert waits[0] == 7
    assert waits[1] == 2
    assert 25 < waits[2] <= 31
    assert waits[3] == web.LONGEST_WAIT


def test_it_gives_up_with_one_sentence(server, tmp_path, waits):
    server.troubles = [("status", 503, {})] * 20
    with pytest.raises(
        DataError, match="could not be fetched after 6 tries .*goes on from here later"
    ):
        download(server.address + "x.gz", tmp_path / "x.gz", sleep=waits.append)
    assert len(waits) == 5
    assert waits == sorted(waits)
    server.troubles = []
    with pytest.raises(DataError, match="nothere.gz answered 404"):
        download(server.address + "nothere.gz", tmp_path / "nothere.gz", sleep=waits.append)


def test_other_addresses_are_refused(server, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("x")
    for address in (f"file://{secret}", "ftp://127.0.0.1/x"):
        with pytest.raises(DataError, match="not an http or https address"):
            download(address, tmp_path / "copy")
    server.troubles = [("redirect", "ftp://127.0.0.1/x")]
    with pytest.raises(DataError, match="not an http or https address"):
        download(server.address + "x.gz", tmp_path / "x.gz")


def test_checksum_space_and_a_damaged_gzip_file(server, tmp_path, monkeypatch):
    right = hashlib.sha256(CONTENT).hexdigest()
    download(server.address + "x.gz", tmp_path / "x.gz", sha256=right)
    with pytest.raises(DataError, match="published is 0000"):
        download(server.address + "x.gz", tmp_path / "again.gz", sha256="0" * 64)
    assert not (tmp_path / "again.gz").exists()
    assert not (tmp_path / "again.gz.part").exists()
    for broken in (
        CONTENT[:-9],
        CONTENT[:5000] + b"\xff\xff\xff" + CONTENT[5003:],
        b"<html>busy</html>",
    ):
        (tmp_path / "web" / "bad.gz").write_bytes(broken)
        with pytest.raises(DataError, match="gzip .*it was deleted"):
            download(server.address + "bad.gz", tmp_path / "bad.gz")
    (tmp_path / "web" / "two.gz").write_bytes(gzip.compress(b"one") + gzip.compress(b"two"))
    download(server.address + "two.gz", tmp_path / "two.gz")
    monkeypatch.setattr(subject.shutil, "disk_usage", lambda _: type("Disk", (), {"free": 1000}))
    with pytest.raises(DataError, match="make room"):
        download(server.address + "x.gz", tmp_path / "large.gz")


def test_a_file_that_is_here_is_kept_and_a_newer_one_is_announced(server, tmp_path):
    path = download(server.address + "x.gz", tmp_path / "x.gz")
    download(server.address + "x.gz", path)
    assert [method for method, _, _ in server.asked] == ["GET", "HEAD"]
    (tmp_path / "web" / "x.gz").write_bytes(gzip.compress(b"newer"))
    with pytest.warns(UserWarning, match="has changed since"):
        download(server.address + "x.gz", path)
    assert path.read_bytes() == CONTENT
    path.write_bytes(CONTENT[:100])
    with pytest.raises(DataError, match="100 bytes and had"):
        download(server.address + "x.gz", path)


def test_a_full_disk_is_said_in_one_sentence_and_the_next_run_goes_on(server, tmp_path):
    with (
        full_disk(100_000),
        pytest.raises(
            DataError,
            match=r"x.gz cannot be written \(File too large\): make room.*goes on from here",
        ) as error,
    ):
        download(server.address + "x.gz", tmp_path / "x.gz")
    assert "Errno" not in str(error.value)
    assert 0 < (tmp_path / "x.gz.part").stat().st_size <= 100_000
    assert download(server.address + "x.gz", tmp_path / "x.gz").read_bytes() == CONTENT
    assert server.asked[-1][2] not in (None, "", "bytes=0-"), "it went on where it stopped"


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "a file").write_text("")
    for call in (
        lambda: download(server.address + "x.gz", tmp_path / "a file" / "x.gz"),
        lambda: download_pictures(
            {"a": server.address + "a.png"}, tmp_path / "a file" / "pictures"
        ),
        lambda: download_pictures({"a": server.address + "a.png"}, tmp_path / "a file"),
    ):
        with pytest.raises(
            DataError, match=r"a file.* cannot be written \((Not a directory|File exists)\)"
        ) as error:
            call()
        assert "Errno" not in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://127.0.0.1:9/x.gz", "Connection refused"),
        (
            "http://nowhere.invalid/x.gz",
            r"Name or service not known|Temporary failure in name resolution|nodename",
        ),
    ],
)
def test_a_server_that_is_not_there_is_spoken_of_in_plain_words(tmp_path, waits, address, words):
    with pytest.raises(
        DataError, match=rf"could not be fetched after 6 tries \((.*{words}.*)\)"
    ) as error:
        download(address, tmp_path / "x.gz", sleep=waits.append)
    assert "Error" not in str(error.value)
    assert "Errno" not in str(error.value)
    assert "<" not in str(error.value)


def test_a_note_that_is_no_note_counts_as_none(server, tmp_path):
    path = download(server.address + "x.gz", tmp_path / "x.gz")
    for said in ("[1, 2]", '"x"', "{", ""):
        (tmp_path / "x.gz.json").write_text(said)
        assert download(server.address + "x.gz", path).read_bytes() == CONTENT
