"""The two tables that a preparation writes, and where the items' texts come from.

    item_table(connection, sources, ...)    what the metadata say of the items that stay
    coverage(items)                         how many items have a title, a description, a picture
    write_events(connection, path)          interactions.tsv

Status: ours.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from tema_lib.data.readers import DOMAINS
from tema_lib.datasets.amazon.core import Limits
from tema_lib.datasets.amazon.metadata import ITEM_FIELDS, read_metadata
from tema_lib.datasets.amazon.reviews import SECOND

LONGEST_DESCRIPTION = 2_000  # characters; the text encoder and the prompts read far less


@dataclass(frozen=True)
class Source:
    """The files of one domain.

    events: reviews as JSON lines, or a ratings table; metadata: "" where there is none; year: the
    release of both.
    """

    events: Path
    metadata: Path | str = ""
    year: int = 2014


def item_table(
    connection: duckdb.DuckDBPyConnection,
    sources: Mapping[str, Source],
    limits: Limits,
    report: dict[str, Any],
    say: Callable[[str], None],
) -> pd.DataFrame:
    """The items that stay, A before B, by id: what the metadata say of them, "" elsewhere.

    Args:
        connection: A session with the table `core`.
        sources: The files of A and B.
        limits: `items=0` adds the items of the metadata without an event.
        report: "items_in_both_domains" is read, and bad lines are added to "skipped".
        say: Told one line a file.
    """
    seen = {
        domain: {
            row[0]
            for row in connection.execute(
                "SELECT DISTINCT item_id FROM core WHERE domain = ?", [domain]
            ).fetchall()
        }
        for domain in DOMAINS
    }
    tables = []
    for domain, other in (DOMAINS, DOMAINS[::-1]):
        source, names = sources[domain], seen[domain]
        known = pd.DataFrame(columns=list(ITEM_FIELDS))
        if source.metadata:
            wanted = names if limits.items else None
            known, notes = read_metadata(source.metadata, source.year, wanted)
            known = known[~known["item_id"].isin(seen[other])]
            if notes.bad:
                report["skipped"].append(notes.sentence(source.metadata))
            say(
                f"metadata of {domain}: {len(known)} items, "
                f"{len(names - set(known['item_id']))} of those with events missing, "
                f"repeated {notes.repeated}, bad lines {notes.bad}"
            )
        missing = names - set(known["item_id"])
        beside = sources[other]
        if beside.metadata and missing and report["items_in_both_domains"]:
            # An item of both domains may be described in the other file only.
            more, _ = read_metadata(beside.metadata, beside.year, missing)
            known = pd.concat([known, more], ignore_index=True)
        every = sorted(names | set(known["item_id"]))
        tables.append(known.set_index("item_id").reindex(every).reset_index().assign(domain=domain))
    # An item that both list and nobody interacted with is A's.
    items = pd.concat(tables, ignore_index=True).drop_duplicates("item_id")
    for column in ("title", "description", "image"):
        items[column] = items[column].fillna("").astype(object)
    items["description"] = items["description"].str.slice(0, LONGEST_DESCRIPTION).str.strip()
    return items


def coverage(items: pd.DataFrame) -> dict[str, dict[str, int]]:
    """For each domain: items, and how many have a title, a description, a picture."""
    return {
        str(domain): {"items": len(part)}
        | {column: int((part[column] != "").sum()) for column in ("title", "description", "image")}
        for domain, part in items.groupby("domain")
    }


def write_events(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """user_id, item_id, domain, timestamp: by user, then time, then a hash of both ids.

    A time is written in seconds, with six decimals where the release tells more than seconds.
    """
    time = (
        f"CASE WHEN moment % {SECOND} = 0 THEN CAST(moment // {SECOND} AS VARCHAR) "
        f"ELSE format('{{}}.{{:06d}}', moment // {SECOND}, moment % {SECOND}) END"
    )
    connection.execute(
        f"""
        COPY (SELECT user_id, item_id, domain, {time} AS timestamp FROM core
              ORDER BY user_id, moment, md5(user_id || ' ' || item_id))
        TO ? (FORMAT csv, HEADER, DELIMITER '\t', QUOTE '', ESCAPE '')
        """,
        [str(path)],
    )


def tsv_bytes(table: pd.DataFrame) -> bytes:
    """A table as an unquoted TSV file."""
    text = io.StringIO()
    writer = csv.writer(
        text, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None
    )
    writer.writerow(table.columns)
    writer.writerows(table.itertuples(index=False))
    return text.getvalue().encode()
