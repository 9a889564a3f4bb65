"""The synthetic data set: two domains written by a rule, so that the right answer is known.

A latent *topic* (sushi night, birthday cake, ...) makes a user buy in both domains: food (A) and kitchen things (B). Neither
ids nor any single word show it; the meaning of the text and the picture do. Run `python -m tema_lib.datasets.synthetic.generator` to write the
folder `data/synthetic` again: tables byte for byte, pictures pixel for pixel. Status of every choice here: ours.

    write_dataset(folder, seed=0)        items.tsv, interactions.tsv, dataset.json, pictures/, truth/, README.md
    read_truth(folder)                 -> (items, users), two tables
    neighbour_precision(vectors, topic, k=10), is_cross_domain(sequence, truth_items)
"""

import csv
import io
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tema_lib.datasets.synthetic.drawings import draw_picture
from tema_lib.datasets.synthetic.truth import (  # noqa: F401 - offered here too
    bag_of_words,
    is_cross_domain,
    neighbour_precision,
    read_truth,
)
from tema_lib.datasets.synthetic.vocabulary import (
    BRANDS,
    HINTS,
    MODIFIERS,
    PRAISE,
    SIZES,
    UNINFORMATIVE,
    Kind,
    read_topics,
)

TOPICS = read_topics()
DAY = 86_400


@dataclass(frozen=True)
class SyntheticConfig:
    """How large the world is and how strongly its rule holds."""

    items_per_domain: int = 300
    users: int = 1_200
    # Shares of items with a gap; the three groups never overlap, so each item can still be understood.
    uninformative: float = (
        0.15  # a title like "Model 4", no description: only the picture tells the kind
    )
    undescribed: float = 0.15  # a telling title, a picture, no description
    unpictured: float = 0.10  # a telling title, a description, no picture
    decorated: float = 0.25  # telling titles with brand, size and the like; the others are bare
    praised: float = 0.25  # descriptions with a second sentence, one that fits anything
    # Popularity: a long tail, and new arrivals that few users can have bought before the end.
    tail: float = 1.3  # weight of the item at rank r within its topic and domain: 1 / r**tail
    arrivals: float = 0.20  # share of items that enter the domains in the last days
    arrival_days: float = 14.0  # ... namely in these last days of the calendar
    arrival_pick: float = 0.36  # probability that a interaction in those days goes to a new arrival
    # Users: events, and how one event leads to the next.
    shortest: int = 8
    longest: int = 20
    mean_extra: float = 3.5  # mean number of events above the shortest
    topics_per_user: int = 4  # a user returns to these
    noise: float = 0.10  # an event that belongs to nothing
    switch: float = 0.16  # the topic ends and another begins
    cross: float = 0.55  # the same topic goes on in the other domain; otherwise in the same domain
    next_kind: float = 0.75  # within a domain the kinds of an topic follow their order
    kind_pull: float = (
        5.0  # how much likelier an item of the expected kind is than any other of the topic
    )
    gap_days: float = 11.0  # mean time between two events
    last_days: float = 9.0  # mean time from a user's last event to the end of the calendar
    calendar_end: int = 1_735_603_200  # 31 December 2024, 00:00 UTC


@dataclass
class SyntheticItem:
    """One item with the truth about it; `stage` is the place of its kind in the loose order of its topic."""

    domain: str
    topic: int
    stage: int
    kind: Kind
    phrase: str
    brand: str
    modifier: str
    size: str
    item_id: str = ""
    title: str = ""
    description: str = ""
    uninformative: bool = False
    undescribed: bool = False
    unpictured: bool = False
    arrival: bool = False
    weight: float = 1.0

    @property
    def image(self) -> str:
        return "" if self.unpictured else f"pictures/{self.item_id}.png"


@dataclass
class SyntheticUser:
    """One user: events as (item, time), the topic of each event, and why it happened (start, stay, cross, noise)."""

    user_id: str
    events: list = field(default_factory=list)
    topics: list = field(default_factory=list)
    reasons: list = field(default_factory=list)


# ---- items ------------------------------------------------------------------------------------------------------------


def make_items(config: SyntheticConfig, seed: int) -> list[SyntheticItem]:
    """All items of both domains, sorted by id; the ids are dealt after shuffling, so their order says nothing."""
    items = []
    for domain in "AB":
        random = Random(f"{seed} items {domain}")
        stock = _stock_domain(domain, config, random)
        _choose_missing(stock, config, random)
        _weigh_items(stock, config, random)
        random.shuffle(stock)
        for number, item in enumerate(stock, start=1):
            item.item_id = f"{domain}{number:03d}"
        write_text(stock, config, random)
        items += stock
    return items


def _stock_domain(domain: str, config: SyntheticConfig, random: Random) -> list[SyntheticItem]:
    """Every kind about equally often; a phrase comes again only when all phrases of its kind are used up."""
    shelves = [
        (o, stage, kind, _deck(kind.phrases, random))
        for o, topic in enumerate(TOPICS)
        for stage, kind in enumerate(topic.kinds[domain])
    ]
    positions = _deck(shelves, random)
    brands, modifiers, sizes = (
        _deck(words[domain], random) for words in (BRANDS, MODIFIERS, SIZES)
    )
    stock = []
    for _ in range(config.items_per_domain):
        topic, stage, kind, phrases = next(positions)
        stock.append(
            SyntheticItem(
                domain,
                topic,
                stage,
                kind,
                next(phrases),
                next(brands),
                next(modifiers),
                next(sizes),
            )
        )
    return stock


def _choose_missing(stock: list[SyntheticItem], config: SyntheticConfig, random: Random) -> None:
    order = random.sample(stock, len(stock))
    for name in ("uninformative", "undescribed", "unpictured"):
        for _ in range(round(getattr(config, name) * len(stock))):
            setattr(order.pop(), name, True)
    for item in random.sample(stock, round(config.arrivals * len(stock))):
        item.arrival = True


def _weigh_items(stock: list[SyntheticItem], config: SyntheticConfig, random: Random) -> None:
    """A long tail inside each topic, so that popularity does not tell the topic."""
    for topic in range(len(TOPICS)):
        members = [item for item in stock if item.topic == topic]
        random.shuffle(members)
        for rank, item in enumerate(members, start=1):
            item.weight = rank**-config.tail


def _deck(cards, random: Random):
    """Deal all cards in random order, then shuffle and deal again, for ever."""
    cards = list(cards)
    while True:
        random.shuffle(cards)
        yield from cards


# ---- text and pictures ------------------------------------------------------------------------------------------------


def write_text(stock: list[SyntheticItem], config: SyntheticConfig, random: Random) -> None:
    """Title and description of each item: a telling phrase, one or two related words, the rest is what any domain says."""
    domain = stock[0].domain
    uninformative, hints = _deck(UNINFORMATIVE, random), _deck(HINTS, random)
    praise = [_deck(pieces, random) for pieces in PRAISE[domain]]
    related = [_deck(topic.related[domain], random) for topic in TOPICS]
    for item in stock:
        if item.uninformative:
            item.title = next(uninformative).format(
                n=random.randint(2, 98),
                l=random.choice("BCDFGHKLMPRTVXZ"),
                m=item.modifier,
                s=item.size,
            )
            continue
        words = related[item.topic]
        item.title = _telling_title(item, words, config, random)
        if not item.undescribed:
            sentences = [next(hints).format(x=next(words), y=next(words))]
            if random.random() < config.praised:
                sentences.append(" ".join(next(deck) for deck in praise) + ".")
            random.shuffle(sentences)
            item.description = " ".join(_capital(sentence) for sentence in sentences)


def _telling_title(item: SyntheticItem, words, config: SyntheticConfig, random: Random) -> str:
    """The phrase of the kind, bare or decorated; a title that must stand alone adds a related word."""
    phrase = f"{item.phrase} for {next(words)}" if item.undescribed else item.phrase
    if random.random() >= config.decorated:
        return _capital(phrase)
    pattern = random.choice(
        (
            "{b} {p}, {s}",
            "{p} by {b}",
            "{b} {m} {p}",
            "{m} {p}, {s}",
            "{p} ({s})",
            "{b}: {p}, {m}",
            "{m} {p} from {b}",
            "{p}, {m}, {s}",
        )
    )
    return _capital(pattern.format(b=item.brand, p=phrase, m=item.modifier, s=item.size))


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def write_pictures(folder: Path, items: list[SyntheticItem], seed: int) -> None:
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    for item in items:
        if item.image:
            picture = draw_picture(
                item.kind.shape,
                item.kind.colour,
                item.kind.accent,
                Random(f"{seed} picture {item.item_id}"),
            )
            data = io.BytesIO()
            picture.save(data, "PNG", optimize=True)
            _write(folder / item.image, data.getvalue())


# ---- users ------------------------------------------------------------------------------------------------------------


def make_users(
    items: list[SyntheticItem], config: SyntheticConfig, seed: int
) -> list[SyntheticUser]:
    random = Random(f"{seed} users")
    shelves = {
        (o, d): [i for i in items if i.topic == o and i.domain == d]
        for o in range(len(TOPICS))
        for d in "AB"
    }
    return [
        _live(SyntheticUser(f"u{number:04d}"), shelves, config, random)
        for number in range(1, config.users + 1)
    ]


def _live(
    user: SyntheticUser, shelves: dict, config: SyntheticConfig, random: Random
) -> SyntheticUser:
    """Write one user's events: an topic goes on (in the other domain, or in this one), ends, or is disturbed by noise."""
    tastes = random.sample(range(len(TOPICS)), config.topics_per_user)
    topic, domain, stage, reason = random.choice(tastes), random.choice("AB"), 0, "start"
    for time in _times(config, random):
        if user.events:
            if random.random() < config.noise:  # the topic itself waits
                _buy(
                    user,
                    random.randrange(len(TOPICS)),
                    random.choice("AB"),
                    random.randrange(4),
                    "noise",
                    time,
                    shelves,
                    config,
                    random,
                )
                continue
            if random.random() < config.switch:
                others = [o for o in tastes if o != topic]
                topic, domain, stage, reason = (
                    random.choice(others),
                    random.choice("AB"),
                    0,
                    "start",
                )
            elif (
                random.random() < config.cross
            ):  # what was bought in one domain asks for its partner in the other
                domain, reason = "AB".replace(domain, ""), "cross"
            else:
                stage, reason = (stage + (random.random() < config.next_kind)) % 4, "stay"
        _buy(user, topic, domain, stage, reason, time, shelves, config, random)
    return user


def _times(config: SyntheticConfig, random: Random) -> list[int]:
    """Strictly increasing seconds; most users are still active shortly before the calendar ends."""
    extra = int(-math.log(1 - random.random()) * config.mean_extra + 0.5)
    count = min(config.shortest + extra, config.longest)
    time, times = config.calendar_end - config.last_days * DAY * -math.log(1 - random.random()), []
    for _ in range(count):
        times.append(int(time))
        time -= DAY * (1 + config.gap_days * -math.log(1 - random.random()))
    return times[::-1]


def _buy(user, topic, domain, stage, reason, time, shelves, config, random) -> None:
    """Choose one item that is on sale and that the user does not own: popular items and the expected kind are likelier."""
    owned = {item.item_id for item, _ in user.events}
    arrivals_on_sale = time >= config.calendar_end - config.arrival_days * DAY
    wanted = arrivals_on_sale and random.random() < config.arrival_pick
    shelf = [
        item
        for item in shelves[topic, domain]
        if item.item_id not in owned and item.arrival <= arrivals_on_sale
    ]
    fitting = [item for item in shelf if item.arrival == wanted] or shelf
    weights = [item.weight * (config.kind_pull if item.stage == stage else 1.0) for item in fitting]
    user.events.append((random.choices(fitting, weights)[0], time))
    user.topics.append(topic)
    user.reasons.append(reason)


# ---- the folder -------------------------------------------------------------------------------------------------------


def write_dataset(
    folder: Path | str, seed: int = 0, config: SyntheticConfig = SyntheticConfig()
) -> None:
    """Write the whole world to `folder`; what stands there under the same names is replaced."""
    folder = Path(folder)
    items = make_items(config, seed)
    users = make_users(items, config, seed)
    write_pictures(folder, items, seed)
    _write_table(
        folder / "items.tsv",
        "item_id domain title description image",
        [(i.item_id, i.domain, i.title, i.description, i.image) for i in items],
    )
    _write_table(
        folder / "interactions.tsv",
        "user_id item_id domain timestamp",
        [(u.user_id, item.item_id, item.domain, time) for u in users for item, time in u.events],
    )
    _write_table(
        folder / "truth/items.tsv",
        "item_id domain topic kind stage brand modifier size uninformative undescribed unpictured arrival",
        [
            (
                i.item_id,
                i.domain,
                TOPICS[i.topic].name,
                i.kind.name,
                i.stage,
                i.brand,
                i.modifier,
                i.size,
                *map(int, (i.uninformative, i.undescribed, i.unpictured, i.arrival)),
            )
            for i in items
        ],
    )
    _write_table(
        folder / "truth/users.tsv",
        "user_id topics reasons",
        [
            (u.user_id, ";".join(TOPICS[o].name for o in u.topics), ";".join(u.reasons))
            for u in users
        ],
    )
    _write_table(
        folder / "truth/tags.tsv",
        "item_id tag",
        [(i.item_id, tag) for i in items for tag in (TOPICS[i.topic].name, i.kind.name)],
    )
    _write(folder / "dataset.json", b'{"domains": ["food", "kitchen"]}\n')
    _write(folder / "README.md", _readme(items, users, seed, config).encode())


def _write_table(path: Path, columns: str, rows) -> None:
    text = io.StringIO()
    writer = csv.writer(
        text, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None
    )
    writer.writerow(columns.split())
    writer.writerows(rows)
    _write(path, text.getvalue().encode())


def _write(path: Path, data: bytes) -> None:
    """All or nothing: a neighbouring file first, then its new name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_bytes(data)
    os.replace(new, path)


def _readme(items, users, seed, config) -> str:
    events = sum(len(user.events) for user in users)
    return f"""# The synthetic data set

Synthetic. No person bought anything here and no product exists: `python -m tema_lib.datasets.synthetic.generator` wrote this folder
(seed {seed}) by the rule in `tema_lib/datasets/synthetic/generator.py`, from the words in `planted_words.py` and the shapes in `planted_pictures.py`.

{len(items)} items in two domains (A food, B kitchen), {len(users)} users, {events:,} events, {len(TOPICS)} latent topics.

| file | columns |
|---|---|
| `interactions.tsv` | user_id, item_id, domain, timestamp (seconds since 1970, UTC), sorted by user and time |
| `items.tsv` | item_id, domain, title, description, image (empty = missing) |
| `pictures/` | 96 x 96 pixels, drawn |
| `truth/items.tsv` | item_id, domain, topic, kind, stage of the kind, brand, modifier, size; 0/1: uninformative, undescribed, unpictured, arrival |
| `truth/users.tsv` | user_id; for each event its topic and its reason: start, stay, cross (to the other domain), noise |
| `truth/tags.tsv` | item_id, tag: the right tags |

The rule: an topic bought in one domain goes on in the other with probability {config.cross} (unless it ends, {config.switch}, or noise
comes between, {config.noise}); within a domain the kinds of an topic follow a loose order. {config.uninformative:.0%} of the items have a uninformative title and no
description, {config.undescribed:.0%} only lack the description, {config.unpictured:.0%} the picture. {config.arrivals:.0%} are new arrivals of the last {config.arrival_days:.0f} days.
The truth is for checking. No model may read it.
"""


if __name__ == "__main__":
    write_dataset(Path(__file__).resolve().parents[2] / "data" / "synthetic")
