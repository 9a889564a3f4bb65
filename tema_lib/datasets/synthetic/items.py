"""The items of the synthetic data set: which kinds there are, how popular they are, what they say.

    make_items(config, seed)    all items of both domains, with titles and descriptions

Status: ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from tema_lib.datasets.synthetic.config import SyntheticConfig
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
DECORATIONS = (
    "{b} {p}, {s}",
    "{p} by {b}",
    "{b} {m} {p}",
    "{m} {p}, {s}",
    "{p} ({s})",
    "{b}: {p}, {m}",
    "{m} {p} from {b}",
    "{p}, {m}, {s}",
)
Card = TypeVar("Card")


@dataclass
class SyntheticItem:
    """One item with the truth about it.

    topic: index into `TOPICS`; stage: the position of its kind in the loose order of its topic.
    """

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
        """Path of the picture, relative to the data folder; "" without one."""
        return "" if self.unpictured else f"pictures/{self.item_id}.png"


def make_items(config: SyntheticConfig, seed: int) -> list[SyntheticItem]:
    """All items of both domains, sorted by id.

    The ids are given after shuffling, so their order says nothing.
    """
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
    """Every kind about equally often; a phrase comes again when all of its kind are used up."""
    kinds = [
        (topic, stage, kind, _deck(kind.phrases, random))
        for topic, known in enumerate(TOPICS)
        for stage, kind in enumerate(known.kinds[domain])
    ]
    dealt = _deck(kinds, random)
    brands = _deck(BRANDS[domain], random)
    modifiers = _deck(MODIFIERS[domain], random)
    sizes = _deck(SIZES[domain], random)
    stock = []
    for _ in range(config.items_per_domain):
        topic, stage, kind, phrases = next(dealt)
        phrase = next(phrases)
        stock.append(
            SyntheticItem(
                domain, topic, stage, kind, phrase, next(brands), next(modifiers), next(sizes)
            )
        )
    return stock


def _choose_missing(stock: list[SyntheticItem], config: SyntheticConfig, random: Random) -> None:
    """Which items lack a text or a picture, and which arrive late."""
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


def _deck(cards: Iterable[Card], random: Random) -> Iterator[Card]:
    """Deal all cards in random order, then shuffle and deal again, for ever."""
    cards = list(cards)
    while True:
        random.shuffle(cards)
        yield from cards


# --- texts ---


def write_text(stock: list[SyntheticItem], config: SyntheticConfig, random: Random) -> None:
    """Fill in the title and description of each item of one domain.

    A telling phrase and one or two related words carry the topic; the rest fits any of them.
    """
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


def _telling_title(
    item: SyntheticItem, words: Iterator[str], config: SyntheticConfig, random: Random
) -> str:
    """The phrase of the kind, bare or decorated; a title without a description adds a word."""
    phrase = f"{item.phrase} for {next(words)}" if item.undescribed else item.phrase
    if random.random() >= config.decorated:
        return _capital(phrase)
    pattern = random.choice(DECORATIONS)
    return _capital(pattern.format(b=item.brand, p=phrase, m=item.modifier, s=item.size))


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
