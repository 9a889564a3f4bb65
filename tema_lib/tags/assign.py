"""tema_lib.tags.assign"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tema_lib.llm.store import ReplyStore
from tema_lib.tags.catalogue import Catalogue, has_text
from tema_lib.tags.config import TagConfig
from tema_lib.tags.draft import draft, says
from tema_lib.tags.item_tags import MAPPED, NEAREST, OWN, ItemTags
from tema_lib.tags.prompts import example_tags
from tema_lib.tags.refine import Refinement
from tema_lib.tags.weigh import weigh

# ---------------------------------------------------------------------------------------------- 3 assign


def assign(
    catalogue: Catalogue,
    refinement: Refinement,
    llm,
    store: ReplyStore,
    config: TagConfig = TagConfig(),
) -> ItemTags:
    """At most K tags of the list for every item, weighed (`weigh`): its own first, then near ones.

    Every item with a text is asked; what its reply names outside the list is mapped to the tag of the list that means
    the same, or dropped. An item left without an own tag is asked in the second wording. Free places go to tags of the
    list near to the text; a place stays empty rather than hold an invented tag. A tag that would come to more than
    `max_share` of the items leaves the list, and the places it held are given anew.
    """
    items, rows = catalogue.items, len(catalogue.items.title)
    replies = draft(
        catalogue, [item for item in range(1, rows) if has_text(items, item)], llm, store, config
    )
    listed = _Listed(catalogue, refinement, config)
    bare = [
        item
        for item in replies.proposed
        if len(replies.replies[item]) == 1 and not listed.own(replies.proposed[item])
    ]
    replies = draft(catalogue, bare, llm, store, config, replies)
    while True:
        table = [listed.tags_for(item, replies.proposed.get(item, ())) for item in range(rows)]
        counts = torch.bincount(
            torch.tensor([tag for row in table for tag, _ in row], dtype=torch.long),
            minlength=len(listed.tags) + 1,
        )
        common = (
            (counts > max(config.max_share * (rows - 1), config.min_items)).nonzero()[:, 0].tolist()
        )
        if not common:
            break
        listed.drop(common)
    order = (-counts[1:]).argsort(stable=True) + 1  # frequent tags first; tags of no item go
    order = order[counts[order] > 0].tolist()
    number = {tag: position for position, tag in enumerate(order, start=1)}
    tag_ids = torch.zeros(rows, config.tags_per_item, dtype=torch.long)
    source = torch.zeros(rows, config.tags_per_item, dtype=torch.int8)
    for item, row in enumerate(table):
        for position, (tag, origin) in enumerate(row):
            tag_ids[item, position], source[item, position] = number[tag], origin
    vectors = torch.cat(
        [torch.zeros(1, listed.vectors.shape[1]), listed.vectors[[tag - 1 for tag in order]]]
    )
    weights = weigh(tag_ids, vectors, catalogue.text_vectors, config)
    return ItemTags(
        ("", *(listed.tags[tag - 1] for tag in order)),
        tag_ids,
        weights,
        source,
        vectors,
        torch.as_tensor(items.domain_of_item).clone(),
        tuple(replies.replies.get(item, ()) for item in range(rows)),
        llm.name,
        llm.fingerprint,
    )


def nearest_tags(text_vectors, item: int, vectors: Tensor, config: TagConfig) -> list[int]:
    """The places 1..G of the tags near to an item's text, nearest first; vectors [G, F]. None for an item without a text.

    Near is a cosine of at least `assign`; the nearest three may be as far as `assign_first`, so that few items stay bare.
    """
    if not text_vectors.present[item] or not len(vectors):
        return []
    cosines, order = (vectors @ text_vectors.matrix[item]).sort(descending=True, stable=True)
    near = (cosines >= config.assign) | (cosines >= config.assign_first) & (
        torch.arange(len(cosines)) < 3
    )
    return (order[near] + 1).tolist()


class _Listed:
    """The list, asked for the places 1..G of tags; a dropped tag keeps its place and is never given."""

    def __init__(self, catalogue: Catalogue, refinement: Refinement, config: TagConfig):
        self.catalogue, self.leader_of, self.config = catalogue, refinement.leader_of, config
        self.tags, self.vectors = refinement.tags, refinement.vectors
        self.open = torch.ones(len(self.tags), dtype=torch.bool)
        self.position = {tag: position for position, tag in enumerate(self.tags, start=1)}
        self.examples = [example_tags(name, config.style) for name in config.domain_names]
        self._mapped: dict[str, int] = {}

    def drop(self, positions: Sequence[int]) -> None:
        self.open[[position - 1 for position in positions]] = False
        self._mapped.clear()

    def map_to_nearest(self, tag: str) -> int:
        """The place of the tag of the list nearest in meaning, or 0 where none is near."""
        if tag not in self._mapped:
            cosines = (self.vectors @ self.catalogue.vector_of[tag]).masked_fill(~self.open, -1.0)
            nearest = int(cosines.argmax()) if len(cosines) else 0
            self._mapped[tag] = (
                nearest + 1
                if len(cosines) and cosines[nearest] >= self.config.map_to_nearest
                else 0
            )
        return self._mapped[tag]

    def own(self, proposed: Sequence[str]) -> list[tuple[int, int]]:
        """(place, origin) of an item's own tags: those on the list, then those mapped to it."""
        exact = [self.position.get(self.leader_of.get(tag, tag), 0) for tag in proposed]
        given = {position: OWN for position in exact if position and self.open[position - 1]}
        for tag, position in zip(proposed, exact):
            if position not in given and (near := self.map_to_nearest(tag)):
                given.setdefault(near, MAPPED)
        return list(given.items())

    def tags_for(self, item: int, proposed: Sequence[str]) -> list[tuple[int, int]]:
        """(place, origin) of all tags of an item, at most K."""
        given = dict(self.own(proposed)[: self.config.tags_per_item])
        if len(given) < self.config.tags_per_item:
            text, copies = (
                self.catalogue.items.text(item),
                self.examples[self.catalogue.items.domain_of_item[item]],
            )
            for position in nearest_tags(
                self.catalogue.text_vectors, item, self.vectors, self.config
            ):
                if len(given) == self.config.tags_per_item:
                    break
                if (
                    position not in given
                    and self.open[position - 1]
                    and (
                        self.tags[position - 1] not in copies or says(text, self.tags[position - 1])
                    )
                ):
                    given[position] = NEAREST
        return list(given.items())
