"""Fetch large files over http, such that an interruption costs nothing and a changed file is noticed.

    download(address, path)        goes on where it stopped, checks what came, leaves a note beside it

Beside a finished file `x.gz` lies `x.gz.json`: address, size, SHA-256 and the server's marks of the version; beside an unfinished one
(`x.gz.part`) the marks alone, since the rest of another version must never be appended.  Status: ours.
"""

from __future__ import annotations

import email.utils
import hashlib
import http.client
import json
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from tqdm import tqdm

from tema_lib.data.dataset import DataError

TRIES = 6  # without a new byte between them
LONGEST_WAIT = 120.0  # seconds; a server that asks for more is not waited for
SPARE = 64 * 2**20  # bytes that stay free on the disk
BLOCK = 2**18
TIMEOUT = 60.0
BROKEN = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    ssl.SSLError,
)  # ask again


class _OnlyHttp(urllib.request.HTTPRedirectHandler):
    """A server may send us on to another address, but not out of http."""

    def redirect_request(self, request, file, code, message, headers, address):
        _checked_address(address)
        return super().redirect_request(request, file, code, message, headers, address)


_opener = urllib.request.build_opener(_OnlyHttp)


def _checked_address(address: str) -> str:
    if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
        raise DataError(
            f"{address} is no http or https address: give one that begins with http:// or https://."
        )
    return address


def request(address: str, headers: dict | None = None, method: str = "GET"):
    """The answer of an http server, still to be read.  Raises `DataError` for another kind of address, and one of `BROKEN`."""
    asked = urllib.request.Request(
        _checked_address(address),
        headers={"User-Agent": "tema-lib", "Accept-Encoding": "identity", **(headers or {})},
        method=method,
    )
    return _opener.open(asked, timeout=TIMEOUT)


def pause(error, failures: int, sleep: Callable[[float], None]) -> None:
    """Wait as long as the server asks (Retry-After, in seconds or as a date), else 1, 2, 4, ... seconds."""
    asked = (
        error.headers.get("Retry-After", "") if isinstance(error, urllib.error.HTTPError) else ""
    )
    if asked.strip().isdigit():
        seconds = float(asked)
    elif date := email.utils.parsedate_tz(asked):
        seconds = email.utils.mktime_tz(date) - time.time()
    else:
        seconds = 2.0 ** (failures - 1)
    sleep(min(max(seconds, 0.0), LONGEST_WAIT))


def in_words(error) -> str:
    """What went wrong with a connection, for those who do not know its exceptions."""
    cause = (
        getattr(error, "reason", None) if not isinstance(error, urllib.error.HTTPError) else error
    )
    cause = cause if isinstance(cause, Exception) else error
    if isinstance(cause, urllib.error.HTTPError):
        return f"the server answered {cause.code} {cause.reason}"
    if isinstance(cause, TimeoutError):
        return f"no answer within {TIMEOUT:.0f} s"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted: {cause.verify_message}"
    return getattr(cause, "strerror", None) or "the connection broke off"


def worth_another_try(error) -> bool:
    """Not where the server has said plainly that it will not give the file."""
    return not isinstance(error, urllib.error.HTTPError) or error.code == 429 or error.code >= 500


# ---------------------------------------------------------------------------------------------- one large file


def download(
    address: str, path: Path | str, *, sha256: str = "", sleep: Callable[[float], None] = time.sleep
) -> Path:
    """Bring one file here, whole and checked, or raise `DataError` and keep what came for the next try.

    sha256: the published checksum, where there is one; without it the file's own is recorded.  A gzip file's inner checksum is always
    verified.  A file that is already here is kept; a warning says when the server has another version of it by now.
    """
    _checked_address(address)
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):  # two runs never write into the same part
            if path.is_file():
                return _already_here(address, path, sha256)
            part = path.with_name(path.name + ".part")
            marks = _fetch(address, part, sleep)
            digest = _verified(address, part, sha256)
            note = {
                "address": address,
                "size": part.stat().st_size,
                "sha256": digest,
                "published_checksum": bool(sha256),
                **marks,
            }
            _write_note(path, note)
            os.replace(part, path)
            _note_of(part).unlink(missing_ok=True)
        Path(f"{path}.lock").unlink(missing_ok=True)
        return path
    except OSError as error:  # those of the network were dealt with where they came
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> DataError:
    return DataError(
        f"{path} cannot be written ({error.strerror or error}): make room, let the folder be written, or choose another "
        "one; the same command goes on from here."
    )


def _already_here(address: str, path: Path, sha256: str) -> Path:
    note = _read_note(path)
    if note.get("size", path.stat().st_size) != path.stat().st_size:
        raise DataError(
            f"{path} has {path.stat().st_size:,} bytes and had {note['size']:,} when it came: delete it, and it is downloaded again."
        )
    if sha256 and note.get("sha256") != sha256:
        _verified(address, path, sha256)
    try:
        with request(address, method="HEAD") as answer:
            now = _marks(answer)
    except (DataError, *BROKEN):
        return path  # no network is no reason not to use what is here
    before = {name: note.get(name, "") for name in now}
    if any(now[name] and before[name] and now[name] != before[name] for name in now):
        warnings.warn(
            f"{address} has changed since {path} was downloaded: delete that file to get the new version.",
            stacklevel=3,
        )
    return path


def _fetch(address: str, part: Path, sleep) -> dict:
    """Fill `part` from where it ends.  Returns the server's marks of the version."""
    failures, bar = 0, None
    try:
        while True:
            have = part.stat().st_size if part.is_file() else 0
            marks = _read_note(part)
            if have and not marks:
                have = _start_again(part)  # nobody knows which version this is a part of
            before = have
            try:
                with request(address, _range(have, marks)) as answer:
                    if answer.status == 206 and not _continues(answer, have, marks):
                        _start_again(part)
                        continue
                    if answer.status != 206 and have:
                        print(
                            f"{part.name}: the server begins anew (another version, or it cannot continue)",
                            flush=True,
                        )
                        have = _start_again(part)
                    if not have:
                        marks = _marks(answer) | {"address": address, "total": _total(answer)}
                        _write_note(part, marks)
                    total = marks["total"]
                    _check_space(part, (total or 0) - have)
                    bar = bar or tqdm(
                        total=total,
                        initial=have,
                        unit="B",
                        unit_scale=True,
                        desc=part.stem,
                        disable=None,
                    )
                    with open(part, "ab") as file:
                        while block := answer.read(BLOCK):
                            file.write(block)
                            bar.update(len(block))
                            have += len(block)
                if total is None or have == total:
                    return {name: marks[name] for name in ("etag", "last_modified")}
                if have > total:
                    _start_again(part)
                raise http.client.IncompleteRead(b"", total - have)
            except urllib.error.HTTPError as error:
                if (
                    error.code == 416
                ):  # we ask for what lies behind the end: all is here, or it is another file now
                    total = re.fullmatch(
                        r"bytes \*/(\d+)", error.headers.get("Content-Range", "").strip()
                    )
                    if (
                        total
                        and int(total[1]) == have == marks.get("total", have)
                        and _same(_marks(error), marks)
                    ):
                        return {name: marks[name] for name in ("etag", "last_modified")}
                    print(
                        f"{part.name}: the file at the server has changed; starting anew",
                        flush=True,
                    )
                    _start_again(part)
                    failures += 1
                    if failures < TRIES:
                        continue
                elif not worth_another_try(error):
                    raise DataError(
                        f"{address} answered {error.code} {error.reason}: check the address, or fetch the file by hand to "
                        f"{part.with_suffix('')}."
                    ) from None
                reason = error
            except BROKEN as error:
                reason = error
            now = part.stat().st_size if part.is_file() else 0
            failures = (
                1 if now > before else failures + 1
            )  # a connection that brings something may break as often as it likes
            if failures >= TRIES:
                raise DataError(
                    f"{address} could not be fetched after {TRIES} tries ({in_words(reason)}); "
                    "the same command goes on from here later."
                ) from None
            pause(reason, failures, sleep)
    finally:
        if bar is not None:
            bar.close()


def _range(have: int, marks: dict) -> dict:
    if not have:
        return {}
    etag = marks.get("etag", "")
    condition = etag if etag and not etag.startswith("W/") else marks.get("last_modified", "")
    return {"Range": f"bytes={have}-", **({"If-Range": condition} if condition else {})}


def _marks(answer) -> dict:
    return {
        "etag": answer.headers.get("ETag", ""),
        "last_modified": answer.headers.get("Last-Modified", ""),
    }


def _same(now: dict, before: dict) -> bool:
    return all(not now[name] or not before.get(name) or now[name] == before[name] for name in now)


def _total(answer) -> int | None:
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _continues(answer, have: int, marks: dict) -> bool:
    """Whether a partial answer is the rest of the version that we hold the beginning of."""
    span = re.fullmatch(
        r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", "").strip()
    )
    return (
        bool(span)
        and int(span[1]) == have
        and span[2] in ("*", str(marks.get("total")))
        and _same(_marks(answer), marks)
    )


def _start_again(part: Path) -> int:
    part.unlink(missing_ok=True)
    _note_of(part).unlink(missing_ok=True)
    return 0


def _check_space(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed + SPARE > free:
        raise DataError(
            f"{part.parent} has {free / 2**20:,.0f} MiB free and {part.stem} needs {(needed + SPARE) / 2**20:,.0f}: make room, or choose another folder."
        )


def _verified(address: str, path: Path, sha256: str) -> str:
    """SHA-256 of the file, compared with the published one; a gzip file is unpacked once to check it.  A wrong file is deleted."""
    whole = hashlib.sha256()
    packed = zlib.decompressobj(wbits=31) if ".gz" in path.suffixes else None
    try:
        with open(path, "rb") as file:
            while block := file.read(BLOCK):
                whole.update(block)
                while packed and block:
                    packed.decompress(block)
                    block = packed.unused_data
                    if packed.eof and block.strip(
                        b"\0"
                    ):  # several gzip files one after the other are one gzip file
                        packed = zlib.decompressobj(wbits=31)
                    elif packed.eof:
                        break
        fault = "" if packed is None or packed.eof else "ends in the middle of its gzip stream"
    except zlib.error:
        fault = "is no whole gzip file"
    if sha256 and whole.hexdigest() != sha256.lower():
        fault = f"has SHA-256 {whole.hexdigest()}, published is {sha256}"
    if fault:
        _start_again(path)
        raise DataError(
            f"{path.name.removesuffix('.part')} from {address} {fault}: it was deleted; run the same command again."
        )
    return whole.hexdigest()


def _note_of(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _write_note(path: Path, note: dict) -> None:
    new = path.with_name(path.name + ".json.new")
    new.write_text(json.dumps(note, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(new, _note_of(path))


def _read_note(path: Path) -> dict:
    try:
        note = json.loads(_note_of(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}
