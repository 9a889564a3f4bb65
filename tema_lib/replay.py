"""The shipped replies of the synthetic data set: a language model's answers, put into a store.

A fast run asks the model about a few items and users only; for all others the replies it once gave
are in `data/synthetic/`. They are stored under the hash of model, prompt and settings, so a reply
to a prompt that has changed since is never found. Status: ours.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import tempfile
from pathlib import Path

from torch import Tensor

from tema_lib.data.dataset import Items
from tema_lib.data.sequences import Sequences
from tema_lib.datasets.load import SYNTHETIC
from tema_lib.llm.store import ReplyStore
from tema_lib.tags.config import TagConfig
from tema_lib.tags.draft import prompt_for
from tema_lib.tags.profiles import ProfileConfig, analyse_prompt, interests

LIVE_ITEMS = 24  # of each domain, in a fast run: items that the language model reads live
LIVE_USERS = 24  # on the synthetic data set, fast or full: users whom it profiles live


def live_items(items: Items) -> list[int]:
    """The items that a fast run reads live, drawn once, in ascending order."""
    draw, chosen = random.Random(0), []
    for domain in (0, 1):
        own = items.of_domain(domain).tolist()
        chosen += draw.sample(own, min(LIVE_ITEMS, len(own)))
    return sorted(chosen)


def replay_tags(store: ReplyStore, items: Items, config: TagConfig) -> None:
    """Put the shipped replies about items into the store, but for those about the live items."""
    live = {
        prompt_for(items, item, config, attempt) for item in live_items(items) for attempt in (1, 2)
    }
    import_replies(store, SYNTHETIC / "replies.jsonl", live)


def replay_profiles(
    store: ReplyStore,
    sequences: Sequences,
    titles: tuple[str, ...],
    cluster: Tensor,
    config: ProfileConfig,
    live_users: int = LIVE_USERS,
) -> None:
    """Put the shipped replies about users into the store, but for those about `live_users` users.

    Args:
        sequences: U sequences of global item ids; the live users are drawn from them, once.
        titles: N+1 titles, by global item id.
        cluster: int64 [N+1], the cluster of interests of each item.
    """
    rows = random.Random(0).sample(range(len(sequences)), live_users)
    live = {
        analyse_prompt([titles[item] for item in group], config)
        for row in rows
        for group in interests(sequences[row].tolist(), cluster, config)
    }
    import_replies(store, SYNTHETIC / "profile_replies.jsonl.gz", live)


def import_replies(store: ReplyStore, path: Path, live: set[str]) -> None:
    """Put the replies of a shipped file into the store, but for those to the `live` prompts."""
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    kept = [line for line in text.splitlines(True) if json.loads(line)["prompt"] not in live]
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8", delete=False) as file:
        file.writelines(kept)
    store.import_jsonl(file.name)
    os.unlink(file.name)
