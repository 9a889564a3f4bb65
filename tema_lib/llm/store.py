"""What the language model said: a small transactional store of prompts and raw replies.

A reply is expensive and, decoded greedily, always the same. So it is kept under the SHA-256 of everything that
determines it (the model's weights, the prompt, the decoding settings) and never asked for twice. SQLite in WAL mode
makes each batch one transaction: two processes may write to the same file, and a killed run loses one batch at most.
Status: ours (the paper says nothing about how replies are kept).
"""

import contextlib
import hashlib
import json
import os
import re
import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from tema_lib.workspace import replies_path

_ELSEWHERE = "give a place of your own, with --store or the environment variable TEMA_REPLIES"


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
    """SHA-256 of what determines a greedy reply. The JSON list keeps the three parts apart: ("ab", "c") is not ("a", "bc")."""
    return hashlib.sha256(json.dumps([fingerprint, prompt, settings]).encode()).hexdigest()


def reply_store_path() -> Path:
    """Where this workplace keeps all replies: `tema_lib.workspace.replies_path`."""
    return replies_path()


def open_replies() -> "ReplyStore":
    """The store of this workplace. A new one takes over what earlier versions kept apart, for `make tags` and for each data set."""
    path = reply_store_path()
    new, store = not path.exists(), ReplyStore(path)
    for earlier in sorted(path.parent.glob("tags/replies.sqlite")) + sorted(
        path.parent.glob("artifacts/*/replies.sqlite")
    ):
        with contextlib.suppress(OSError, ValueError):  # a broken one has nothing to give
            if new:
                store.take(earlier)
    return store


_TABLES = (
    "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, model TEXT NOT NULL, fingerprint TEXT NOT NULL, "
    "prompt TEXT NOT NULL, settings TEXT NOT NULL, reply TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS refusals (key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID",
)
_COLUMNS = "SELECT key, model, fingerprint, prompt, settings, reply FROM replies LIMIT 1"


class ReplyStore:
    """Replies in one SQLite file, and which questions a server refused. Use it as a context manager, or call `close()`.

    A file, or folder, that cannot be written is read: then `writable` is False, and `put` raises. Raises ValueError when the
    file is no reply store, OSError when it cannot be opened, read or written; each says in one sentence what to do.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            folder = self.path.is_dir()
        except OSError as error:
            raise OSError(
                f"{self.path} cannot be written ({error.strerror}): {_ELSEWHERE}."
            ) from None
        if folder:
            raise IsADirectoryError(
                f"{self.path} is a folder: give the name of a file for the replies."
            )
        try:
            self._database = sqlite3.connect(
                self.path, timeout=60, isolation_level=None
            )  # 60 s: wait for another writer
            self.writable = self._prepare()
        except sqlite3.Error as error:
            self._open_to_read(error)

    def _prepare(self) -> bool:
        """Make or check the tables; False where they are there and cannot be written."""
        tables = {
            name
            for (name,) in self._database.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
            )
        }
        if tables and "replies" not in tables:
            raise sqlite3.DatabaseError("a database of something else")
        if tables:
            self._database.execute(
                _COLUMNS
            )  # ... or a table of something else; before anything is written
        try:
            self._write_ahead()
            self._database.execute("PRAGMA synchronous=FULL")
            for table in _TABLES:
                self._database.execute(table)
            self._database.execute("BEGIN IMMEDIATE")  # says whether it can be written
            self._database.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            if "readonly" not in str(error) or "replies" not in tables:
                raise
            return False
        return True

    def _open_to_read(self, error: sqlite3.Error) -> None:
        """Second try, after `error`: a good store on a read-only disk or in a folder that is not ours."""
        if hasattr(self, "_database"):
            self._database.close()
        if self.path.is_file() and re.search("readonly|unable to open", str(error)):
            for how in (
                "mode=ro",
                "mode=ro&immutable=1",
            ):  # the second needs no file beside it, which WAL mode else makes
                try:
                    self._database = sqlite3.connect(
                        f"{self.path.resolve().as_uri()}?{how}", uri=True, isolation_level=None
                    )
                    self._database.execute(_COLUMNS).fetchone()
                    self.writable = False
                    return
                except sqlite3.Error as reading:
                    error = reading
                    self._database.close()
        raise self._sentence(error) from None

    def _sentence(self, error: sqlite3.Error) -> Exception:
        """What SQLite says, as one sentence with a remedy."""
        said = str(error)
        if "locked" in said or "busy" in said:
            return OSError(
                f"{self.path} is held by another process ({said}): wait until that ends, or stop it, and run again."
            )
        if "full" in said:
            return OSError(
                f"The disk of {self.path} is full: make room and run again; the replies so far are kept."
            )
        if re.search("readonly|unable to open|disk I/O|locking protocol", said):
            return OSError(f"{self.path} cannot be written or opened ({said}): {_ELSEWHERE}.")
        return ValueError(
            f"{self.path} is not a reply store ({said}); move the file away and run again."
        )

    @contextlib.contextmanager
    def _in_words(self):
        """Errors of the file, as sentences; a row that no table takes is the caller's mistake and stays what it is."""
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            raise self._sentence(error) from None

    def _write_ahead(self, tries: int = 200) -> None:
        """WAL mode.  Two processes that open a new file at once may find it locked here, and SQLite does not wait for this lock by itself."""
        for left in range(tries, 0, -1):
            try:
                self._database.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or left == 1:
                    raise
                time.sleep(0.05)

    def get(self, key: str) -> str | None:
        """The raw reply under `key`, or None."""
        return self._one("SELECT reply FROM replies WHERE key = ?", key)

    def refusal(self, key: str) -> str | None:
        """Why the server refused the question under `key`, or None."""
        try:
            return self._one("SELECT reason FROM refusals WHERE key = ?", key)
        except ValueError:
            if self.writable:
                raise
            return None  # an older store, which cannot be given the table

    def _one(self, query: str, key: str) -> str | None:
        with self._in_words():
            row = self._database.execute(query, (key,)).fetchone()
        return row[0] if row else None

    def must_be_writable(self, count: int) -> None:
        """Raises OSError where `count` replies that are still to come could not be kept: before they cost hours."""
        if count and not self.writable:
            raise PermissionError(
                f"{self.path} cannot be written, and {count:,} replies are missing in it: {_ELSEWHERE}, "
                "such as a copy of this file."
            )

    def put(self, replies: Iterable[Reply], replace: bool = False) -> None:
        """Stores all of `replies` or none of them. The first answer under a key stays, unless `replace`: later ones are the same question."""
        rows = [(reply.key, *asdict(reply).values()) for reply in replies]
        if not self.writable:
            self.must_be_writable(sum(self.get(key) is None for key, *_ in rows))
            return
        then = "UPDATE SET reply = excluded.reply" if replace else "NOTHING"
        self._write(
            f"INSERT INTO replies VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT(key) DO {then}", rows
        )

    def refuse(self, fingerprint: str, reasons: Mapping[str, str]) -> None:
        """Notes that the server refused the questions under these keys, and why; `refusal` tells, until `forget_refusals`."""
        self._write(
            "INSERT OR REPLACE INTO refusals VALUES (?, ?, ?)",
            [(key, fingerprint, reason) for key, reason in reasons.items()],
        )

    def forget_refusals(self, fingerprint: str) -> None:
        """The questions that this model refused will be asked again."""
        self._write("DELETE FROM refusals WHERE fingerprint = ?", [(fingerprint,)])

    def _write(self, statement: str, rows: list[tuple]) -> None:
        """One statement for many rows, in one transaction."""
        with self._in_words():
            self._database.execute(
                "BEGIN IMMEDIATE"
            )  # takes the write lock now, so that two writers queue up
            try:
                self._database.executemany(statement, rows)
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # a full disk ends it by itself
                    self._database.execute("ROLLBACK")
                raise

    def take(self, other: str | Path) -> int:
        """Adds the replies of another store to this one; returns how many that holds."""
        with ReplyStore(other) as store, self._in_words():
            rows = [
                Reply(*row)
                for row in store._database.execute(
                    "SELECT model, fingerprint, prompt, settings, reply FROM replies"
                )
            ]
        self.put(rows)
        return len(rows)

    def __len__(self) -> int:
        with self._in_words():
            return self._database.execute("SELECT COUNT(*) FROM replies").fetchone()[0]

    def export_jsonl(self, path: str | Path) -> int:
        """Writes one JSON object a line, sorted by key, so that equal stores give equal files; returns the count.

        The lines hold the prompts, hence the titles: export only data that may be passed on.
        """
        path, count = Path(path), 0
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
        try:
            with open(unfinished, "w", encoding="utf-8", newline="\n") as file, self._in_words():
                for row in self._database.execute(
                    "SELECT model, fingerprint, prompt, settings, reply FROM replies ORDER BY key"
                ):
                    file.write(json.dumps(asdict(Reply(*row)), ensure_ascii=False) + "\n")
                    count += 1
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
        return count

    def import_jsonl(self, path: str | Path) -> int:
        """Adds the replies of an exported file in one transaction; returns how many lines it read.

        Raises ValueError naming file and line when a line is malformed; then nothing of the file is kept.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing; give a file of replies (JSON lines), as `make tags` writes with --replies."
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

    def close(self) -> None:
        self._database.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
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
            f"{path}, line {number}: not a stored reply (one JSON object with the texts {', '.join(sorted(names))}); "
            "export the file again or delete the line."
        )
    return Reply(**record)
