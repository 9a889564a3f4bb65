"""What a data set looks like, and what looks wrong with it.

    population(raw)     a table: users, items, events, lengths, coverage of titles, for each domain
    order_of(raw)       what the order of events is worth: ties, changes of domain against chance, A-before-B within a day
    data quality warnings(raw)     one sentence for each sign of a pitfall
    check_runnable(raw) a `DataError` where no run can come to an end

Status: ours.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tema_lib.data.dataset import DOMAINS, UNNAMED, RawData, user_codes
from tema_lib.data.readers import DataError

DAY = 86_400
FEW = 30  # targets of a domain: fewer give numbers that say next to nothing


def population(raw: RawData) -> pd.DataFrame:
    """One column a domain and one for both: counts, quantiles of events per user and per item (25 %, 50 %, 75 %, most), shares of items with texts."""
    events, items = raw.interactions, raw.items
    domains = events.groupby("user_id")["domain"].nunique()
    columns = {}
    for name, part, goods in (
        *(
            (domain, events[events["domain"] == domain], items[items["domain"] == domain])
            for domain in DOMAINS
        ),
        ("both", events, items),
    ):
        per_user, per_item = part.groupby("user_id").size(), part.groupby("item_id").size()

        def quantiles(sizes):
            return (
                "/".join(f"{value:.0f}" for value in np.quantile(sizes, (0.25, 0.5, 0.75, 1.0)))
                if len(sizes)
                else "-"
            )

        columns[name] = {
            "users": len(per_user),
            "of them in both domains": int((domains[per_user.index] == 2).sum()),
            "items": len(goods),
            "events": len(part),
            "events per user": quantiles(per_user),
            "events per item": quantiles(per_item),
            **{
                f"items with {text}": f"{(goods[text] != '').mean():.1%}" if len(goods) else "-"
                for text in ("title", "description", "image")
            },
        }
    return pd.DataFrame(columns)


def order_of(raw: RawData) -> dict[str, float]:
    """Shares over pairs of consecutive events of a user, in the order the data gives them (time, then file order).

    same_day: both on one day; a_before_b, b_before_a: changes of domain within one time stamp, how many; switches: changes of domain;
    switches_by_chance: how many a random order of each user's events would have, 2 a b / (a + b) for a events in A and b in B.
    """
    events = raw.interactions
    user = user_codes(events)[0]
    position = np.lexsort((events["timestamp"].to_numpy(), user))  # stable
    user, seconds = user[position], events["timestamp"].to_numpy()[position]
    in_b = (events["domain"] == "B").to_numpy()[position]
    pair = user[1:] == user[:-1]
    tie = pair & (seconds[1:] == seconds[:-1])
    sizes = (
        events.groupby(["user_id", "domain"])
        .size()
        .unstack(fill_value=0)
        .reindex(columns=list(DOMAINS), fill_value=0)
    )
    pairs = max(int(pair.sum()), 1)
    return {
        "same_day": float((pair & (seconds[1:] // DAY == seconds[:-1] // DAY)).sum() / pairs),
        "same_time": float(tie.sum() / pairs),
        "a_before_b": int((tie & ~in_b[:-1] & in_b[1:]).sum()),
        "b_before_a": int((tie & in_b[:-1] & ~in_b[1:]).sum()),
        "switches": int((pair & (in_b[1:] != in_b[:-1])).sum()),
        "switches_by_chance": float(
            (2 * sizes["A"] * sizes["B"] / (sizes["A"] + sizes["B"])).sum()
        ),
    }


def data_quality_warnings(raw: RawData) -> list[str]:
    """What should be looked into before any model is trained; empty where nothing is odd."""
    found, order = [], order_of(raw)
    seconds = raw.interactions["timestamp"]
    counting = seconds.eq(raw.interactions.groupby("user_id").cumcount())
    if counting.all():
        found.append(
            "the times are just 0, 1, 2, ...: they say the order at most, and that may have been made up"
        )
    else:
        ties = order["a_before_b"] + order["b_before_a"]
        if ties >= 50 and abs(order["a_before_b"] - order["b_before_a"]) > 4 * ties**0.5:
            found.append(
                f"within one time stamp A stands before B {order['a_before_b']} times and B before A {order['b_before_a']} times: the file's order "
                "tells the domain; put the rows of equal time into random order"
            )
        if order["same_time"] > 0.5:
            found.append(
                f"{order['same_time']:.0%} of consecutive events have equal times: their order "
                "is that of the file"
            )
    if order["switches"] > 1.2 * order["switches_by_chance"] + 10:
        found.append(
            f"{order['switches']} changes of domain where a random order has {order['switches_by_chance']:.0f}: the domains were interleaved artificially"
        )
    titles = raw.items["title"][raw.items["title"] != ""]
    if (
        len(titles) >= 20
        and titles.nunique() < 0.5 * len(titles)
        and titles.str.split().str.len().median() <= 4
    ):
        found.append(
            f"{len(titles)} items share {titles.nunique()} short titles: these look like headlines of reviews, not names of products"
        )
    elif (shared := int(titles.duplicated(keep=False).sum())) > 0.05 * len(titles):
        found.append(
            f"{shared} of {len(titles)} titled items share their title with another item: "
            "neither texts nor tags can tell them apart"
        )
    if not len(titles):
        found.append("no item has a title: there is nothing to encode and nothing to tag")
    return found + _repeats_of(raw) + _scarce(raw)


def _repeats_of(raw: RawData) -> list[str]:
    found, dropped = [], raw.dropped
    if dropped.get("identical"):
        found.append(
            f"{dropped['identical']} rows stood there again, to the letter, and were dropped: "
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

    def seen(rows):
        return np.bincount(user[rows], minlength=len(names)) > 0

    if not (seen(in_b) & seen(~in_b)).any():
        found.append(
            "no user has events in both domains: nothing can be carried over from one to the other"
        )
    position = np.lexsort((events["timestamp"].to_numpy(), user))
    last = position[np.append(np.diff(user[position]) != 0, True)]
    tested = np.bincount(user)[user[last]] >= 3
    if raw.published:
        tested = (events["split"] == "test").to_numpy()[last]
    for number, _domain in enumerate(DOMAINS):
        if (targets := int((tested & (in_b[last] == number)).sum())) < FEW:
            found.append(
                f"{_named(raw, number)} has {targets or 'no'} test target{'s' * (targets != 1)}"
                ": " + ("its numbers say next to nothing" if targets else "it has no numbers")
            )
    return found


def _named(raw: RawData, number: int) -> str:
    return UNNAMED[number] + (f" ({raw.domains[number]})" if raw.domains != UNNAMED else "")


def check_runnable(raw: RawData) -> None:
    """Raise `DataError` where no run can come to an end: one domain only, or nobody to test."""
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
