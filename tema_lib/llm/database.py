"""One SQLite file that several processes share: how it is opened, and what its errors mean.

Status: ours.
"""

import contextlib
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ELSEWHERE = "give a place of your own, with --store or the environment variable TEMA_REPLIES"

_TABLES = (
    "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, model TEXT NOT NULL, "
    "fingerprint TEXT NOT NULL, prompt TEXT NOT NULL, settings TEXT NOT NULL, "
    "reply TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS refusals (key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, "
    "reason TEXT NOT NULL) WITHOUT ROWID",
)
_COLUMNS = "SELECT key, model, fingerprint, prompt, settings, reply FROM replies LIMIT 1"


class ReplyDatabase:
    """The tables of a reply store in one SQLite file, in WAL mode.

    A file, or folder, that cannot be written is read: then `writable` is False.

    Raises:
        ValueError: the file is not a reply store.
        OSError: it cannot be opened, read or written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            folder = self.path.is_dir()
        except OSError as error:
            raise OSError(
                f"{self.path} cannot be written ({error.strerror}): {ELSEWHERE}."
            ) from None
        if folder:
            raise IsADirectoryError(
                f"{self.path} is a folder: give the name of a file for the replies."
            )
        try:
            # 60 s: wait for another writer.
            self._database = sqlite3.connect(self.path, timeout=60, isolation_level=None)
            self.writable = self._prepare()
        except sqlite3.Error as error:
            self._open_to_read(error)

    def _prepare(self) -> bool:
        """Make or check the tables; False where they are there and cannot be written."""
        listed = self._database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = {name for (name,) in listed}
        if tables and "replies" not in tables:
            raise sqlite3.DatabaseError("a database of something else")
        if tables:  # perhaps a table of something else: found out before anything is written
            self._database.execute(_COLUMNS)
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
        """Second try, after `error`: a good store on a read-only disk, or in a read-only folder."""
        if hasattr(self, "_database"):
            self._database.close()
        if self.path.is_file() and re.search("readonly|unable to open", str(error)):
            # The second needs no file beside the store, which WAL mode makes otherwise.
            for how in ("mode=ro", "mode=ro&immutable=1"):
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

    def _write_ahead(self, tries: int = 200) -> None:
        """Switch to WAL mode.

        Two processes that open a new file at once may find it locked here, and SQLite does not wait
        for this lock on its own.
        """
        for left in range(tries, 0, -1):
            try:
                self._database.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or left == 1:
                    raise
                time.sleep(0.05)

    def _sentence(self, error: sqlite3.Error) -> Exception:
        """What SQLite says, as one sentence with a remedy."""
        said = str(error)
        if "locked" in said or "busy" in said:
            return OSError(
                f"{self.path} is held by another process ({said}): wait until that ends, or stop "
                "it, and run again."
            )
        if "full" in said:
            return OSError(
                f"The disk of {self.path} is full: make room and run again; the replies so far are "
                "kept."
            )
        if re.search("readonly|unable to open|disk I/O|locking protocol", said):
            return OSError(f"{self.path} cannot be written or opened ({said}): {ELSEWHERE}.")
        return ValueError(
            f"{self.path} is not a reply store ({said}); move the file away and run again."
        )

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        """Errors of the file, as sentences.

        A row that no table takes is the caller's mistake and stays what it is.
        """
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            raise self._sentence(error) from None

    def _one(self, query: str, key: str) -> str | None:
        with self._in_words():
            row = self._database.execute(query, (key,)).fetchone()
        return row[0] if row else None

    def _write(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """One statement for many rows, in one transaction."""
        with self._in_words():
            # Takes the write lock now, so that two writers queue up.
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._database.executemany(statement, rows)
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # a full disk has ended it already
                    self._database.execute("ROLLBACK")
                raise

    def close(self) -> None:
        self._database.close()
