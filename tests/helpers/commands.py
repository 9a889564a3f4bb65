"""The command `tema`, run in this process: torch and the models of text need not be loaded anew."""

import contextlib
import io
import os
from typing import NamedTuple
from unittest import mock

from tema_lib import cli


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def tema(*arguments):
    """What a process of its own would say and return; the environment is as before afterwards.

    Any error but an exit is the test's: a user would see its traceback.
    """
    out, error, code = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.dict(os.environ),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(error),
    ):
        try:
            code = cli.main(list(map(str, arguments)))
        except SystemExit as left:  # as Python itself ends: a sentence is an error's
            code = left.code or 0
            if not isinstance(code, int):
                print(code, file=error)
                code = 1
    return Done(code, out.getvalue(), error.getvalue())
