"""Asking a web server: one request, what its errors mean, and how long to wait before the next.

Status: ours.
"""

from __future__ import annotations

import email.utils
import http.client
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import IO, Any

from tema_lib.data.files import DataError

LONGEST_WAIT = 120.0  # seconds; a server that asks for more is not waited for
TIMEOUT = 60.0  # seconds
# What a connection raises when it breaks; worth asking again.
BROKEN = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    ssl.SSLError,
)


class _OnlyHttp(urllib.request.HTTPRedirectHandler):
    """A server may send us on to another address, but not out of http."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        check_address(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_opener = urllib.request.build_opener(_OnlyHttp)


def check_address(address: str) -> str:
    """The address itself.  Raises `DataError` where it does not begin with http or https."""
    if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
        raise DataError(
            f"{address} is not an http or https address: give one that begins with http:// or "
            "https://."
        )
    return address


def request(address: str, headers: dict[str, str] | None = None, method: str = "GET") -> Any:
    """The answer of an http server, still to be read.

    Args:
        address: http or https.
        headers: More headers than our own.
        method: GET or HEAD.

    Raises:
        DataError: The address, or one that the server sends us on to, is of another kind.
        OSError: One of `BROKEN`.
    """
    own = {"User-Agent": "tema-lib", "Accept-Encoding": "identity"}
    asked = urllib.request.Request(
        check_address(address), headers={**own, **(headers or {})}, method=method
    )
    return _opener.open(asked, timeout=TIMEOUT)


def pause(error: Exception, failures: int, sleep: Callable[[float], None]) -> None:
    """Wait as the server asks (Retry-After, seconds or a date), else 1, 2, 4, ... seconds."""
    asked = ""
    if isinstance(error, urllib.error.HTTPError):
        asked = error.headers.get("Retry-After", "")
    if asked.strip().isdigit():
        seconds = float(asked)
    elif date := email.utils.parsedate_tz(asked):
        seconds = email.utils.mktime_tz(date) - time.time()
    else:
        seconds = 2.0 ** (failures - 1)
    sleep(min(max(seconds, 0.0), LONGEST_WAIT))


def in_words(error: Exception) -> str:
    """What went wrong with a connection, for those who do not know its exceptions."""
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answered {error.code} {error.reason}"
    reason = getattr(error, "reason", None)
    cause = reason if isinstance(reason, Exception) else error
    if isinstance(cause, TimeoutError):
        return f"no answer within {TIMEOUT:.0f} s"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted: {cause.verify_message}"
    return getattr(cause, "strerror", None) or "the connection broke off"


def worth_another_try(error: Exception) -> bool:
    """False where the server has said plainly that it will not give the file."""
    return not isinstance(error, urllib.error.HTTPError) or error.code == 429 or error.code >= 500
