"""Who is this user?  A language model writes one profile a user from the history, in three steps.

    cluster      k-means on the text vectors of all items; a user's interactions fall into clusters
    analyse      for each of a user's clusters: what have these items in common?
    summarise    one sentence from a user's analyses; its text vector is the profile

Only the sequences that are given are read: give the training part, and no profile knows a
validation or test item.  The text of the prompts is fixed: shipped replies are stored under its
hash.

Source: LLM4CDSR (arXiv 2504.18383), "hierarchical LLM profiling".  Status: steps, K and the roles
of the prompts are stated; that a tiny model is shown examples and answers in a few words, and how
many clusters and titles it reads, is ours.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tema_lib.data.sequences import Sequences
from tema_lib.llm.client import LanguageModel, ask
from tema_lib.llm.decoding import Decoding
from tema_lib.llm.replies import plain
from tema_lib.llm.store import ReplyStore, reply_key
from tema_lib.tags.prompts import clean, without_measures

# Ours: two or three different phrases, which a tiny model can write; in sentences it loops.
PHRASES = Decoding(max_new_tokens=24, stop_at_comma=3, at_least=2)

ANALYSE = (
    "Shop clerk's notes: what the products that a customer bought have in common, in three short "
    "phrases."
)
SUMMARISE = (
    "Shop clerk's notes: who the customer is, in three short phrases, from all the notes on what "
    "was bought."
)

# Few-shot examples of made-up customers; a small model imitates better than it obeys.
ANALYSES = (
    (
        (
            "Hollow Creek Popping Corn",
            "Salt Flake Seasoning for Popcorn",
            "Big Screen Butter Topping",
        ),
        "movie snacks, popcorn at home, salty and buttery",
    ),
    (
        ("Ironvale Popover Pan", "Two-Layer Tart Tin"),
        "bakeware, popovers and tarts, festive oven dishes",
    ),
    (
        ("Petalwind Rose Marshmallows", "Sugared Violet Drops", "Lumo Nougat Bites"),
        "floral confectionery, gift sweets, rose and violet",
    ),
    (("Old Quay Clam Chowder",), "seafood soup, quick warm lunch, clams and potatoes"),
)
SUMMARIES = (
    (
        ("movie snacks, popcorn at home, salty and buttery", "paper plates, party cups, guests"),
        "film night host, popcorn maker, easy party food",
    ),
    (
        (
            "bakeware, popovers and tarts, festive oven dishes",
            "dried fruit, candied peel, fruit bread",
            "icing, sprinkles, decorating",
        ),
        "holiday baker, decorated tarts, fruit bread from the oven",
    ),
    (
        (
            "seafood soup, quick warm lunch, clams and potatoes",
            "crab tools, shellfish at the table",
        ),
        "seafood lover, shellfish dinners, soup in a hurry",
    ),
)


@dataclass(frozen=True)
class ProfileConfig:
    """How much the language model reads.  Released values in brackets."""

    clusters: int = 10  # stated: K of k-means over all items
    per_user: int = 3  # ours: clusters of a user that are read, the largest first (all)
    recent: int = 5  # ours: titles of a cluster that are read, the latest ones (15)
    title_limit: int = 60  # ours: characters of a title (100)

    def __post_init__(self) -> None:
        if min(self.clusters, self.per_user, self.recent, self.title_limit) < 1:
            raise ValueError("clusters, per_user, recent and title_limit must be at least 1.")


DEFAULT_PROFILES = ProfileConfig()


@dataclass(frozen=True)
class Profiles:
    """One sentence and its vector for each of U sequences.

    text: U sentences.  vectors: float [U, F].  present: bool [U], False where there was nothing to
    read.
    """

    text: tuple[str, ...]
    vectors: Tensor
    present: Tensor

    @classmethod
    def unwritten(cls, count: int) -> Profiles:
        """Those of `count` sequences for which no language model was asked: all are empty."""
        return cls(("",) * count, torch.zeros(count, 1), torch.zeros(count, dtype=torch.bool))


def cluster_items(
    vectors: Tensor, present: Tensor, config: ProfileConfig = DEFAULT_PROFILES
) -> Tensor:
    """The cluster of every item, by seeded k-means on its text vector.

    Args:
        vectors: float [N+1, F].
        present: bool [N+1], whether an item has a text.
        config: the number of clusters.

    Returns:
        int64 [N+1]; -1 for padding and for items without text.
    """
    from sklearn.cluster import KMeans  # a long import

    cluster = torch.full((len(vectors),), -1)
    count = min(config.clusters, int(present.sum()))
    if count:
        means = KMeans(count, n_init=4, random_state=0)
        found = means.fit_predict(vectors[present].double().numpy())
        cluster[present] = torch.from_numpy(found).long()
    return cluster


def interests(
    history: Sequence[int], cluster: Tensor, config: ProfileConfig = DEFAULT_PROFILES
) -> list[list[int]]:
    """A history split by cluster, largest first.

    Returns:
        The latest `recent` items (global ids) of each of the `per_user` largest clusters; of
        equally large ones, the one begun first comes first.
    """
    groups: dict[int, list[int]] = {}
    for item in history:
        if (number := int(cluster[item])) >= 0:
            groups.setdefault(number, []).append(item)
    largest = sorted(groups.values(), key=len, reverse=True)  # a stable sort
    return [group[-config.recent :] for group in largest[: config.per_user]]


def analyse_prompt(titles: Sequence[str], config: ProfileConfig = DEFAULT_PROFILES) -> str:
    """The question what the given titles have in common."""
    asked = tuple(
        without_measures(clean(title, config.title_limit)).replace(";", ",") for title in titles
    )
    lines = [ANALYSE]
    for seen, likes in (*ANALYSES, (asked, "")):
        lines += ["", f"Bought: {'; '.join(seen)}", f"In common: {likes}".rstrip()]
    return "\n".join(lines)


def summarise_prompt(analyses: Sequence[str]) -> str:
    """The question who the user with the given interests is."""
    lines = [SUMMARISE]
    for given, sentence in (*SUMMARIES, (analyses, "")):
        lines += ["", f"Notes: {'; '.join(given)}", f"Customer: {sentence}".rstrip()]
    return "\n".join(lines)


def write_profiles(
    sequences: Sequences,
    titles: Sequence[str],
    cluster: Tensor,
    encode: Callable[[list[str]], Tensor],
    llm: LanguageModel,
    store: ReplyStore,
    config: ProfileConfig = DEFAULT_PROFILES,
    announce: Callable[[str], None] = print,
) -> Profiles:
    """A profile for each of U sequences.

    Every reply is kept in `store`, so a stopped run goes on where it was.

    Args:
        sequences: the training part of U users.
        titles: [N+1], by global id.
        cluster: int64 [N+1], see `cluster_items`.
        encode: texts -> vectors [len, F].
        llm: a model with the decoding `PHRASES`.
        store: where its replies are kept.
        config: how much the model reads.
        announce: told what the profiles will cost, before the first question.
    """
    groups = [
        interests(sequences[user].tolist(), cluster, config) for user in range(len(sequences))
    ]
    questions = [
        [analyse_prompt([titles[item] for item in group], config) for group in user]
        for user in groups
    ]
    announce(_cost(questions, llm, store))
    flat = [prompt for user in questions for prompt in user]
    replies = ask(flat, llm, store, "interests")
    analysed = {prompt: tidy(reply) for prompt, reply in zip(flat, replies, strict=True)}
    aspects = [[analysed[prompt] for prompt in user if analysed[prompt]] for user in questions]
    asked = [user for user, found in enumerate(aspects) if found]
    sentences = ask([summarise_prompt(aspects[user]) for user in asked], llm, store, "profiles")
    text = [""] * len(sequences)
    for user, sentence in zip(asked, sentences, strict=True):
        text[user] = tidy(sentence) or "; ".join(aspects[user])
    present = torch.tensor([bool(sentence) for sentence in text])
    return Profiles(tuple(text), encode(text), present)


def tidy(reply: str) -> str:
    """A reply without reasoning, mark-up, and the marks a small model leaves at its ends."""
    return plain(reply).strip(" \t\"'*-;,.")


def _cost(questions: list[list[str]], llm: LanguageModel, store: ReplyStore) -> str:
    """How many questions there are, how many of them are new, and how long they are."""
    flat = {prompt for user in questions for prompt in user}
    missing = [
        prompt
        for prompt in flat
        if store.get(reply_key(llm.fingerprint, prompt, llm.settings)) is None
    ]
    drawn = random.Random(0).sample(sorted(missing), min(200, len(missing)))
    own = [prompt.rpartition("\n\n")[2] for prompt in drawn]
    tokens = sum(len(prompt) for prompt in own) / 4 / max(1, len(own))
    return (
        f"Profiles of {sum(map(bool, questions)):,} users: {len(flat):,} different questions about "
        f"interests, {len(missing):,} of them not yet answered (about {tokens:.0f} tokens to read "
        f"and at most {PHRASES.max_new_tokens} to write each), then at most one about each user."
    )
