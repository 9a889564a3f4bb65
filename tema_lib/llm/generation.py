"""How a local language model answers many similar prompts quickly, greedily and repeatably.

Three things make it fast without changing the text: the beginning that all prompts share is read
once (its keys and values are kept), the rest is answered in batches of similar length, and a
finished row leaves its batch. Status: ours.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DynamicCache,
    LogitsProcessorList,
    StoppingCriteriaList,
)

from tema_lib.encoders.device import best_device
from tema_lib.encoders.folder import from_folder
from tema_lib.llm.cache import SHARED_PREFIX, KeysAndValues, ReplyCache, common_prefix, register
from tema_lib.llm.decoding import Decoding, TagGuard


class TextGenerator:
    """A causal language model, loaded.

    It runs on the device that `best_device` names; the bookkeeping of the replies stays on the
    processor. A model whose attention is not plain (a sliding window, capped scores) is asked one
    prompt after the other: correct, but slow.

    Args:
        folder: where weights and tokenizer are.
        decoding: where a reply ends, and what it may not repeat.
        batch: prompts answered at a time.
        dtype: of the weights and the computation.

    Raises:
        FileNotFoundError, ValueError: the folder is damaged.
    """

    def __init__(self, folder: Path, decoding: Decoding, batch: int, dtype: str) -> None:
        self.batch = batch
        self.decoding = decoding
        self.tokenizer = from_folder(AutoTokenizer, folder)
        self.model = from_folder(
            AutoModelForCausalLM, folder, dtype=getattr(torch, dtype), use_safetensors=True
        ).eval()
        self.model.to(best_device())
        self.guard = TagGuard(self.tokenizer, decoding)
        text = self.model.config.get_text_config()
        self.shares_prefix = self.model.is_backend_compatible() and not (
            getattr(text, "sliding_window", None) or getattr(text, "attn_logit_softcapping", None)
        )
        self._special = [token for token in self.tokenizer.all_special_tokens if token]

    def tokens(self, prompt: str) -> list[int]:
        """Token ids of a prompt.

        Control tokens written out in a title are untrusted input: they are taken out.
        """
        for token in self._special:
            prompt = prompt.replace(token, " ")
        return self.tokenizer(prompt, add_special_tokens=not self.tokenizer.chat_template).input_ids

    @torch.inference_mode()
    def generate_plain(self, prompt: str) -> str:
        """The reply to one prompt by transformers' own greedy generation: slower, and the same."""
        row = self.tokens(prompt)
        self.model.set_attn_implementation("sdpa")
        guard = copy.copy(self.guard)
        guard.prompt_length = len(row)

        def stop(tokens: Tensor, _: Tensor, **__: Any) -> Tensor:
            reply = tokens[0, len(row) :].tolist()
            return torch.tensor([guard.finished(reply)], device=tokens.device)

        tokens = self._on_device(torch.tensor([row]))
        written = self.model.generate(
            tokens,
            attention_mask=torch.ones_like(tokens),
            do_sample=False,
            max_new_tokens=self.decoding.max_new_tokens,
            logits_processor=LogitsProcessorList([guard]),
            stopping_criteria=StoppingCriteriaList([stop]),
            pad_token_id=self.tokenizer.eos_token_id,
            temperature=None,
            top_p=None,
            top_k=None,
        )
        return self._text(written[0, len(row) :].tolist())

    @torch.inference_mode()
    def generate_batches(self, prompts: Sequence[str]) -> Iterator[tuple[list[int], list[str]]]:
        """Answer batch by batch, so that the caller can keep what is done so far.

        Prompts should share a long beginning: group them by domain and prompt style before the
        call.

        Yields:
            (indices into `prompts`, their replies).
        """
        if not self.shares_prefix:
            for position, prompt in enumerate(prompts):
                yield [position], [self.generate_plain(prompt)]
            return
        for positions, rows, prefix in self._batches(prompts):
            yield positions, [self._text(reply) for reply in self._reply(rows, prefix)]

    @torch.inference_mode()
    def choose_batches(
        self, prompts: Sequence[str], first: str, second: str
    ) -> Iterator[tuple[list[int], list[str]]]:
        """Like `generate_batches`, with a choice between two words for a reply.

        Yields:
            (indices, log-odds of `first` against `second` as the next word, as text).

        Raises:
            ValueError: both words begin with the same token.
        """
        one, other = (
            self.tokenizer(choice, add_special_tokens=False).input_ids[0]
            for choice in (first, second)
        )
        if one == other:
            raise ValueError(
                f"{first!r} and {second!r} begin with the same token: choose words that differ "
                "from their beginning."
            )

        def odds(scores: Tensor) -> list[str]:
            return [f"{float(value):.3f}" for value in scores[:, one] - scores[:, other]]

        if not self.shares_prefix:
            for position, prompt in enumerate(prompts):
                tokens = self._on_device(torch.tensor([self.tokens(prompt)]))
                yield [position], odds(self.model(tokens, logits_to_keep=1).logits[:, -1])
            return
        for positions, rows, prefix in self._batches(prompts):
            yield positions, odds(self._start(rows, prefix).scores)

    def _text(self, reply: Sequence[int]) -> str:
        return self.tokenizer.decode(reply, skip_special_tokens=True).split("\n")[0].strip()

    def _on_device(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.model.device)

    def _batches(
        self, prompts: Sequence[str]
    ) -> Iterator[tuple[list[int], list[list[int]], list[KeysAndValues]]]:
        """Batches of similar length: (indices, token rows without the prefix, the prefix itself).

        The prefix is the common beginning: keys and values [H, P, d] of each layer.
        """
        rows = [self.tokens(prompt) for prompt in prompts]
        if not rows:
            return
        register()
        shared = common_prefix([*rows, *self._frame(prompts[0])])
        self.model.set_attn_implementation("sdpa")
        cache = DynamicCache()
        self.model(
            input_ids=self._on_device(torch.tensor([rows[0][: max(shared, 1)]])),
            past_key_values=cache,
            logits_to_keep=1,
        )
        layers: list[Any] = list(cache.layers)
        prefix = [
            (layer.keys[0, :, :shared].contiguous(), layer.values[0, :, :shared].contiguous())
            for layer in layers
        ]
        # Rows of similar length go together, which keeps padding short.
        order = sorted(range(len(rows)), key=lambda position: len(rows[position]))
        for start in range(0, len(order), self.batch):
            positions = order[start : start + self.batch]
            self.model.set_attn_implementation(SHARED_PREFIX)
            yield positions, [rows[position][shared:] for position in positions], prefix

    def _frame(self, prompt: str) -> list[list[int]]:
        """Two made-up prompts in the frame of this one ("... Title:").

        With them the common beginning does not depend on which titles are asked together.
        Otherwise a run that was stopped, and goes on with fewer titles, could round a last digit
        differently.
        """
        beginning, blank, question = prompt.rpartition("\n\n")
        label, colon, _ = question.partition(":")
        if not colon:
            return []
        return [self.tokens(beginning + blank + label + colon + text) for text in (" a", " z")]

    def _start(self, rows: list[list[int]], prefix: list[KeysAndValues]) -> "_Batch":
        """Read B token rows that follow the common beginning, padded on the left."""
        longest = max(map(len, rows))
        padding = torch.tensor([longest - len(row) for row in rows])
        column = torch.arange(longest)
        positions = (prefix[0][0].shape[1] + column - padding[:, None]).clamp(min=0)  # [B, S]
        columns = torch.arange(longest + self.decoding.max_new_tokens)
        real = columns >= padding[:, None]  # [B, capacity]
        visible = real[:, None, :longest] & (column[None, :] <= column[:, None])  # [B, S, S]
        cache = ReplyCache(prefix, len(rows), real.shape[1])
        tokens = torch.tensor([[0] * (longest - len(row)) + row for row in rows])
        scores = self._step(tokens, positions, visible, cache)
        return _Batch(cache, positions[:, -1:], real, scores)

    def _step(
        self, tokens: Tensor, positions: Tensor, visible: Tensor, cache: ReplyCache
    ) -> Tensor:
        """Scores [B, V], on the processor, of the token after tokens [B, Q].

        visible: bool [B, Q, T], which own tokens each of them sees.
        """
        hidden = torch.finfo(self.model.dtype).min
        mask = torch.zeros(visible.shape, dtype=self.model.dtype).masked_fill(~visible, hidden)
        output = self.model(
            input_ids=self._on_device(tokens),
            attention_mask=self._on_device(mask[:, None]),
            position_ids=self._on_device(positions),
            past_key_values=cache,
            past=cache,
            logits_to_keep=1,
        )
        return output.logits[:, -1].cpu()

    def _reply(self, rows: list[list[int]], prefix: list[KeysAndValues]) -> list[list[int]]:
        """New tokens for B token rows that follow the common beginning."""
        batch = self._start(rows, prefix)
        replies: list[list[int]] = [[] for _ in rows]
        alive = torch.arange(len(rows))
        while True:
            chosen = self.guard.forbid([replies[row] for row in alive], batch.scores).argmax(-1)
            for row, token in zip(alive.tolist(), chosen.tolist()):
                replies[row].append(token)
            unfinished = torch.tensor([not self.guard.finished(replies[row]) for row in alive])
            stay = unfinished.nonzero()[:, 0]
            if not len(stay):
                return replies
            if len(stay) < len(alive):  # finished rows leave the batch
                batch.keep(stay)
                alive = alive[stay]
                chosen = chosen[stay]
            batch.last = batch.last + 1
            visible = batch.real[:, None, : batch.cache.filled + 1]
            batch.scores = self._step(chosen[:, None], batch.last, visible, batch.cache)


@dataclass
class _Batch:
    """The state of a batch of replies."""

    cache: ReplyCache
    last: Tensor  # int64 [B, 1]: the position of each row's last token
    real: Tensor  # bool [B, capacity]: True where a token is, or will be, no padding
    scores: Tensor  # float [B, V] of the next token

    def keep(self, rows: Tensor) -> None:
        """Forget all rows but these; the next step computes their scores."""
        self.cache.keep(rows)
        self.real = self.real[rows]
        self.last = self.last[rows]
