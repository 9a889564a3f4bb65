"""Fetch large files over http: an interruption costs nothing, and a changed file is noticed.

    download(address, path)     goes on where it stopped, checks what came, leaves a note beside it

Beside a finished file `x.gz` is `x.gz.json`: address, size, SHA-256, and the ETag and date that
tell the server's versions of it apart.  Beside an unfinished one (`x.gz.part`) the last two are
noted, since the rest of another version must never be appended.

Retries are our own rather than urllib3's: those cannot go on inside a body that broke off, and that
is what happens to files of this size.  Status: ours.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import shutil
import time
import urllib.error
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock
from tqdm import tqdm

from tema_lib.data.files import DataError
from tema_lib.datasets.amazon.versions import (
    continues,
    note_of,
    range_headers,
    read_note,
    same_version,
    total_of,
    version_of,
    write_note,
)
from tema_lib.datasets.amazon.web import (
    BROKEN,
    check_address,
    in_words,
    pause,
    request,
    worth_another_try,
)

TRIES = 6  # without a new byte between them
SPARE = 64 * 2**20  # bytes that stay free on the disk
BLOCK = 2**18  # bytes read at a time


def download(
    address: str, path: Path | str, *, sha256: str = "", sleep: Callable[[float], None] = time.sleep
) -> Path:
    """Bring one file here, whole and checked; what came is kept for the next try where it fails.

    A gzip file's inner checksum is always verified.  A file that is already here is kept; a warning
    says when the server has another version of it by now.

    Args:
        address: http or https.
        path: Where the file is to lie.
        sha256: The published checksum, where there is one; the file's own is recorded anyway.
        sleep: How to wait, in seconds.

    Raises:
        DataError: The file could not be fetched, was not the right one, or could not be written.
    """
    check_address(address)
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):  # two runs never write into the same part
            if path.is_file():
                return _already_here(address, path, sha256)
            part = path.with_name(path.name + ".part")
            version = _fetch(address, part, sleep)
            digest = _verified(address, part, sha256)
            note = {
                "address": address,
                "size": part.stat().st_size,
                "sha256": digest,
                "published_checksum": bool(sha256),
                **version,
            }
            write_note(path, note)
            os.replace(part, path)
            note_of(part).unlink(missing_ok=True)
        Path(f"{path}.lock").unlink(missing_ok=True)
        return path
    except OSError as error:  # those of the network were dealt with where they came
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> DataError:
    """The message for a file or folder that the system refuses to write."""
    return DataError(
        f"{path} cannot be written ({error.strerror or error}): make room, let the folder be "
        "written, or choose another one; the same command goes on from here."
    )


def _already_here(address: str, path: Path, sha256: str) -> Path:
    """Check a file of an earlier run, and ask the server whether it has another version by now."""
    note, size = read_note(path), path.stat().st_size
    if note.get("size", size) != size:
        raise DataError(
            f"{path} has {size:,} bytes and had {note['size']:,} when it came: delete it, and it "
            "is downloaded again."
        )
    if sha256 and note.get("sha256") != sha256:
        _verified(address, path, sha256)
    try:
        with request(address, method="HEAD") as answer:
            now = version_of(answer)
    except (DataError, *BROKEN):
        return path  # without a network, what is here is still good
    if not same_version(now, {name: note.get(name, "") for name in now}):
        warnings.warn(
            f"{address} has changed since {path} was downloaded: delete that file to get the new "
            "version.",
            stacklevel=3,
        )
    return path


# --- fetching ---


class _Progress:
    """A bar that appears when the size is known."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.bar: Any = None

    def start(self, total: int | None, have: int) -> None:
        if self.bar is None:
            self.bar = tqdm(
                total=total,
                initial=have,
                unit="B",
                unit_scale=True,
                desc=self.name,
                disable=None,
            )

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def _fetch(address: str, part: Path, sleep: Callable[[float], None]) -> dict[str, str]:
    """Fill `part` from where it ends.  Returns what tells the server's version."""
    failures = 0
    progress = _Progress(part.stem)
    reason: Exception
    try:
        while True:
            if _size(part) and not read_note(part):
                _start_again(part)  # nobody knows which version this is a part of
            before = _size(part)
            try:
                if version := _try_once(address, part, progress):
                    return version
                continue
            except urllib.error.HTTPError as error:
                if error.code == 416:  # we ask for what is behind the end
                    if version := _whole_already(part, error):
                        return version
                    said = "the file at the server has changed; starting anew"
                    print(f"{part.name}: {said}", flush=True)
                    _start_again(part)
                    failures += 1
                    if failures < TRIES:
                        continue
                elif not worth_another_try(error):
                    raise DataError(
                        f"{address} answered {error.code} {error.reason}: check the address, or "
                        f"fetch the file by hand to {part.with_suffix('')}."
                    ) from None
                reason = error
            except BROKEN as error:
                reason = error
            # A connection that brings something may break as often as it likes.
            failures = 1 if _size(part) > before else failures + 1
            if failures >= TRIES:
                raise DataError(
                    f"{address} could not be fetched after {TRIES} tries ({in_words(reason)}); "
                    "the same command goes on from here later."
                ) from None
            pause(reason, failures, sleep)
    finally:
        progress.close()


def _try_once(address: str, part: Path, progress: _Progress) -> dict[str, str]:
    """Ask for the rest of `part` and append it.

    Returns:
        What tells the server's version when the file is whole; {} where it must be asked again.

    Raises:
        OSError: One of `BROKEN`, where the connection broke off.
    """
    have, note = _size(part), read_note(part)
    with request(address, range_headers(have, note)) as answer:
        if answer.status == 206 and not continues(answer, have, note):
            _start_again(part)
            return {}
        if answer.status != 206 and have:
            said = "the server begins anew (another version, or it cannot continue)"
            print(f"{part.name}: {said}", flush=True)
            _start_again(part)
            have = 0
        if not have:
            note = {**version_of(answer), "address": address, "total": total_of(answer)}
            write_note(part, note)
        total = note["total"]
        _check_space(part, (total or 0) - have)
        progress.start(total, have)
        with open(part, "ab") as file:
            while block := answer.read(BLOCK):
                file.write(block)
                progress.bar.update(len(block))
                have += len(block)
    if total is None or have == total:
        return {name: note[name] for name in ("etag", "last_modified")}
    if have > total:
        _start_again(part)
    raise http.client.IncompleteRead(b"", total - have)


def _whole_already(part: Path, error: urllib.error.HTTPError) -> dict[str, str]:
    """What tells the version of `part` if a 416 says that all is here; {} if the file changed."""
    have, note = _size(part), read_note(part)
    total = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", "").strip())
    whole = total and int(total[1]) == have == note.get("total", have)
    if whole and same_version(version_of(error), note):
        return {name: note[name] for name in ("etag", "last_modified")}
    return {}


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _start_again(part: Path) -> None:
    part.unlink(missing_ok=True)
    note_of(part).unlink(missing_ok=True)


def _check_space(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed + SPARE > free:
        raise DataError(
            f"{part.parent} has {free / 2**20:,.0f} MiB free and {part.stem} needs "
            f"{(needed + SPARE) / 2**20:,.0f}: make room, or choose another folder."
        )


# --- checking ---


def _verified(address: str, path: Path, sha256: str) -> str:
    """SHA-256 of the file, compared with the published one; a wrong file is deleted.

    A gzip file is unpacked once to check it.
    """
    whole = hashlib.sha256()
    packed = zlib.decompressobj(wbits=31) if ".gz" in path.suffixes else None
    fault = ""
    try:
        with open(path, "rb") as file:
            while block := file.read(BLOCK):
                whole.update(block)
                while packed and block:
                    packed.decompress(block)
                    block = packed.unused_data
                    if packed.eof and block.strip(b"\0"):
                        # Several gzip files one after the other are one gzip file.
                        packed = zlib.decompressobj(wbits=31)
                    elif packed.eof:
                        break
        if packed is not None and not packed.eof:
            fault = "ends in the middle of its gzip stream"
    except zlib.error:
        fault = "is not a whole gzip file"
    if sha256 and whole.hexdigest() != sha256.lower():
        fault = f"has SHA-256 {whole.hexdigest()}, published is {sha256}"
    if fault:
        _start_again(path)
        raise DataError(
            f"{path.name.removesuffix('.part')} from {address} {fault}: it was deleted; run the "
            "same command again."
        )
    return whole.hexdigest()
