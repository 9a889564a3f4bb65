"""The synthetic data set written out as the official releases have theirs.

    write_official(world, folder, 2014)     reviews, ratings and metadata, as on their server

The files have the pitfalls of theirs: lines by item instead of by time, entities escaped once
or twice, missing keys, repeated reviews and metadata lines, a line that was cut off, headlines
called title, variants of a product.  Synthetic, like the data set itself.  Status: ours.
"""

from __future__ import annotations

import gzip
import html
import io
import json
import random
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from tema_lib.data.dataset import RawData
from tema_lib.datasets.amazon.releases import FILES, PAIRS, release
from tema_lib.workspace import write_atomically

DAY = 86_400  # seconds
HEADLINES = (
    "Great",
    "Five Stars",
    "Nice",
    "Best value",
    "As described",
    "Love it",
    "Not what I hoped for",
    "Good product",
    "OK",
    "Would buy again",
)


def write_official(
    world: RawData,
    folder: Path | str,
    year: int,
    pictures: str = "http://localhost/",
    seed: int = 0,
) -> None:
    """Write both domains under the category names of food-kitchen.

    Read back, the files hold everything that `world` says: ids, domains, seconds, titles,
    descriptions, and pictures where a server has them.  Only the order of equal times is lost.

    Args:
        world: The synthetic data set.
        folder: The files are below it as on the release's server.
        year: The release.
        pictures: The address below which the items' pictures will lie.
        seed: Of the repeated reviews.

    Raises:
        DataError: There was no release in that year.
    """
    folder, rng, names = Path(folder), random.Random(seed), FILES[release(year)]
    events, items = world.interactions, world.items
    for domain, category in zip("AB", PAIRS["food-kitchen"]):
        reviews = _reviews(events[events["domain"] == domain], rng)
        review_lines = [json.dumps(_review(*review, year)) for review in reviews]
        review_lines.insert(len(review_lines) // 2, review_lines[0][:40])  # a line cut off
        own_items = items[items["domain"] == domain]
        lines = [
            _metadata(row, number, year, pictures)
            for number, row in enumerate(own_items.itertuples())
        ]
        if year == 2018:
            lines += lines[:5]  # that release lists some items twice
        for kind, content in (("reviews", review_lines), ("metadata", lines)):
            write_atomically(folder / names[kind].format(category), _zipped(content))
        if "ratings" in names:
            table = _ratings([review[:3] for review in reviews], year)
            write_atomically(folder / names["ratings"].format(category), table.encode())


def _reviews(events: pd.DataFrame, rng: random.Random) -> list[tuple[str, str, int, int]]:
    """(user, item, seconds, number) of the reviews of one domain, sorted by item.

    Some people write about the same product again, later.
    """
    reviews = []
    for number, row in enumerate(events.sort_values("item_id", kind="stable").itertuples()):
        reviews.append((row.user_id, row.item_id, row.timestamp, number))
        if rng.random() < 0.02:
            reviews.append((row.user_id, row.item_id, row.timestamp + 200 * DAY, number + 1))
    return reviews


def _ratings(rows: Iterable[tuple[str, str, int]], year: int) -> str:
    """A ratings table; 2018 swapped its first two columns."""
    first, second = (0, 1) if year == 2014 else (1, 0)
    return "".join(
        f"{row[first]},{row[second]},{1 + number % 5}.0,{row[2]}\n"
        for number, row in enumerate(rows)
    )


def escaped(text: str, number: int) -> str:
    """Every third text escaped once, every third twice."""
    for _ in range(number % 3):
        text = html.escape(text)
    return text


def _zipped(lines: Iterable[str]) -> bytes:
    packed = io.BytesIO()
    # Without a clock inside, so that equal data sets give equal files.
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:
        file.write("".join(f"{line}\n" for line in lines).encode())
    return packed.getvalue()


def _review(user: str, item: str, seconds: int, number: int, year: int) -> dict[str, Any]:
    headline, stars = HEADLINES[number % len(HEADLINES)], float(1 + number % 5)
    if year == 2023:
        return {
            "rating": stars,
            "title": headline,
            "text": "It came in time.",
            "images": [],
            "asin": f"{item}V{number % 3}" if number % 2 else item,
            "parent_asin": item,
            "user_id": user,
            "timestamp": seconds * 1000 + number % 1000,
            "helpful_vote": number % 7,
            "verified_purchase": True,
        }
    day = time.strftime("%m %d, %Y", time.gmtime(seconds))
    review = {
        "reviewerID": user,
        "asin": item,
        "overall": stars,
        "summary": headline,
        "reviewText": "It came in time.",
        "unixReviewTime": seconds,
        "reviewTime": day,
    }
    if number % 4:
        review["reviewerName"] = "A reader"
    if year == 2014:
        return {**review, "helpful": [0, number % 3]}
    return {**review, "verified": True, "vote": "1,234"}


def _metadata(row: Any, number: int, year: int, pictures: str) -> str:
    """A line about one item: a Python literal in 2014, JSON later."""
    title, description = escaped(row.title, number), escaped(row.description, number + 1)
    address = f"{pictures.rstrip('/')}/{row.image}"
    if year == 2014:
        record = {
            "asin": row.item_id,
            "title": title,
            "description": description,
            "imUrl": address,
            "price": 12.5,
            "salesRank": {"Pantry": 1000 + number},
            "categories": [["Pantry", "Things"]],
        }
        present = {
            "title": row.title,
            "description": row.description,
            "imUrl": row.image,
            "price": number % 4,
            "salesRank": number % 3,
        }
        # A key without a value is not there at all.
        return repr({key: value for key, value in record.items() if present.get(key, True)})
    descriptions = [description] * bool(row.description)
    if year == 2018:
        ranks: tuple[Any, ...] = (
            "1,234 in Pantry (",
            [">#2,345 in Pantry (", ">#12 in Things ("],
            [],
        )
        record = {
            "asin": row.item_id,
            "title": title,
            "description": descriptions,
            "brand": "",
            "category": ["Pantry", "Things"],
            "price": ("$1,234.56", "", "$9.99 - $12.00")[number % 3],
            "rank": ranks[number % 3],
            "imageURL": [address.replace("pictures", "thumbs")] * bool(row.image),
            "imageURLHighRes": [address] * bool(row.image),
        }
        return json.dumps(record)
    main = {"thumb": f"{address}.thumb", "large": address, "variant": "MAIN", "hi_res": None}
    side = {**main, "variant": "PT01", "large": f"{address}.side"}
    record = {
        "main_category": "Pantry",
        "title": title,
        "average_rating": 4.0,
        "rating_number": 10,
        "features": [],
        "description": descriptions,
        "price": (12.5, None, "9.99")[number % 3],
        "images": [side, main] * bool(row.image),
        "videos": [],
        "store": None,
        "categories": ["Pantry", "Things"],
        "details": {},
        "parent_asin": row.item_id,
    }
    return json.dumps(record)
