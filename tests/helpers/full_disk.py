"""A full disk for the tests of what is written: a real limit of the system, nothing patched."""

import contextlib

import pytest


@contextlib.contextmanager
def full_disk(most=64):
    """Inside the block the system refuses to write files of more than `most` bytes.

    pytest's own log is such a file as well, so the block must hold the tested call only.
    """
    resource, signal = pytest.importorskip("resource"), pytest.importorskip("signal")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
