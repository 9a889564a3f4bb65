"""The result of tagging: short lower-case tags of each item, from one list both domains share."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save

from tema_lib.workspace import write_atomically

# Where a tag of an item comes from: the model's own word, that word mapped to the nearest tag of
# the list, or the tag of the list that the text encoder finds nearest.
OWN, MAPPED, NEAREST = 1, 2, 3


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
