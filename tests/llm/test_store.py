"""The reply store: exact keys, whole transactions, two writers at once.

A killed run loses one batch at most.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tema_lib.llm.store import Reply, ReplyStore, open_replies, reply_key
from tema_lib.workspace import replies_path
from tests.helpers.replies import made

ROOT = Path(__file__).resolve().parents[2]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


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


WRITER = """
import sys
from tema_lib.llm.store import Reply, ReplyStore
with ReplyStore(sys.argv[1]) as store:
    for batch in range(60):
        prompts = [f"{sys.argv[2]} {batch} {row}" for row in range(5)]
        store.put(Reply("model", "f00d", prompt, "{}", "a, b, c") for prompt in prompts)
"""


def test_two_processes_write_at_once_and_lose_nothing(tmp_path):
    path = tmp_path / "replies.sqlite"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, path, name], env=ENVIRONMENT)
        for name in ("first", "second")
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    with ReplyStore(path) as store:
        assert len(store) == 2 * 60 * 5


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
    assert replies_path() == shared
    monkeypatch.setenv("TEMA_ARTIFACTS", str(ROOT / "build" / "artifacts" / "fk_mini"))
    assert replies_path() == shared
    monkeypatch.setenv("TEMA_ARTIFACTS", str(tmp_path))
    assert replies_path() == tmp_path / "replies.sqlite"
    monkeypatch.setenv("TEMA_REPLIES", str(tmp_path / "mine.sqlite"))
    assert replies_path() == tmp_path / "mine.sqlite"


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
