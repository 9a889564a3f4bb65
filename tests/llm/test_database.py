"""The file of the replies: read-only, locked, damaged, full, or something else."""

import json
import os
import sqlite3
import tempfile
import threading
from pathlib import Path

import pytest

from tema_lib.llm.client import ask
from tema_lib.llm.store import ReplyStore
from tests.helpers.replies import made


def test_a_file_of_another_kind_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "replies.sqlite").write_text("this is a text file, not a database " * 50)
    with pytest.raises(ValueError, match="is not a reply store"):
        ReplyStore(tmp_path / "replies.sqlite")


def test_a_store_that_another_process_is_just_making_is_waited_for(tmp_path):
    """SQLite itself does not wait for the lock at the switch to WAL, whatever the time-out."""
    other = sqlite3.connect(
        tmp_path / "replies.sqlite", isolation_level=None, check_same_thread=False
    )
    other.execute("BEGIN EXCLUSIVE")
    threading.Timer(0.4, lambda: other.execute("COMMIT")).start()
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        assert len(store) == 0


def test_a_writer_waits_for_another_one(tmp_path):
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        other = sqlite3.connect(
            tmp_path / "replies.sqlite", isolation_level=None, check_same_thread=False
        )
        other.execute("BEGIN IMMEDIATE")  # the other one is in the middle of a batch
        release = threading.Timer(0.5, other.execute, ["COMMIT"])
        release.start()
        store.put([made(1)])
        release.join()
        other.close()
        assert len(store) == 1


def as_nobody(work, *arguments):
    """What `work` returns, or type and words of its error, in a process without special rights."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            said = work(*arguments)
        except Exception as error:
            said = [type(error).__module__, type(error).__name__, str(error)]
        os.write(writer, json.dumps(said).encode())
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as file:
        said = json.load(file)
    os.waitpid(child, 0)
    return said


@pytest.fixture
def share():
    """A folder that anybody may look into, with a store of two replies."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = Path(folder) / "share %41 #1?" / "replies.sqlite"
        with ReplyStore(path) as store:
            store.put([made(1), made(2)])
            store.refuse("f00d", {made(3).key: "filtered"})
        yield path
        os.chmod(path.parent, 0o755)


def read_only(path):
    os.chmod(path, 0o444)
    os.chmod(path.parent, 0o555)


def test_a_store_on_a_read_only_share_is_read_and_says_that_it_cannot_be_written(share):
    def work():
        with ReplyStore(share) as store:
            found = [store.get(made(1).key), store.refusal(made(3).key), len(store), store.writable]
            store.put([made(1)])  # nothing new: nothing to write
            try:
                store.put([made(1), made(9)])
            except OSError as error:
                return [*found, str(error)]

    read_only(share)
    *found, said = as_nobody(work)
    assert found == ["a, b, c", "filtered", 2, False]
    assert "cannot be written, and 1 replies are missing" in said
    assert "--store" in said
    assert "move the file away" not in said
    os.chmod(share.parent, 0o755)  # the folder may be ours, the file not
    assert as_nobody(work)[:4] == found
    os.chmod(share, 0o666)  # or the file, but not the folder
    os.chmod(share.parent, 0o555)
    assert as_nobody(work)[:4] == found


def test_a_run_on_a_read_only_store_says_so_before_it_asks_anything(share):
    class Never:
        name = "model"
        fingerprint = "f00d"
        settings = "{}"
        generate_batches = None

    def work(*prompts):
        with ReplyStore(share) as store:
            return ask(prompts, Never(), store)

    read_only(share)
    assert as_nobody(work, "prompt 1", "prompt 2") == ["a, b, c"] * 2
    _module, kind, said = as_nobody(work, "prompt 1", "prompt 8", "prompt 9")
    assert kind == "PermissionError"
    assert "2 replies are missing in it: give a place of your own" in said


def test_an_older_store_without_refusals_is_read_too(tmp_path, share):
    with sqlite3.connect(share) as database:
        database.execute("DROP TABLE refusals")
    database.close()
    with ReplyStore(share) as store:
        assert store.refusal(made(3).key) is None  # made when the store is opened to write
    with sqlite3.connect(share) as database:
        database.execute("DROP TABLE refusals")
    database.close()
    read_only(share)
    assert as_nobody(lambda: [ReplyStore(share).refusal(made(3).key), len(ReplyStore(share))]) == [
        None,
        2,
    ]


@pytest.mark.parametrize(
    ("position", "sentence"),
    [
        ("", "is a folder"),
        ("a file/replies.sqlite", "cannot be written"),
        ("a file/deeper/replies.sqlite", "cannot be written"),
        ("locked/replies.sqlite", "cannot be written"),
        ("locked/deeper/replies.sqlite", "cannot be written"),
    ],
)
def test_a_path_for_no_store_is_named_in_one_sentence(tmp_path, position, sentence):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        (Path(folder) / "a file").write_text("x")
        (Path(folder) / "locked").mkdir(mode=0o700)
        if os.getuid():
            os.chmod(Path(folder) / "locked", 0)
        module, _kind, said = as_nobody(lambda: ReplyStore(Path(folder) / position) and None)
        assert module == "builtins"
        assert sentence in said
        assert "[Errno" not in said
        assert folder in said
        os.chmod(Path(folder) / "locked", 0o700)


@pytest.mark.parametrize("damage", ["text", "other", "columns", "half", "zeros", "tail"])
def test_a_damaged_store_or_another_database_is_named_in_one_sentence_and_left_as_it_is(
    tmp_path, damage
):
    path = tmp_path / "replies.sqlite"
    with ReplyStore(path) as store:
        store.put(made(number, "x" * 500) for number in range(200))
    if damage in ("other", "columns"):
        path.unlink()
        with sqlite3.connect(path) as database:
            database.execute(
                "CREATE TABLE contacts (name TEXT)"
                if damage == "other"
                else "CREATE TABLE replies (name TEXT)"
            )
        database.close()
    else:
        whole = path.read_bytes()
        path.write_bytes(
            {
                "text": b"no database " * 90,
                "half": whole[: len(whole) // 2],
                "zeros": bytes(4096),
                "tail": whole[:4096] + b"\xff" * (len(whole) - 4096),
            }[damage]
        )
    before = path.read_bytes()

    def read_all():
        with ReplyStore(path) as store:
            for number in range(200):
                store.get(made(number).key)
            store.export_jsonl(tmp_path / "x.jsonl")

    with pytest.raises(ValueError, match="is not a reply store .*move the file away") as caught:
        read_all()
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


def test_a_full_disk_and_a_writer_that_never_ends_are_said_in_one_sentence_and_nothing_is_lost(
    tmp_path,
):
    path = tmp_path / "replies.sqlite"
    with ReplyStore(path) as store:
        store.put([made(1)])
        pages = store._database.execute("PRAGMA page_count").fetchone()[0]
        store._database.execute(f"PRAGMA max_page_count = {pages}")  # what a full disk does
        with pytest.raises(OSError, match="disk of .* is full: make room and run again"):
            store.put(made(number, "x" * 5000) for number in range(2, 50))
        assert len(store) == 1
        assert store.get(made(1).key) == "a, b, c"
        store._database.execute("PRAGMA max_page_count = 100000")
        store.put([made(2)])
        store._database.execute("PRAGMA busy_timeout = 50")  # a minute otherwise
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OSError, match="held by another process .*wait until that ends"):
            store.put([made(3)])
        other.execute("COMMIT")
        other.close()
        store.put([made(3)])
        assert len(store) == 3
