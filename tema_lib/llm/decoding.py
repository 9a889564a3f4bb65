"""How a reply is decoded: greedily, with two constraints that keep a small model from looping.

Status: ours (the paper names neither a language model nor a decoding).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Decoding:
    """How a reply is decoded; every field is part of the key under which the reply is stored."""

    max_new_tokens: int = 48  # ours: five tags rarely need more
    stop_at_comma: int = 5  # ours: a reply ends at a newline or at this comma
    # ours: no newline before this tag has begun; small models otherwise stop after two
    at_least: int = 5
    # ours: a tag may not begin like an earlier one; greedy decoding otherwise loops
    no_repeats: bool = True


class TagGuard:
    """Two constraints on the next token that keep a small model from looping.

    1. Where a tag begins (at the start and after a comma), the first token of every tag already
       given is forbidden, and so is another comma.
    2. The end of the reply (a newline or an end token) is forbidden until `at_least` tags have
       begun.

    The guard keeps no state: it reads everything from the tokens so far. Rule 1 has a cost:
    "green tea" excludes a later "green beans".

    transformers calls it like a `LogitsProcessor`: with tokens [B, prompt_length + T] and the
    scores [B, V] of the next token, for new scores [B, V].
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, decoding: Decoding, prompt_length: int = 0
    ) -> None:
        pieces = [tokenizer.decode([token]) for token in range(len(tokenizer))]
        self.commas = {token for token, piece in enumerate(pieces) if "," in piece}
        newlines = {token for token, piece in enumerate(pieces) if "\n" in piece}
        self.ends = newlines | set(tokenizer.all_special_ids)
        self._commas = torch.tensor(sorted(self.commas))
        self._ends = torch.tensor(sorted(self.ends))
        self.decoding = decoding
        self.prompt_length = prompt_length

    def first_tokens(self, reply: Sequence[int]) -> set[int]:
        """The tokens with which the tags of a reply begin."""
        return {
            token
            for position, token in enumerate(reply)
            if token not in self.commas and (position == 0 or reply[position - 1] in self.commas)
        }

    def forbid(self, replies: Sequence[Sequence[int]], scores: Tensor) -> Tensor:
        """Set scores [B, V] to -inf, in place, where the replies so far forbid a token."""
        begins = [not reply or reply[-1] in self.commas for reply in replies]
        tags_begun = [
            sum(token in self.commas for token in reply) + (not begin)
            for reply, begin in zip(replies, begins)
        ]
        too_early = torch.tensor(tags_begun) < self.decoding.at_least
        scores[torch.tensor(begins).nonzero(), self._commas] = -torch.inf
        scores[too_early.nonzero(), self._ends] = -torch.inf
        if self.decoding.no_repeats:
            for row in range(len(replies)):
                if begins[row]:
                    scores[row, list(self.first_tokens(replies[row]))] = -torch.inf
        return scores

    def finished(self, reply: Sequence[int]) -> bool:
        """True after a newline or end token, the last comma allowed, or the last token allowed."""
        return (
            reply[-1] in self.ends
            or len(reply) >= self.decoding.max_new_tokens
            or sum(token in self.commas for token in reply) >= self.decoding.stop_at_comma
        )

    def __call__(self, tokens: Tensor, scores: Tensor) -> Tensor:
        return self.forbid(tokens[:, self.prompt_length :].tolist(), scores.clone())
