"""The second step, self-refinement: the proposed tags become one short list for both domains.

Each round merges tags that mean the same, drops the too broad and the too rare, and asks once more
about items that the list leaves out, until the list stays as it is. It records its changes.
Status: that the lists are self-refined is stated in the paper; the rounds are inferred. A small
language model cannot rewrite a list: it says how broad a tag is (`generality`), while synonyms are
found by lemmas and by the text encoder. These choices are ours.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import lemminflect
import torch
from torch import Tensor

from tema_lib.llm.client import LanguageModel, ask
from tema_lib.llm.store import ReplyStore
from tema_lib.tags.catalogue import Catalogue
from tema_lib.tags.config import DEFAULT_TAGS, TagConfig
from tema_lib.tags.draft import Draft, draft

# Words that are near each other in meaning space although they mean different things. Two tags
# that differ only in words of one such row are opposites and are never merged, however similar the
# encoder finds them.
OPPOSITES = tuple(
    frozenset(row.split())
    for row in (
        "black white red green blue brown yellow pink orange purple gold silver gray dark light",
        "hot cold iced warm frozen",
        "sweet salty sour bitter spicy savory",
        "breakfast lunch dinner brunch supper",
        "morning afternoon evening night",
        "summer winter spring fall autumn",
        "small large mini big",
        "indoor outdoor",
        "men women kids baby",
        "wet dry",
        "steel glass wood plastic cotton silicone",
        "beef pork chicken turkey fish",
        "christmas easter halloween thanksgiving",
        "birthday wedding anniversary",
        "coffee tea",
        "cup bowl plate",
        "fork knife spoon",
    )
)


@dataclass(frozen=True)
class Change:
    """What one round did to one tag: "merged" (into another), "dropped" or "added", and why."""

    tag: str
    what: str
    why: str
    into: str = ""


@dataclass(frozen=True)
class Round:
    """The list after one round, and its changes against the round before."""

    tags: tuple[str, ...]
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Refinement:
    """The list that both domains share, and how it came about."""

    tags: tuple[str, ...]  # G tags, frequent ones first
    vectors: Tensor  # float32 [G, F], unit length
    leader_of: Mapping[str, str]  # every proposed tag -> the tag it was merged into, or itself
    rounds: tuple[Round, ...]


@cache
def lemma(tag: str) -> str:
    """A key that equal tags share: without plural and verb endings, hyphens and spaces.

    "Baked cookies" -> "bakecookie"
    """
    words = re.findall(r"[^\W_]+", tag.lower())
    return "".join(_bare(word) if word.isalpha() else word for word in words)


def _bare(word: str) -> str:
    return lemminflect.getLemma(lemminflect.getLemma(word, "NOUN")[0], "VERB")[0]


def opposites(first: str, second: str) -> bool:
    """True when two tags differ only in words of one row ("red wine", "white wine")."""
    left, right = set(first.split()), set(second.split())
    here, there = left - right, right - left
    return bool(here) and bool(there) and any(here <= row and there <= row for row in OPPOSITES)


def merge(
    counts: Mapping[str, int], vector_of: Mapping[str, Tensor], threshold: float
) -> tuple[dict[str, str], dict[str, str]]:
    """Find tags that mean the same: equal lemmas first, then similar vectors, opposites excepted.

    The most frequent of a group leads it; an equal count is decided by the alphabet.

    Args:
        counts: tag -> number of items that name it.
        vector_of: tag -> unit vector [F].
        threshold: the cosine from which two tags are one.

    Returns:
        (tag -> leader for all tags, tag -> why for those merged into another).
    """
    by_lemma: dict[str, str] = {}
    leader_of: dict[str, str] = {}
    why: dict[str, str] = {}
    for tag in sorted(counts, key=lambda tag: (-counts[tag], tag)):
        leader_of[tag] = by_lemma.setdefault(lemma(tag), tag)
        if leader_of[tag] != tag:
            why[tag] = "same lemma"
    total: Counter[str] = Counter()
    for tag, leader in leader_of.items():
        total[leader] += counts[tag]
    heads = sorted(total, key=lambda tag: (-total[tag], tag))
    leaders: list[str] = []
    head_of: dict[str, str] = {}
    table = torch.empty(len(heads), len(next(iter(vector_of.values()), torch.empty(1))))
    for tag in heads:
        cosines = table[: len(leaders)] @ vector_of[tag]
        similar = (cosines >= threshold).nonzero()[:, 0]
        near = [
            leaders[position]
            for position in similar[cosines[similar].argsort(descending=True)].tolist()
            if not opposites(tag, leaders[position])
        ]
        if near:
            head_of[tag] = near[0]
            why[tag] = f"cosine {float(vector_of[near[0]] @ vector_of[tag]):.2f}"
        else:
            head_of[tag] = tag
            table[len(leaders)] = vector_of[tag]
            leaders.append(tag)
    return {tag: head_of[leader] for tag, leader in leader_of.items()}, why


# Tags that are clearly broad or clearly narrow: those shown in the prompt, and those that set the
# limit between the two. The question names no domain, only words, so these serve any domains:
# "food" fits many different things beside films, too.
BROAD = (
    ("food", "product", "household item", "thing", "kitchen", "good quality"),
    ("stuff", "useful", "grocery", "everyday"),
)
NARROW = (
    ("passion fruit", "popover pan", "movie night", "fondue", "oyster crackers", "melon baller"),
    ("maple syrup", "garlic press", "birthday cake", "rolling pin"),
)
ANYTHING, ONE = " anything", " one"


def generality_prompt(tag: str) -> str:
    """Asks which products a tag fits; the answer is log-odds of " anything" against " one"."""
    lines = ["Which products does a tag fit?"]
    for broad, narrow in zip(BROAD[0], NARROW[0]):
        lines += ["", f"Tag: {broad}", f"Fits:{ANYTHING}", "", f"Tag: {narrow}", f"Fits:{ONE}"]
    return "\n".join([*lines, "", f"Tag: {tag}", "Fits:"])


def generality(
    tags: Sequence[str], log_odds: Callable[[list[str]], list[float]]
) -> dict[str, float]:
    """How broad the model finds each tag; above 0 = broad.

    It is the tag's log-odds less the midpoint of known broad and known narrow tags. The midpoint
    takes out the model's preference for one of the two words.

    Args:
        tags: those in question.
        log_odds: prompts -> log-odds of ANYTHING against ONE.
    """
    odds = log_odds([generality_prompt(tag) for tag in (*BROAD[1], *NARROW[1], *tags)])
    known = len(BROAD[1])
    middle = (sum(odds[:known]) + sum(odds[known : 2 * known])) / (2 * known)
    return {tag: value - middle for tag, value in zip(tags, odds[2 * known :])}


def settle(
    proposed: Mapping[int, Iterable[str]],
    vector_of: Mapping[str, Tensor],
    broad: Callable[[list[str]], dict[str, float]],
    *,
    threshold: float,
    min_items: int,
    max_share: float,
    generality_limit: float,
    size: int = 0,
) -> tuple[list[str], dict[str, str], dict[str, Change]]:
    """One round on what was proposed.

    Args:
        proposed: item -> tags.
        vector_of: tag -> unit vector [F].
        broad: tags -> how broad each is.
        threshold: the cosine from which two tags are one.
        min_items: a tag of fewer items is dropped.
        max_share: a tag on a larger share of the items is dropped.
        generality_limit: a broader tag is dropped.
        size: of the tags that are left, so many of the most frequent are kept; 0: all.

    Returns:
        (the list by falling frequency, tag -> leader, what happened to each tag that is not on it).
    """
    counts = Counter(tag for tags in proposed.values() for tag in set(tags))
    leader_of, why = merge(counts, vector_of, threshold)
    merged = Counter(
        leader for tags in proposed.values() for leader in {leader_of[tag] for tag in tags}
    )
    fate = {
        tag: Change(tag, "merged", why[tag], leader_of[tag])
        for tag in counts
        if leader_of[tag] != tag
    }
    most = max(max_share * len(proposed), min_items)  # a small catalogue keeps tags, too
    kept = []
    for tag, count in sorted(merged.items(), key=lambda pair: (-pair[1], pair[0])):
        if count < min_items:
            fate[tag] = Change(tag, "dropped", f"too rare: {count} of {len(proposed)} items")
        elif count > most:
            fate[tag] = Change(tag, "dropped", f"too common: {count} of {len(proposed)} items")
        else:
            kept.append(tag)
    generality_of = broad(kept) if kept else {}
    for tag in [tag for tag in kept if generality_of[tag] > generality_limit]:
        why_dropped = f"too broad, says the model: log-odds {generality_of[tag]:+.1f}"
        fate[tag] = Change(tag, "dropped", why_dropped)
        kept.remove(tag)
    for place, tag in enumerate(kept[size:] if size else ()):
        fate[tag] = Change(tag, "dropped", f"number {size + place + 1} by frequency")
        kept.remove(tag)
    return kept, leader_of, fate


def refine(
    catalogue: Catalogue,
    proposals: Draft,
    llm: LanguageModel,
    store: ReplyStore,
    config: TagConfig = DEFAULT_TAGS,
) -> Refinement:
    """The list that both domains share.

    Args:
        catalogue: the items and the vectors of their texts.
        proposals: the draft; it grows by what the rounds ask for.
        llm, store: the model, and where its replies are kept.
        config: the thresholds, and the number of rounds.
    """

    def log_odds(prompts: list[str]) -> list[float]:
        replies = ask(prompts, llm, store, "how broad", (ANYTHING, ONE), usable=float)
        return [float(reply or 0) for reply in replies]  # no answer: neither broad nor narrow

    if not config.rounds:
        return unrefined(catalogue, proposals, config.size)
    rounds: list[Round] = []
    while True:
        kept, leader_of, fate = settle(
            proposals.proposed,
            catalogue.vector_of,
            lambda tags: generality(tags, log_odds),
            threshold=config.merge,
            min_items=config.min_items,
            max_share=config.max_share,
            generality_limit=config.generality,
            size=config.size,
        )
        before = rounds[-1].tags if rounds else ()
        rounds.append(Round(tuple(kept), _changes(rounds, kept, fate)))
        left_out = [
            item
            for item in proposals.proposed
            if len(proposals.replies[item]) == 1
            and not any(leader_of[tag] in kept for tag in proposals.proposed[item])
        ]
        if len(rounds) == config.rounds or set(kept) == set(before) or not left_out:
            break
        draft(catalogue, left_out, llm, store, config, proposals)
    return Refinement(tuple(kept), vectors_of(catalogue, kept), leader_of, tuple(rounds))


def unrefined(catalogue: Catalogue, proposals: Draft, size: int = 0) -> Refinement:
    """The list as it was proposed, by falling frequency; at most `size` tags, 0: all."""
    counts = Counter(tag for tags in proposals.proposed.values() for tag in set(tags))
    tags = sorted(counts, key=lambda tag: (-counts[tag], tag))[: size or None]
    return Refinement(tuple(tags), vectors_of(catalogue, tags), {tag: tag for tag in counts}, ())


def vectors_of(catalogue: Catalogue, tags: Sequence[str]) -> Tensor:
    """The unit vectors of tags, float32 [G, F]."""
    if not tags:
        return catalogue.text_vectors.matrix[:0]
    return torch.stack([catalogue.vector_of[tag] for tag in tags])


def _changes(
    rounds: Sequence[Round], kept: Sequence[str], fate: Mapping[str, Change]
) -> tuple[Change, ...]:
    """What a round changed against the ones before; nothing is told twice."""
    before = rounds[-1].tags if rounds else ()
    known = {change.tag for earlier in rounds for change in earlier.changes}
    added = [
        Change(tag, "added", "named by items that the list left out")
        for tag in kept
        if rounds and tag not in before
    ]
    others = [change for tag, change in fate.items() if tag in before or tag not in known]
    return (*added, *others)
