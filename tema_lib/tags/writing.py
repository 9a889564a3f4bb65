"""From items to tags: ask, check, keep what the item's text supports, agree on one vocabulary, assign, weigh.

Status: LLM tags from titles and descriptions by domain-aware prompts, and their weighted fusion, are stated in the paper;
how a vocabulary is agreed on, how tags are assigned and what the weights are is inferred or ours, so each is a field of
`TagConfig`. The refinement of the vocabulary by the model itself, which the paper states, is not in this first version.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from tqdm.auto import tqdm

from . import ItemTags
from .prompts import clean, parse_tags, shot_tags, write_prompt
from .store import Reply, ReplyStore, reply_key

Encoder = Callable[[list[str]], torch.Tensor]     # texts -> unit vectors [len, F]


@dataclass(frozen=True)
class TagConfig:
    """Every choice the paper leaves open; the comment says where ours comes from."""

    domain_names: tuple[str, str] = ("food", "kitchen")   # ours: how the prompt calls domains A and B
    tags_per_item: int = 5            # ours: K is unknown; alternatives 3, 8
    title_limit: int = 300            # ours: characters of title and of description that reach the prompt
    support: float = 0.2              # ours: an own tag below this cosine to the item's text is dropped as invented
    merge: float = 0.9                # ours: tags at least this alike are one tag ("cookie", "cookies"); above 1 = never
    min_items: int = 3                # ours: a rarer tag joins nothing
    max_share: float = 0.15           # ours: a tag on more of the items tells nothing apart
    assign: float = 0.4               # ours: cosine from which a vocabulary tag is given to an item that lacks tags
    weight: str = "relevance"         # inferred: softmax of cosine(text, tag); alternatives "idf", "uniform"
    temperature: float = 0.1          # ours: of that softmax

    def __post_init__(self):
        if self.weight not in ("relevance", "idf", "uniform"):
            raise ValueError(f'weight "{self.weight}" is unknown; choose "relevance", "idf" or "uniform".')


def prompt_for(items, item: int, config: TagConfig = TagConfig(), attempt: int = 1) -> str:
    """The prompt for one item (global id); its domain chooses shop and examples."""
    shop = config.domain_names[items.domain_of_item[item]]
    return write_prompt(items.title[item], items.description[item], shop, attempt, config.title_limit)


def write_tags(items, llm, store: ReplyStore, text_vectors, encode: Encoder, config: TagConfig = TagConfig()) -> ItemTags:
    """Tags for all items.

    items: `Items`; llm: has `name`, `fingerprint`, `settings` and `generate_batches(prompts)` (see `llm.LocalModel`);
    text_vectors: `ItemFeatures` of the items' texts, row = global id; encode: the same encoder, for the tags.
    An item whose two replies are both no list of tags, or that has no text at all, gets no tags of its own.
    """
    raw_replies, attempts, drafts = draft(items, llm, store, config)
    own = _supported(items, drafts, text_vectors, encode, config)
    kept, vectors, own = agree(own, encode, config)
    tag_ids, source = assign(own, vectors, text_vectors, config)
    weights = weigh(tag_ids, vectors, text_vectors, config)
    return ItemTags(("", *kept), tag_ids, weights, source, vectors, torch.as_tensor(items.domain_of_item).clone(),
                    tuple(raw_replies), tuple(attempts), llm.name, llm.fingerprint)


# ---------------------------------------------------------------------------------------------- 1 ask and check

def draft(items, llm, store: ReplyStore, config: TagConfig) -> tuple[list[str], list[int], list[tuple[str, ...]]]:
    """Per item (row = global id): raw reply, prompts asked, tags. A reply that is no list is asked for once more."""
    rows = len(items.title)
    raw_replies, attempts, drafts = [""] * rows, [0] * rows, [()] * rows
    waiting = [item for item in range(1, rows) if clean(items.title[item]) or clean(items.description[item])]
    for attempt in (1, 2):
        prompts = [prompt_for(items, item, config, attempt) for item in waiting]
        for item, reply in zip(waiting, ask(prompts, llm, store, "tags" if attempt == 1 else "tags, second wording")):
            raw_replies[item], attempts[item] = reply, attempt
            drafts[item] = parse_tags(reply) or ()
        waiting = [item for item in waiting if not drafts[item]]
    return raw_replies, attempts, drafts


def ask(prompts: Sequence[str], llm, store: ReplyStore, progress: str = "tags") -> list[str]:
    """The replies to `prompts`: from the store, else from the model, whose every batch enters the store at once.

    So a stopped run goes on where it was, and the same prompt is never asked twice. Prompts are asked in groups that
    begin alike (same shop, same examples), because the model reads a common beginning only once.
    """
    keys = [reply_key(llm.fingerprint, prompt, llm.settings) for prompt in prompts]
    replies = {key: reply for key in set(keys) if (reply := store.get(key)) is not None}
    missing = {prompt: key for prompt, key in zip(prompts, keys) if key not in replies}
    groups: dict[str, list[str]] = {}
    for prompt in missing:
        groups.setdefault(prompt.rpartition("\n\n")[0], []).append(prompt)
    with tqdm(total=len(missing), desc=progress, unit="item", disable=not missing) as bar:
        for group in groups.values():
            for places, texts in llm.generate_batches(group):
                asked = [group[place] for place in places]
                store.put(Reply(llm.name, llm.fingerprint, prompt, llm.settings, text) for prompt, text in zip(asked, texts))
                replies |= {missing[prompt]: text for prompt, text in zip(asked, texts)}
                bar.update(len(asked))
    return [replies[key] for key in keys]


# ---------------------------------------------------------------------------------------------- 2 keep what the text supports

def says(text: str, tag: str) -> bool:
    """True when the words of `tag` stand in `text`, as words and in this order."""
    return re.search(rf"(?<!\w){re.escape(tag)}(?!\w)", text.lower()) is not None


def _supported(items, drafts, text_vectors, encode: Encoder, config: TagConfig) -> list[list[str]]:
    """Own tags that the item's text says or means; copies of the prompt's examples must be said."""
    tags = sorted({tag for draft in drafts for tag in draft})
    place = {tag: row for row, tag in enumerate(tags)}
    tag_vectors = encode(tags) if tags else None
    kept = []
    for item, draft in enumerate(drafts):
        text = items.text(item)
        copies = shot_tags(config.domain_names[items.domain_of_item[item]])
        kept.append([tag for tag in draft if says(text, tag) or (
            tag not in copies and float(text_vectors.matrix[item] @ tag_vectors[place[tag]]) >= config.support)])
    return kept


# ---------------------------------------------------------------------------------------------- 3 agree on a vocabulary

def agree(own: list[list[str]], encode: Encoder, config: TagConfig) -> tuple[list[str], torch.Tensor, list[list[int]]]:
    """One vocabulary for both domains: (G tags by falling frequency, vectors [G+1, F], own tags as ids 1..G per item).

    Tags of nearly the same meaning become the most frequent of them; then too rare and too common ones go.
    """
    counts = Counter(tag for tags in own for tag in set(tags))
    by_frequency = sorted(counts, key=lambda tag: (-counts[tag], tag))
    vectors = encode(by_frequency) if by_frequency else encode(["tag"])[:0]
    leaders, leader_of = [], {}
    table = torch.empty_like(vectors)                             # vectors of the leaders so far
    for tag, vector in zip(by_frequency, vectors):
        nearest, alike = (0, -1.0) if not leaders else max(enumerate((table[:len(leaders)] @ vector).tolist()), key=lambda pair: pair[1])
        if alike >= config.merge:
            leader_of[tag] = leaders[nearest]
        else:
            table[len(leaders)] = vector
            leaders.append(tag)
            leader_of[tag] = tag
    merged = [list(dict.fromkeys(leader_of[tag] for tag in tags)) for tags in own]
    counts = Counter(tag for tags in merged for tag in tags)
    most = config.max_share * (len(own) - 1)
    kept = sorted((tag for tag in leaders if config.min_items <= counts[tag] <= most), key=lambda tag: (-counts[tag], tag))
    id_of = {tag: number for number, tag in enumerate(kept, start=1)}
    row_of = {tag: row for row, tag in enumerate(leaders)}
    kept_vectors = torch.cat([torch.zeros(1, vectors.shape[1]), table[[row_of[tag] for tag in kept]]])
    return kept, kept_vectors, [[id_of[tag] for tag in tags if tag in id_of] for tags in merged]


# ---------------------------------------------------------------------------------------------- 4 assign and weigh

def assign(own: list[list[int]], vectors: torch.Tensor, text_vectors, config: TagConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """(tag_ids, source), both [N+1, K]: an item's own tags first, then the nearest tags of the vocabulary.

    An item gets fewer than K tags, or none, where no tag is near: a tag is never invented to fill a row.
    """
    tag_ids = torch.zeros(len(own), config.tags_per_item, dtype=torch.long)
    source = torch.zeros(len(own), config.tags_per_item, dtype=torch.int8)
    for item, tags in enumerate(own):
        chosen = tags[:config.tags_per_item]
        given = len(chosen)
        if text_vectors.present[item]:
            near = vectors[1:] @ text_vectors.matrix[item]        # [G]
            for tag in (near.argsort(descending=True, stable=True) + 1).tolist()[:2 * config.tags_per_item]:
                if len(chosen) < config.tags_per_item and near[tag - 1] >= config.assign and tag not in chosen:
                    chosen = chosen + [tag]
        tag_ids[item, :len(chosen)] = torch.tensor(chosen, dtype=torch.long)
        source[item, :given], source[item, given:len(chosen)] = 1, 2
    return tag_ids, source


def weigh(tag_ids: torch.Tensor, vectors: torch.Tensor, text_vectors, config: TagConfig) -> torch.Tensor:
    """Weights [N+1, K] of each item's tags: rows sum to 1, or to 0 where there is no tag."""
    given = tag_ids > 0
    if config.weight == "relevance":
        cosine = (vectors[tag_ids] * text_vectors.matrix[:, None, :]).sum(-1)
        weights = (cosine / config.temperature).masked_fill(~given, -torch.inf).softmax(-1).nan_to_num(0.0)
    else:
        weights = given.float()
        if config.weight == "idf":
            counts = torch.bincount(tag_ids[given], minlength=len(vectors)).clamp(min=1)
            weights = weights * torch.log((len(tag_ids) - 1) / counts.float()).clamp(min=1e-6)[tag_ids]
        weights = weights / weights.sum(-1, keepdim=True).clamp(min=1e-12)
    return weights
