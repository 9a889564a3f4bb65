"""What students' code might do to the grader.

Each attack succeeds where its guard is taken away.
"""

import os
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tema_lib.course.isolation import ways
from tema_lib.course.marking import mark
from tema_lib.course.sandbox import CannotStart, Limits, Sandbox, Stopped, SubmissionError
from tests.helpers import assignments
from tests.helpers.assignments import submission

FAST = Limits(call=1, cell=1, total=6, memory=2**30)


def attack(lines, imports="os"):
    """A right answer that is given only after something forbidden has worked."""
    body = "".join(f"    {line}\n" for line in lines.splitlines())
    return f"import {imports}\ndef doubled(values):\n{body}    return [2 * v for v in values]\n"


# --- time ---

LOOP = "while True: pass"
STUBBORN = """while True:
    try:
        while True: sum(range(9))
    except BaseException: pass"""


def test_a_function_that_loops_is_interrupted_and_the_others_are_marked(shut_in, tiny, tmp_path):
    marks = mark(tiny, submission(tmp_path, first=attack(LOOP)), shut_in, FAST)
    assert [one.points for one in marks.cells] == [0, 3]
    assert "took too long" in marks.cells[0].message


def test_a_function_that_cannot_be_interrupted_ends_the_notebook(shut_in, tiny, tmp_path):
    marks = mark(tiny, submission(tmp_path, first=attack(STUBBORN)), shut_in, FAST)
    assert marks.score == 0
    assert "could not be interrupted" in marks.cells[1].message
    assert "was stopped" in marks.notes[-1]


@pytest.mark.parametrize("loop", [LOOP, STUBBORN])
def test_a_cell_that_loops_does_not_hold_up_the_grader(shut_in, tiny, tmp_path, loop):
    marks = mark(tiny, submission(tmp_path, own=loop), shut_in, FAST)
    assert marks.score == (5 if loop == LOOP else 0)  # the cell alone is lost, or all
    assert marks.notes


def test_many_slow_cells_together_have_a_limit_too(shut_in, tiny, tmp_path):
    slow = attack("time.sleep(0.6)", "time")
    marks = mark(tiny, submission(tmp_path, first=slow), shut_in, replace(FAST, total=0.5))
    assert "all its cells together took longer than 0.5 s" in marks.notes[-1]


def test_without_limits_a_loop_goes_on():
    """The guard of the tests above, taken away."""
    with Sandbox(None, Limits(call=600)) as sandbox:
        sandbox.run(attack(STUBBORN))

        def wait():
            with pytest.raises(Stopped):
                sandbox.call("doubled", [1])

        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(2 * FAST.call + 1)
        assert waiting.is_alive()
        sandbox.process.kill()
        waiting.join()


# --- memory, files, processes ---


@pytest.mark.parametrize(
    ("lines", "guard", "words"),
    [
        ("mmap.mmap(-1, 2**30).close()", {"memory": 2**33}, "Cannot allocate memory"),
        (
            "with open('/tmp/tema-large', 'wb') as file: file.truncate(2**27)\n"
            "os.unlink('/tmp/tema-large')",
            {"file": 2**28},
            "File too large",
        ),
    ],
    ids=["memory", "file"],
)
def test_memory_and_files_have_limits(shut_in, tiny, tmp_path, lines, guard, words):
    greedy = submission(tmp_path, first=attack(lines, "mmap, os"))
    marks = mark(tiny, greedy, shut_in, FAST)
    assert [one.points for one in marks.cells] == [0, 3]
    assert words in marks.cells[0].message
    assert mark(tiny, greedy, shut_in, replace(FAST, **guard)).score == 5


FORKS = """children = []
try:
    for _ in range(100):
        child = os.fork()
        if child == 0:
            time.sleep(20)
            os._exit(0)
        children.append(child)
finally:
    for child in children:
        os.kill(child, 9)
        os.waitpid(child, 0)"""


@pytest.mark.parametrize("way", ways(()), ids=lambda way: way.name)
def test_a_hundred_processes_are_too_many(shut_in, tiny, tmp_path, way):
    many = submission(tmp_path, first=attack(FORKS, "os, time"))
    marks = mark(tiny, many, way, FAST)
    assert [one.points for one in marks.cells] == [0, 3]
    assert "BlockingIOError" in marks.cells[0].message
    assert mark(tiny, many, way, replace(FAST, processes=200)).score == 5


MANY_EAT = """children = []
for _ in range(6):
    child = os.fork()
    if child == 0:
        eaten = bytearray(2**26)
        time.sleep(1)
        os._exit(0)
    children.append(child)
assert not any([os.waitpid(child, 0)[1] for child in children]), 'one was killed'"""


def test_many_processes_that_eat_a_little_each_have_a_limit_together(shut_in, tiny, tmp_path):
    if not any(list(group.glob("memory.[ml]*")) for group in shut_in.groups):
        pytest.skip("no control group for memory here")
    many = submission(tmp_path, first=attack(MANY_EAT, "os, time"))
    slow = replace(FAST, call=10, total=20)
    assert mark(tiny, many, shut_in, slow).score == 5
    marks = mark(tiny, many, shut_in, replace(slow, together=2**27))
    assert marks.score < 5
    assert "one was killed" in marks.cells[0].message or "too much memory" in marks.notes[-1]


BOMB = """while True:
    try: os.fork()
    except OSError: time.sleep(0.05)"""


def test_a_fork_bomb_is_ended_with_all_its_processes(shut_in, tiny, tmp_path):
    """Without a limit on processes it would take the machine: the test above shows that part."""
    marks = mark(tiny, submission(tmp_path, first=attack(BOMB, "os, time")), shut_in, FAST)
    assert marks.score <= 3
    assert mark(tiny, submission(tmp_path), shut_in, FAST).score == 5
    for group in shut_in.groups:
        assert not list(group.glob(f"sandbox-{os.getpid()}-*"))  # others run beside this test


# --- the network, files, other processes ---


def guarded_and_not(tiny, path, first, shut_in):
    """The marks of a submission in the sandbox, and where it is not shut in."""
    one = submission(path, first=first)
    return mark(tiny, one, shut_in, FAST), mark(tiny, one, None, FAST)


def test_a_socket_reaches_nobody(shut_in, tiny, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = ("127.0.0.1", server.getsockname()[1])
        first = attack(f"socket.create_connection({address}, 1).close()", "socket")
        guarded, free = guarded_and_not(tiny, tmp_path, first, shut_in)
    assert free.score == 5
    assert guarded.score == 3
    assert "OSError" in guarded.cells[0].message or "refused" in guarded.cells[0].message


@pytest.mark.parametrize("name", ["hidden tests", "grade book", "other submission", "environment"])
def test_files_of_others_are_not_there(shut_in, tiny, tmp_path, name):
    path = {
        "hidden tests": tmp_path / "source" / "tiny" / "tiny.ipynb",
        "grade book": tmp_path / "gradebook.db",
        "other submission": tmp_path / "class" / "ada" / "tiny.ipynb",
        "environment": f"/proc/{os.getpid()}/environ",
    }[name]
    if name in ("grade book", "other submission"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("private")
    first = attack(f"assert open({str(path)!r}, 'rb').read()")
    guarded, free = guarded_and_not(tiny, tmp_path, first, shut_in)
    assert free.score == 5
    assert guarded.score == 3
    assert "FileNotFoundError" in guarded.cells[0].message


def test_a_folder_cannot_be_deleted_from_inside(shut_in, tiny, tmp_path):
    home = tmp_path / "class" / "eve"
    first = f"import shutil\nshutil.rmtree({str(home)!r}, ignore_errors=True)\n" + assignments.FIRST
    deletes = submission(home, first=first)
    assert mark(tiny, deletes, shut_in, FAST).score == 5  # it has its points, and the folder stays
    assert (home / "tiny.ipynb").is_file()
    mark(tiny, deletes, None, FAST)
    assert not home.exists()


@pytest.mark.parametrize("way", ways(()), ids=lambda way: way.name)
def test_the_library_is_there_to_be_read_only(shut_in, way):
    with Sandbox(way, FAST) as sandbox:
        sandbox.run(
            "import tema_lib\n"
            "def version(): return tema_lib.__version__\n"
            "def write(): open(tema_lib.__file__, 'a')"
        )
        assert sandbox.call("version")
        refused = "Permission denied" if way.own_uid else "Read-only file system"
        with pytest.raises(SubmissionError, match=refused):
            sandbox.call("write")


@pytest.mark.skipif(getattr(os, "geteuid", int)() != 0, reason="only root may change them")
def test_root_s_submissions_cannot_change_the_system_s_settings(shut_in):
    """What the kernel runs when a program crashes; it is opened here, not written."""
    opens = "def opens(): open('/proc/sys/kernel/core_pattern', 'a').close()"
    for way in ways(()):
        with Sandbox(way, FAST) as sandbox:
            sandbox.run(opens)
            with pytest.raises(SubmissionError, match="No such file"):
                sandbox.call("opens")
    with Sandbox(None, FAST) as sandbox:
        sandbox.run(opens)
        sandbox.call("opens")


def test_no_right_is_left_that_could_undo_the_walls(shut_in):
    status = "def status(): return open('/proc/self/status').read()\n"
    mount = (
        "import ctypes\ndef mount(): return ctypes.CDLL(None).mount(b'x', b'/tmp', b'tmpfs', 0, 0)"
    )
    for way in (shut_in, *ways(())):
        with Sandbox(way, FAST) as sandbox:
            sandbox.run(status + mount)
            rights = dict(line.split(":\t") for line in sandbox.call("status").splitlines())
            assert {int(rights[name], 16) for name in ("CapPrm", "CapEff", "CapBnd")} == {0}
            assert rights["NoNewPrivs"] == "1"
            assert sandbox.call("mount") == -1


# --- equality ---

ALWAYS = """class Always(int):
    def __eq__(self, other): return True
    __hash__ = int.__hash__
def doubled(values):
    return Always()
def largest(values):
    return Always()
"""


def test_faked_equality_scores_nothing(shut_in, tiny, tmp_path):
    marks = mark(tiny, submission(tmp_path, second=ALWAYS), shut_in, FAST)
    assert marks.score == 0
    assert "class Always cannot be passed on" in marks.cells[0].message
    beside = {}  # without the guard: the tests beside the student's code, as nbgrader runs them
    for cell in (assignments.source().cells[1].source, ALWAYS):
        exec(cell, beside)
    exec(assignments.FIRST_TESTS, beside)
    exec(assignments.SECOND_TESTS, beside)


def test_an_array_with_an_equality_of_its_own_arrives_as_a_plain_one(shut_in, tiny, tmp_path):
    second = """class Equal(np.ndarray):
    def __eq__(self, other): return True
def largest(values):
    return np.zeros(1).view(Equal)[0:1].squeeze()
"""
    assert mark(tiny, submission(tmp_path, second=second), shut_in, FAST).score == 2


# --- the connection to the grader ---


def test_what_is_printed_stays_inside(shut_in, tiny, tmp_path):
    first = attack("print('x' * 99, flush=True); os.write(1, b'y'); os.system('echo z')")
    assert mark(tiny, submission(tmp_path, first=first), shut_in, FAST).score == 5


WRITES = """for number in range(3, 30):
    try:
        os.write(number, {bytes})
    except OSError: pass"""


@pytest.mark.parametrize(
    "sent",
    [
        "b'rubbish, and more of it'",
        "b'\\\\0' * 7 + b'\\\\2' + b'{}'",
        "b'\\\\0' * 7 + bytes([len(FORGED)]) + FORGED",
        "b'\\\\xff' * 8",
    ],
)
def test_who_writes_into_the_connection_is_stopped(shut_in, tiny, tmp_path, sent):
    forged = 'FORGED = b\'{"number": 99, "value": [2, 4]}\'\n'
    first = forged + attack(WRITES.format(bytes=sent.replace("\\\\", "\\")))
    marks = mark(tiny, submission(tmp_path, first=first), shut_in, FAST)
    assert marks.score == 0
    assert "disturbed the connection" in marks.notes[-1]


def test_a_flood_of_replies_is_stopped(shut_in, tiny, tmp_path):
    lines = "while True:\n" + "\n".join("    " + line for line in WRITES.splitlines())
    first = attack(lines.format(bytes="b'\\0' * 7 + b'\\2' + b'{}'"))
    marks = mark(tiny, submission(tmp_path, first=first), shut_in, FAST)
    assert "disturbed the connection" in marks.notes[-1]


@pytest.mark.parametrize(
    ("lines", "score"),
    [("os._exit(0)", 0), ("os.kill(os.getpid(), 9); os.abort()", 0), ("raise SystemExit", 3)],
)
def test_an_end_of_the_process_is_an_end_of_one_notebook(shut_in, tiny, tmp_path, lines, score):
    marks = mark(tiny, submission(tmp_path, first=attack(lines)), shut_in, FAST)
    assert marks.score == score


def test_a_child_that_comes_back_does_not_answer_a_second_time(shut_in, tiny, tmp_path):
    assert mark(tiny, submission(tmp_path, first=attack("os.fork()")), shut_in, FAST).score == 5


def test_a_sandbox_that_does_not_start_says_what_the_system_said(shut_in):
    broken = replace(shut_in, hidden=(*shut_in.hidden, Path("/usr/no such")))
    with pytest.raises(CannotStart, match="no such"), Sandbox(broken, FAST):
        pass


def test_the_time_of_the_start_is_not_the_student_s(shut_in):
    with Sandbox(shut_in, replace(FAST, total=3)) as sandbox:
        assert sandbox.deadline - time.monotonic() > 2
