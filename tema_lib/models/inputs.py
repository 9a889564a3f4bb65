"""What models are built from: frozen features of the items, and the interface to a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

if TYPE_CHECKING:  # names of types only: neither an encoder nor scikit-learn is loaded
    from tema_lib.encoders.text import TitleTokens
    from tema_lib.tags.profiles import Profiles

MODALITIES = ("id", "text", "image", "tags")


@dataclass(frozen=True)
class ItemInputs:
    """Frozen features of all items, N + 1 rows each (row 0 is padding); None: no such modality.

    Args:
        domain_of_item: int64 [N+1], 0 for A, 1 for B, -1 for padding.
        text, image: float [N+1, F], with `text_present`, `image_present` bool [N+1].
        tag_ids: int64 [N+1, K], 0 for none, with `tag_weights` float [N+1, K].
        tag_vectors: float [G+1, F], the text encoder's vectors of the tags.
    """

    domain_of_item: Tensor
    text: Tensor | None = None
    text_present: Tensor | None = None
    image: Tensor | None = None
    image_present: Tensor | None = None
    tag_ids: Tensor | None = None
    tag_weights: Tensor | None = None
    tag_vectors: Tensor | None = None

    @property
    def count(self) -> int:
        """The number of items N, without padding."""
        return len(self.domain_of_item) - 1


class ModelInputs(Protocol):
    """Everything a system may be built from; an `Experiment` provides it.

    Each part is made when it is first read: a system that reads no profiles has none written.
    """

    hidden: int  # the width D to build with
    dropout: float  # of systems that have no rate of their own
    options: Mapping[str, Any]  # fields of a system's configuration, in place of their defaults

    @property
    def domain_of_item(self) -> Tensor:
        """int64 [N+1], 0 for A, 1 for B, -1 for padding."""

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that the data provide, a part of `MODALITIES`."""

    @property
    def titles(self) -> TitleTokens:
        """Titles as word pieces."""

    @property
    def profiles(self) -> Profiles:
        """A written profile for each training sequence, in their order."""

    def inputs(
        self, tags: str = "", shuffle: tuple[str, ...] = (), text: str = "plain"
    ) -> ItemInputs:
        """Features of all items.

        Args:
            tags: "small", or a control (`tags.controls`), that replaces the tags; "" for the tags
                themselves.
            shuffle: modalities, "text" or "image", that are permuted inside each domain.
            text: "plain", or "enriched" with what the language model said.
        """
