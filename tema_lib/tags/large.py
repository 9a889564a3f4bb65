"""Tags by a large language model: it reads many items at once and answers in JSON.

The same four steps as `write`, asked as a capable model can be asked:

    draft     a list of tags from each part of a sample; all of them together
    refine    in rounds: shown how many of some items got each tag, it writes a better list
    assign    batches of items, each given tags of the list
    weigh     by the weights of 1 to 9 that came with them

An answer that lacks an item, invents one, lists one twice, or holds another weight is not trusted:
its batch is halved, and both halves are asked again.  If a single item fails, it is reported.

Status: drafting, self-refinement and weighted tags are stated in the paper; prompts, rounds and
batches are ours.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tema_lib.data.dataset import UNNAMED, Items
from tema_lib.llm.client import LanguageModel, ask
from tema_lib.llm.store import ReplyStore
from tema_lib.tags.catalogue import Catalogue, has_text
from tema_lib.tags.config import TagConfig
from tema_lib.tags.draft import sample
from tema_lib.tags.item_tags import OWN, ItemTags
from tema_lib.tags.parse import parse_tags, plain
from tema_lib.tags.prompts import clean

DRAFT = """\
You write tags for the items of two catalogues, {names}. A recommender will use them to tell \
which items belong together, also across the catalogues.

Items:
{items}

Write a list of about {count} tags for such items. A tag is one to four words in lower case. It \
says what a thing is, or which activity, event, audience, diet, cuisine or taste it serves. At \
least half of the tags should fit items of both catalogues. Answer with one JSON list of texts and \
nothing else."""

REFINE = """\
You keep a list of tags for the items of two catalogues, {names}. A recommender will use them to \
tell which items belong together, also across the catalogues. Of {tried} items, so many were given \
each tag:

{tags}

Items that got fewer than two tags:
{items}

Refine the list: merge tags of one meaning, split or drop what is on more than {most} of these \
items, drop what is too narrow to come back, and add what the items above lack. Keep about {count} \
tags, each one to four words in lower case, at least half of them for both catalogues. Answer with \
the whole list as one JSON list of texts and nothing else."""

ASSIGN = """\
You tag the items of two catalogues, {names}, with these tags: {tags}.

Items:
{items}

Give each item three to five of these tags where they honestly fit, the most relevant first, each \
with a weight from 1 to 9: 9 for the main reason someone buys it. Mix what it is with \
the activity, event, audience or diet it serves. Answer with one JSON object and nothing else. \
Its keys are the numbers of the items, its values objects of tags and weights, such as \
{{"1": {{"{example}": 9}}, "2": {{}}}}; an item that no tag fits has an empty one."""


@dataclass(frozen=True)
class LargeTagConfig:
    """How a large model is asked; every number is ours."""

    domain_names: tuple[str, str] = UNNAMED
    sample: int = 450  # items of each domain from which the list is drafted
    drafted: int = 150  # items in one request for a draft
    tags: int = 250  # about how many tags the list has
    rounds: int = 2
    tried: int = 120  # items that are tagged in a round, to count what each tag is given to
    max_share: float = 0.12  # a tag on a larger share of them separates nothing
    batch: int = 60  # items in one request for tags
    title_limit: int = 300  # characters of title and of description
    tags_per_item: int = 5
    min_items: int = 2  # a tag of fewer items links nothing

    def __post_init__(self) -> None:
        for name in ("sample", "drafted", "tags", "tried", "batch", "tags_per_item"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give at least 1.")

    @property
    def names(self) -> str:
        """Both domains, as the prompts name them."""
        return " and ".join(self.domain_names)

    @property
    def prompt_version(self) -> str:
        """Sixteen digits that change whenever a word of the prompts does."""
        said = [DRAFT, REFINE, ASSIGN, self.domain_names]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class LargeTags:
    """What came out: the tags, the list after each round, and the items that got no answer."""

    tags: ItemTags
    lists: tuple[tuple[str, ...], ...]
    failed: tuple[int, ...]  # global ids


Given = dict[int, dict[str, int]]  # item -> {tag: weight of 1 to 9}, the most relevant tag first


def write_large_tags(
    catalogue: Catalogue, llm: LanguageModel, store: ReplyStore, config: LargeTagConfig
) -> LargeTags:
    """Tags for all items by a large model; an item without any text gets none.

    Args:
        catalogue: the items and the encoder for tags.
        llm: the model; its replies have to be allowed a few thousand tokens.
        store: where its replies are kept; what it holds already is not asked again.
        config: how it is asked.

    Raises:
        OSError: the store cannot be written, or the model's server gave up.
        ValueError: the model does not answer with a list of tags.
    """
    items = catalogue.items
    drawn = sample(items, TagConfig(sample=config.sample))
    lists = [draft_list(items, drawn, llm, store, config) if drawn else ()]
    for number in range(config.rounds if drawn else 0):
        tried = spread(drawn, config.tried, number)
        given, _ = assign_batches(items, tried, lists[-1], llm, store, config)
        lists.append(refine_list(items, given, lists[-1], llm, store, config))
    everything = [item for item in range(1, len(items.title)) if has_text(items, item)]
    given, failed = assign_batches(items, everything, lists[-1], llm, store, config)
    counts = Counter(tag for row in given.values() for tag in row)
    rows = [
        [
            (tag, float(weight), OWN)
            for tag, weight in given.get(item, {}).items()
            if counts[tag] >= config.min_items
        ]
        for item in range(1, len(items.title))
    ]
    tags = ItemTags.of_rows(
        rows,
        items.domain_of_item,
        catalogue.vectors,
        width=config.tags_per_item,
        raw_replies=((),) * len(items.title),  # an answer is about many items
        model=llm.name,
        fingerprint=llm.fingerprint,
    )
    return LargeTags(tags, tuple(lists), tuple(failed))


# --- the list ---


def draft_list(
    items: Items,
    drawn: Sequence[int],
    llm: LanguageModel,
    store: ReplyStore,
    config: LargeTagConfig,
) -> tuple[str, ...]:
    """The tags that the model proposes for a sample, those of several requests first."""
    requests = -(-len(drawn) // config.drafted)
    prompts = [
        DRAFT.format(
            names=config.names,
            items=listed(items, spread(drawn, config.drafted, number), config),
            count=min(config.tags, 2 * config.tags // max(requests, 1)),
        )
        for number in range(requests)
    ]
    proposed: Counter[str] = Counter()
    for reply in ask(prompts, llm, store, "draft", usable=parse_tags):
        proposed.update(parse_tags(reply) or ())
    if not proposed:
        raise ValueError(
            f"{llm.name} answered with no list of tags: is it a large model, and are its replies "
            "allowed a few thousand tokens (--request max_tokens=8000)?"
        )
    return tuple(tag for tag, _ in proposed.most_common())


def refine_list(
    items: Items,
    given: Given,
    tags: Sequence[str],
    llm: LanguageModel,
    store: ReplyStore,
    config: LargeTagConfig,
) -> tuple[str, ...]:
    """A better list, from what came of the present one; the present one if no list is answered."""
    counts = Counter(tag for row in given.values() for tag in row)
    bare = [item for item, row in given.items() if len(row) < 2]
    prompt = REFINE.format(
        names=config.names,
        tried=len(given),
        tags="\n".join(f"{tag}: {counts[tag]}" for tag in tags),
        items=listed(items, bare, config) or "none",
        most=int(config.max_share * len(given)),
        count=config.tags,
    )
    (reply,) = ask([prompt], llm, store, "refine", usable=parse_tags)
    return parse_tags(reply) or tuple(tags)


# --- items ---


def assign_batches(
    items: Items,
    chosen: Sequence[int],
    tags: Sequence[str],
    llm: LanguageModel,
    store: ReplyStore,
    config: LargeTagConfig,
) -> tuple[Given, list[int]]:
    """Tags of the list for the chosen items, and the items for which no answer could be used."""
    given: Given = {}
    failed: list[int] = []
    waiting = [list(chosen[at : at + config.batch]) for at in range(0, len(chosen), config.batch)]
    while waiting:
        again: list[list[int]] = []
        for size in sorted({len(batch) for batch in waiting}, reverse=True):
            batches = [batch for batch in waiting if len(batch) == size]
            prompts = [assignment_prompt(items, batch, tags, config) for batch in batches]

            def usable(reply: str, size: int = size) -> bool:
                return read_assignment(reply, size) is not None

            for batch, reply in zip(batches, ask(prompts, llm, store, "tags", usable=usable)):
                answer = read_assignment(reply, size)
                if answer is not None:
                    given |= dict(zip(batch, (from_list(row, tags, config) for row in answer)))
                elif size > 1:
                    again += [batch[: size // 2], batch[size // 2 :]]
                else:
                    failed += batch
        waiting = again
    return given, sorted(failed)


def assignment_prompt(
    items: Items, batch: Sequence[int], tags: Sequence[str], config: LargeTagConfig
) -> str:
    """The question about one batch; its items are numbered from 1."""
    return ASSIGN.format(
        names=config.names,
        tags=", ".join(tags),
        items=listed(items, batch, config),
        example=tags[0],
    )


def read_assignment(reply: str, size: int) -> list[dict[str, int]] | None:
    """The tags with weights of each item of a batch, in order.

    None unless the answer holds each of the numbers 1 to `size` once, and whole weights of 1 to 9.
    """
    text = plain(reply)
    try:
        answer = json.loads(text[text.index("{") : text.rindex("}") + 1], object_pairs_hook=once)
    except (ValueError, RecursionError):  # no JSON, or a number or tag twice
        return None
    if set(answer) != {str(number) for number in range(1, size + 1)}:
        return None
    rows = [answer[str(number)] for number in range(1, size + 1)]
    if not all(isinstance(row, dict) and all(map(is_weight, row.values())) for row in rows):
        return None
    return rows


def once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; ValueError if it has a key twice."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key!r} is there twice")
        found[key] = value
    return found


def is_weight(value: Any) -> bool:
    """Whether a JSON value is a whole number from 1 to 9."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 9


def from_list(
    row: Mapping[str, int], tags: Sequence[str], config: LargeTagConfig
) -> dict[str, int]:
    """What of an item's tags is on the list, at most `tags_per_item`."""
    known = set(tags)
    kept = [(tag.lower().strip(), weight) for tag, weight in row.items()]
    kept = [(tag, weight) for tag, weight in kept if tag in known]
    return dict(kept[: config.tags_per_item])


# --- what the model is shown ---


def listed(items: Items, chosen: Sequence[int], config: LargeTagConfig) -> str:
    """Items as numbered lines: domain, title, description."""
    lines = []
    for number, item in enumerate(chosen, start=1):
        texts = (items.title[item], items.description[item])
        said = ". ".join(filter(None, (clean(text, config.title_limit) for text in texts)))
        lines.append(f"{number}. ({config.domain_names[items.domain_of_item[item]]}) {said}")
    return "\n".join(lines)


def spread(chosen: Sequence[int], size: int, number: int) -> list[int]:
    """Part `number` of the chosen items, about `size` of them, taken at equal distances."""
    parts = max(1, -(-len(chosen) // size))
    return list(chosen[number % parts :: parts])
