"""The third step: tags of the refined list for every item, weighted at the end.

Status: that items carry tags of the refined list is stated in the paper; how they get them is ours.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tema_lib.encoders.features import ItemFeatures
from tema_lib.llm.client import LanguageModel
from tema_lib.llm.store import ReplyStore
from tema_lib.tags.catalogue import Catalogue, has_text
from tema_lib.tags.config import DEFAULT_TAGS, TagConfig
from tema_lib.tags.draft import draft, says
from tema_lib.tags.item_tags import MAPPED, NEAREST, OWN, ItemTags
from tema_lib.tags.prompts import example_tags
from tema_lib.tags.refine import Refinement
from tema_lib.tags.weigh import weigh

Given = list[tuple[int, int]]  # (tag id, source) of an item's tags, in order


def assign(
    catalogue: Catalogue,
    refinement: Refinement,
    llm: LanguageModel,
    store: ReplyStore,
    config: TagConfig = DEFAULT_TAGS,
) -> ItemTags:
    """At most K tags of the list for every item: its own first, then near ones; weighted.

    Every item with a text is asked; what its reply names outside the list is mapped to the tag of
    the list that means the same, or dropped. An item left without an own tag is asked in the second
    wording. Where an item has fewer than K tags, tags of the list near to its text follow; fewer
    tags are better than invented ones. A tag that would come to more than `max_share` of the items
    leaves the list, and all items are given their tags again without it.

    Args:
        catalogue: the items and the vectors of their texts.
        refinement: the list that both domains share.
        llm, store: the model, and where its replies are kept.
        config: the choices that the paper leaves open.
    """
    items = catalogue.items
    rows = len(items.title)
    with_text = [item for item in range(1, rows) if has_text(items, item)]
    replies = draft(catalogue, with_text, llm, store, config)
    listed = _Listed(catalogue, refinement, config)
    bare = [
        item
        for item in replies.proposed
        if len(replies.replies[item]) == 1 and not listed.own(replies.proposed[item])
    ]
    replies = draft(catalogue, bare, llm, store, config, replies)
    most = max(config.max_share * (rows - 1), config.min_items)
    while True:
        table = [listed.tags_for(item, replies.proposed.get(item, ())) for item in range(rows)]
        carried = torch.tensor([tag for row in table for tag, _ in row], dtype=torch.long)
        counts = torch.bincount(carried, minlength=len(listed.tags) + 1)
        common = (counts > most).nonzero()[:, 0].tolist()
        if not common:
            break
        listed.drop(common)
    # Frequent tags first; tags of no item go.
    by_use = (-counts[1:]).argsort(stable=True) + 1
    order = by_use[counts[by_use] > 0].tolist()
    number = {tag: position for position, tag in enumerate(order, start=1)}
    tag_ids = torch.zeros(rows, config.tags_per_item, dtype=torch.long)
    source = torch.zeros(rows, config.tags_per_item, dtype=torch.int8)
    for item, row in enumerate(table):
        for position, (tag, origin) in enumerate(row):
            tag_ids[item, position] = number[tag]
            source[item, position] = origin
    no_tag = torch.zeros(1, listed.vectors.shape[1])
    vectors = torch.cat([no_tag, listed.vectors[[tag - 1 for tag in order]]])
    return ItemTags(
        vocabulary=("", *(listed.tags[tag - 1] for tag in order)),
        tag_ids=tag_ids,
        weights=weigh(tag_ids, vectors, catalogue.text_vectors, config),
        source=source,
        vectors=vectors,
        domain_of_item=torch.as_tensor(items.domain_of_item).clone(),
        raw_replies=tuple(replies.replies.get(item, ()) for item in range(rows)),
        model=llm.name,
        fingerprint=llm.fingerprint,
    )


def nearest_tags(
    text_vectors: ItemFeatures, item: int, vectors: Tensor, config: TagConfig
) -> list[int]:
    """The numbers 1..G of the tags near to an item's text, nearest first.

    Near is a cosine of at least `config.assign`; the nearest three may be as far as
    `config.assign_first`, so that few items stay without any. An item without text has none.

    Args:
        text_vectors: the features of the items' texts.
        item: a global id.
        vectors: float [G, F], the meaning of each tag.
        config: the two thresholds.
    """
    if not text_vectors.present[item] or not len(vectors):
        return []
    cosines, order = (vectors @ text_vectors.matrix[item]).sort(descending=True, stable=True)
    first_three = torch.arange(len(cosines)) < 3
    near = (cosines >= config.assign) | (cosines >= config.assign_first) & first_three
    return (order[near] + 1).tolist()


class _Listed:
    """The list, asked for the numbers 1..G of tags; a dropped tag keeps its number, never given."""

    def __init__(self, catalogue: Catalogue, refinement: Refinement, config: TagConfig) -> None:
        self.catalogue = catalogue
        self.config = config
        self.leader_of = refinement.leader_of
        self.tags = refinement.tags
        self.vectors = refinement.vectors
        self.open = torch.ones(len(self.tags), dtype=torch.bool)
        self.number = {tag: number for number, tag in enumerate(self.tags, start=1)}
        self.examples = [example_tags(name, config.style) for name in config.domain_names]
        self._mapped: dict[str, int] = {}

    def drop(self, numbers: Sequence[int]) -> None:
        self.open[[number - 1 for number in numbers]] = False
        self._mapped.clear()

    def map_to_nearest(self, tag: str) -> int:
        """The number of the tag of the list nearest in meaning, or 0 where none is near."""
        if not len(self.tags):
            return 0
        if tag not in self._mapped:
            cosines = (self.vectors @ self.catalogue.vector_of[tag]).masked_fill(~self.open, -1.0)
            nearest = int(cosines.argmax())
            is_near = bool(cosines[nearest] >= self.config.map_to_nearest)
            self._mapped[tag] = nearest + 1 if is_near else 0
        return self._mapped[tag]

    def own(self, proposed: Sequence[str]) -> Given:
        """An item's own tags: those on the list, then those mapped to it."""
        exact = [self.number.get(self.leader_of.get(tag, tag), 0) for tag in proposed]
        given = {number: OWN for number in exact if number and self.open[number - 1]}
        for tag, number in zip(proposed, exact):
            if number not in given and (near := self.map_to_nearest(tag)):
                given.setdefault(near, MAPPED)
        return list(given.items())

    def tags_for(self, item: int, proposed: Sequence[str]) -> Given:
        """All tags of an item, at most K."""
        most = self.config.tags_per_item
        given = dict(self.own(proposed)[:most])
        if len(given) < most:
            items = self.catalogue.items
            text = items.text(item)
            examples = self.examples[items.domain_of_item[item]]
            vectors = self.catalogue.text_vectors
            for number in nearest_tags(vectors, item, self.vectors, self.config):
                tag = self.tags[number - 1]
                is_copy = tag in examples and not says(text, tag)
                if number not in given and self.open[number - 1] and not is_copy:
                    given[number] = NEAREST
                if len(given) == most:
                    break
        return list(given.items())
