"""Before anything is graded each protection is tried; where one does not hold, it is named."""

import os
import sys
from dataclasses import replace

import pytest

from tema_lib.course import isolation, protection
from tema_lib.course.protection import PROTECTIONS, best_isolation, missing
from tema_lib.course.sandbox import Limits
from tests.helpers import assignments
from tests.helpers.commands import tema

LIMITS = Limits(memory=2**30)
FILES, SETTINGS, NETWORK, OTHERS, PROCESSES, MEMORY = PROTECTIONS


@pytest.fixture
def private(tmp_path):
    file = tmp_path / "private"
    file.touch()
    return [file]


def test_all_protections_hold_in_every_way_that_is_offered(shut_in, private):
    assert missing(shut_in, LIMITS, private) == []


def test_without_isolation_only_memory_is_limited(private):
    lacks = missing(None, LIMITS, private)
    assert {FILES, NETWORK, OTHERS, PROCESSES} <= set(lacks)
    assert MEMORY not in lacks


@pytest.mark.parametrize(
    ("taken", "lost"),
    [
        (("--net ", ""), [NETWORK]),
        (("--pid ", ""), None),  # /proc then shows nothing of ours, and does not start
        (("pivot_root . old", "true"), None),
        (("remount,bind,ro", "remount,bind,rw"), [SETTINGS]),
    ],
)
def test_a_wall_that_is_not_there_is_noticed(shut_in, private, monkeypatch, taken, lost):
    """As on a machine whose kernel or container refuses a part of the sandbox."""
    monkeypatch.setattr(isolation, "UNSHARE", isolation.UNSHARE.replace(*taken))
    script = isolation.Isolation._script

    def changed(self, root, program):
        return script(self, root, program).replace(*taken)

    monkeypatch.setattr(isolation.Isolation, "_script", changed)
    lacks = missing(replace(shut_in, own_uid=False), LIMITS, private)
    assert lacks == lost if lost else lacks


def test_no_limit_on_processes_is_noticed(shut_in, private):
    """`--nproc` alone does not hold for root, which is who runs in a namespace of users."""
    alone = replace(shut_in, groups=(), own_uid=False)
    assert (PROCESSES in missing(alone, LIMITS, private)) == (os.geteuid() == 0)


def test_what_cannot_be_started_protects_nothing(private):
    nowhere = isolation.Isolation("a control group", groups=(private[0].parent / "none",))
    assert missing(nowhere, LIMITS, private) == list(PROTECTIONS)


def test_elsewhere_than_on_linux_there_is_no_sandbox(private, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    found, lacks = best_isolation(LIMITS, private)
    assert found is None
    assert PROCESSES in lacks


def test_grading_is_refused_without_protection_unless_it_is_wished(tmp_path, monkeypatch):
    source = tmp_path / "sources" / "tiny" / "tiny.ipynb"
    assignments.write(assignments.source(), source)
    assignments.write(assignments.handed_in(), tmp_path / "class" / "ada" / "tiny.ipynb")
    monkeypatch.setenv("TEMA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(protection, "ways", lambda hidden: [])
    arguments = ("grade", tmp_path / "class", "--sources", tmp_path / "sources")
    refused = tema(*arguments)
    assert refused.returncode == 1
    for words in ("The sandbox does not hold", PROCESSES, NETWORK, "UNSAFE=1"):
        assert words in refused.stderr
    assert not (tmp_path / "home").exists()
    done = tema(*arguments, "--unsafe")
    assert done.returncode == 0, done.stderr
    assert PROCESSES in done.stdout
    assert "ada, tiny: 5 of 5" in done.stdout
