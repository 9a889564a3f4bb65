"""Tags to compare with: what a control gains, too, is not a merit of the model's tags.

Status: ours; experiments showed that cheap title words already give much of the gain that
tags give.
"""

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import torch

from tema_lib.tags.assign import nearest_tags
from tema_lib.tags.catalogue import Catalogue
from tema_lib.tags.config import DEFAULT_TAGS, TagConfig
from tema_lib.tags.item_tags import NEAREST, ItemTags
from tema_lib.tags.weigh import weigh

CONTROLS = ("shuffled", "random", "title words", "encoder only", "none")


def control_tags(
    tags: ItemTags,
    kind: str,
    catalogue: Catalogue,
    config: TagConfig = DEFAULT_TAGS,
    seed: int = 0,
) -> ItemTags:
    """The control `kind` to `tags`, for the same items.

    "shuffled": whole rows are permuted among the items of a domain, so that every frequency stays.
    "random": each item keeps its number of tags and its weights; the tags are drawn at random from
    the list.
    "title words": the words of an item's title that are rarest in the catalogue (but on `min_items`
    items), weighted by idf; no language model.
    "encoder only": the tags of the list nearest to the item's text; the language model's list, but
    not what it says of the item.
    "none": no tags.

    Args:
        tags: the model's tags.
        kind: one of `CONTROLS`.
        catalogue: the items and the vectors of their texts.
        config: the limits and weights of "title words" and "encoder only".
        seed: of the random generator of "shuffled" and "random".

    Raises:
        ValueError: the kind is unknown.
    """
    rng = np.random.default_rng(seed)
    if kind == "shuffled":
        return _shuffled(tags, rng)
    if kind == "random":
        tag_ids = tags.tag_ids.clone()
        for row in tag_ids:
            count = int((row > 0).sum())
            row[:count] = torch.from_numpy(rng.permutation(len(tags.vocabulary) - 1)[:count] + 1)
        return replace(tags, tag_ids=tag_ids)
    if kind == "title words":
        return _title_words(tags, catalogue, config)
    if kind == "encoder only":
        return _encoder_only(tags, catalogue, config)
    if kind == "none":
        return replace(
            tags,
            tag_ids=torch.zeros_like(tags.tag_ids),
            weights=torch.zeros_like(tags.weights),
            source=torch.zeros_like(tags.source),
        )
    raise ValueError(f'control "{kind}" is unknown; choose one of {", ".join(CONTROLS)}.')


def _shuffled(tags: ItemTags, rng: np.random.Generator) -> ItemTags:
    giver = np.arange(len(tags.tag_ids))
    for domain in (0, 1):
        items = np.flatnonzero(tags.domain_of_item.numpy() == domain)
        giver[items] = rng.permutation(items)
    return replace(
        tags,
        tag_ids=tags.tag_ids[giver],
        weights=tags.weights[giver],
        source=tags.source[giver],
        raw_replies=tuple(tags.raw_replies[i] for i in giver),
    )


def _encoder_only(tags: ItemTags, catalogue: Catalogue, config: TagConfig) -> ItemTags:
    tag_ids = torch.zeros(len(tags.tag_ids), config.tags_per_item, dtype=torch.long)
    for item in range(1, len(tag_ids)):
        near = nearest_tags(catalogue.text_vectors, item, tags.vectors[1:], config)
        near = near[: config.tags_per_item]
        tag_ids[item, : len(near)] = torch.tensor(near, dtype=torch.long)
    return replace(
        tags,
        tag_ids=tag_ids,
        weights=weigh(tag_ids, tags.vectors, catalogue.text_vectors, config),
        source=torch.where(tag_ids > 0, NEAREST, 0).to(torch.int8),
        raw_replies=((),) * len(tag_ids),
    )


def _title_words(tags: ItemTags, catalogue: Catalogue, config: TagConfig) -> ItemTags:
    titles = [
        list(dict.fromkeys(re.findall(r"[^\W\d_]{3,}", title.lower())))
        for title in catalogue.items.title
    ]
    counts = Counter(word for words in titles for word in words)
    most = config.max_share * (len(titles) - 1)
    kept = sorted(
        (word for word, count in counts.items() if config.min_items <= count <= most),
        key=lambda word: (-counts[word], word),
    )
    number = {word: position for position, word in enumerate(kept, start=1)}
    catalogue.learn(kept)
    no_tag = torch.zeros(tags.vectors.shape[1])
    vectors = torch.stack([no_tag, *(catalogue.vector_of[word] for word in kept)])
    tag_ids = torch.zeros(len(titles), config.tags_per_item, dtype=torch.long)
    for item, words in enumerate(titles):
        rarest_first = sorted((number[word] for word in words if word in number), reverse=True)
        rarest = rarest_first[: config.tags_per_item]
        tag_ids[item, : len(rarest)] = torch.tensor(rarest, dtype=torch.long)
    return replace(
        tags,
        vocabulary=("", *kept),
        tag_ids=tag_ids,
        weights=weigh(tag_ids, vectors, catalogue.text_vectors, replace(config, weight="idf")),
        source=torch.where(tag_ids > 0, NEAREST, 0).to(torch.int8),
        vectors=vectors,
        raw_replies=((),) * len(titles),
        model="title words",
        fingerprint="",
    )
