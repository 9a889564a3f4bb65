"""The reply store: exact keys, whole transactions, two writers at once, and a kill that costs one batch at most."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tema_lib.tags.store import Reply, ReplyStore, reply_key

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def made(number, reply="a, b, c"):
    return Reply("model", "f00d", f"prompt {number}", "{}", reply)


def test_key_depends_on_each_part_and_keeps_them_apart():
    keys = {reply_key(*parts) for parts in [("ab", "c", "d"), ("a", "bc", "d"), ("ab", "cd", ""), ("ab", "c", "e"), ("xx", "c", "d")]}
    assert len(keys) == 5
    assert made(1).key == made(1, reply="another answer").key        # the answer is no part of the question


def test_what_was_put_is_there_after_reopening_and_the_first_answer_stays(tmp_path):
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        store.put([made(1), made(2)])
        store.put([made(1, reply="other")])
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        assert store.get(made(1).key) == "a, b, c" and store.get(made(3).key) is None and len(store) == 2


def test_a_batch_that_fails_half_way_leaves_nothing(tmp_path):
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        with pytest.raises(sqlite3.IntegrityError):
            store.put([made(1), Reply("model", "f00d", "prompt", "{}", None)])
        assert len(store) == 0
        store.put([made(2)])                                          # and the store still works
        assert len(store) == 1


def test_export_is_sorted_the_same_for_equal_stores_and_comes_back(tmp_path):
    for name, numbers in (("one", range(20)), ("two", reversed(range(20)))):
        with ReplyStore(tmp_path / f"{name}.sqlite") as store:
            for number in numbers:
                store.put([made(number, reply=f"crème {number}")])
            assert store.export_jsonl(tmp_path / f"{name}.jsonl") == 20
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    keys = [Reply(**json.loads(line)).key for line in (tmp_path / "one.jsonl").read_text(encoding="utf-8").splitlines()]
    assert keys == sorted(keys)
    with ReplyStore(tmp_path / "three.sqlite") as store:
        assert store.import_jsonl(tmp_path / "one.jsonl") == 20
        assert store.get(made(7).key) == "crème 7"
    assert not list(tmp_path.glob("*.unfinished"))


@pytest.mark.parametrize("line", ['{"model": "m"', "[]", '{"model": "m", "prompt": "p"}', json.dumps({**vars(made(1)), "reply": 3}), ""])
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
from tema_lib.tags.store import Reply, ReplyStore
with ReplyStore(sys.argv[1]) as store:
    for batch in range(60):
        store.put(Reply("model", "f00d", f"{sys.argv[2]} {batch} {row}", "{}", "a, b, c") for row in range(5))
"""


def test_a_store_that_another_process_is_just_making_is_waited_for(tmp_path):
    """SQLite itself does not wait for the lock at the switch to WAL, whatever the time-out."""
    other = sqlite3.connect(tmp_path / "replies.sqlite", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    threading.Timer(0.4, lambda: other.execute("COMMIT")).start()
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        assert len(store) == 0


def test_two_processes_write_at_once_and_lose_nothing(tmp_path):
    path = tmp_path / "replies.sqlite"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, path, name], env=ENVIRONMENT) for name in ("first", "second")]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    with ReplyStore(path) as store:
        assert len(store) == 2 * 60 * 5


def test_a_writer_waits_for_another_one(tmp_path):
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        other = sqlite3.connect(tmp_path / "replies.sqlite", isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")                              # the other one is in the middle of a batch
        release = threading.Timer(0.5, other.execute, ["COMMIT"])
        release.start()
        store.put([made(1)])
        release.join()
        other.close()
        assert len(store) == 1


ASKER = """
import sys, time
from tema_lib.tags.store import ReplyStore
from tema_lib.tags.writing import ask
class SlowModel:                                   # answers by rule, 4 prompts a batch, and notes every prompt it was asked
    name, fingerprint, settings = "slow", "f00d", "{}"
    def generate_batches(self, prompts):
        for start in range(0, len(prompts), 4):
            places = list(range(start, min(start + 4, len(prompts))))
            with open(sys.argv[2], "a") as asked:
                asked.writelines(prompts[place] + chr(10) for place in places)
            time.sleep(float(sys.argv[3]))
            yield places, [prompts[place] + " a, b, c" for place in places]
prompts = [f"prompt {number}" for number in range(40)]
with ReplyStore(sys.argv[1]) as store:
    assert ask(prompts, SlowModel(), store) == [prompt + " a, b, c" for prompt in prompts]
"""


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    path, before, after = tmp_path / "replies.sqlite", tmp_path / "before.txt", tmp_path / "after.txt"
    run = subprocess.Popen([sys.executable, "-c", ASKER, path, before, "0.3"], env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (before.exists() and len(before.read_text().splitlines()) >= 12):
        time.sleep(0.02)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    with ReplyStore(path) as store:
        kept = len(store)
    asked_before = before.read_text().splitlines()
    assert 8 <= kept < 40 and len(asked_before) - kept <= 4           # one batch lost at most
    subprocess.run([sys.executable, "-c", ASKER, path, after, "0"], env=ENVIRONMENT, check=True, timeout=60, stderr=subprocess.DEVNULL)
    asked_after = after.read_text().splitlines()
    assert len(asked_after) == 40 - kept                              # nothing that was kept is asked again
    assert set(asked_before[:kept]).isdisjoint(asked_after)
    subprocess.run([sys.executable, "-c", ASKER, path, after, "0"], env=ENVIRONMENT, check=True, timeout=60, stderr=subprocess.DEVNULL)
    assert after.read_text().splitlines() == asked_after              # a third run asks nothing
