"""What tells the versions of a file at a server apart, and the note beside a file that says it.

Status: ours.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tema_lib.workspace import write_atomically


def range_headers(have: int, note: dict[str, Any]) -> dict[str, str]:
    """The headers that ask for the bytes from `have` on, if the version is still the same."""
    if not have:
        return {}
    etag = note.get("etag", "")
    condition = etag if etag and not etag.startswith("W/") else note.get("last_modified", "")
    return {"Range": f"bytes={have}-", **({"If-Range": condition} if condition else {})}


def version_of(answer: Any) -> dict[str, str]:
    """What tells the version of the file at the server; "" where it does not say."""
    return {
        "etag": answer.headers.get("ETag", ""),
        "last_modified": answer.headers.get("Last-Modified", ""),
    }


def same_version(now: dict[str, str], before: dict[str, Any]) -> bool:
    """Whether two versions agree in all that both say."""
    return all(not now[name] or not before.get(name) or now[name] == before[name] for name in now)


def total_of(answer: Any) -> int | None:
    """The size of the file, in bytes; None where the server does not say."""
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def continues(answer: Any, have: int, note: dict[str, Any]) -> bool:
    """Whether a partial answer is the rest of the version that we hold the beginning of."""
    content = answer.headers.get("Content-Range", "").strip()
    span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", content)
    if not span or int(span[1]) != have or span[2] not in ("*", str(note.get("total"))):
        return False
    return same_version(version_of(answer), note)


def note_of(path: Path) -> Path:
    """The note beside a file."""
    return path.with_name(path.name + ".json")


def write_note(path: Path, note: dict[str, Any]) -> None:
    """Write the whole note beside a file, or nothing."""
    text = json.dumps(note, indent=1, sort_keys=True) + "\n"
    write_atomically(note_of(path), text.encode())


def read_note(path: Path) -> dict[str, Any]:
    """What the note beside a file says; {} where there is none, or not a whole one."""
    try:
        note = json.loads(note_of(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}
