"""What a data set looks like, and what looks wrong with it.

    population(raw)     a table: users, items, events, lengths, coverage of titles, for each shop
    order_of(raw)       what the order of events is worth: ties, changes of shop against chance, A-before-B within a day
    suspicions(raw)     one sentence for each sign of a trap

Status: ours.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tema_lib.data.interactions import DOMAINS, RawData, user_codes

DAY = 86_400


def population(raw: RawData) -> pd.DataFrame:
    """One column a shop and one for both: counts, quantiles of events per user and per item (25 %, 50 %, 75 %, most), shares of items with texts."""
    events, items = raw.interactions, raw.items
    shops = events.groupby("user_id")["domain"].nunique()
    columns = {}
    for name, part, goods in (*((domain, events[events["domain"] == domain], items[items["domain"] == domain]) for domain in DOMAINS), ("both", events, items)):
        per_user, per_item = part.groupby("user_id").size(), part.groupby("item_id").size()
        quantiles = lambda sizes: "/".join(f"{value:.0f}" for value in np.quantile(sizes, (0.25, 0.5, 0.75, 1.0))) if len(sizes) else "-"
        columns[name] = {"users": len(per_user), "of them in both shops": int((shops[per_user.index] == 2).sum()), "items": len(goods), "events": len(part),
                         "events per user": quantiles(per_user), "events per item": quantiles(per_item),
                         **{f"items with {text}": f"{(goods[text] != '').mean():.1%}" if len(goods) else "-" for text in ("title", "description", "image")}}
    return pd.DataFrame(columns)


def order_of(raw: RawData) -> dict[str, float]:
    """Shares over pairs of consecutive events of a user, in the order the data gives them (time, then file order).

    same_day: both on one day; a_before_b, b_before_a: changes of shop within one time stamp, how many; switches: changes of shop;
    switches_by_chance: how many a random order of each user's events would have, 2 a b / (a + b) for a events in A and b in B.
    """
    events = raw.interactions
    user = user_codes(events)[0]
    place = np.lexsort((events["timestamp"].to_numpy(), user))                     # stable
    user, seconds = user[place], events["timestamp"].to_numpy()[place]
    in_b = (events["domain"] == "B").to_numpy()[place]
    pair = user[1:] == user[:-1]
    tie = pair & (seconds[1:] == seconds[:-1])
    sizes = events.groupby(["user_id", "domain"]).size().unstack(fill_value=0).reindex(columns=list(DOMAINS), fill_value=0)
    pairs = max(int(pair.sum()), 1)
    return {"same_day": float((pair & (seconds[1:] // DAY == seconds[:-1] // DAY)).sum() / pairs), "same_time": float(tie.sum() / pairs),
            "a_before_b": int((tie & ~in_b[:-1] & in_b[1:]).sum()), "b_before_a": int((tie & in_b[:-1] & ~in_b[1:]).sum()),
            "switches": int((pair & (in_b[1:] != in_b[:-1])).sum()),
            "switches_by_chance": float((2 * sizes["A"] * sizes["B"] / (sizes["A"] + sizes["B"])).sum())}


def suspicions(raw: RawData) -> list[str]:
    """What should be looked into before any model is trained; empty where nothing is odd."""
    found, order = [], order_of(raw)
    seconds = raw.interactions["timestamp"]
    counting = seconds.eq(raw.interactions.groupby("user_id").cumcount())
    if counting.all():
        found.append("the times are just 0, 1, 2, ...: they say the order at most, and that may have been made up")
    else:
        ties = order["a_before_b"] + order["b_before_a"]
        if ties >= 50 and abs(order["a_before_b"] - order["b_before_a"]) > 4 * ties ** 0.5:
            found.append(f"within one time stamp A stands before B {order['a_before_b']} times and B before A {order['b_before_a']} times: the file's order "
                         "tells the shop; use shuffle_ties")
    if order["switches"] > 1.2 * order["switches_by_chance"] + 10:
        found.append(f"{order['switches']} changes of shop where a random order has {order['switches_by_chance']:.0f}: the shops were interleaved artificially")
    titles = raw.items["title"][raw.items["title"] != ""]
    if len(titles) >= 20 and titles.nunique() < 0.5 * len(titles) and titles.str.split().str.len().median() <= 4:
        found.append(f"{len(titles)} items share {titles.nunique()} short titles: these look like headlines of reviews, not names of products")
    repeated = int(raw.interactions.duplicated(["user_id", "item_id"]).sum())
    if repeated:
        found.append(f"{repeated} events repeat a user's earlier purchase: use first_purchases, or the model only learns to repeat")
    return found
