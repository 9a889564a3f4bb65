"""Two domains joined on their users and filtered to a k-core, in DuckDB and in bounded memory.

    join_domains(connection, limits)    events_a, events_b -> interactions
    filter_core(connection, limits)     interactions -> numbered, the core under numbers

Status: ours; the published sets are made the same way, each with limits of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from tema_lib.data.files import DataError

ENOUGH_IN_BOTH = "count(*) FILTER (domain = 'A') >= ? AND count(*) FILTER (domain = 'B') >= ?"


@dataclass(frozen=True)
class Limits:
    """Who stays.

    items: fewest events of an item; 0 keeps all items of the metadata, also those without an event.
    users_per_domain: fewest events of a user in each domain; 0 keeps everyone.
    """

    items: int = 5
    users_per_domain: int = 5


FIVE_CORE = Limits()


def join_domains(connection: duckdb.DuckDBPyConnection, limits: Limits) -> int:
    """Tables events_a and events_b -> `interactions` (user_id, item_id, domain, moment).

    It holds the first interactions of the users who may stay.  An item that both domains list goes
    to the domain with more of its events (a tie: A), since an item has one domain.

    Returns:
        How many items both domains list.
    """
    connection.execute("""
        CREATE OR REPLACE TEMP TABLE homes AS
        SELECT item_id, CASE WHEN a.events >= b.events THEN 'A' ELSE 'B' END AS home
        FROM (SELECT item_id, count(*) AS events FROM events_a GROUP BY item_id) a
        JOIN (SELECT item_id, count(*) AS events FROM events_b GROUP BY item_id) b USING (item_id)
    """)
    shared = _count(connection, "homes")
    join = "LEFT JOIN homes USING (item_id)" if shared else ""

    def events_of(domain: str) -> str:
        home = f"coalesce(home, '{domain}')" if shared else f"'{domain}'"
        table = f"events_{domain.lower()}"
        return f"SELECT user_id, item_id, moment, {home} AS domain FROM {table} {join}"

    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW both_domains AS {events_of('A')} UNION ALL {events_of('B')}"
    )
    # A user with too few lines in a domain can never stay: leaving these out first keeps the costly
    # steps small.
    chosen = ""
    if limits.users_per_domain:
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE candidates AS SELECT user_id FROM both_domains "
            f"GROUP BY user_id HAVING {ENOUGH_IN_BOTH}",
            [limits.users_per_domain] * 2,
        )
        chosen = "WHERE user_id IN (SELECT user_id FROM candidates)"
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE interactions AS
        SELECT user_id, item_id, any_value(domain) AS domain, min(moment) AS moment
        FROM both_domains {chosen} GROUP BY user_id, item_id
    """)
    return shared


def filter_core(connection: duckdb.DuckDBPyConnection, limits: Limits) -> list[int]:
    """Drop items and users with too few events from `interactions` until nothing changes.

    The same as `filters.k_core`.  Ids become numbers first: counting numbers is several times
    quicker than counting texts.  The result is `numbered` (u, i, domain, moment), with `users` and
    `goods` for the way back to the ids.

    Returns:
        The number of events before the first round and after each round.

    Raises:
        DataError: Nothing remains.
    """
    for table, column, number in (("users", "user_id", "u"), ("goods", "item_id", "i")):
        connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE {table} AS
            SELECT {column}, row_number() OVER () AS {number}
            FROM (SELECT DISTINCT {column} FROM interactions)
        """)
    connection.execute("""
        CREATE OR REPLACE TEMP TABLE numbered AS SELECT u, i, domain, moment
        FROM interactions JOIN users USING (user_id) JOIN goods USING (item_id)
    """)
    rounds = [_count(connection, "numbered")]
    while True:
        _keep_groups(connection, "i", "count(*) >= ?", [limits.items])
        if limits.users_per_domain:
            _keep_groups(connection, "u", ENOUGH_IN_BOTH, [limits.users_per_domain] * 2)
        rounds.append(_count(connection, "numbered"))
        if rounds[-1] in (0, rounds[-2]):
            break
    if not rounds[-1]:
        raise DataError(
            f"nothing is left of {rounds[0]} interactions with at least {limits.items} per item "
            f"and {limits.users_per_domain} per user and domain: lower CORE, or check that both "
            "files are of the same release."
        )
    return rounds


def _keep_groups(
    connection: duckdb.DuckDBPyConnection, key: str, condition: str, values: list[int]
) -> None:
    """Keep the rows of `numbered` whose user or item fulfils the condition."""
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE numbered AS SELECT * FROM numbered WHERE {key} IN "
        f"(SELECT {key} FROM numbered GROUP BY {key} HAVING {condition})",
        values,
    )


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    rows: list[tuple[int]] = connection.execute(f"SELECT count(*) FROM {table}").fetchall()
    return rows[0][0]
