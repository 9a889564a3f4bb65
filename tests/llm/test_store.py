"""The reply store: exact keys, whole transactions, two writers at once.

A killed run loses one batch at most.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from tema_lib.llm.client import ask
from tema_lib.llm.store import Reply, ReplyStore, open_replies, reply_key, reply_store_path

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def made(number, reply="a, b, c"):
    return Reply("model", "f00d", f"prompt {number}", "{}", reply)


def test_key_depends_on_each_part_and_keeps_them_apart():
    keys = {
        reply_key(*parts)
        for parts in [
            ("ab", "c", "d"),
            ("a", "bc", "d"),
            ("ab", "cd", ""),
            ("ab", "c", "e"),
            ("xx", "c", "d"),
        ]
    }
    assert len(keys) == 5
    # The answer is no part of the question.
    assert made(1).key == made(1, reply="another answer").key


def test_what_was_put_is_there_after_reopening_and_the_first_answer_stays(tmp_path):
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        store.put([made(1), made(2)])
        store.put([made(1, reply="other")])
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        assert store.get(made(1).key) == "a, b, c"
        assert store.get(made(3).key) is None
        assert len(store) == 2


def test_a_batch_that_fails_half_way_leaves_nothing(tmp_path):
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        with pytest.raises(sqlite3.IntegrityError):
            store.put([made(1), Reply("model", "f00d", "prompt", "{}", None)])
        assert len(store) == 0
        store.put([made(2)])  # and the store still works
        assert len(store) == 1


def test_export_is_sorted_the_same_for_equal_stores_and_comes_back(tmp_path):
    for name, numbers in (("one", range(20)), ("two", reversed(range(20)))):
        with ReplyStore(tmp_path / f"{name}.sqlite") as store:
            for number in numbers:
                store.put([made(number, reply=f"crème {number}")])
            assert store.export_jsonl(tmp_path / f"{name}.jsonl") == 20
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    keys = [
        Reply(**json.loads(line)).key
        for line in (tmp_path / "one.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert keys == sorted(keys)
    with ReplyStore(tmp_path / "three.sqlite") as store:
        assert store.import_jsonl(tmp_path / "one.jsonl") == 20
        assert store.get(made(7).key) == "crème 7"
    assert not list(tmp_path.glob("*.unfinished"))


@pytest.mark.parametrize(
    "line",
    [
        '{"model": "m"',
        "[]",
        '{"model": "m", "prompt": "p"}',
        json.dumps({**vars(made(1)), "reply": 3}),
        "",
    ],
)
def test_import_names_file_and_line_of_a_malformed_line_and_keeps_nothing(tmp_path, line):
    path = tmp_path / "replies.jsonl"
    path.write_text(json.dumps(vars(made(1))) + "\n" + line + "\n")
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        with pytest.raises(ValueError, match=r"replies\.jsonl, line 2: .*export the file again"):
            store.import_jsonl(path)
        assert len(store) == 0


def test_a_file_of_another_kind_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "replies.sqlite").write_text("this is a text file, not a database " * 50)
    with pytest.raises(ValueError, match="is not a reply store"):
        ReplyStore(tmp_path / "replies.sqlite")


WRITER = """
import sys
from tema_lib.llm.store import Reply, ReplyStore
with ReplyStore(sys.argv[1]) as store:
    for batch in range(60):
        prompts = [f"{sys.argv[2]} {batch} {row}" for row in range(5)]
        store.put(Reply("model", "f00d", prompt, "{}", "a, b, c") for prompt in prompts)
"""


def test_a_store_that_another_process_is_just_making_is_waited_for(tmp_path):
    """SQLite itself does not wait for the lock at the switch to WAL, whatever the time-out."""
    other = sqlite3.connect(
        tmp_path / "replies.sqlite", isolation_level=None, check_same_thread=False
    )
    other.execute("BEGIN EXCLUSIVE")
    threading.Timer(0.4, lambda: other.execute("COMMIT")).start()
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        assert len(store) == 0


def test_two_processes_write_at_once_and_lose_nothing(tmp_path):
    path = tmp_path / "replies.sqlite"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, path, name], env=ENVIRONMENT)
        for name in ("first", "second")
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    with ReplyStore(path) as store:
        assert len(store) == 2 * 60 * 5


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


ASKER = """
import sys, time
from tema_lib.llm.client import ask
from tema_lib.llm.store import ReplyStore
class SlowModel:  # answers by rule, 4 prompts a batch, and notes every prompt it was asked
    name, fingerprint, settings = "slow", "f00d", "{}"
    def generate_batches(self, prompts):
        for start in range(0, len(prompts), 4):
            positions = list(range(start, min(start + 4, len(prompts))))
            with open(sys.argv[2], "a") as asked:
                asked.writelines(prompts[position] + chr(10) for position in positions)
            time.sleep(float(sys.argv[3]))
            yield positions, [prompts[position] + " a, b, c" for position in positions]
prompts = [f"prompt {number}" for number in range(40)]
with ReplyStore(sys.argv[1]) as store:
    assert ask(prompts, SlowModel(), store) == [prompt + " a, b, c" for prompt in prompts]
"""


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    path = tmp_path / "replies.sqlite"
    before = tmp_path / "before.txt"
    after = tmp_path / "after.txt"
    run = subprocess.Popen(
        [sys.executable, "-c", ASKER, path, before, "0.3"],
        env=ENVIRONMENT,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (
        before.exists() and len(before.read_text().splitlines()) >= 12
    ):
        time.sleep(0.02)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    with ReplyStore(path) as store:
        kept = len(store)
    asked_before = before.read_text().splitlines()
    assert 8 <= kept < 40
    assert len(asked_before) - kept <= 4
    subprocess.run(
        [sys.executable, "-c", ASKER, path, after, "0"],
        env=ENVIRONMENT,
        check=True,
        timeout=60,
        stderr=subprocess.DEVNULL,
    )
    asked_after = after.read_text().splitlines()
    assert len(asked_after) == 40 - kept  # nothing that was kept is asked again
    assert set(asked_before[:kept]).isdisjoint(asked_after)
    subprocess.run(
        [sys.executable, "-c", ASKER, path, after, "0"],
        env=ENVIRONMENT,
        check=True,
        timeout=60,
        stderr=subprocess.DEVNULL,
    )
    assert after.read_text().splitlines() == asked_after  # a third run asks nothing


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
def test_a_place_for_no_store_is_named_in_one_sentence(tmp_path, position, sentence):
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


def test_a_file_of_replies_that_is_no_text_is_named(tmp_path):
    (tmp_path / "replies.jsonl").write_bytes(b"\xff\xfe{}\n")
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        with pytest.raises(ValueError, match="replies.jsonl is not UTF-8 text"):
            store.import_jsonl(tmp_path / "replies.jsonl")
        (tmp_path / "replies.jsonl").write_bytes(
            b"\xef\xbb\xbf" + json.dumps(vars(made(1))).encode() + b"\n"
        )
        assert store.import_jsonl(tmp_path / "replies.jsonl") == 1 == len(store)


def test_one_store_serves_every_data_set_and_a_test_keeps_its_own(tmp_path, monkeypatch):
    for name in ("TEMA_REPLIES", "TEMA_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)
    shared = ROOT / "build" / "replies.sqlite"
    assert reply_store_path() == shared
    monkeypatch.setenv("TEMA_ARTIFACTS", str(ROOT / "build" / "artifacts" / "fk_mini"))
    assert reply_store_path() == shared
    monkeypatch.setenv("TEMA_ARTIFACTS", str(tmp_path))
    assert reply_store_path() == tmp_path / "replies.sqlite"
    monkeypatch.setenv("TEMA_REPLIES", str(tmp_path / "mine.sqlite"))
    assert reply_store_path() == tmp_path / "mine.sqlite"


def test_a_new_store_takes_over_what_earlier_versions_kept_apart(tmp_path, monkeypatch):
    for position, numbers in (
        ("tags", (1, 2)),
        ("artifacts/fk_mini", (2, 3)),
        ("artifacts/other", (4,)),
    ):
        with ReplyStore(tmp_path / position / "replies.sqlite") as store:
            store.put(map(made, numbers))
    (tmp_path / "artifacts" / "broken").mkdir()
    (tmp_path / "artifacts" / "broken" / "replies.sqlite").write_text("no database " * 99)
    monkeypatch.setenv("TEMA_REPLIES", str(tmp_path / "replies.sqlite"))
    with open_replies() as store:
        assert len(store) == 4
        assert store.get(made(3).key) == "a, b, c"
    with ReplyStore(tmp_path / "tags" / "replies.sqlite") as store:
        store.put([made(9)])
    with open_replies() as store:
        assert len(store) == 4  # once
