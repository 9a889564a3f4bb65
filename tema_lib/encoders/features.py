"""What the encoders say about the items: a row of numbers each, and whether there was anything."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from tema_lib.data.dataset import DataError
from tema_lib.encoders.folder import fingerprint, reason
from tema_lib.workspace import write_atomically


@dataclass(frozen=True)
class ItemFeatures:
    """Features of all items from one encoder; row 0 belongs to the padding item and is zero.

    matrix       [N+1, F] float: a vector of length 1 where the item has this modality, else zeros
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
                "Item features need a matrix [N+1, F] and a bool mask [N+1], not "
                f"{tuple(self.matrix.shape)} and {self.present.dtype} {tuple(self.present.shape)}."
            )

    def save(self, path: str | Path) -> None:
        """Write one safetensors file: the whole of it, or nothing.

        Raises:
            DataError: it cannot be written.
        """
        path = Path(path)
        about = {"model": self.model, "fingerprint": self.fingerprint, "sha256": self._digest()}
        tensors = {"matrix": self.matrix.contiguous(), "present": self.present.contiguous()}
        try:
            write_atomically(path, save(tensors, metadata=about))
        except OSError as error:
            raise DataError(
                f"{path} cannot be written ({reason(error)}): make room, and let the folder be "
                "written."
            ) from error

    @classmethod
    def load(cls, path: str | Path) -> ItemFeatures:
        """Read what ``save`` wrote.

        Raises:
            FileNotFoundError: there is no file.
            DataError: it is another kind of file, or damaged.
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
        whole = hashlib.sha256(self.matrix.contiguous().numpy().data)
        whole.update(self.present.contiguous().numpy().data)
        return whole.hexdigest()


def remembered(path: Path, make: Callable[[], ItemFeatures]) -> ItemFeatures:
    """The features in ``path``; where there are none, or damaged ones, they are made and kept.

    The file is ours and can be made again, so neither damage nor a folder that cannot be written
    stops a run: a line says so.
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


def collect(
    rows: list[int], vectors: list[Tensor], present: Tensor, model: str | Path, folder: Path
) -> ItemFeatures:
    """Put encoded rows, scaled to length 1, into the matrix of all items; the others stay zero.

    Args:
        rows: which items were encoded.
        vectors: batches [B, F] in the order of ``rows``.  If nothing was encoded at all, F is 1.
        present: bool [N+1].
        model: what the user asked for.
        folder: where it is.

    Raises:
        ValueError: the model's answers are not all finite numbers.
    """
    matrix = torch.zeros(len(present), vectors[0].shape[1] if vectors else 1)
    if vectors:
        matrix[rows] = torch.nn.functional.normalize(torch.cat(vectors).float(), dim=1)
        if not matrix.isfinite().all():
            raise ValueError(
                f"The model in {folder} gives vectors that are not finite: its weights are "
                "damaged; take another copy."
            )
    # A path says where a folder is on one machine; only its last part is a name.
    local = Path(model).expanduser()
    name = local.resolve().name if local.is_dir() else str(model)
    return ItemFeatures(matrix, present, name, fingerprint(folder))
