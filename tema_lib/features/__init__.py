"""What the encoders say about the items: one row of numbers per item, and whether the item had anything to encode."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tema_lib.pretrained import fingerprint


@dataclass(frozen=True)
class ItemFeatures:
    """Features of all items from one encoder; row 0 belongs to the padding item and is always zero.

    matrix       [N+1, F] float: a vector of length 1 where the item has this modality, zeros where it has not
    present      [N+1] bool: False for padding and for items without text (or picture)
    model        the encoder's name
    fingerprint  SHA-256 of the encoder's weights: other weights mean other features
    """

    matrix: Tensor
    present: Tensor
    model: str
    fingerprint: str

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or self.present.shape != self.matrix.shape[:1] or self.present.dtype != torch.bool:
            raise ValueError(
                f"Item features need a matrix [N+1, F] and a bool mask [N+1], not {tuple(self.matrix.shape)} and "
                f"{self.present.dtype} {tuple(self.present.shape)}."
            )

    def save(self, path: str | Path) -> None:
        """Write one safetensors file; it gets its name only when it is complete."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as scratch:
            save_file(
                {"matrix": self.matrix.contiguous(), "present": self.present.contiguous()},
                Path(scratch) / path.name,
                metadata={"model": self.model, "fingerprint": self.fingerprint},
            )
            os.replace(Path(scratch) / path.name, path)

    @classmethod
    def load(cls, path: str | Path) -> ItemFeatures:
        """Read what ``save`` wrote; ``FileNotFoundError`` if there is no file, ``ValueError`` if it is another kind of file."""
        try:
            with safe_open(str(path), framework="pt") as file:
                about = file.metadata() or {}
                return cls(file.get_tensor("matrix"), file.get_tensor("present"), about["model"], about["fingerprint"])
        except (SafetensorError, KeyError) as error:
            raise ValueError(f"{path} does not hold item features ({error}): delete it and encode the items again.") from error


def model_type(folder: Path) -> str:
    """What kind of network a folder holds, as its ``config.json`` says."""
    return json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type", "")


def collect(rows: list[int], vectors: list[Tensor], present: Tensor, model: str | Path, folder: Path) -> ItemFeatures:
    """Put the encoded ``rows``, scaled to length 1, back into their places; all other rows stay zero.

    ``vectors`` are batches [B, F] in the order of ``rows``.  If nothing was encoded at all, F is 1.
    """
    matrix = torch.zeros(len(present), vectors[0].shape[1] if vectors else 1)
    if vectors:
        matrix[rows] = torch.nn.functional.normalize(torch.cat(vectors).float(), dim=1)
    # A path says where a folder lies on one machine; only its last part is a name.
    local = Path(model).expanduser()
    return ItemFeatures(matrix, present, local.resolve().name if local.is_dir() else str(model), fingerprint(folder))
