"""What the language model said: a small transactional store of prompts and raw replies.

A reply is expensive and, decoded greedily, always the same. So it is kept under the SHA-256 of
everything that determines it (the model's weights, the prompt, the decoding settings) and never
asked for twice. SQLite in WAL mode makes each batch one transaction: two processes may write to the
same file, and a killed run loses one batch at most.
Status: ours (the paper says nothing about how replies are kept).
"""

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from tema_lib.llm.database import ELSEWHERE, ReplyDatabase
from tema_lib.workspace import replies_path, write_atomically


@dataclass(frozen=True)
class Reply:
    """One question and its raw answer. `settings` is the JSON text of the decoding settings."""

    model: str
    fingerprint: str
    prompt: str
    settings: str
    reply: str

    @property
    def key(self) -> str:
        return reply_key(self.fingerprint, self.prompt, self.settings)


def reply_key(fingerprint: str, prompt: str, settings: str) -> str:
    """SHA-256 of what determines a greedy reply.

    The JSON list keeps the three parts apart: ("ab", "c") is not ("a", "bc").
    """
    return hashlib.sha256(json.dumps([fingerprint, prompt, settings]).encode()).hexdigest()


def open_replies() -> "ReplyStore":
    """The store of `workspace.replies_path`.

    A new one takes over what earlier versions kept apart, for `tema tags` and for each data set.
    """
    path = replies_path()
    is_new = not path.exists()
    store = ReplyStore(path)
    if is_new:
        for earlier in (
            *sorted(path.parent.glob("tags/replies.sqlite")),
            *sorted(path.parent.glob("artifacts/*/replies.sqlite")),
        ):
            with contextlib.suppress(OSError, ValueError):  # a broken one has nothing to give
                store.take(earlier)
    return store


class ReplyStore(ReplyDatabase):
    """Replies in one SQLite file, and which questions a server refused.

    Use it as a context manager, or call `close()`. A file, or folder, that cannot be written is
    read: then `writable` is False, and `put` raises.

    Raises:
        ValueError: the file is not a reply store.
        OSError: it cannot be opened, read or written. Each says in one sentence what to do.
    """

    shipped: Mapping[str, str] = MappingProxyType({})  # {key: reply}, read where the file has none

    def get(self, key: str) -> str | None:
        """The raw reply under `key`: that of the file, else a shipped one, else None."""
        reply = self._one("SELECT reply FROM replies WHERE key = ?", key)
        return self.shipped.get(key) if reply is None else reply

    def refusal(self, key: str) -> str | None:
        """Why the server refused the question under `key`, or None."""
        try:
            return self._one("SELECT reason FROM refusals WHERE key = ?", key)
        except ValueError:
            if self.writable:
                raise
            return None  # an older store, which cannot be given the table

    def must_be_writable(self, count: int) -> None:
        """Find out whether `count` replies to come can be kept, before they cost hours.

        Raises:
            OSError: they cannot.
        """
        if count and not self.writable:
            raise PermissionError(
                f"{self.path} cannot be written, and {count:,} replies are missing in it: "
                f"{ELSEWHERE}, such as a copy of this file."
            )

    def put(self, replies: Iterable[Reply], replace: bool = False) -> None:
        """Store all of `replies` or none of them.

        The first answer under a key stays, unless `replace`: later ones are the same question.
        """
        rows = [(reply.key, *asdict(reply).values()) for reply in replies]
        if not self.writable:
            self.must_be_writable(sum(self.get(key) is None for key, *_ in rows))
            return
        then = "UPDATE SET reply = excluded.reply" if replace else "NOTHING"
        self._write(
            f"INSERT INTO replies VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT(key) DO {then}", rows
        )

    def refuse(self, fingerprint: str, reasons: Mapping[str, str]) -> None:
        """Note that the server refused the questions under these keys, and why.

        `refusal` tells it, until `forget_refusals`.
        """
        self._write(
            "INSERT OR REPLACE INTO refusals VALUES (?, ?, ?)",
            [(key, fingerprint, reason) for key, reason in reasons.items()],
        )

    def forget_refusals(self, fingerprint: str) -> None:
        """The questions that this model refused will be asked again."""
        self._write("DELETE FROM refusals WHERE fingerprint = ?", [(fingerprint,)])

    def take(self, other: str | Path) -> int:
        """Add the replies of another store to this one; returns how many that holds."""
        with ReplyStore(other) as store:
            replies = list(store.replies())
        self.put(replies)
        return len(replies)

    def replies(self) -> Iterator[Reply]:
        """All replies, sorted by key."""
        with self._in_words():
            for row in self._database.execute(
                "SELECT model, fingerprint, prompt, settings, reply FROM replies ORDER BY key"
            ):
                yield Reply(*row)

    def __len__(self) -> int:
        with self._in_words():
            return self._database.execute("SELECT COUNT(*) FROM replies").fetchone()[0]

    def export_jsonl(self, path: str | Path) -> int:
        """Write one JSON object a line, sorted by key, so that equal stores give equal files.

        The lines hold the prompts, hence the titles: export only data that may be passed on.

        Returns:
            The number of replies.
        """
        lines = [json.dumps(asdict(reply), ensure_ascii=False) + "\n" for reply in self.replies()]
        write_atomically(Path(path), "".join(lines).encode())
        return len(lines)

    def import_jsonl(self, path: str | Path) -> int:
        """Add the replies of an exported file in one transaction.

        Returns:
            The number of lines read.

        Raises:
            ValueError: a line is malformed, named with its file; then nothing of the file is kept.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing; give a file of replies (JSON lines), as `make tags` writes "
                "with --replies."
            )
        try:
            with open(path, encoding="utf-8-sig") as file:
                replies = [
                    _read_line(path, number, line) for number, line in enumerate(file, start=1)
                ]
        except UnicodeDecodeError:
            raise ValueError(f"{path} is not UTF-8 text; export the file again.") from None
        self.put(replies)
        return len(replies)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _read_line(path: Path, number: int, line: str) -> Reply:
    names = {field.name for field in fields(Reply)}
    try:
        record = json.loads(line)
    except json.JSONDecodeError:
        record = None
    if (
        not isinstance(record, dict)
        or set(record) != names
        or not all(isinstance(value, str) for value in record.values())
    ):
        raise ValueError(
            f"{path}, line {number}: not a stored reply (one JSON object with the texts "
            f"{', '.join(sorted(names))}); export the file again or delete the line."
        )
    return Reply(**record)
