"""From the official files of two categories to a data folder of our own form, in bounded memory, whatever the size.

    prepare(sources, out)      events of two domains -> joined on users -> first interaction kept -> k-core -> interactions.tsv, items.tsv

DuckDB does the heavy part out of core: it unpacks, reads only three keys a line, and moves to disk what does not fit.  Each stage is
written to `<out>/stages/` and renamed when it is whole, so an interrupted preparation goes on and ends with the same bytes.
Status: ours; the published sets are made the same way (join on users, k-core), each with limits of its own.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb
import pandas as pd

from tema_lib.data.dataset import DOMAINS
from tema_lib.data.readers import DataError, read_json, sql_text
from tema_lib.datasets.amazon.metadata import ITEM_FIELDS, Notes, read_metadata
from tema_lib.datasets.amazon.reviews import MEMORY, SECOND, connect, read_events, view

LONGEST_DESCRIPTION = 2_000  # characters; the text encoder and the prompts read far less


@dataclass(frozen=True)
class Source:
    """One domain: its events (reviews as JSON lines, or a ratings table) and its metadata ("" where there is none) of one release."""

    events: Path
    metadata: Path | str = ""
    year: int = 2014


@dataclass(frozen=True)
class Limits:
    """Who stays.  items: fewest events of an item (0: all items of the metadata, also those that nobody bought); users_per_domain: fewest events
    of a user in each domain (0: everyone)."""

    items: int = 5
    users_per_domain: int = 5


# ---------------------------------------------------------------------------------------------- stages 2 and 3: join, first interaction, k-core


def join_domains(connection, limits: Limits) -> int:
    """Tables events_a and events_b -> `interactions` (user_id, item_id, domain, moment): first interactions of users who may stay.

    An item that both domains list goes to the domain with more of its events (a tie: A), since an item has one domain.  Returns how many there were.
    """
    connection.execute("""CREATE OR REPLACE TEMP TABLE homes AS
        SELECT item_id, CASE WHEN a.events >= b.events THEN 'A' ELSE 'B' END AS home
        FROM (SELECT item_id, count(*) AS events FROM events_a GROUP BY item_id) a
        JOIN (SELECT item_id, count(*) AS events FROM events_b GROUP BY item_id) b USING (item_id)""")
    shared = connection.execute("SELECT count(*) FROM homes").fetchone()[0]
    home, join = (
        ("coalesce(home, '{}')", "LEFT JOIN homes USING (item_id)") if shared else ("'{}'", "")
    )

    def position(letter):
        return f"SELECT user_id, item_id, moment, {home.format(letter.upper())} AS domain FROM events_{letter} {join}"

    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW both_shops AS {position('a')} UNION ALL {position('b')}"
    )
    # A user with too few lines in a domain can never stay: leaving these out first keeps the costly steps small.
    enough = limits.users_per_domain
    if enough:
        connection.execute(f"""CREATE OR REPLACE TEMP TABLE candidates AS SELECT user_id FROM both_shops GROUP BY user_id
            HAVING count(*) FILTER (domain = 'A') >= {enough} AND count(*) FILTER (domain = 'B') >= {enough}""")
    chosen = "WHERE user_id IN (SELECT user_id FROM candidates)" if enough else ""
    connection.execute(f"""CREATE OR REPLACE TEMP TABLE interactions AS
        SELECT user_id, item_id, any_value(domain) AS domain, min(moment) AS moment FROM both_shops {chosen} GROUP BY user_id, item_id""")
    return shared


def filter_core(connection, limits: Limits) -> list[int]:
    """Drop rare items and short users from `interactions` until nothing changes; the same as `interactions.k_core`.  Returns events after each round.

    Ids become numbers first: counting numbers is several times quicker than counting texts.
    """
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE users AS SELECT user_id, row_number() OVER () AS u FROM (SELECT DISTINCT user_id FROM interactions)"
    )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE goods AS SELECT item_id, row_number() OVER () AS i FROM (SELECT DISTINCT item_id FROM interactions)"
    )
    connection.execute("""CREATE OR REPLACE TEMP TABLE numbered AS SELECT u, i, domain, moment
        FROM interactions JOIN users USING (user_id) JOIN goods USING (item_id)""")

    def size():
        return connection.execute("SELECT count(*) FROM numbered").fetchone()[0]

    rounds = [size()]
    while True:
        connection.execute(f"""CREATE OR REPLACE TEMP TABLE numbered AS SELECT * FROM numbered WHERE i IN (SELECT i FROM numbered GROUP BY i
            HAVING count(*) >= {limits.items})""")
        if limits.users_per_domain:
            enough = limits.users_per_domain
            connection.execute(f"""CREATE OR REPLACE TEMP TABLE numbered AS SELECT * FROM numbered WHERE u IN (SELECT u FROM numbered GROUP BY u
                HAVING count(*) FILTER (domain = 'A') >= {enough} AND count(*) FILTER (domain = 'B') >= {enough})""")
        rounds.append(size())
        if rounds[-1] in (0, rounds[-2]):
            break
    if not rounds[-1]:
        raise DataError(
            f"nothing is left of {rounds[0]} interactions with at least {limits.items} an item and {limits.users_per_domain} a user and domain: "
            "lower CORE, or check that both files are of the same release."
        )
    return rounds


# ---------------------------------------------------------------------------------------------- the whole way


def prepare(
    sources: dict[str, Source],
    out: Path | str,
    limits: Limits = Limits(),
    *,
    fetch_pictures: Callable | None = None,
    memory: str = MEMORY,
    threads: int | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> dict:
    """Write a data folder that `read_data` reads, and `preparation.json` beside it; returns what that file says.

    sources: {"A": Source, "B": Source}; fetch_pictures: `pictures.download_pictures` or the like, without it no pictures; say: told one
    line a stage.  A user's events are in time order; inside one time stamp the order is that of a hash, which prefers neither domain (the
    published sets list a day's A before its B, and a model can learn that).  Raises `DataError`.
    """
    try:
        return _prepared(sources, Path(out), limits, fetch_pictures, memory, threads, say)
    except duckdb.Error as error:
        raise DataError(
            f"{out}: the preparation stopped ({str(error).splitlines()[0][:120]}); free memory or "
            f"disk space, or delete {Path(out) / 'stages'}, and run it again."
        ) from None


def _prepared(
    sources, out: Path, limits: Limits, fetch_pictures, memory: str, threads: int | None, say
) -> dict:
    stages = out / "stages"
    mark = _mark(sources, limits, fetch_pictures is not None)
    finished = out / "preparation.json"
    if isinstance(report := _read_note(finished), dict) and report.get("made_from") == mark:
        say("nothing to do: the folder is already prepared from these files")
        return report
    finished.unlink(missing_ok=True)  # from here on the folder is under way
    if stages.is_dir() and _read_note(stages / "made_from.json") != mark:
        shutil.rmtree(stages)  # another file or another limit: nothing of it may be mixed in
    stages.mkdir(parents=True, exist_ok=True)
    write_whole(stages / "made_from.json", json.dumps(mark).encode())
    connection = connect(stages, memory, threads)
    report = {"made_from": mark, "limits": asdict(limits), "read": {}, "skipped": []}

    for domain in DOMAINS:
        notes = _stage(
            stages / f"events_{domain.lower()}",
            connection,
            say,
            lambda kept: asdict(
                read_events(
                    connection,
                    Path(sources[domain].events),
                    sources[domain].year,
                    f"events_{domain.lower()}",
                    kept=kept,
                )
            ),
        )
        report["read"][domain] = notes
        if notes["bad"]:
            report["skipped"].append(Notes(**notes).sentence(sources[domain].events))
    join = _stage(
        stages / "core", connection, say, lambda kept: _join_and_filter(connection, limits, kept)
    )
    report |= join
    items = _item_table(connection, sources, limits, report, say)
    pictures = {}
    report["picture_addresses"] = {
        domain: int((part["image"] != "").sum()) for domain, part in items.groupby("domain")
    }
    if fetch_pictures is not None:
        pictures, left_out = fetch_pictures(
            {row.item_id: row.image for row in items.itertuples() if row.image}, out / "pictures"
        )
        report["skipped"] += [
            f"pictures: {number} left out, {reason}" for reason, number in sorted(left_out.items())
        ]
    items["image"] = [
        f"pictures/{pictures[item]}" if item in pictures else "" for item in items["item_id"]
    ]
    report["coverage"] = coverage(items)
    _write_events(connection, stages / "interactions.tsv")
    write_whole(
        stages / "items.tsv",
        _tsv(items[["item_id", "domain", "title", "description", "image", "brand", "category"]]),
    )
    for name in (
        "interactions.tsv",
        "items.tsv",
    ):  # both are whole before either takes the place of an older one
        os.replace(stages / name, out / name)
    write_whole(finished, (json.dumps(report, indent=1, sort_keys=True) + "\n").encode())
    connection.close()
    shutil.rmtree(stages)
    return report


def _stage(path: Path, connection, say, make: Callable[[Path], dict]) -> dict:
    """Have the table named after `path` made and kept on disk, or take what an earlier run kept.  The note beside it is written last."""
    table, kept, note = path.name, path.with_suffix(".parquet"), path.with_suffix(".json")
    if said := _read_note(note):
        say(f"{table}: kept from an earlier run")
    else:
        said = make(kept.with_suffix(".new"))
        os.replace(kept.with_suffix(".new"), kept)
        write_whole(note, json.dumps(said).encode())
        say(f"{table}: {', '.join(f'{key} {value}' for key, value in said.items())}")
    view(connection, table, kept)
    return said


def _join_and_filter(connection, limits: Limits, kept: Path) -> dict:
    shared = join_domains(connection, limits)
    rounds = filter_core(connection, limits)
    connection.execute(f"""COPY (SELECT user_id, item_id, domain, moment
        FROM numbered JOIN users USING (u) JOIN goods USING (i)) TO {sql_text(kept)} (FORMAT parquet)""")
    for table in ("numbered", "users", "goods", "interactions"):
        connection.execute(f"DROP TABLE {table}")
    return {"items_in_both_shops": shared, "core_rounds": rounds}


def _item_table(
    connection, sources: dict[str, Source], limits: Limits, report: dict, say
) -> pd.DataFrame:
    """The items that stay, A before B, by id: what the metadata says of them, empty where it says nothing."""
    seen = {
        domain: {
            row[0]
            for row in connection.execute(
                f"SELECT DISTINCT item_id FROM core WHERE domain = '{domain}'"
            ).fetchall()
        }
        for domain in DOMAINS
    }
    tables = []
    for domain, other in (DOMAINS, DOMAINS[::-1]):
        names, known = seen[domain], pd.DataFrame(columns=list(ITEM_FIELDS))
        if sources[domain].metadata:
            known, notes = read_metadata(
                sources[domain].metadata, sources[domain].year, names if limits.items else None
            )
            known = known[~known["item_id"].isin(seen[other])]
            if notes.bad:
                report["skipped"].append(notes.sentence(sources[domain].metadata))
            say(
                f"metadata of {domain}: {len(known)} items, {len(names - set(known['item_id']))} of the purchased ones missing, "
                f"repeated {notes.repeated}, bad lines {notes.bad}"
            )
        missing = names - set(known["item_id"])
        if (
            sources[other].metadata and missing and report["items_in_both_shops"]
        ):  # an item of both may be described in the other file only
            known = pd.concat(
                [known, read_metadata(sources[other].metadata, sources[other].year, missing)[0]],
                ignore_index=True,
            )
        names = sorted(names | set(known["item_id"]))
        tables.append(known.set_index("item_id").reindex(names).reset_index().assign(domain=domain))
    items = pd.concat(tables, ignore_index=True).drop_duplicates(
        "item_id"
    )  # listed by both, bought in neither: A
    for column in ("title", "description", "brand", "category", "image"):
        items[column] = items[column].fillna("").astype(object)
    items["description"] = items["description"].str.slice(0, LONGEST_DESCRIPTION).str.strip()
    return items


def coverage(items: pd.DataFrame) -> dict[str, dict[str, int]]:
    """For each domain: items, and how many have a title, a description, a brand, a picture."""
    return {
        domain: {"items": len(part)}
        | {
            column: int((part[column] != "").sum())
            for column in ("title", "description", "brand", "image")
            if column in part
        }
        for domain, part in items.groupby("domain")
    }


# ---------------------------------------------------------------------------------------------- writing


def _write_events(connection, path: Path) -> None:
    """user_id, item_id, domain, timestamp: by user, then time, then a hash of both ids.

    A time is written in seconds, with six decimals where the release tells more than seconds.
    """
    time = f"""CASE WHEN moment % {SECOND} = 0 THEN CAST(moment // {SECOND} AS VARCHAR)
        ELSE format('{{}}.{{:06d}}', moment // {SECOND}, moment % {SECOND}) END"""
    connection.execute(f"""COPY (SELECT user_id, item_id, domain, {time} AS timestamp FROM core
        ORDER BY user_id, moment, md5(user_id || ' ' || item_id))
        TO {sql_text(path)} (FORMAT csv, HEADER, DELIMITER '\t', QUOTE '', ESCAPE '')""")


def _tsv(table: pd.DataFrame) -> bytes:
    text = io.StringIO()
    writer = csv.writer(
        text, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None
    )
    writer.writerow(table.columns)
    writer.writerows(table.itertuples(index=False))
    return text.getvalue().encode()


def write_whole(path: Path, content: bytes) -> None:
    """All or nothing: a neighbouring file first, then its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    os.replace(new, path)


def _mark(sources: dict[str, Source], limits: Limits, pictures: bool) -> dict:
    """What a preparation depends on: names, sizes and times of the files, and the limits.  Compared to tell a continued from a new one."""

    def seen(path):
        if not path:
            return None
        if not Path(path).is_file():
            raise DataError(
                f"{path} is missing: download it with `make data`, or give the file that you have."
            )
        stat = Path(path).stat()
        return [Path(path).name, stat.st_size, stat.st_mtime_ns]

    if set(sources) != set(DOMAINS):
        raise DataError(
            f"a preparation needs two domains, A and B; given: {', '.join(sorted(sources)) or 'none'}."
        )
    files = {
        domain: [seen(source.events), seen(source.metadata), source.year]
        for domain, source in sorted(sources.items())
    }
    return {
        "files": files,
        "limits": asdict(limits),
        "pictures": pictures,
        "by": code_of(Path(__file__)),
    }


def code_of(module: Path) -> str:
    """A hash of a module and of those beside it that it imports, and these in turn: what made a stage."""
    found, waiting = {}, [module]
    while waiting:
        path = waiting.pop()
        if path.name not in found and path.is_file():
            found[path.name] = path.read_bytes()
            imports = [
                node.module or ""
                for node in ast.parse(found[path.name]).body
                if isinstance(node, ast.ImportFrom)
            ]
            waiting += [
                path.with_name(f"{name.split('.')[-1]}.py")
                for name in imports
                if name.startswith("tema_lib.data.")
            ]
    return hashlib.sha256(b"\0".join(found[name] for name in sorted(found))).hexdigest()[:16]


def _read_note(path: Path):
    """What an earlier run noted; None where it noted nothing whole."""
    try:
        return read_json(path) if path.is_file() else None
    except DataError:
        return None
