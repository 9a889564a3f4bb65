"""What the encoders say about the items: one row of numbers per item, and whether the item had anything to encode."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tema_lib.data.dataset import DataError
from tema_lib.encoders.weights import configuration, fingerprint, reason


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
        if (
            self.matrix.ndim != 2
            or self.present.shape != self.matrix.shape[:1]
            or self.present.dtype != torch.bool
        ):
            raise ValueError(
                f"Item features need a matrix [N+1, F] and a bool mask [N+1], not {tuple(self.matrix.shape)} and "
                f"{self.present.dtype} {tuple(self.present.shape)}."
            )

    def save(self, path: str | Path) -> None:
        """Write one safetensors file; it gets its name only when it is complete.

        Raises `DataError` if it cannot be written.
        """
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as scratch:
                unfinished = Path(scratch) / path.name
                about = {
                    "model": self.model,
                    "fingerprint": self.fingerprint,
                    "sha256": self._digest(),
                }
                tensors = {"matrix": self.matrix.contiguous(), "present": self.present.contiguous()}
                save_file(tensors, unfinished, metadata=about)
                os.replace(unfinished, path)
        except (OSError, SafetensorError) as error:
            raise DataError(
                f"{path} cannot be written ({reason(error)}): make room, and let the folder be written."
            ) from error

    @classmethod
    def load(cls, path: str | Path) -> ItemFeatures:
        """Read what ``save`` wrote.

        Raises ``FileNotFoundError`` if there is no file, `DataError` if it is another kind of file or damaged.
        """
        if not Path(path).exists():
            raise FileNotFoundError(f"{path} is missing: encode the items.")
        try:
            with safe_open(str(path), framework="pt") as file:
                about = file.metadata() or {}
                matrix, present = file.get_tensor("matrix"), file.get_tensor("present")
            found = cls(matrix, present, about["model"], about["fingerprint"])
            whole = about.get("sha256") in (None, found._digest())  # older files have none
        except (OSError, SafetensorError, KeyError, ValueError):
            whole = False
        if not whole:
            raise DataError(
                f"{path} does not hold item features: delete it and encode the items again."
            )
        return found

    def _digest(self) -> str:
        whole = hashlib.sha256(self.matrix.contiguous().numpy())
        whole.update(self.present.contiguous().numpy())
        return whole.hexdigest()


def remembered(path: Path, make: Callable[[], ItemFeatures]) -> ItemFeatures:
    """The features in ``path``; where there are none, or damaged ones, they are made and kept.

    The file is ours and can be made again, so neither damage nor a folder that cannot be written
    stops anybody: a line says so.
    """
    try:
        return ItemFeatures.load(path)
    except FileNotFoundError:
        pass
    except DataError:
        print(f"{path} is damaged: its items are encoded again.", file=sys.stderr, flush=True)
    features = make()
    try:
        features.save(path)
    except DataError as error:
        print(
            f"{error} This run goes on; the next one encodes the items again.",
            file=sys.stderr,
            flush=True,
        )
    return features


def model_type(folder: Path) -> str:
    """What kind of network a folder holds, as its ``config.json`` says.  Raises ``ValueError``."""
    return configuration(folder).get("model_type", "")


def collect(
    rows: list[int], vectors: list[Tensor], present: Tensor, model: str | Path, folder: Path
) -> ItemFeatures:
    """Put the encoded ``rows``, scaled to length 1, back into their places; all other rows stay zero.

    ``vectors`` are batches [B, F] in the order of ``rows``.  If nothing was encoded at all, F is 1.
    Raises ``ValueError`` for a model that answers with something else than finite numbers.
    """
    matrix = torch.zeros(len(present), vectors[0].shape[1] if vectors else 1)
    if vectors:
        matrix[rows] = torch.nn.functional.normalize(torch.cat(vectors).float(), dim=1)
        if not matrix.isfinite().all():
            raise ValueError(
                f"The model in {folder} gives vectors that are not finite: its weights are damaged; take another copy."
            )
    # A path says where a folder lies on one machine; only its last part is a name.
    local = Path(model).expanduser()
    return ItemFeatures(
        matrix, present, local.resolve().name if local.is_dir() else str(model), fingerprint(folder)
    )
