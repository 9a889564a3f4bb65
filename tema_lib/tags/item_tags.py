"""Tags: short lower-case words a language model gives each item, from one vocabulary that both domains share."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load, save

from tema_lib.workspace import write_atomically

OWN, MAPPED, NEAREST = (
    1,
    2,
    3,
)  # where a tag of an item comes from: the model's own word, that word mapped to the list, the text encoder


@dataclass(frozen=True)
class ItemTags:
    """The tags of N items (row = global id, row 0 = padding), at most K each, from a vocabulary of G tags."""

    vocabulary: tuple[str, ...]  # G+1 texts; "" at 0 means no tag; frequent tags first
    tag_ids: torch.Tensor  # int64 [N+1, K]; 0 = none; an item's own tags come first
    weights: torch.Tensor  # float32 [N+1, K]; rows sum to 1, or to 0 where an item has no tag
    source: torch.Tensor  # int8 [N+1, K]; 0 none, else OWN, MAPPED or NEAREST
    vectors: (
        torch.Tensor
    )  # float32 [G+1, F]; meaning of each tag by the text encoder, unit length, zeros at 0
    domain_of_item: torch.Tensor  # int64 [N+1]; -1 padding, 0 A, 1 B
    raw_replies: tuple[
        tuple[str, ...], ...
    ]  # N+1 times the texts as the model wrote them: to the first wording, then to the second
    model: str = ""  # which language model
    fingerprint: str = ""  # SHA-256 of its weights; of a server only name and address are known

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
        """Writes <path>.safetensors (tensors) and <path>.json (texts), each atomically, the JSON with the hash of the other last."""
        tensors_path, texts_path = _files(path)
        tensors = save({name: getattr(self, name).contiguous() for name in _TENSORS})
        texts = {name: getattr(self, name) for name in _TEXTS} | {
            "tensors_sha256": hashlib.sha256(tensors).hexdigest()
        }
        write_atomically(tensors_path, tensors)
        write_atomically(
            texts_path, (json.dumps(texts, ensure_ascii=False, indent=0) + "\n").encode()
        )

    @classmethod
    def load(cls, path: str | Path) -> "ItemTags":
        """Reads what `save` wrote. FileNotFoundError when a file is missing, ValueError when the two do not belong together."""
        tensors_path, texts_path = _files(path)
        for file in (tensors_path, texts_path):
            if not file.is_file():
                raise FileNotFoundError(f"{file} is missing; write the tags again.")
        try:
            texts = json.loads(texts_path.read_text(encoding="utf-8"))
            whole = (
                texts.pop("tensors_sha256") == hashlib.sha256(tensors_path.read_bytes()).hexdigest()
            )
            if not whole:
                raise KeyError("tensors_sha256")
            texts |= {
                "vocabulary": tuple(texts["vocabulary"]),
                "raw_replies": tuple(map(tuple, texts["raw_replies"])),
            }
            return cls(**load(tensors_path.read_bytes()), **texts)
        except (json.JSONDecodeError, AttributeError, KeyError, TypeError):
            raise ValueError(
                f"{texts_path} and {tensors_path.name} do not belong together or are damaged; write the tags again."
            ) from None


_TENSORS = ("tag_ids", "weights", "source", "vectors", "domain_of_item")
_TEXTS = ("vocabulary", "raw_replies", "model", "fingerprint")


def _files(path: str | Path) -> tuple[Path, Path]:
    path = Path(path)
    stem = path.with_suffix("") if path.suffix in (".safetensors", ".json") else path
    return stem.with_name(stem.name + ".safetensors"), stem.with_name(stem.name + ".json")
