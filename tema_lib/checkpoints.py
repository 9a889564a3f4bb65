"""Checkpoints: resume an interrupted training, reuse a finished one, refuse any other.

What a training depends on is stored in its file, part by part: parameters, options, data, frozen
inputs, and the code of the model and of the loop.  After an edit of a model it is trained anew, and
the run says why.  No file is deleted or overwritten by another training.  The device is not part of
the identity: weights from a GPU can be used on a laptop.  Status: ours.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import io
import json
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from tema_lib.data.splits import Split
from tema_lib.workspace import write_atomically

CODE = ModuleType | type | FunctionType  # what is followed
PLAIN = str | int | float | tuple  # constants whose values count


class OtherCheckpoint(ValueError):
    """A file that is cut off, not a checkpoint, or one of another training."""


def identity(model: nn.Module, split: Split, training: Any) -> dict[str, str]:
    """What trained weights depend on, by name.

    Args:
        model: the untrained model.
        split: the data; training and validation part count.
        training: the options of the loop, a dataclass.
    """
    shapes = {name: list(parameter.shape) for name, parameter in model.named_parameters()}
    data = [tensor for part in (split.train, split.valid) for tensor in (part.items, part.offsets)]
    parts = {
        "parameters": _hash(json.dumps(shapes).encode()),
        "data": _hash(split.name.encode(), *data),
        "frozen inputs": _hash(*(tensor for _, tensor in sorted(model.named_buffers()))),
    }
    for kind, options in (("option", getattr(model, "config", None)), ("training", training)):
        if options:
            parts |= {f"{kind} {name}": repr(value) for name, value in asdict(options).items()}
    code = code_behind([type(model), *map(type, model.modules()), type(training)])
    return parts | {f"code of {name}": digest for name, digest in code.items()}


def differences(one: dict[str, str], other: dict[str, str]) -> str:
    """The names of the parts in which two identities differ, separated by commas."""
    return ", ".join(name for name in {**one, **other} if one.get(name) != other.get(name))


def checkpoint_for(folder: Path, stem: str, wanted: dict[str, str]) -> tuple[Path, str]:
    """The file of a training.

    Args:
        folder: where checkpoints are kept.
        stem: the beginning of the file's name.
        wanted: the identity of the training.

    Returns:
        The path, of an existing file or of one to write; and a sentence that says why an earlier
        file of that stem is not used, or "".
    """
    short = _hash(json.dumps(wanted, sort_keys=True).encode())[:8]
    remark = ""
    for suffix in ("", *(f"-{number}" for number in range(2, 100))):
        path = folder / f"{stem}-{short}{suffix}.pt"
        if not path.exists():
            break
        try:
            read_checkpoint(path, wanted)
            return path, ""
        except OtherCheckpoint as error:
            remark = f"{error} It stays where it is."
    earlier = sorted(folder.glob(f"{stem}-*.pt"), key=lambda file: file.stat().st_mtime)
    if earlier and not remark:
        newest = earlier[-1]
        try:
            changed = differences(read_checkpoint(newest)["identity"], wanted)
            remark = (
                f"{stem}: trained anew, since there is a change in {changed}; "
                f"the earlier weights stay in {newest.name}."
            )
        except OtherCheckpoint as error:
            remark = f"{error} It stays where it is."
    return path, remark


def read_checkpoint(path: Path, wanted: dict[str, str] | None = None) -> dict[str, Any]:
    """What `write_checkpoint` wrote.

    Raises:
        OtherCheckpoint: for a damaged file, or one of another training than `wanted`.
    """
    try:
        saved = torch.load(path, weights_only=True, map_location="cpu")
        found = saved["identity"]
    except Exception:  # torch raises whatever its readers meet in a broken file
        raise OtherCheckpoint(
            f"{path} is cut off or no checkpoint of this version, so its training starts anew."
        ) from None
    if wanted is not None and (changed := differences(found, wanted)):
        raise OtherCheckpoint(
            f"{path} belongs to another training: there is a difference in {changed}. "
            "Name another file, or move it away."
        )
    return saved


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write the whole file or nothing.

    Raises:
        OSError: if the file cannot be written, on a full disk for example.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())


def code_behind(classes: Iterable[type]) -> dict[str, str]:
    """A hash for each module of ours, or of the user, behind the classes.

    These are the modules that the classes come from, and those that such a module uses.  Comments,
    docstrings and layout do not count.  Code that is defined in a notebook counts function by
    function.
    """
    found: dict[str, str] = {}
    waiting: list[CODE] = [ancestor for kind in classes for ancestor in kind.__mro__]
    while waiting:
        thing = waiting.pop()
        if isinstance(thing, ModuleType):
            module: ModuleType | None = thing
        else:
            module = sys.modules.get(getattr(thing, "__module__", None) or "")
        path = Path(getattr(module, "__file__", None) or "")
        if module is None or _foreign(module, path):
            continue
        if path.suffix == ".py":
            if module.__name__ not in found:
                found[module.__name__] = syntax_hash(path.read_text(encoding="utf-8"))
                waiting += [value for value in vars(module).values() if isinstance(value, CODE)]
        elif not isinstance(thing, ModuleType) and thing.__qualname__ not in found:
            text, used = _bytecode(thing)  # a notebook has no file
            found[thing.__qualname__] = _hash(text.encode())
            waiting += used
    return dict(sorted(found.items()))


def syntax_hash(source: str) -> str:
    """A hash of a module's syntax tree without docstrings, layout and comments."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:]
    return _hash(ast.dump(tree).encode())


def _foreign(module: ModuleType, path: Path) -> bool:
    """Whether a module is an installed package or the standard library, but not this package."""
    if module.__name__.split(".")[0] == __name__.split(".")[0]:
        return False
    if path.suffix != ".py":
        return module.__name__ != "__main__"
    return any(
        path.is_relative_to(sysconfig.get_path(name))
        for name in ("stdlib", "platstdlib", "purelib", "platlib")
    )


def _bytecode(thing: type | FunctionType) -> tuple[str, list[CODE]]:
    """What a function or a class's methods do, as text, and the code of ours that they name."""
    if isinstance(thing, type):
        members = list(vars(thing).values())
        attributes = {
            name: value
            for name, value in vars(thing).items()
            if isinstance(value, PLAIN) and not name.startswith("__")
        }
    else:
        members, attributes = [thing], {}
    parts: list[str] = [repr(sorted(attributes.items()))]
    used: list[CODE] = []
    for member in members:
        if not isinstance(member, FunctionType):
            continue
        function = inspect.unwrap(member)
        codes = [function.__code__]
        for code in codes:  # grows by the functions inside
            constants = [constant for constant in code.co_consts if constant != function.__doc__]
            codes += [constant for constant in constants if isinstance(constant, CodeType)]
            plain = [constant for constant in constants if not isinstance(constant, CodeType)]
            parts.append(repr((code.co_code, code.co_names, plain)))
            for name in code.co_names:
                value = function.__globals__.get(name)
                if isinstance(value, PLAIN):
                    parts.append(f"{name}={value!r}")
                elif isinstance(value, CODE):
                    used.append(value)
        parts.append(repr((function.__defaults__, function.__kwdefaults__)))
    return "\n".join(parts), used


def _hash(*contents: bytes | Tensor) -> str:
    """The first 16 digits of SHA-256 over bytes and tensors."""
    digest = hashlib.sha256()
    for content in contents:
        if isinstance(content, Tensor):
            flat = content.detach().cpu().contiguous().view(-1)
            content = flat.view(torch.uint8).numpy().tobytes()
        digest.update(content)
    return digest.hexdigest()[:16]
