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
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache, LogitsProcessor

from ..pretrained import fingerprint, resolve


@dataclass(frozen=True)
class Decoding:
    """How a reply is decoded; every field is part of the key under which the reply is stored."""

    max_new_tokens: int = 48     # ours: seven tags rarely need more
    stop_at_comma: int = 7       # ours: a reply ends at a newline or at this comma
    at_least: int = 5            # ours: no newline before this tag has begun; small models otherwise stop after two
    no_repeats: bool = True      # ours: a tag may not begin like an earlier one; greedy decoding otherwise loops


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
        self.ends = {token for token, piece in enumerate(pieces) if "\n" in piece} | set(tokenizer.all_special_ids)
        self.decoding, self.prompt_length = decoding, prompt_length

    def first_tokens(self, reply: Sequence[int]) -> set[int]:
        """The tokens with which the tags of a reply begin."""
        return {token for place, token in enumerate(reply)
                if token not in self.commas and (place == 0 or reply[place - 1] in self.commas)}

    def forbidden(self, reply: Sequence[int]) -> set[int]:
        begins = not reply or reply[-1] in self.commas
        tags_begun = sum(token in self.commas for token in reply) + (not begins)
        banned = set(self.commas) if begins else set()
        if self.decoding.no_repeats and begins:
            banned |= self.first_tokens(reply)
        if tags_begun < self.decoding.at_least:
            banned |= self.ends
        return banned

    def finished(self, reply: Sequence[int]) -> bool:
        """True when the reply has ended: newline or end token, the last comma allowed, or no room left."""
        return (reply[-1] in self.ends or len(reply) >= self.decoding.max_new_tokens
                or sum(token in self.commas for token in reply) >= self.decoding.stop_at_comma)

    def __call__(self, tokens, scores):
        scores = scores.clone()
        for row, reply in enumerate(tokens[:, self.prompt_length:].tolist()):
            scores[row, list(self.forbidden(reply))] = -torch.inf
        return scores


def common_prefix(rows: Sequence[Sequence[int]]) -> int:
    """Length of the longest beginning that all token rows share, leaving at least one token of each row.

    Counted in tokens of the whole prompts: tokens(beginning) + tokens(rest) may differ from tokens(beginning + rest)
    where the texts join, so that a common beginning of the *texts* must not be tokenised on its own.
    """
    shortest, longest = min(rows), max(rows)             # in lexicographic order these two differ first
    room = min(map(len, rows)) - 1
    same = 0
    while same < room and shortest[same] == longest[same]:
        same += 1
    return same


class LocalModel:
    """A causal language model from a local folder, a known name or a hub id, on the processor, in float32.

    name: see `tema_lib.pretrained.resolve`. `.name`, `.fingerprint` (SHA-256 of the weights) and `.settings` (JSON text)
    say what produced a reply.
    """

    def __init__(self, name: str = "smollm2-135m-instruct", decoding: Decoding = Decoding(), batch: int = 32):
        folder = resolve(name)
        self.name = Path(name).name if Path(name).is_dir() else str(name)     # never a path of this machine
        self.fingerprint, self.batch = fingerprint(folder), batch
        self.settings = json.dumps({"decoding": "greedy", "dtype": "float32", **asdict(decoding)}, sort_keys=True)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, use_safetensors=True).eval()
        self.guard = TagGuard(self.tokenizer, decoding)
        self._special = [token for token in self.tokenizer.all_special_tokens if token]

    def tokens(self, prompt: str) -> list[int]:
        """Token ids of a prompt. Control tokens written out in a title are text of a stranger: they are taken out."""
        for token in self._special:
            prompt = prompt.replace(token, " ")
        return self.tokenizer(prompt, add_special_tokens=not self.tokenizer.chat_template).input_ids

    def generate(self, prompts: Sequence[str]) -> list[str]:
        """The replies to `prompts`, in their order, each without its final newline."""
        replies = [""] * len(prompts)
        for places, texts in self.generate_batches(prompts):
            for place, text in zip(places, texts):
                replies[place] = text
        return replies

    @torch.inference_mode()
    def generate_batches(self, prompts: Sequence[str]) -> Iterator[tuple[list[int], list[str]]]:
        """Yields (places in `prompts`, replies) batch by batch, so that the caller can keep what is done so far.

        Prompts should share a long beginning: group them by prompt form before the call.
        """
        rows = [self.tokens(prompt) for prompt in prompts]
        if not rows:
            return
        shared = common_prefix(rows)
        prefix = DynamicCache()
        if shared:
            self.model(input_ids=torch.tensor([rows[0][:shared]]), past_key_values=prefix, logits_to_keep=1)
        order = sorted(range(len(rows)), key=lambda place: len(rows[place]))       # alike lengths: little padding
        for start in range(0, len(order), self.batch):
            places = order[start:start + self.batch]
            replies = self._reply([rows[place][shared:] for place in places], prefix, shared)
            yield places, [self.tokenizer.decode(reply, skip_special_tokens=True).split("\n")[0].strip() for reply in replies]

    def _reply(self, rows: list[list[int]], prefix: DynamicCache, shared: int) -> list[list[int]]:
        """New tokens for rows [B][suffix], whose common beginning of `shared` tokens is already in the cache `prefix`."""
        longest = max(map(len, rows))
        padding = torch.tensor([longest - len(row) for row in rows])
        step = torch.tensor([[0] * (longest - len(row)) + row for row in rows])    # [B, S], padded on the left
        mask = torch.ones(len(rows), shared + longest, dtype=torch.long)
        mask[:, shared:] = (torch.arange(longest) >= padding[:, None]).long()
        positions = (shared + torch.arange(longest) - padding[:, None]).clamp(min=0)
        cache = copy.deepcopy(prefix)
        if shared:
            cache.batch_repeat_interleave(len(rows))
        replies, alive = [[] for _ in rows], list(range(len(rows)))
        while alive:
            scores = self.model(input_ids=step, attention_mask=mask, position_ids=positions, past_key_values=cache,
                                logits_to_keep=1).logits[:, -1]
            chosen = self.guard(torch.tensor([replies[row] for row in alive], dtype=torch.long).reshape(len(alive), -1), scores).argmax(-1)
            for row, token in zip(alive, chosen.tolist()):
                replies[row].append(token)
            stay = torch.tensor([place for place, row in enumerate(alive) if not self.guard.finished(replies[row])], dtype=torch.long)
            if len(stay) < len(alive):                                             # finished rows leave the batch
                cache.batch_select_indices(stay)
                alive, chosen, mask, positions = [alive[place] for place in stay], chosen[stay], mask[stay], positions[stay]
            step, positions = chosen[:, None], positions[:, -1:] + 1
            mask = torch.cat([mask, torch.ones(len(alive), 1, dtype=torch.long)], dim=1)
        return replies
