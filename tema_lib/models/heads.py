"""From hidden states to scores, and the sizes that the models have in common.

logit(t, i) = <h_t, e_i>                dot product
logit(t, i) = cos(h_t, e_i) / tau       cosine with temperature tau
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

SIMILARITIES = ("cosine", "dot")


@dataclass(frozen=True)
class SimilarityHead:
    """Makes the product of states and item embeddings a cosine over a temperature, or leaves it.

    Args:
        similarity: "cosine" or "dot".
        temperature: tau, read for cosines only.

    Raises:
        ValueError: for an unknown similarity.
    """

    similarity: str = "cosine"
    temperature: float = 0.1

    def __post_init__(self) -> None:
        if self.similarity not in SIMILARITIES:
            raise ValueError(f"similarity is {self.similarity!r}: choose cosine or dot.")

    def normalized(self, vectors: Tensor) -> Tensor:
        """States or item embeddings (..., D) of length 1 for cosines, else unchanged."""
        return F.normalize(vectors, dim=-1) if self.similarity == "cosine" else vectors

    def scaled(self, states: Tensor) -> Tensor:
        """Normalized states (..., D) over the temperature for cosines, else unchanged."""
        return states / self.temperature if self.similarity == "cosine" else states

    def states(self, states: Tensor) -> Tensor:
        """Hidden states (..., D), ready for the product with normalized item embeddings."""
        return self.scaled(self.normalized(states))


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of a model; each model's configuration inherits them, so that records list them flat.

    The defaults are ours and the same for every system, so that systems differ in what they claim.

    Raises:
        ValueError: in one sentence, for a size or rate out of range.
    """

    hidden: int = 64  # width D of item embeddings and states
    heads: int = 2  # of attention
    layers: int = 1  # of each sequence encoder
    max_length: int = 50  # events of a history that are read, the newest ones
    dropout: float = 0.3  # chosen on validation; `Experiment` has its own for the synthetic data
    positions: str = "from the end"  # of a sequence, where 0 is the newest; or "from the start"
    lag_bias: bool = True  # ours: a learned bias of attention for each number of events in between
    negatives: str = "seen"  # ours, in training: items that can be a target there; or "all"

    def __post_init__(self) -> None:
        for name in ("hidden", "heads", "layers", "max_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give at least 1.")
        if self.hidden % self.heads:
            raise ValueError(
                f"hidden size {self.hidden} is not divisible by {self.heads} heads: "
                "choose another number of heads."
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(
                f"dropout is {self.dropout}: choose a share of at least 0 and below 1."
            )
        if self.positions not in ("from the end", "from the start"):
            raise ValueError(
                f"positions is {self.positions!r}: choose from the end or from the start."
            )
        if self.negatives not in ("seen", "all"):
            raise ValueError(f"negatives is {self.negatives!r}: choose seen or all.")
        temperature = getattr(self, "temperature", 1.0)  # of the models whose logits are cosines
        if temperature <= 0:
            raise ValueError(f"temperature is {temperature}: give a number above 0.")
