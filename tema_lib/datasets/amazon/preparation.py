"""From the official files of two categories to a data folder of our own, in bounded memory.

    prepare(sources, out)      -> interactions.tsv, items.tsv

The events of two domains are joined on their users, a user's first interaction with an item is
kept, and a k-core remains.  DuckDB does the heavy part out of core: it unpacks, reads only three
keys a line, and moves to disk what does not fit.  Each stage is written to `<out>/stages/` and
renamed when it is whole, so an interrupted preparation goes on and ends with the same bytes.
Status: ours; the published sets are made the same way, each with limits of its own.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb

from tema_lib.data.files import DataError, read_json
from tema_lib.data.readers import DOMAINS
from tema_lib.datasets.amazon.core import FIVE_CORE, Limits, filter_core, join_domains
from tema_lib.datasets.amazon.metadata import Notes
from tema_lib.datasets.amazon.reviews import MEMORY, connect, read_events, view
from tema_lib.datasets.amazon.tables import (
    Source,
    coverage,
    item_table,
    tsv_bytes,
    write_events,
)
from tema_lib.workspace import write_atomically

# {item: address}, folder -> ({item: file name}, {reason: items without a picture})
FetchPictures = Callable[[dict[str, str], Path], tuple[dict[str, str], dict[str, int]]]
Say = Callable[[str], None]
PACKAGE = Path(__file__).resolve().parents[2]


def prepare(
    sources: Mapping[str, Source],
    out: Path | str,
    limits: Limits = FIVE_CORE,
    *,
    fetch_pictures: FetchPictures | None = None,
    memory: str = MEMORY,
    threads: int | None = None,
    say: Say = lambda line: None,
) -> dict[str, Any]:
    """Write a data folder that `read_data` reads, and `preparation.json` beside it.

    A user's events are in time order; inside one time stamp the order is that of a hash, which
    prefers neither domain (the published sets list a day's A before its B, and a model can learn
    that).

    Args:
        sources: {"A": Source, "B": Source}.
        out: The data folder.
        limits: Who stays.
        fetch_pictures: `pictures.download_pictures` or the like; None: no pictures.
        memory: DuckDB's limit.
        threads: DuckDB's threads.
        say: Told one line a stage.

    Returns:
        What `preparation.json` says.

    Raises:
        DataError: A file is missing or cannot be used, or nothing is left.
    """
    out = Path(out)
    stages = out / "stages"
    try:
        fingerprint = _fingerprint(sources, limits, fetch_pictures is not None)
        earlier = _read_note(out / "preparation.json")
        if isinstance(earlier, dict) and earlier.get("made_from") == fingerprint:
            say("nothing to do: the folder is already prepared from these files")
            return earlier
        (out / "preparation.json").unlink(missing_ok=True)  # from here on the folder is under way
        if stages.is_dir() and _read_note(stages / "made_from.json") != fingerprint:
            shutil.rmtree(stages)  # of another file or another limit: nothing may be mixed in
        stages.mkdir(parents=True, exist_ok=True)
        write_atomically(stages / "made_from.json", json.dumps(fingerprint).encode())
        with connect(stages, memory, threads) as connection:
            report = {"made_from": fingerprint, "limits": asdict(limits), "read": {}, "skipped": []}
            _prepare_tables(connection, sources, out, limits, fetch_pictures, report, say)
    except duckdb.Error as error:
        raise DataError(
            f"{out}: the preparation stopped ({str(error).splitlines()[0][:120]}); free memory or "
            f"disk space, or delete {stages}, and run it again."
        ) from None
    shutil.rmtree(stages)
    return report


def _prepare_tables(
    connection: duckdb.DuckDBPyConnection,
    sources: Mapping[str, Source],
    out: Path,
    limits: Limits,
    fetch_pictures: FetchPictures | None,
    report: dict[str, Any],
    say: Say,
) -> None:
    """Make the stages and the two tables; `report` is filled and written last."""
    stages = out / "stages"
    for domain in DOMAINS:
        notes = _event_stage(stages, connection, domain, sources[domain], say)
        report["read"][domain] = notes
        if notes["bad"]:
            report["skipped"].append(Notes(**notes).sentence(sources[domain].events))
    report |= _stage(
        stages / "core", connection, say, lambda kept: _join_and_filter(connection, limits, kept)
    )
    items = item_table(connection, sources, limits, report, say)
    report["picture_addresses"] = {
        domain: int((part["image"] != "").sum()) for domain, part in items.groupby("domain")
    }
    pictures: dict[str, str] = {}
    if fetch_pictures is not None:
        addresses = {row.item_id: row.image for row in items.itertuples() if row.image}
        pictures, left_out = fetch_pictures(addresses, out / "pictures")
        report["skipped"] += [
            f"pictures: {number} left out, {reason}" for reason, number in sorted(left_out.items())
        ]
    items["image"] = [
        f"pictures/{pictures[item]}" if item in pictures else "" for item in items["item_id"]
    ]
    report["coverage"] = coverage(items)
    write_events(connection, stages / "interactions.tsv")
    columns = ["item_id", "domain", "title", "description", "image"]
    write_atomically(stages / "items.tsv", tsv_bytes(items[columns]))
    # Both are whole before either takes the place of an older one.
    for name in ("interactions.tsv", "items.tsv"):
        os.replace(stages / name, out / name)
    said = json.dumps(report, indent=1, sort_keys=True) + "\n"
    write_atomically(out / "preparation.json", said.encode())


# --- stages ---


def _event_stage(
    stages: Path, connection: duckdb.DuckDBPyConnection, domain: str, source: Source, say: Say
) -> dict[str, Any]:
    """The events of one domain, as the table events_a or events_b."""
    table = f"events_{domain.lower()}"

    def make(kept: Path) -> dict[str, Any]:
        return asdict(read_events(connection, Path(source.events), source.year, table, kept=kept))

    return _stage(stages / table, connection, say, make)


def _stage(
    path: Path,
    connection: duckdb.DuckDBPyConnection,
    say: Say,
    make: Callable[[Path], dict[str, Any]],
) -> dict[str, Any]:
    """Have the table named after `path` made and kept on disk, or take what an earlier run kept.

    The note beside it is written last.
    """
    table, kept, note = path.name, path.with_suffix(".parquet"), path.with_suffix(".json")
    if said := _read_note(note):
        say(f"{table}: kept from an earlier run")
    else:
        said = make(kept.with_suffix(".new"))
        os.replace(kept.with_suffix(".new"), kept)
        write_atomically(note, json.dumps(said).encode())
        say(f"{table}: {', '.join(f'{key} {value}' for key, value in said.items())}")
    view(connection, table, kept)
    return said


def _join_and_filter(
    connection: duckdb.DuckDBPyConnection, limits: Limits, kept: Path
) -> dict[str, Any]:
    """The k-core of both domains, as a parquet file."""
    shared = join_domains(connection, limits)
    rounds = filter_core(connection, limits)
    connection.execute(
        "COPY (SELECT user_id, item_id, domain, moment FROM numbered JOIN users USING (u) "
        "JOIN goods USING (i)) TO ? (FORMAT parquet)",
        [str(kept)],
    )
    for table in ("numbered", "users", "goods", "interactions"):
        connection.execute(f"DROP TABLE {table}")
    return {"items_in_both_domains": shared, "core_rounds": rounds}


def _read_note(path: Path) -> Any:
    """What an earlier run noted; None where it noted nothing whole."""
    try:
        return read_json(path) if path.is_file() else None
    except DataError:
        return None


# --- what a preparation depends on ---


def _fingerprint(sources: Mapping[str, Source], limits: Limits, pictures: bool) -> dict[str, Any]:
    """Names, sizes and times of the files, the limits, the code: equal where a run may go on."""
    if set(sources) != set(DOMAINS):
        raise DataError(
            "a preparation needs two domains, A and B; "
            f"given: {', '.join(sorted(sources)) or 'none'}."
        )
    files = {
        domain: [_file_facts(source.events), _file_facts(source.metadata), source.year]
        for domain, source in sorted(sources.items())
    }
    return {
        "files": files,
        "limits": asdict(limits),
        "pictures": pictures,
        "by": code_of(Path(__file__).resolve(), PACKAGE),
    }


def _file_facts(path: Path | str) -> list[Any] | None:
    """Name, size and time of a file; None where there is none to read."""
    if not path:
        return None
    if not Path(path).is_file():
        raise DataError(
            f"{path} is missing: download it with `make data`, or give the file that you have."
        )
    stat = Path(path).stat()
    return [Path(path).name, stat.st_size, stat.st_mtime_ns]


def code_of(module: Path, package: Path) -> str:
    """A hash of a module and of those of its package that it imports, and these in turn.

    Args:
        module: The file of a module.
        package: The folder of `tema_lib`.
    """
    found: dict[Path, bytes] = {}
    waiting = [module]
    while waiting:
        path = waiting.pop()
        if path in found or not path.is_file():
            continue
        found[path] = path.read_bytes()
        for node in ast.parse(found[path]).body:
            if isinstance(node, ast.ImportFrom) and node.module:
                first, *names = node.module.split(".")
                if first == package.name:
                    waiting.append(package.joinpath(*names).with_suffix(".py"))
    return hashlib.sha256(b"\0".join(found[path] for path in sorted(found))).hexdigest()[:16]
