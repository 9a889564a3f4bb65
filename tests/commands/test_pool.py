"""Steps run side by side and in order, and whatever ends a run ends all of them."""

import os
import signal
import threading
import time
from multiprocessing import active_children

import pytest

from tema_lib.commands import pool
from tema_lib.commands.pool import Step


def pid_after(seconds, *lines):
    time.sleep(seconds)
    print(*lines)
    return os.getpid(), time.time()


def fail(sentence):
    raise ValueError(sentence)


def die():
    os._exit(9)


def test_steps_run_side_by_side_and_in_order(capsys, monkeypatch):
    monkeypatch.setattr(pool, "processes", lambda: 2)
    todo = {
        "one": Step(pid_after, (1.0, "a remark")),
        "other": Step(pid_after, (1.0,)),
        "last": Step(pid_after, (0.0,), ("one", "other")),
    }
    done = pool.run_all(todo, {"one": 7.0})
    pids = {name: result.value[0] for name, result in done.items()}
    assert pids["one"] != pids["other"]
    assert os.getpid() not in pids.values()
    ends = {name: result.value[1] for name, result in done.items()}
    assert ends["last"] > max(ends["one"], ends["other"])
    assert done["one"].remarks == ["a remark"]
    said = capsys.readouterr().out
    assert "one, about 7 s" in said
    assert said.index("other") < said.index("last")


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (Step(fail, ("the disk is full",)), "bad failed: the disk is full"),
        (Step(die), "A process was killed .*bad"),
    ],
)
def test_a_step_that_fails_ends_the_run_with_one_sentence(step, sentence, monkeypatch):
    monkeypatch.setattr(pool, "processes", lambda: 2)
    begun = time.time()
    with pytest.raises(SystemExit, match=sentence):
        pool.run_all({"long": Step(pid_after, (300,)), "bad": step}, {})
    assert not active_children()
    assert time.time() - begun < 290, "it waited for the long step"


def test_a_run_that_is_told_to_stop_leaves_no_process_behind(monkeypatch):
    monkeypatch.setattr(pool, "processes", lambda: 2)
    before, begun = signal.getsignal(signal.SIGTERM), time.time()
    alarm = threading.Timer(5, os.kill, (os.getpid(), signal.SIGTERM))
    alarm.start()
    with pytest.raises(SystemExit, match="^Stopped. What is made stays"):
        pool.run_all({"long": Step(pid_after, (300,))}, {})
    assert not active_children()
    assert time.time() - begun < 290, "it waited for the long step"
    assert signal.getsignal(signal.SIGTERM) is before
