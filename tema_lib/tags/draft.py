"""The first step: ask about items, read the replies, and check each tag against the item's text."""

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tema_lib.data.dataset import Items
from tema_lib.llm.client import LanguageModel, ask
from tema_lib.llm.store import ReplyStore, reply_key
from tema_lib.tags.catalogue import Catalogue, has_text
from tema_lib.tags.config import DEFAULT_TAGS, TagConfig
from tema_lib.tags.prompts import example_tags, is_measure, parse_tags, write_prompt


@dataclass
class Draft:
    """What the model proposed for the items asked so far (keys: global ids)."""

    replies: dict[int, tuple[str, ...]]  # raw replies: to the first wording, then to the second
    proposed: dict[int, tuple[str, ...]]  # tags that passed the check, in the order of the reply
    refused: dict[int, tuple[tuple[str, str], ...]]  # (tag, reason) of those that did not


def prompt_for(items: Items, item: int, config: TagConfig = DEFAULT_TAGS, attempt: int = 1) -> str:
    """The prompt for one item (a global id); its domain chooses the wording and the examples."""
    return write_prompt(
        items.title[item],
        items.description[item],
        config.domain_names[items.domain_of_item[item]],
        config.style,
        attempt,
        config.title_limit,
        config.domain_names,
    )


def refused_items(
    items: Items, llm: LanguageModel, store: ReplyStore, config: TagConfig = DEFAULT_TAGS
) -> dict[int, str]:
    """The items (global ids) whose question the server refused, in either wording, and why."""
    found = {}
    for item in range(1, len(items.title)):
        keys = [
            reply_key(llm.fingerprint, prompt_for(items, item, config, attempt), llm.settings)
            for attempt in (1, 2)
        ]
        reasons = [reason for key in keys if (reason := store.refusal(key)) is not None]
        if reasons and has_text(items, item):
            found[item] = reasons[0]
    return found


def sample(items: Items, config: TagConfig) -> list[int]:
    """The items whose tags make the draft: at most `config.sample` of each domain.

    They are drawn once, always the same. Returns ascending global ids.
    """
    draw = random.Random(0)
    chosen: list[int] = []
    for domain in (0, 1):
        own = [
            item
            for item in range(1, len(items.title))
            if items.domain_of_item[item] == domain and has_text(items, item)
        ]
        chosen += draw.sample(own, min(config.sample, len(own)))
    return sorted(chosen)


def ask_ahead(
    items: Items,
    chosen: Sequence[int],
    llm: LanguageModel,
    store: ReplyStore,
    config: TagConfig = DEFAULT_TAGS,
) -> None:
    """Put the replies about items into the store, where the steps of tagging find them.

    This is the long part of tagging and needs no other item, so processes can share it.

    Args:
        items: N items under global ids.
        chosen: those of this process.
        llm, store: the model, and where its replies are kept.
        config: what the prompt says.
    """
    told = [item for item in chosen if has_text(items, item)]
    for attempt in (1, 2):  # the second wording where the first reply is no list of tags
        prompts = [prompt_for(items, item, config, attempt) for item in told]
        replies = ask(prompts, llm, store, f"tags, wording {attempt}", usable=parse_tags)
        told = [item for item, reply in zip(told, replies) if not parse_tags(reply)]


def draft(
    catalogue: Catalogue,
    chosen: Sequence[int],
    llm: LanguageModel,
    store: ReplyStore,
    config: TagConfig = DEFAULT_TAGS,
    so_far: Draft | None = None,
) -> Draft:
    """Ask about the chosen items and check the replies.

    A reply that is not a list of tags is asked for once more, in other words.

    Args:
        catalogue: the items and the vectors of their texts.
        chosen: global ids.
        llm, store: the model, and where its replies are kept.
        config: what the prompt says and what the check lets through.
        so_far: a draft to add to. Chosen items that it knows already are asked in the second
            wording.
    """
    result = so_far or Draft({}, {}, {})
    known = set(result.replies)
    unknown = [item for item in chosen if item not in known]
    _ask_and_check(catalogue, unknown, 1, llm, store, config, result)
    again = [
        item
        for item in chosen
        if len(result.replies[item]) == 1
        and (item in known or not (result.proposed[item] or result.refused[item]))
    ]
    _ask_and_check(catalogue, again, 2, llm, store, config, result)
    return result


def _ask_and_check(
    catalogue: Catalogue,
    chosen: Sequence[int],
    attempt: int,
    llm: LanguageModel,
    store: ReplyStore,
    config: TagConfig,
    result: Draft,
) -> None:
    """Ask in one wording and add replies, tags and refused tags to `result`."""
    prompts = [prompt_for(catalogue.items, item, config, attempt) for item in chosen]
    label = "tags" if attempt == 1 else "tags, second wording"
    replies = ask(prompts, llm, store, label, usable=parse_tags)
    tags = [parse_tags(reply) or () for reply in replies]
    catalogue.learn(tag for row in tags for tag in row)
    for item, reply, row in zip(chosen, replies, tags):
        reasons = [(tag, refusal(catalogue, item, tag, config)) for tag in row]
        taken = (tag for tag, reason in reasons if not reason)
        refused = ((tag, reason) for tag, reason in reasons if reason)
        result.replies[item] = (*result.replies.get(item, ()), reply)
        result.proposed[item] = _in_order((*result.proposed.get(item, ()), *taken))
        result.refused[item] = (*result.refused.get(item, ()), *refused)


def _in_order(tags: Iterable[str]) -> tuple[str, ...]:
    """Each tag once, where it comes first."""
    return tuple(dict.fromkeys(tags))


def says(text: str, tag: str) -> bool:
    """True when the words of `tag` are in `text`, as words and in this order."""
    return re.search(rf"(?<!\w){re.escape(tag)}(?!\w)", text.lower()) is not None


def refusal(catalogue: Catalogue, item: int, tag: str, config: TagConfig) -> str:
    """Why a tag of a reply is not taken; "" where it is.

    A tag is refused as a measure, as a copy of an example, or when the item's text does not
    support it.
    """
    if is_measure(tag):
        return "a measure"
    if says(catalogue.items.text(item), tag):
        return ""
    domain = config.domain_names[catalogue.items.domain_of_item[item]]
    if tag in example_tags(domain, config.style):
        return "copied from an example"
    return "" if catalogue.cosine(item, tag) >= config.support else "not supported by the text"
