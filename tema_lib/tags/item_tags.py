"""The result of tagging: short lower-case tags of each item, from one list both domains share."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import ArrayLike
from safetensors.torch import load, save

from tema_lib.workspace import write_atomically

# Where a tag of an item comes from: the model's own word, that word mapped to the nearest tag of
# the list, or the tag of the list that the text encoder finds nearest.
OWN, MAPPED, NEAREST = 1, 2, 3
ORIGINS = {
    OWN: "the model's own word",
    MAPPED: "its word, mapped to the list",
    NEAREST: "nearest by meaning",
}


@dataclass(frozen=True)
class ItemTags:
    """The tags of N items, at most K each, from a list of G tags; row = global id, 0 = padding.

    vocabulary: G+1 texts; "" at 0 means no tag; frequent tags first.
    tag_ids: int64 [N+1, K]; 0 = none; an item's own tags come first.
    weights: float32 [N+1, K]; rows sum to 1, or to 0 where an item has no tag.
    source: int8 [N+1, K]; 0 none, else OWN, MAPPED or NEAREST.
    vectors: float32 [G+1, F]; the meaning of each tag by the text encoder, unit length, zeros at 0.
    domain_of_item: int64 [N+1]; -1 padding, 0 A, 1 B.
    raw_replies: N+1 times the texts as the model wrote them: to the first wording, then to the
        second.
    model: which language model.
    fingerprint: SHA-256 of its weights; of a server only name and address are known.
    """

    vocabulary: tuple[str, ...]
    tag_ids: torch.Tensor
    weights: torch.Tensor
    source: torch.Tensor
    vectors: torch.Tensor
    domain_of_item: torch.Tensor
    raw_replies: tuple[tuple[str, ...], ...]
    model: str = ""
    fingerprint: str = ""

    @classmethod
    def of_rows(
        cls,
        rows: Sequence[Sequence[tuple[str, float, int]]],
        domain_of_item: ArrayLike,
        encode: Callable[[list[str]], torch.Tensor],
        *,
        width: int,
        raw_replies: tuple[tuple[str, ...], ...],
        model: str,
        fingerprint: str,
    ) -> "ItemTags":
        """The tags of N items from their (tag, weight, source); weights are divided by their sum.

        Args:
            rows: one an item, in the order of global ids from 1.
            domain_of_item: int [N+1].
            encode: texts -> unit vectors [len, F].
            width: the fewest columns, whatever the rows hold.
            raw_replies, model, fingerprint: as in the class.
        """
        counts = Counter(tag for row in rows for tag, _, _ in row)
        vocabulary = sorted(counts, key=lambda tag: (-counts[tag], tag))
        number = {tag: position for position, tag in enumerate(vocabulary, start=1)}
        width = max(width, *map(len, rows))
        tag_ids = torch.zeros(len(rows) + 1, width, dtype=torch.long)
        weights = torch.zeros(len(rows) + 1, width)
        source = torch.zeros(len(rows) + 1, width, dtype=torch.int8)
        for item, row in enumerate(rows, start=1):
            for position, (tag, weight, origin) in enumerate(row):
                tag_ids[item, position] = number[tag]
                weights[item, position] = weight
                source[item, position] = origin
        vectors = encode(vocabulary or ["tag"])[: len(vocabulary)]
        return cls(
            vocabulary=("", *vocabulary),
            tag_ids=tag_ids,
            weights=weights / weights.sum(-1, keepdim=True).clamp(min=1e-12),
            source=source,
            vectors=torch.cat([torch.zeros(1, vectors.shape[1]), vectors]),
            domain_of_item=torch.as_tensor(domain_of_item).clone(),
            raw_replies=raw_replies,
            model=model,
            fingerprint=fingerprint,
        )

    def tags_of(self, item: int) -> list[tuple[str, float, int]]:
        """(tag, weight, source) of one item, given by its global id."""
        return [
            (self.vocabulary[tag], weight, source)
            for tag, weight, source in zip(
                self.tag_ids[item].tolist(), self.weights[item].tolist(), self.source[item].tolist()
            )
            if tag
        ]

    def save(self, path: str | Path) -> None:
        """Write <path>.safetensors (tensors) and <path>.json (texts), each atomically.

        The JSON file comes last and holds the hash of the other.
        """
        tensors_path, texts_path = _files(path)
        tensors = save({name: getattr(self, name).contiguous() for name in _TENSORS})
        texts = {name: getattr(self, name) for name in _TEXTS}
        texts["tensors_sha256"] = hashlib.sha256(tensors).hexdigest()
        write_atomically(tensors_path, tensors)
        write_atomically(
            texts_path, (json.dumps(texts, ensure_ascii=False, indent=0) + "\n").encode()
        )

    @classmethod
    def load(cls, path: str | Path) -> "ItemTags":
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: the two files do not belong together.
        """
        tensors_path, texts_path = _files(path)
        for file in (tensors_path, texts_path):
            if not file.is_file():
                raise FileNotFoundError(f"{file} is missing; write the tags again.")
        packed = tensors_path.read_bytes()
        try:
            texts: dict[str, Any] = json.loads(texts_path.read_text(encoding="utf-8"))
            if texts.pop("tensors_sha256") != hashlib.sha256(packed).hexdigest():
                raise KeyError("tensors_sha256")
            texts["vocabulary"] = tuple(texts["vocabulary"])
            texts["raw_replies"] = tuple(map(tuple, texts["raw_replies"]))
            tensors: dict[str, Any] = load(packed)
            return cls(**tensors, **texts)
        except (json.JSONDecodeError, AttributeError, KeyError, TypeError):
            raise ValueError(
                f"{texts_path} and {tensors_path.name} do not belong together or are damaged; "
                "write the tags again."
            ) from None


_TENSORS = ("tag_ids", "weights", "source", "vectors", "domain_of_item")
_TEXTS = ("vocabulary", "raw_replies", "model", "fingerprint")


def _files(path: str | Path) -> tuple[Path, Path]:
    path = Path(path)
    stem = path.with_suffix("") if path.suffix in (".safetensors", ".json") else path
    return stem.with_name(stem.name + ".safetensors"), stem.with_name(stem.name + ".json")
