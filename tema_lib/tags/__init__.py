"""Tags: short lower-case words a language model gives each item, from one vocabulary that both domains share."""

import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load, save


@dataclass(frozen=True)
class ItemTags:
    """The tags of N items (row = global id, row 0 = padding), at most K each, from a vocabulary of G tags."""

    vocabulary: tuple[str, ...]         # G+1 texts; "" at 0 means no tag; frequent tags first
    tag_ids: torch.Tensor               # int64 [N+1, K]; 0 = none; an item's own tags come first
    weights: torch.Tensor               # float32 [N+1, K]; rows sum to 1, or to 0 where an item has no tag
    source: torch.Tensor                # int8 [N+1, K]; 0 none, 1 the model's own reply, 2 nearest by meaning
    vectors: torch.Tensor               # float32 [G+1, F]; meaning of each tag by the text encoder, unit length, zeros at 0
    domain_of_item: torch.Tensor        # int64 [N+1]; -1 padding, 0 A, 1 B
    raw_replies: tuple[str, ...]        # N+1 texts, as the model wrote them ("" = not asked)
    attempts: tuple[int, ...]           # N+1 numbers of prompts asked: 0, 1 or 2
    model: str = ""                     # which language model
    fingerprint: str = ""               # SHA-256 of its weights

    def tags_of(self, item: int) -> list[tuple[str, float, int]]:
        """(tag, weight, source) of one item, given by its global id."""
        return [(self.vocabulary[tag], weight, source) for tag, weight, source
                in zip(self.tag_ids[item].tolist(), self.weights[item].tolist(), self.source[item].tolist()) if tag]

    def save(self, path: str | Path) -> None:
        """Writes <path>.safetensors (tensors) and <path>.json (texts), each atomically, the JSON with the hash of the other last."""
        tensors_path, texts_path = _files(path)
        tensors_path.parent.mkdir(parents=True, exist_ok=True)
        tensors = save({name: getattr(self, name).contiguous() for name in _TENSORS})
        texts = {name: getattr(self, name) for name in _TEXTS} | {"tensors_sha256": hashlib.sha256(tensors).hexdigest()}
        _write(tensors_path, tensors)
        _write(texts_path, (json.dumps(texts, ensure_ascii=False, indent=0) + "\n").encode())

    @classmethod
    def load(cls, path: str | Path) -> "ItemTags":
        """Reads what `save` wrote. FileNotFoundError when a file is missing, ValueError when the two do not belong together."""
        tensors_path, texts_path = _files(path)
        for file in (tensors_path, texts_path):
            if not file.is_file():
                raise FileNotFoundError(f"{file} is missing; write the tags again.")
        try:
            texts = json.loads(texts_path.read_text(encoding="utf-8"))
            whole = texts.pop("tensors_sha256") == hashlib.sha256(tensors_path.read_bytes()).hexdigest()
            if not whole:
                raise KeyError("tensors_sha256")
            lists = {name: tuple(value) if isinstance(value, list) else value for name, value in texts.items()}
            return cls(**load(tensors_path.read_bytes()), **lists)
        except (json.JSONDecodeError, AttributeError, KeyError, TypeError):
            raise ValueError(f"{texts_path} and {tensors_path.name} do not belong together or are damaged; write the tags again.") from None


_TENSORS = ("tag_ids", "weights", "source", "vectors", "domain_of_item")
_TEXTS = ("vocabulary", "raw_replies", "attempts", "model", "fingerprint")


def control_tags(tags: ItemTags, kind: str, seed: int = 0) -> ItemTags:
    """Tags that should *not* help, to compare with: what remains of a gain under a control is not the tags' content.

    kind "shuffled": whole rows change places among the items of a domain, so that every frequency stays;
    "random": each item keeps its number of tags and weights, the tags are drawn anew from the vocabulary; "none": no tags.
    """
    chance = np.random.default_rng(seed)
    if kind == "shuffled":
        giver = np.arange(len(tags.tag_ids))
        for domain in (0, 1):
            items = np.flatnonzero(tags.domain_of_item.numpy() == domain)
            giver[items] = chance.permutation(items)
        return replace(tags, tag_ids=tags.tag_ids[giver], weights=tags.weights[giver], source=tags.source[giver],
                       raw_replies=tuple(tags.raw_replies[i] for i in giver), attempts=tuple(tags.attempts[i] for i in giver))
    if kind == "random":
        tag_ids = tags.tag_ids.clone()
        for row in tag_ids:
            count = int((row > 0).sum())
            row[:count] = torch.from_numpy(chance.permutation(len(tags.vocabulary) - 1)[:count] + 1)
        return replace(tags, tag_ids=tag_ids)
    if kind == "none":
        return replace(tags, tag_ids=torch.zeros_like(tags.tag_ids), weights=torch.zeros_like(tags.weights),
                       source=torch.zeros_like(tags.source))
    raise ValueError(f'control "{kind}" is unknown; choose "shuffled", "random" or "none".')


def _files(path: str | Path) -> tuple[Path, Path]:
    path = Path(path)
    stem = path.with_suffix("") if path.suffix in (".safetensors", ".json") else path
    return stem.with_name(stem.name + ".safetensors"), stem.with_name(stem.name + ".json")


def _write(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
