"""What a data set looks like, and what looks wrong with it.

    population(raw)             users, items, events, lengths, coverage of titles, for each domain
    order_of(raw)               ties, changes of domain against a random order, A before B
    data_quality_warnings(raw)  one sentence for each sign of a pitfall
    check_runnable(raw)         a `DataError` where no run can come to an end

Status: ours.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tema_lib.data.dataset import UNNAMED, RawData, user_codes
from tema_lib.data.files import DataError
from tema_lib.data.filters import events_per_domain
from tema_lib.data.readers import DOMAINS

DAY = 86_400  # seconds
FEW = 30  # targets of a domain: with fewer, its metrics mean little


def population(raw: RawData) -> pd.DataFrame:
    """One column per domain and one for both.

    Counts, quantiles of events per user and per item (25 %, 50 %, 75 %, largest), and the shares of
    items with texts.
    """
    events, items = raw.interactions, raw.items
    columns = {}
    for domain in DOMAINS:
        own_events, own_items = events["domain"] == domain, items["domain"] == domain
        columns[domain] = _population_of(events, events[own_events], items[own_items])
    columns["both"] = _population_of(events, events, items)
    return pd.DataFrame(columns)


def _population_of(every: pd.DataFrame, events: pd.DataFrame, items: pd.DataFrame) -> dict:
    domains = every.groupby("user_id")["domain"].nunique()
    per_user, per_item = events.groupby("user_id").size(), events.groupby("item_id").size()
    return {
        "users": len(per_user),
        "of them in both domains": int((domains[per_user.index] == 2).sum()),
        "items": len(items),
        "events": len(events),
        "events per user": _quantiles(per_user),
        "events per item": _quantiles(per_item),
        **{
            f"items with {text}": f"{(items[text] != '').mean():.1%}" if len(items) else "-"
            for text in ("title", "description", "image")
        },
    }


def _quantiles(sizes: pd.Series) -> str:
    if not len(sizes):
        return "-"
    return "/".join(f"{value:.0f}" for value in np.quantile(sizes, (0.25, 0.5, 0.75, 1.0)))


def order_of(raw: RawData) -> dict[str, float]:
    """Facts about pairs of consecutive events of a user, ordered by time, then as in the file.

    Returns:
        same_day, same_time: shares of the pairs on one day, and within one time stamp;
        a_before_b, b_before_a: how many pairs change the domain within one time stamp;
        switches: how many pairs change the domain;
        switches_by_chance: how many a random order of each user's events would have, 2ab / (a + b)
        for a events in A and b in B.
    """
    events = raw.interactions
    user = user_codes(events)[0]
    position = np.lexsort((events["timestamp"].to_numpy(), user))  # stable
    user, seconds = user[position], events["timestamp"].to_numpy()[position]
    in_b = (events["domain"] == "B").to_numpy()[position]
    pair = user[1:] == user[:-1]
    tie = pair & (seconds[1:] == seconds[:-1])
    sizes = events_per_domain(events)
    pairs = max(int(pair.sum()), 1)
    by_chance = 2 * sizes["A"] * sizes["B"] / (sizes["A"] + sizes["B"])
    return {
        "same_day": float((pair & (seconds[1:] // DAY == seconds[:-1] // DAY)).sum() / pairs),
        "same_time": float(tie.sum() / pairs),
        "a_before_b": int((tie & ~in_b[:-1] & in_b[1:]).sum()),
        "b_before_a": int((tie & in_b[:-1] & ~in_b[1:]).sum()),
        "switches": int((pair & (in_b[1:] != in_b[:-1])).sum()),
        "switches_by_chance": float(by_chance.sum()),
    }


# --- data quality warnings ---


def data_quality_warnings(raw: RawData) -> list[str]:
    """What should be looked into before any model is trained; empty where nothing is odd."""
    return [*_odd_order(raw), *_odd_titles(raw), *_repeats_of(raw), *_scarce(raw)]


def _odd_order(raw: RawData) -> list[str]:
    """Signs that the times or the order of the file were made up."""
    found, order = [], order_of(raw)
    counting = raw.interactions["timestamp"].eq(raw.interactions.groupby("user_id").cumcount())
    if counting.all():
        found.append(
            "the times are just 0, 1, 2, ...: they say the order at most, "
            "and that may have been made up"
        )
    else:
        a_first, b_first = order["a_before_b"], order["b_before_a"]
        ties = a_first + b_first
        if ties >= 50 and abs(a_first - b_first) > 4 * ties**0.5:
            found.append(
                f"within one time stamp A comes before B {a_first} times and B before A "
                f"{b_first} times: the file's order tells the domain; put the rows of equal time "
                "into random order"
            )
        if order["same_time"] > 0.5:
            found.append(
                f"{order['same_time']:.0%} of consecutive events have equal times: their order "
                "is that of the file"
            )
    if order["switches"] > 1.2 * order["switches_by_chance"] + 10:
        found.append(
            f"{order['switches']} changes of domain where a random order has "
            f"{order['switches_by_chance']:.0f}: the domains were interleaved artificially"
        )
    return found


def _odd_titles(raw: RawData) -> list[str]:
    """Signs that titles are missing, shared, or not titles of products."""
    titles = raw.items["title"][raw.items["title"] != ""]
    if not len(titles):
        return ["no item has a title: there is nothing to encode and nothing to tag"]
    few = len(titles) >= 20 and titles.nunique() < 0.5 * len(titles)
    if few and titles.str.split().str.len().median() <= 4:
        return [
            f"{len(titles)} items share {titles.nunique()} short titles: these look like headlines "
            "of reviews, not names of products"
        ]
    shared = int(titles.duplicated(keep=False).sum())
    if shared > 0.05 * len(titles):
        return [
            f"{shared} of {len(titles)} titled items share their title with another item: "
            "neither texts nor tags can tell them apart"
        ]
    return []


def _repeats_of(raw: RawData) -> list[str]:
    """Rows that were dropped as repeats, and repeats that are kept."""
    found, dropped = [], raw.dropped
    if dropped.get("identical"):
        found.append(
            f"{dropped['identical']} rows repeat another row exactly and were dropped: "
            "the export may have written rows twice"
        )
    if dropped.get("repeats"):
        found.append(
            f"{dropped['repeats']} later events of a user with the same item were dropped: "
            "the first of each is kept"
        )
    if repeated := int(raw.interactions.duplicated(["user_id", "item_id"]).sum()):
        found.append(
            f"{repeated} events repeat a user's earlier interaction: a model that learns to "
            "repeat looks good here"
        )
    return found


def _scarce(raw: RawData) -> list[str]:
    """What there is too little of: users of both domains, and targets of each."""
    found, events = [], raw.interactions
    user, names = user_codes(events)
    in_b = (events["domain"] == "B").to_numpy()

    def active(rows: np.ndarray) -> np.ndarray:
        return np.bincount(user[rows], minlength=len(names)) > 0

    if not (active(in_b) & active(~in_b)).any():
        found.append(
            "no user has events in both domains: nothing can be carried over from one to the other"
        )
    position = np.lexsort((events["timestamp"].to_numpy(), user))
    last = position[np.append(np.diff(user[position]) != 0, True)]
    if raw.published:
        tested = (events["split"] == "test").to_numpy()[last]
    else:
        tested = np.bincount(user)[user[last]] >= 3
    for domain in range(len(DOMAINS)):
        targets = int((tested & (in_b[last] == domain)).sum())
        if targets == 0:
            found.append(f"{_named(raw, domain)} has no test targets: it has no metrics")
        elif targets < FEW:
            plural = "s" if targets > 1 else ""
            found.append(
                f"{_named(raw, domain)} has {targets} test target{plural}: its metrics mean little"
            )
    return found


def _named(raw: RawData, domain: int) -> str:
    return UNNAMED[domain] + (f" ({raw.domains[domain]})" if raw.domains != UNNAMED else "")


def check_runnable(raw: RawData) -> None:
    """Check that a run on this data can come to an end.

    Raises:
        DataError: There is one domain only, or nobody to test.
    """
    events = raw.interactions
    for number, domain in enumerate(DOMAINS):
        if not (events["domain"] == domain).any():
            raise DataError(
                f"{raw.folder} has no event of {_named(raw, number)}: this course is about "
                "two domains; add its items and events."
            )
    sizes = events.groupby("user_id").size()
    if raw.published:
        part = events.drop_duplicates("user_id").set_index("user_id")["split"]
        for name in ("train", "valid", "test"):
            if not (sizes[part.index[part == name]] >= 2).any():
                raise DataError(
                    f"{raw.folder} has no {name} sequence of two events: restore the "
                    "published files."
                )
    elif not (sizes >= 3).any():
        raise DataError(
            f"{raw.folder} has no user with three events, one each to learn from, to "
            "validate and to test: add users with longer histories."
        )
