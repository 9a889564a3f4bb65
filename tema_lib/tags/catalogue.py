"""tema_lib.tags.catalogue"""

from collections.abc import Callable

from torch import Tensor

from tema_lib.tags.prompts import clean

Encoder = Callable[[list[str]], Tensor]  # texts -> unit vectors [len, F]


class Catalogue:
    """What the steps know of the items: `Items`, the vectors of their texts (row = global id), and the encoder, which remembers tags."""

    def __init__(self, items, text_vectors, encode: Encoder):
        self.items, self.text_vectors, self._encode = items, text_vectors, encode
        self.vector_of: dict[str, Tensor] = {}

    def learn(self, tags) -> None:
        """Encode the tags not yet in `vector_of` (tag -> unit vector [F])."""
        new = sorted(set(tags) - set(self.vector_of))
        if new:
            self.vector_of |= dict(zip(new, self._encode(new)))

    def cosine(self, item: int, tag: str) -> float:
        return float(self.text_vectors.matrix[item] @ self.vector_of[tag])


def has_text(items, item: int) -> bool:
    return bool(clean(items.title[item]) or clean(items.description[item]))
