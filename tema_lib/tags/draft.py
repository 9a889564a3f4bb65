"""tema_lib.tags.draft"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tema_lib.llm.client import ask
from tema_lib.llm.store import ReplyStore, reply_key
from tema_lib.tags.catalogue import Catalogue, has_text
from tema_lib.tags.config import TagConfig
from tema_lib.tags.prompts import example_tags, is_measure, parse_tags, write_prompt

# ---------------------------------------------------------------------------------------------- asking


def prompt_for(items, item: int, config: TagConfig = TagConfig(), attempt: int = 1) -> str:
    """The prompt for one item (global id); its domain chooses domain and examples."""
    domain = config.domain_names[items.domain_of_item[item]]
    return write_prompt(
        items.title[item],
        items.description[item],
        domain,
        config.style,
        attempt,
        config.title_limit,
        config.domain_names,
    )


def refused_items(items, llm, store: ReplyStore, config: TagConfig = TagConfig()) -> dict[int, str]:
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


# ---------------------------------------------------------------------------------------------- 1 draft


@dataclass
class Draft:
    """What the model proposed for the items asked so far (keys: global ids)."""

    replies: dict[int, tuple[str, ...]]  # raw replies: to the first wording, then to the second
    proposed: dict[int, tuple[str, ...]]  # tags that passed the check, in the order of the reply
    refused: dict[int, tuple[tuple[str, str], ...]]  # (tag, reason) of those that did not


def sample(items, config: TagConfig) -> list[int]:
    """The items whose tags make the draft: at most `config.sample` of each domain, drawn once, always the same."""
    draw, chosen = random.Random(0), []
    for domain in (0, 1):
        own = [
            item
            for item in range(1, len(items.title))
            if items.domain_of_item[item] == domain and has_text(items, item)
        ]
        chosen += draw.sample(own, min(config.sample, len(own)))
    return sorted(chosen)


def draft(
    catalogue: Catalogue,
    chosen: Sequence[int],
    llm,
    store: ReplyStore,
    config: TagConfig = TagConfig(),
    so_far: Draft | None = None,
) -> Draft:
    """Ask about the chosen items and check the replies. A reply that is no list is asked for once more, in other words.

    so_far: a draft to add to. Chosen items that it knows already are asked in the second wording.
    """
    result = so_far or Draft({}, {}, {})
    known = set(result.replies)
    _ask_and_check(
        catalogue, [item for item in chosen if item not in known], 1, llm, store, config, result
    )

    def no_list(item):
        return not result.proposed[item] and not result.refused[item]

    again = [
        item
        for item in chosen
        if len(result.replies[item]) == 1 and (item in known or no_list(item))
    ]
    _ask_and_check(catalogue, again, 2, llm, store, config, result)
    return result


def _ask_and_check(
    catalogue: Catalogue,
    chosen: Sequence[int],
    attempt: int,
    llm,
    store: ReplyStore,
    config: TagConfig,
    result: Draft,
) -> None:
    prompts = [prompt_for(catalogue.items, item, config, attempt) for item in chosen]
    replies = ask(
        prompts, llm, store, "tags" if attempt == 1 else "tags, second wording", usable=parse_tags
    )
    tags = [parse_tags(reply) or () for reply in replies]
    catalogue.learn(tag for row in tags for tag in row)
    for item, reply, row in zip(chosen, replies, tags):
        reasons = [(tag, refusal(catalogue, item, tag, config)) for tag in row]
        result.replies[item] = (*result.replies.get(item, ()), reply)
        result.proposed[item] = tuple(
            dict.fromkeys(
                (*result.proposed.get(item, ()), *(tag for tag, reason in reasons if not reason))
            )
        )
        result.refused[item] = (
            *result.refused.get(item, ()),
            *((tag, reason) for tag, reason in reasons if reason),
        )


def says(text: str, tag: str) -> bool:
    """True when the words of `tag` stand in `text`, as words and in this order."""
    return re.search(rf"(?<!\w){re.escape(tag)}(?!\w)", text.lower()) is not None


def refusal(catalogue: Catalogue, item: int, tag: str, config: TagConfig) -> str:
    """Why a tag of the reply is not taken ("" = it is): a measure, a copy of an example, or nothing the item's text supports."""
    if is_measure(tag):
        return "a measure"
    if says(catalogue.items.text(item), tag):
        return ""
    if tag in example_tags(config.domain_names[catalogue.items.domain_of_item[item]], config.style):
        return "copied from an example"
    return "" if catalogue.cosine(item, tag) >= config.support else "not supported by the text"
