"""What the language model said: a small transactional store of prompts and raw replies.

A reply is expensive and, decoded greedily, always the same. So it is kept under the SHA-256 of everything that
determines it (the model's weights, the prompt, the decoding settings) and never asked for twice. SQLite in WAL mode
makes each batch one transaction: two processes may write to the same file, and a killed run loses one batch at most.
Status: ours (the paper says nothing about how replies are kept).
"""

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path


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


class ReplyStore:
    """Replies in one SQLite file. Use it as a context manager, or call `close()`.

    Raises ValueError when the file is not a reply store.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(self.path, timeout=60, isolation_level=None)   # 60 s: wait for another writer
        try:
            self._write_ahead()
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, model TEXT NOT NULL, fingerprint TEXT NOT NULL, "
                "prompt TEXT NOT NULL, settings TEXT NOT NULL, reply TEXT NOT NULL) WITHOUT ROWID")
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise ValueError(f"{self.path} is not a reply store ({error}); move the file away and run again.") from None

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
        row = self._database.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def put(self, replies: Iterable[Reply]) -> None:
        """Stores all of `replies` or none of them. The first answer under a key stays: later ones are the same question."""
        rows = [(reply.key, *asdict(reply).values()) for reply in replies]
        self._database.execute("BEGIN IMMEDIATE")          # takes the write lock now, so that two writers queue up
        try:
            self._database.executemany("INSERT INTO replies VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT(key) DO NOTHING", rows)
            self._database.execute("COMMIT")
        except BaseException:
            self._database.execute("ROLLBACK")
            raise

    def __len__(self) -> int:
        return self._database.execute("SELECT COUNT(*) FROM replies").fetchone()[0]

    def export_jsonl(self, path: str | Path) -> int:
        """Writes one JSON object a line, sorted by key, so that equal stores give equal files; returns the count.

        The lines hold the prompts, hence the titles: export only data that may be passed on.
        """
        path, count = Path(path), 0
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
        try:
            with open(unfinished, "w", encoding="utf-8", newline="\n") as file:
                for row in self._database.execute("SELECT model, fingerprint, prompt, settings, reply FROM replies ORDER BY key"):
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
            raise FileNotFoundError(f"{path} is missing; give a file written by export_jsonl.")
        with open(path, encoding="utf-8") as file:
            replies = [_read_line(path, number, line) for number, line in enumerate(file, start=1)]
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
    if not isinstance(record, dict) or set(record) != names or not all(isinstance(value, str) for value in record.values()):
        raise ValueError(f"{path}, line {number}: not a stored reply (one JSON object with the texts {', '.join(sorted(names))}); "
                         "export the file again or delete the line.")
    return Reply(**record)
