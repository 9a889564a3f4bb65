"""The sandbox as `make grade` would use it on this machine."""

import os

import pytest

from tema_lib.course.protection import best_isolation
from tema_lib.course.sandbox import Limits
from tests.helpers import assignments


@pytest.fixture(scope="session")
def shut_in(tmp_path_factory):
    """The isolation that holds here; without one a test is skipped, or fails in .ci/run."""
    file = tmp_path_factory.mktemp("private") / "file"
    file.touch()
    isolation, lacks = best_isolation(Limits(), [file])
    if lacks:
        tell = pytest.fail if os.environ.get("TEMA_SANDBOX") == "required" else pytest.skip
        tell(f"the sandbox does not hold on this machine: {'; '.join(lacks)}")
    return isolation


@pytest.fixture
def tiny(tmp_path):
    """A small assignment: 2 points for `doubled`, 3 for `largest`."""
    return assignments.assignment(tmp_path)
