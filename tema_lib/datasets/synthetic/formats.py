"""The synthetic data set written out in every form that real data comes in, so that readers and lectures have something to read.

    write_official(world, folder, 2014)         reviews, ratings and metadata as that release has them, below `folder` as on its server
    write_published(world, folder, "c2dsr")     item lists and sequences as that paper publishes them

The files have the pitfalls of their form: lines by item instead of by time, entities escaped once or twice, missing keys, repeated reviews
and metadata lines, a corrupt line, headlines called title, variants of a product.  Synthetic, like the world itself.  Status: ours.
"""

from __future__ import annotations

import csv
import gzip
import html
import io
import json
import random
import time
from pathlib import Path

from tema_lib.data.dataset import DataError, RawData
from tema_lib.datasets.amazon.preparation import write_whole
from tema_lib.datasets.amazon.releases import FILES, PAIRS, release

DAY = 86_400
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
FORMS = ("llmcdsr", "c2dsr", "abxi")


def _escaped(text: str, number: int) -> str:
    """Every third text escaped once, every third twice."""
    for _ in range(number % 3):
        text = html.escape(text)
    return text


def _zipped(lines) -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(
        fileobj=packed, mode="wb", mtime=0
    ) as file:  # no clock inside: equal worlds give equal files
        file.write("".join(f"{line}\n" for line in lines).encode())
    return packed.getvalue()


# ---------------------------------------------------------------------------------------------- official releases


def write_official(
    world: RawData,
    folder: Path | str,
    year: int,
    pictures: str = "http://localhost/",
    seed: int = 0,
) -> None:
    """Both domains of `world` as the release of that year has them, under the category names of food-kitchen.

    pictures: the address below which the items' pictures will lie.  Read back, the files hold everything that `world` says: ids, domains,
    seconds, titles, descriptions, and pictures where a server has them.  Only the order of equal times is not told by these files.
    """
    folder, rng, names = Path(folder), random.Random(seed), FILES[release(year)]
    events, items = world.interactions, world.items
    for domain, category in zip("AB", PAIRS["food-kitchen"]):
        review_lines, rating_rows = [], []
        for number, row in enumerate(
            events[events["domain"] == domain].sort_values("item_id", kind="stable").itertuples()
        ):
            review_lines.append(
                json.dumps(_review(row.user_id, row.item_id, row.timestamp, number, year))
            )
            rating_rows.append((row.user_id, row.item_id, row.timestamp))
            if rng.random() < 0.02:  # the same person writes about the same product again, later
                review_lines.append(
                    json.dumps(
                        _review(
                            row.user_id, row.item_id, row.timestamp + 200 * DAY, number + 1, year
                        )
                    )
                )
                rating_rows.append((row.user_id, row.item_id, row.timestamp + 200 * DAY))
        review_lines.insert(len(review_lines) // 2, review_lines[0][:40])  # a line that was cut off
        own_items = items[items["domain"] == domain]
        lines = [
            _metadata(row, number, year, pictures)
            for number, row in enumerate(own_items.itertuples())
        ]
        if year == 2018:
            lines += lines[:5]  # that release lists some items twice
        for kind, content in (("reviews", review_lines), ("metadata", lines)):
            write_whole(folder / names[kind].format(category), _zipped(content))
        if "ratings" in names:
            order = (0, 1) if year == 2014 else (1, 0)  # 2018 swapped the first two columns
            rows = "".join(
                f"{row[order[0]]},{row[order[1]]},{1 + number % 5}.0,{row[2]}\n"
                for number, row in enumerate(rating_rows)
            )
            write_whole(folder / names["ratings"].format(category), rows.encode())


def _review(user: str, item: str, seconds: int, number: int, year: int) -> dict:
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
    return review | (
        {"helpful": [0, number % 3]} if year == 2014 else {"verified": True, "vote": "1,234"}
    )


def _metadata(row, number: int, year: int, pictures: str) -> str:
    title, address = _escaped(row.title, number), f"{pictures.rstrip('/')}/{row.image}"
    if year == 2014:
        record = {
            "asin": row.item_id,
            "title": title,
            "description": _escaped(row.description, number + 1),
            "imUrl": address,
            "price": 12.5,
            "salesRank": {"Shop": 1000 + number},
            "categories": [["Shop", "Things"]],
        }
        kept = {
            "title": row.title,
            "description": row.description,
            "imUrl": row.image,
            "price": number % 4,
            "salesRank": number % 3,
        }
        record = {
            key: value for key, value in record.items() if kept.get(key, True)
        }  # a key without a value is not there at all
    elif year == 2018:
        record = {
            "asin": row.item_id,
            "title": title,
            "description": [_escaped(row.description, number + 1)] * bool(row.description),
            "brand": "",
            "category": ["Shop", "Things"],
            "price": ("$1,234.56", "", "$9.99 - $12.00")[number % 3],
            "rank": ("1,234 in Shop (", [">#2,345 in Shop (", ">#12 in Things ("], [])[number % 3],
            "imageURL": [address.replace("pictures", "thumbs")] * bool(row.image),
            "imageURLHighRes": [address] * bool(row.image),
        }
    else:
        image = {"thumb": f"{address}.thumb", "large": address, "variant": "MAIN", "hi_res": None}
        record = {
            "main_category": "Shop",
            "title": title,
            "average_rating": 4.0,
            "rating_number": 10,
            "features": [],
            "description": [_escaped(row.description, number + 1)] * bool(row.description),
            "price": (12.5, None, "9.99")[number % 3],
            "images": [{**image, "variant": "PT01", "large": f"{address}.side"}, image]
            * bool(row.image),
            "videos": [],
            "store": None,
            "categories": ["Shop", "Things"],
            "details": {},
            "parent_asin": row.item_id,
        }
    return repr(record) if year == 2014 else json.dumps(record)


# ---------------------------------------------------------------------------------------------- forms of papers


def write_published(world: RawData, folder: Path | str, form: str, seed: int = 0) -> None:
    """`world` as LLMCDSR, C2DSR or ABXI publish theirs: one line a user; in the first two, every 9th user is validation, every 10th test.

    What a form cannot hold: LLMCDSR has no user ids and no times, C2DSR and ABXI no titles; none has descriptions or pictures.
    """
    writers = {"llmcdsr": _write_llmcdsr, "c2dsr": _write_c2dsr, "abxi": _write_abxi}
    if form not in writers:
        raise DataError(f"{form} is no published form: choose {', '.join(FORMS)}.")
    people = [
        (user, list(zip(rows["item_id"], rows["domain"], rows["timestamp"])))
        for user, rows in world.interactions.sort_values(
            ["user_id", "timestamp"], kind="stable"
        ).groupby("user_id", sort=True)
    ]
    domain_items = {domain: world.items[world.items["domain"] == domain] for domain in "AB"}
    writers[form](Path(folder), people, domain_items, random.Random(seed))


def part_of(number: int) -> str:
    """Which file the user of this number goes to."""
    return {8: "valid", 9: "test"}.get(number % 10, "train")


def _global_ids(domain_items) -> dict[str, int]:
    return {
        item: number
        for number, item in enumerate(
            [*domain_items["A"]["item_id"], *domain_items["B"]["item_id"]]
        )
    }


def _write_llmcdsr(folder, people, domain_items, rng) -> None:
    number_of = _global_ids(domain_items)
    parts = {name: [] for name in ("train_A", "train_B", "train_overlap", "valid", "test")}
    for position, (_, events) in enumerate(people):
        part, domains = part_of(position), {domain for _, domain, _ in events}
        lines = parts[
            part
            if part != "train"
            else "train_overlap"
            if len(domains) == 2
            else f"train_{domains.pop()}"
        ]
        lines.append(
            f"{len(lines) + 1}\t{','.join(str(number_of[item]) for item, _, _ in events)}\n"
        )
    for name, lines in parts.items():
        write_whole(folder / f"{name}.txt", "".join(lines).encode())
    write_whole(
        folder / "num.txt",
        "".join(f"{len(own_items)}\n" for own_items in domain_items.values()).encode(),
    )
    write_whole(
        folder / "instance_num.txt",
        "".join(
            f"{len(parts[name])}\n" for name in ("train_A", "train_B", "train_overlap")
        ).encode(),
    )
    for domain, own_items in domain_items.items():
        write_whole(
            folder / f"item_set_{domain}.pkl",
            pickled({item: number for number, item in enumerate(own_items["item_id"])}),
        )
        write_whole(
            folder / f"text_{domain}.pkl",
            pickled(
                {
                    item: _escaped(title, number)
                    for number, (item, title) in enumerate(
                        zip(own_items["item_id"], own_items["title"])
                    )
                }
            ),
        )


def pickled(texts: dict) -> bytes:
    """A dict of texts and small numbers as a pickle, written by hand: PROTO 2, EMPTY_DICT, MARK, keys and values, SETITEMS, STOP."""

    def text(value):
        return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()

    body = b"".join(
        text(key)
        + (
            text(value)
            if isinstance(value, str)
            else b"J" + value.to_bytes(4, "little", signed=True)
        )
        for key, value in texts.items()
    )
    return b"\x80\x02}(" + body + b"u."


def _write_c2dsr(folder, people, domain_items, rng) -> None:
    number_of = _global_ids(domain_items)
    for name, own_items in zip(("Alist.txt", "Blist.txt"), domain_items.values()):
        write_whole(
            folder / name,
            "".join(
                f"{rng.randrange(10**5)}\t{item}\t{number}\n"
                for number, item in enumerate(own_items["item_id"])
            ).encode(),
        )
    write_whole(
        folder / "userlist.txt",
        "".join(f"{user}\t{position}\n" for position, (user, _) in enumerate(people)).encode(),
    )
    parts = {"train": [], "valid": [], "test": []}
    for position, (_, events) in enumerate(people):
        tokens = [
            f"{number_of[item]}|{seconds}|{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(seconds + 8 * 3600))}|"
            for item, _, seconds in events
        ]
        if rng.random() < 0.6:  # more than half of the published lines are not in time order
            rng.shuffle(tokens)
        parts[part_of(position)].append(
            "\t".join([str(position), str(rng.randrange(1, 30)), *tokens]) + "\n"
        )
    for name, lines in parts.items():
        write_whole(folder / f"{name}data_new.txt", "".join(lines).encode())


def _write_abxi(folder, people, domain_items, rng) -> None:
    number_of = {item: number + 1 for item, number in _global_ids(domain_items).items()}
    domain = {
        item: number
        for number, own_items in enumerate(domain_items.values())
        for item in own_items["item_id"]
    }
    write_whole(
        folder / "map_item_50.txt",
        json.dumps({item: [number, domain[item]] for item, number in number_of.items()}).encode(),
    )
    write_whole(
        folder / "map_user_50.txt",
        json.dumps({user: position for position, (user, _) in enumerate(people)}).encode(),
    )
    lines = [
        f"{position} {' '.join(f'{number_of[item]}|{seconds}' for item, _, seconds in events)}\n"
        for position, (_, events) in enumerate(people)
    ]
    write_whole(folder / "afk_50_preprocessed.txt", "".join(lines).encode())


def write_tables(raw: RawData, folder: Path | str) -> None:
    """Any data as our own two tables: write, read and write again gives the same bytes.  The published split and pictures are not copied."""
    for name, table in (
        ("interactions.tsv", raw.interactions[["user_id", "item_id", "domain", "timestamp"]]),
        ("items.tsv", raw.items),
    ):
        text = io.StringIO()
        writer = csv.writer(
            text, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None
        )
        writer.writerow(table.columns)
        writer.writerows(table.itertuples(index=False))
        write_whole(Path(folder) / name, text.getvalue().encode())
