"""The shipped replies of the synthetic data set: what a language model once answered.

With them the model is asked about a few items and users only. They are found under the hash of
model, prompt and settings, so a reply to a prompt that has changed since is never used, and they
stay out of the store: what is in there this machine's model has said. Status: ours.
"""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

from torch import Tensor

from tema_lib.data.dataset import Items
from tema_lib.data.sequences import Sequences
from tema_lib.datasets.load import SYNTHETIC
from tema_lib.llm.store import Reply
from tema_lib.tags.config import TagConfig
from tema_lib.tags.draft import prompt_for
from tema_lib.tags.profiles import ProfileConfig, analyse_prompt, interests

LIVE_ITEMS = 24  # of each domain: items that the language model reads although replies are shipped
LIVE_USERS = 8  # users whom it profiles although replies are shipped


def live_items(items: Items) -> list[int]:
    """The items that are read live, drawn once, in ascending order."""
    draw, chosen = random.Random(0), []
    for domain in (0, 1):
        own = items.of_domain(domain).tolist()
        chosen += draw.sample(own, min(LIVE_ITEMS, len(own)))
    return sorted(chosen)


def tag_replies(items: Items, config: TagConfig) -> dict[str, str]:
    """{key: reply} of the shipped replies about items, but for those about the live items."""
    live = {
        prompt_for(items, item, config, attempt) for item in live_items(items) for attempt in (1, 2)
    }
    return read_replies(SYNTHETIC / "replies.jsonl", live)


def profile_replies(
    sequences: Sequences,
    titles: tuple[str, ...],
    cluster: Tensor,
    config: ProfileConfig,
    live_users: int = LIVE_USERS,
) -> dict[str, str]:
    """{key: reply} of the shipped replies about users, but for those about `live_users` users.

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
    return read_replies(SYNTHETIC / "profile_replies.jsonl.gz", live)


def read_replies(path: Path, live: set[str]) -> dict[str, str]:
    """{key: reply} of a shipped file, but for the replies to the `live` prompts."""
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    replies = (Reply(**json.loads(line)) for line in text.splitlines())
    return {reply.key: reply.reply for reply in replies if reply.prompt not in live}
