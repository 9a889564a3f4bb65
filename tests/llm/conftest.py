"""A small chat server for tests of what a server may do."""

import signal

import pytest

from tests.helpers.chat_server import chat_server


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("TEMA_API_KEY", "")
    # A job in the background of a shell ignores Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with chat_server() as running:
        yield running
    signal.signal(signal.SIGINT, before)
