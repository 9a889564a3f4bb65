"""A folder that holds a model: whether it is whole, what its weights are, and how it is loaded.

It has the Hugging Face form: ``config.json`` and ``*.safetensors``.
Status: ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tema_lib.encoders.pinned import PINNED
from tema_lib.workspace import sha256_of, weights_folder

NOTE = "tema.json"  # written last beside converted weights: what they are and where they came from


def fingerprint(folder: str | Path) -> str:
    """SHA-256 (64 hex digits) of the weights in ``folder``.

    Of several files it is the hash of their hashes, in the order of their names. It changes
    whenever the weights change, so it is part of the key of everything computed with them.
    """
    files = weight_files(Path(folder))
    return _hash_of(tuple((str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files))


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder, without the hidden twins that macOS leaves."""
    return sorted(path for path in folder.glob("*.safetensors") if not path.name.startswith("."))


def checked_folder(folder: Path) -> Path:
    """``folder``, if it holds a model: configuration, whole safetensors, and those that we wrote.

    Raises:
        ValueError: something is missing or damaged; the message says what and what to do.
    """
    weights = weight_files(folder)
    here = {"config.json": (folder / "config.json").is_file(), "*.safetensors": bool(weights)}
    if lacks := [name for name, there in here.items() if not there]:
        raise ValueError(
            f"The folder {folder} is not a model: it needs config.json and *.safetensors, and "
            f"{' and '.join(lacks)} {'are' if len(lacks) > 1 else 'is'} missing; "
            f"{_instead_of_a_pickle(folder) or remedy(folder)}."
        )
    configuration(folder)
    indices = map(_json, folder.glob("*.safetensors.index.json"))
    parts = {part for index in indices for part in index.get("weight_map", {}).values()}
    if missing := sorted(parts - {file.name for file in weights}):
        raise ValueError(
            f"The folder {folder} lacks {', '.join(missing)}, a part of its weights: "
            f"{remedy(folder)}."
        )
    for file in weights:
        _check_header(file)
    if (folder / NOTE).is_file():
        wanted = _json(folder / NOTE).get("weights_sha256")
        if wanted != fingerprint(folder):
            raise ValueError(f"The weights in {folder} are damaged: {remedy(folder)}.")
    return folder


def _instead_of_a_pickle(folder: Path) -> str:
    """What to do about a folder whose weights are pickled; "" where they are not."""
    pickled = sorted(
        path.name for kind in ("*.bin", "*.pt", "*.pth", "*.ckpt") for path in folder.glob(kind)
    )
    if not pickled:
        return ""
    return (
        f"{pickled[0]} is a pickle, which can run code when it is read: take a copy of the model "
        "that was published as safetensors, or convert it once where you trust it "
        "(model.save_pretrained writes them)"
    )


def _check_header(file: Path) -> None:
    """The header of a safetensors file says how long the file has to be."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), framework="pt"):
            pass
    except (OSError, SafetensorError):
        raise ValueError(f"{file} is cut off or damaged: {remedy(file.parent)}.") from None


def remedy(folder: Path) -> str:
    """What to do about a folder that is not whole."""
    if (folder / NOTE).is_file() or (folder.parent == weights_folder() and folder.name in PINNED):
        return "delete this folder and run python -m tema_lib.encoders.weights"
    return "copy or download the whole folder again"


def configuration(folder: Path) -> dict[str, Any]:
    """What ``config.json`` says about a model.  Raises ``ValueError``."""
    return _json(folder / "config.json")


def model_type(folder: Path) -> str:
    """What kind of network a folder holds, as its ``config.json`` says.  Raises ``ValueError``."""
    return configuration(folder).get("model_type", "")


def _json(path: Path) -> dict[str, Any]:
    """One of a model's small files.  Raises ``ValueError``."""
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"{path} is damaged: {remedy(path.parent)}.")
    return found


def from_folder(kind: Any, folder: Path, **options: Any) -> Any:
    """``kind.from_pretrained(folder)``, quietly.

    Args:
        kind: a class of transformers: a model, a tokenizer or a processor.
        folder: a folder that `checked_folder` lets pass.
        options: passed on.

    Raises:
        ValueError: in place of all that transformers and its readers raise for damaged files; also
            for a folder without a tokenizer (transformers would make an empty one), and for one
            that lacks weights (they would be random numbers).
    """
    from transformers import CONFIG_MAPPING

    if (type_ := model_type(folder)) not in CONFIG_MAPPING:
        raise ValueError(
            f"{folder / 'config.json'} says that the model is of type {type_!r}, which "
            f"transformers {version('transformers')} does not know: take another model, or a newer "
            "transformers."
        )
    what = _part(kind)
    lost: list[str] = []
    try:
        with quiet_transformers():
            if what != "model":
                found = kind.from_pretrained(folder, **options)
            else:
                found, about = kind.from_pretrained(folder, output_loading_info=True, **options)
                # Encoders are often published without their pooler.
                lost = [name for name in about["missing_keys"] if "pooler" not in name]
    except Exception as error:  # whatever its readers meet in a broken file
        raise ValueError(
            f"The {what} in {folder} cannot be loaded ({reason(error)}): {remedy(folder)}."
        ) from error
    if lost:
        raise ValueError(
            f"The weights in {folder} are not all there ({len(lost)} are missing, such as "
            f"{min(lost)}): {remedy(folder)}."
        )
    files = set(getattr(found, "vocab_files_names", {}).values()) if what == "tokenizer" else set()
    if files and not any((folder / name).is_file() for name in files):
        raise ValueError(
            f"The folder {folder} holds no tokenizer ({' or '.join(sorted(files))}): "
            f"{remedy(folder)}."
        )
    return found


def _part(kind: Any) -> str:
    """What a class of transformers loads, in plain words."""
    if "Tokenizer" in kind.__name__:
        return "tokenizer"
    return "picture processor" if "Processor" in kind.__name__ else "model"


def reason(error: Exception) -> str:
    """The first line of an error, short; of the system's own errors only what went wrong."""
    if isinstance(error, json.JSONDecodeError):
        return "a JSON file in it is cut off"
    if "ignore_mismatched_sizes" in str(error):
        return "its weights have other shapes than config.json says"
    # As safetensors says it.
    if full := re.search(r"I/O error: (.+?)(?: \(os error \d+\))?$", str(error)):
        return full[1]
    text = getattr(error, "strerror", None) or str(error)
    lines = text.strip().splitlines() or ["no reason given"]
    return lines[0][:160].rstrip(".!: ")


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Load or save a model without transformers' bars and notes; errors still come through."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


@lru_cache(maxsize=64)
def _hash_of(files: tuple[tuple[str, int, int], ...]) -> str:
    """Hash of some files, remembered for as long as their sizes and times stay the same."""
    hashes = [sha256_of(Path(path)) for path, _, _ in files]
    return hashes[0] if len(hashes) == 1 else sha256_of("".join(hashes))
