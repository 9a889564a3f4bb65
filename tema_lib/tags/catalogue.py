"""What the steps of tagging know of the items: their texts, and vectors for texts and tags."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from tema_lib.data.dataset import Items
from tema_lib.encoders.features import ItemFeatures
from tema_lib.tags.prompts import clean

Encoder = Callable[[list[str]], Tensor]  # texts -> unit vectors [len, F]


class Catalogue:
    """The items and the vectors of their texts, with an encoder that remembers tags.

    Args:
        items: N items under global ids.
        text_vectors: the features of their texts; row = global id.
        encode: texts -> unit vectors [len, F], by the encoder that made `text_vectors`.
    """

    def __init__(self, items: Items, text_vectors: ItemFeatures, encode: Encoder) -> None:
        self.items = items
        self.text_vectors = text_vectors
        self._encode = encode
        self.vector_of: dict[str, Tensor] = {}

    def learn(self, tags: Iterable[str]) -> None:
        """Encode the tags that are not yet in `vector_of` (tag -> unit vector [F])."""
        new = sorted(set(tags) - set(self.vector_of))
        if new:
            self.vector_of |= dict(zip(new, self._encode(new)))

    def vectors(self, tags: list[str]) -> Tensor:
        """The meaning of tags, unit vectors [len, F]."""
        self.learn(tags)
        return torch.stack([self.vector_of[tag] for tag in tags])

    def cosine(self, item: int, tag: str) -> float:
        """How near a tag is in meaning to the text of an item (a global id)."""
        return float(self.text_vectors.matrix[item] @ self.vector_of[tag])


def has_text(items: Items, item: int) -> bool:
    """Whether there is anything to ask about an item (a global id)."""
    return bool(clean(items.title[item]) or clean(items.description[item]))
