"""`tema tags`: tag every item of a data set, and write the compact export."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from typing import Any

from tema_lib.commands.common import check, data_set
from tema_lib.commands.output import sentence
from tema_lib.data.dataset import Items
from tema_lib.experiment import Experiment
from tema_lib.llm.address import is_url
from tema_lib.llm.local import LocalModel
from tema_lib.llm.store import ReplyStore, open_replies
from tema_lib.pipeline import EXPORTS
from tema_lib.reproducibility import seed_everything
from tema_lib.tags.config import TagConfig
from tema_lib.tags.draft import refused_items
from tema_lib.tags.evidence import coverage
from tema_lib.tags.export import export_tags
from tema_lib.tags.item_tags import ItemTags
from tema_lib.tags.large import LargeTagConfig, write_large_tags
from tema_lib.tags.prompts import clean, parse_tags
from tema_lib.tags.write import write_tags
from tema_lib.workspace import home, in_checkout, replies_path

LISTED = 20  # refused items that are named one by one
REFUSED = "have no tags of their own, since the server refused them (--again asks once more)"
UNUSABLE = "got no answer that could be used (the next run asks again)"
LARGE_REPLY = 8000  # tokens that the answer about a batch of items may have


@dataclass(frozen=True)
class Tagging:
    """What one model made of a catalogue.

    failed: {item: why} of those that got no answer, and what to say of all of them.
    unread: how many other items got replies in which there was no list of tags.
    """

    tags: ItemTags
    config: TagConfig | LargeTagConfig
    failed: dict[int, str]
    said_of_failed: str
    unread: int = 0


def main(chosen: argparse.Namespace) -> None:
    """Ask for what is not answered yet, write the export, and say what the tags cover."""
    data = data_set(chosen.data)
    name = check(data)[0].name
    seed_everything()
    if chosen.large and not is_url(chosen.llm):
        sys.exit("--large asks a large model behind a server: name its URL with --llm.")
    began, kept_in = time.time(), chosen.store or replies_path()
    out = chosen.out or (EXPORTS if in_checkout() else home() / "tags")
    try:
        run = Experiment(data, domains=chosen.domains)
        out.mkdir(parents=True, exist_ok=True)  # before hours of work, not after
        request = {"max_tokens": LARGE_REPLY} if chosen.large else {}
        llm = language_model(chosen.llm, chosen.dtype, request | dict(chosen.request))
        print(
            f"{name}: {run.items.count:,} items, {sum(map(bool, run.items.title)):,} with a title; "
            f"the domains are called {' and '.join(run.domains)}; {llm.name}, replies kept in "
            f"{kept_in}",
            flush=True,
        )
        with ReplyStore(chosen.store) if chosen.store else open_replies() as store:
            before = len(store)
            if chosen.again:
                store.forget_refusals(llm.fingerprint)
            made = (tag_with_large if chosen.large else tag_with_small)(run, llm, store)
            asked = len(store) - before
            if chosen.replies:
                store.export_jsonl(chosen.replies)
        report_failures(made.failed, run.items, made.said_of_failed)
        if not (made.tags.tag_ids > 0).any():
            sys.exit(why_no_tags(made.tags, run.items, llm.name))
        path = export_tags(
            made.tags,
            run.items,
            out,
            data=run.raw.name,
            sha256=run.raw.sha256,
            settings=llm.settings,
            config=made.config,
        )
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(sentence(error))
    except KeyboardInterrupt:
        sys.exit("\nStopped. The replies so far are kept: the same command goes on from here.")
    if made.unread:
        print(f"{made.unread:,} items got replies in which no list of tags could be read")
    style = made.config.style if isinstance(made.config, TagConfig) else None
    for what, share in coverage(made.tags, run.domains, style).items():
        print(f"  {what:42} {share:.3f}")
    count, seconds = len(made.tags.vocabulary) - 1, time.time() - began
    print(f"{count} tags; {asked:,} questions asked in {seconds:.0f} s\n{path}")


def tag_with_small(run: Experiment, llm: Any, store: ReplyStore) -> Tagging:
    """A small model, item by item; a server may refuse some of them."""
    config = run.tag_config
    tags = write_tags(run.catalogue, llm, store, config)
    local = isinstance(llm, LocalModel)
    refused = {} if local else refused_items(run.items, llm, store, config)
    unread = sum(
        bool(row) and all(parse_tags(reply) is None for reply in row)
        for item, row in enumerate(tags.raw_replies)
        if item not in refused
    )
    return Tagging(tags, config, refused, REFUSED, unread)


def tag_with_large(run: Experiment, llm: Any, store: ReplyStore) -> Tagging:
    """A large model, which writes the list of tags first and then assigns them in batches."""
    config = LargeTagConfig(domain_names=run.domains)
    made = write_large_tags(run.catalogue, llm, store, config)
    print(f"tags on the list, round by round: {', '.join(str(len(one)) for one in made.lists)}")
    failed = dict.fromkeys(made.failed, "an answer in another form, or none")
    return Tagging(made.tags, config, failed, UNUSABLE)


def language_model(name: str, dtype: str, request: dict[str, Any]) -> Any:
    """A server for a URL, else a local model."""
    if not is_url(name):
        return LocalModel(name, dtype=dtype)
    try:
        from tema_lib.llm.server import ServerModel
    except ModuleNotFoundError:
        sys.exit("A server needs its client: pip install 'tema-lib[llm]'.")
    url, _, model = name.partition("#")
    return ServerModel(url, model or None, request)


def why_no_tags(tags: ItemTags, items: Items, name: str) -> str:
    """One sentence that says why there is nothing to export."""
    replies = [reply for row in tags.raw_replies for reply in row]
    read = sum(parse_tags(reply) is not None for reply in replies)
    if not replies and any(items.title + items.description):
        return f"{name} gave no answer about any item that could be used: no export is written."
    if not replies:
        return (
            f"None of the {items.count:,} items has a title or a description: there was nothing to "
            f"ask {name} about, and no export is written."
        )
    if not read:
        first = next((clean(reply, 120) for reply in replies if clean(reply)), "")
        shown = f'the first: "{first}"' if first else "all are empty"
        return (
            f"In none of the {len(replies):,} replies of {name} a list of tags could be read "
            f"({shown}), so no export is written: check the model and its settings, and run again; "
            "a server's replies of this kind are asked for anew."
        )
    return (
        f"{read:,} of the {len(replies):,} replies of {name} are lists of tags, but none of these "
        "tags fits two items or more and not too many, so no export is written: tag more items, or "
        "use a model that describes them in common words."
    )


def report_failures(refused: dict[int, str], items: Items, what: str) -> None:
    """Say which items have no tags from the model, and why."""
    if not refused:
        return
    print(f"{len(refused):,} items {what}:")
    for item, reason in list(refused.items())[:LISTED]:
        named = clean(items.title[item] or items.description[item], 60)
        print(f"  {clean(items.item_id[item], 40)}  {named!r}: {clean(reason, 120)}")
    if len(refused) > LISTED:
        print(f"  ... and {len(refused) - LISTED:,} more")
