"""A local language model that answers many similar prompts quickly, greedily and repeatably.

Three things make it fast on a plain processor without changing the text: the beginning that all prompts share is read
once (its keys and values are kept), the rest is answered in batches of similar length, and a finished row leaves its batch.
Status: the paper names no language model; this one is ours, chosen because it is small, open and installable.
"""

import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import (
    AttentionInterface,
    AutoModelForCausalLM,
    AutoTokenizer,
    Cache,
    DynamicCache,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteriaList,
)

from tema_lib.encoders.weights import fingerprint, from_folder, resolve


@dataclass(frozen=True)
class Decoding:
    """How a reply is decoded; every field is part of the key under which the reply is stored."""

    max_new_tokens: int = 48  # ours: five tags rarely need more
    stop_at_comma: int = 5  # ours: a reply ends at a newline or at this comma
    at_least: int = (
        5  # ours: no newline before this tag has begun; small models otherwise stop after two
    )
    no_repeats: bool = (
        True  # ours: a tag may not begin like an earlier one; greedy decoding otherwise loops
    )


class TagGuard(LogitsProcessor):
    """Two constraints on the next token that keep a small model from looping.

    1. Where a tag begins (at the start and after a comma), the first token of every tag already given is forbidden,
       and so is another comma.
    2. The end of the reply (a newline or an end token) is forbidden until `at_least` tags have begun.

    The guard remembers nothing: all it knows it reads from the tokens so far. The price of rule 1 is that "green tea"
    excludes a later "green beans".

    tokens: LongTensor [B, prompt_length + T]; scores: FloatTensor [B, V] of the next token; returns new scores [B, V].
    """

    def __init__(self, tokenizer, decoding: Decoding, prompt_length: int = 0):
        pieces = [tokenizer.decode([token]) for token in range(len(tokenizer))]
        self.commas = {token for token, piece in enumerate(pieces) if "," in piece}
        self.ends = {token for token, piece in enumerate(pieces) if "\n" in piece} | set(
            tokenizer.all_special_ids
        )
        self._commas, self._ends = (
            torch.tensor(sorted(self.commas)),
            torch.tensor(sorted(self.ends)),
        )
        self.decoding, self.prompt_length = decoding, prompt_length

    def first_tokens(self, reply: Sequence[int]) -> set[int]:
        """The tokens with which the tags of a reply begin."""
        return {
            token
            for position, token in enumerate(reply)
            if token not in self.commas and (position == 0 or reply[position - 1] in self.commas)
        }

    def forbid(self, replies: Sequence[Sequence[int]], scores: Tensor) -> Tensor:
        """scores [B, V] with -inf where the replies so far forbid a token; changes `scores` in place."""
        begins = [not reply or reply[-1] in self.commas for reply in replies]
        tags_begun = [
            sum(token in self.commas for token in reply) + (not begin)
            for reply, begin in zip(replies, begins)
        ]
        scores[torch.tensor(begins).nonzero(), self._commas] = -torch.inf
        scores[
            (torch.tensor(tags_begun) < self.decoding.at_least).nonzero(), self._ends
        ] = -torch.inf
        if self.decoding.no_repeats:
            for row in range(len(replies)):
                if begins[row]:
                    scores[row, list(self.first_tokens(replies[row]))] = -torch.inf
        return scores

    def finished(self, reply: Sequence[int]) -> bool:
        """True when the reply has ended: newline or end token, the last comma allowed, or no room left."""
        return (
            reply[-1] in self.ends
            or len(reply) >= self.decoding.max_new_tokens
            or sum(token in self.commas for token in reply) >= self.decoding.stop_at_comma
        )

    def __call__(self, tokens, scores):
        return self.forbid(tokens[:, self.prompt_length :].tolist(), scores.clone())


def common_prefix(rows: Sequence[Sequence[int]]) -> int:
    """Length of the longest beginning that all token rows share, leaving at least one token of each row.

    Counted in tokens of the whole prompts: tokens(beginning) + tokens(rest) may differ from tokens(beginning + rest)
    where the texts join, so that a common beginning of the *texts* must not be tokenised on its own.
    """
    shortest, longest = min(rows), max(rows)  # in lexicographic order these two differ first
    item_range = min(map(len, rows)) - 1
    same = 0
    while same < item_range and shortest[same] == longest[same]:
        same += 1
    return same


class ReplyCache(Cache):
    """Keys and values of a batch of prompts that begin alike: the common beginning once, the rest in room set aside beforehand.

    A cache that grows copies everything at each token, and one that repeats the beginning for each row reads it anew for
    each row. Here `prefix` [H, P, d] is shared by all rows, and `item_range` tokens a row are allocated once.
    """

    def __init__(self, prefix: Sequence[tuple[Tensor, Tensor]], rows: int, item_range: int):
        super().__init__(layers=[])
        heads, _, width = prefix[0][0].shape
        self.prefix, self.filled = prefix, 0
        self.item_range = [
            tuple(side.new_empty(rows, heads, item_range, width) for side in layer)
            for layer in prefix
        ]

    def update(
        self, keys: Tensor, values: Tensor, layer_idx: int, *_, **__
    ) -> tuple[Tensor, Tensor]:
        """Write the new keys and values [B, H, Q, d] of a layer; returns all of the rows' own so far, [B, H, T, d]."""
        end = self.filled + keys.shape[2]
        for side, new in zip(self.item_range[layer_idx], (keys, values)):
            side[:, :, self.filled : end] = new
        if layer_idx == len(self.item_range) - 1:
            self.filled = end
        return tuple(side[:, :, :end] for side in self.item_range[layer_idx])

    def keep(self, rows: Tensor) -> None:
        """Forget all rows but these."""
        for position, layer in enumerate(self.item_range):
            self.item_range[position] = tuple(side[rows] for side in layer)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.filled


def shared_prefix_attention(
    module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float,
    past: ReplyCache,
    **_,
) -> tuple[Tensor, None]:
    """Softmax attention of query [B, G*H, Q, d] over the shared beginning and over the row's own key, value [B, H, T, d].

    Equal to attention over [prefix; own], but the scores against the prefix are one matrix product for the whole batch.
    attention_mask: float [B, 1, Q, T], 0 or hugely negative, for the own part; the prefix is seen by all.
    """
    B, H, T, d = key.shape
    Q = query.shape[2]
    prefix_key, prefix_value = past.prefix[module.layer_idx]  # [H, P, d]
    P = prefix_key.shape[1]
    query = query.reshape(B, H, -1, d) * scaling  # G heads share a key: [B, H, G*Q, d]
    to_prefix = query.transpose(0, 1).reshape(H, -1, d) @ prefix_key.mT  # [H, B*G*Q, P]
    to_own = (query @ key.mT).view(B, H, -1, Q, T) + attention_mask[:, :, None]  # [B, H, G, Q, T]
    scores = torch.cat(
        [to_prefix.view(H, B, -1, P).transpose(0, 1), to_own.view(B, H, -1, T)], dim=-1
    )
    weights = scores.softmax(-1)
    seen = (
        (weights[..., :P].transpose(0, 1).reshape(H, -1, P) @ prefix_value)
        .view(H, B, -1, d)
        .transpose(0, 1)
    )
    seen = seen + weights[..., P:] @ value  # [B, H, G*Q, d]
    return seen.reshape(B, -1, Q, d).transpose(1, 2).contiguous(), None


AttentionInterface.register("shared_prefix", shared_prefix_attention)


class LocalModel:
    """A causal language model from a local folder, a known name or a hub id, on the processor.

    A model whose attention is not plain (a sliding window, capped scores) is asked one prompt after the other: correct, but slow.
    name: see `tema_lib.pretrained.resolve`; dtype: "float32", or "bfloat16", several times faster on processors with
    matrix units for it, with other replies here and there. `.name`, `.fingerprint` (SHA-256 of the weights) and
    `.settings` (JSON text) say what produced a reply.
    """

    def __init__(
        self,
        name: str = "smollm2-135m-instruct",
        decoding: Decoding = Decoding(),
        batch: int = 64,
        dtype: str = "float32",
    ):
        folder = resolve(name)
        self.name = (
            Path(name).name if Path(name).is_dir() else str(name)
        )  # never a path of this machine
        self.fingerprint, self.batch, self.decoding = fingerprint(folder), batch, decoding
        self.settings = json.dumps(
            {"decoding": "greedy", "dtype": dtype, **asdict(decoding)}, sort_keys=True
        )
        self.tokenizer = from_folder(AutoTokenizer, folder)
        self.model = from_folder(
            AutoModelForCausalLM, folder, dtype=getattr(torch, dtype), use_safetensors=True
        ).eval()
        self.guard = TagGuard(self.tokenizer, decoding)
        text = self.model.config.get_text_config()
        self.shares_prefix = self.model._supports_attention_backend and not (
            getattr(text, "sliding_window", None) or getattr(text, "attn_logit_softcapping", None)
        )
        self._special = [token for token in self.tokenizer.all_special_tokens if token]

    def tokens(self, prompt: str) -> list[int]:
        """Token ids of a prompt. Control tokens written out in a title are text of a stranger: they are taken out."""
        for token in self._special:
            prompt = prompt.replace(token, " ")
        return self.tokenizer(prompt, add_special_tokens=not self.tokenizer.chat_template).input_ids

    def generate(self, prompts: Sequence[str]) -> list[str]:
        """The replies to `prompts`, in their order, each without its final newline."""
        replies = [""] * len(prompts)
        for positions, texts in self.generate_batches(prompts):
            for position, text in zip(positions, texts):
                replies[position] = text
        return replies

    @torch.inference_mode()
    def generate_plain(self, prompt: str) -> str:
        """The reply to one prompt by the library's own greedy generation: the slow way, which says the same."""
        row = self.tokens(prompt)
        self.model.set_attn_implementation("sdpa")
        guard = copy.copy(self.guard)
        guard.prompt_length = len(row)

        def stop(tokens, _, **__):
            return torch.tensor([guard.finished(tokens[0, len(row) :].tolist())])

        written = self.model.generate(
            torch.tensor([row]),
            attention_mask=torch.ones(1, len(row), dtype=torch.long),
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
        """Yields (places in `prompts`, replies) batch by batch, so that the caller can keep what is done so far.

        Prompts should share a long beginning: group them by prompt form before the call.
        """
        if not self.shares_prefix:
            yield from (
                ([position], [self.generate_plain(prompt)])
                for position, prompt in enumerate(prompts)
            )
            return
        for positions, rows, prefix in self._batches(prompts):
            yield positions, [self._text(reply) for reply in self._reply(rows, prefix)]

    @torch.inference_mode()
    def choose_batches(
        self, prompts: Sequence[str], first: str, second: str
    ) -> Iterator[tuple[list[int], list[str]]]:
        """Like `generate_batches`, but the reply is the log-odds of the word `first` against `second` as the next one, as text."""
        one, other = (
            self.tokenizer(choice, add_special_tokens=False).input_ids[0]
            for choice in (first, second)
        )
        if one == other:
            raise ValueError(
                f"{first!r} and {second!r} begin with the same token: choose words that differ from their beginning."
            )

        def odds(scores):
            return [f"{float(value):.3f}" for value in scores[:, one] - scores[:, other]]

        if not self.shares_prefix:
            yield from (
                (
                    [position],
                    odds(
                        self.model(torch.tensor([self.tokens(prompt)]), logits_to_keep=1).logits[
                            :, -1
                        ]
                    ),
                )
                for position, prompt in enumerate(prompts)
            )
            return
        for positions, rows, prefix in self._batches(prompts):
            yield positions, odds(self._start(rows, prefix).scores)

    def _text(self, reply: Sequence[int]) -> str:
        return self.tokenizer.decode(reply, skip_special_tokens=True).split("\n")[0].strip()

    def _batches(
        self, prompts: Sequence[str]
    ) -> Iterator[tuple[list[int], list[list[int]], list[tuple[Tensor, Tensor]]]]:
        """(places, token rows without the common beginning, keys and values [H, P, d] a layer of that beginning), in batches of alike lengths."""
        rows = [self.tokens(prompt) for prompt in prompts]
        if not rows:
            return
        shared = common_prefix([*rows, *self._frame(prompts[0])])
        self.model.set_attn_implementation("sdpa")
        cache = DynamicCache()
        self.model(
            input_ids=torch.tensor([rows[0][: max(shared, 1)]]),
            past_key_values=cache,
            logits_to_keep=1,
        )
        prefix = [
            (layer.keys[0, :, :shared].contiguous(), layer.values[0, :, :shared].contiguous())
            for layer in cache.layers
        ]
        order = sorted(
            range(len(rows)), key=lambda position: len(rows[position])
        )  # alike lengths: little padding
        for start in range(0, len(order), self.batch):
            positions = order[start : start + self.batch]
            self.model.set_attn_implementation("shared_prefix")
            yield positions, [rows[position][shared:] for position in positions], prefix

    def _frame(self, prompt: str) -> list[list[int]]:
        """Two made-up prompts in the frame of this one ("... Title:"): what is shared shall not depend on which titles are asked together.

        Otherwise a run that was stopped, and goes on with fewer titles, could round a last digit differently.
        """
        beginning, blank, question = prompt.rpartition("\n\n")
        label, colon, _ = question.partition(":")
        return (
            [self.tokens(beginning + blank + label + colon + text) for text in (" a", " z")]
            if colon
            else []
        )

    def _start(self, rows: list[list[int]], prefix: list[tuple[Tensor, Tensor]]) -> "_Batch":
        """Read rows [B][suffix], which follow the common beginning, padded on the left."""
        longest = max(map(len, rows))
        padding = torch.tensor([longest - len(row) for row in rows])
        column = torch.arange(longest)
        positions = (prefix[0][0].shape[1] + column - padding[:, None]).clamp(min=0)  # [B, S]
        real = (
            torch.arange(longest + self.decoding.max_new_tokens) >= padding[:, None]
        )  # [B, room]: no padding there
        batch = _Batch(ReplyCache(prefix, len(rows), real.shape[1]), positions[:, -1:], real)
        visible = real[:, None, :longest] & (
            column[None, :] <= column[:, None]
        )  # [B, S, S]: causal
        batch.scores = self._step(
            torch.tensor([[0] * (longest - len(row)) + row for row in rows]),
            positions,
            visible,
            batch.cache,
        )
        return batch

    def _step(
        self, tokens: Tensor, positions: Tensor, visible: Tensor, cache: ReplyCache
    ) -> Tensor:
        """Scores [B, V] of the token after tokens [B, Q], which see the own tokens that `visible` [B, Q, T] allows."""
        mask = torch.zeros(visible.shape, dtype=self.model.dtype).masked_fill(
            ~visible, torch.finfo(self.model.dtype).min
        )[:, None]
        return self.model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            past=cache,
            logits_to_keep=1,
        ).logits[:, -1]

    def _reply(self, rows: list[list[int]], prefix: list[tuple[Tensor, Tensor]]) -> list[list[int]]:
        """New tokens for rows [B][suffix] that follow the common beginning whose keys and values are `prefix`."""
        batch, replies, alive = (
            self._start(rows, prefix),
            [[] for _ in rows],
            torch.arange(len(rows)),
        )
        while True:
            chosen = self.guard.forbid([replies[row] for row in alive], batch.scores).argmax(-1)
            for row, token in zip(alive.tolist(), chosen.tolist()):
                replies[row].append(token)
            stay = torch.tensor([not self.guard.finished(replies[row]) for row in alive]).nonzero()[
                :, 0
            ]
            if not len(stay):
                return replies
            if len(stay) < len(alive):  # finished rows leave the batch
                batch.cache.keep(stay)
                alive, chosen, batch.real, batch.last = (
                    alive[stay],
                    chosen[stay],
                    batch.real[stay],
                    batch.last[stay],
                )
            batch.last = batch.last + 1
            batch.scores = self._step(
                chosen[:, None],
                batch.last,
                batch.real[:, None, : batch.cache.filled + 1],
                batch.cache,
            )


@dataclass
class _Batch:
    """Where a batch of replies stands: its cache, the position of each row's last token [B, 1], what is no padding [B, room], next scores [B, V]."""

    cache: ReplyCache
    last: Tensor
    real: Tensor
    scores: Tensor | None = None
