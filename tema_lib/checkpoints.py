"""Checkpoints: a training that was interrupted goes on, a finished one is not repeated, and another one's weights are never taken for it.

What a training depends on is written into its file, part by part: parameters, options, data, frozen inputs, and the code of the
model and of the loop.  Whoever edits a line of a model trains anew and is told why.  No file is ever deleted or overwritten by
another training.  The device is no part of it: weights from a GPU rank on a laptop.  Status: ours.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import os
import sys
import sysconfig
import types
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from tema_lib.data.splits import Split


class OtherCheckpoint(ValueError):
    """A file that is cut off, no checkpoint, or one of another training."""


def identity(model: nn.Module, split: Split, training: object) -> dict[str, str]:
    """What the weights depend on, by name; `training` is the dataclass of the loop's options."""
    config = getattr(model, "config", None)
    shapes = {name: list(parameter.shape) for name, parameter in model.named_parameters()}
    parts = {
        "parameters": _hash(json.dumps(shapes).encode()),
        "data": _hash(
            split.name.encode(),
            *(
                tensor
                for part in (split.train, split.valid)
                for tensor in (part.items, part.offsets)
            ),
        ),
        "frozen inputs": _hash(*(tensor for _, tensor in sorted(model.named_buffers()))),
    }
    for kind, options in (("option", config), ("training", training)):
        parts |= {
            f"{kind} {name}": repr(value)
            for name, value in (asdict(options) if options else {}).items()
        }
    return parts | {
        f"code of {name}": code
        for name, code in code_behind(
            [type(model), *map(type, model.modules()), type(training)]
        ).items()
    }


def differences(one: dict[str, str], other: dict[str, str]) -> str:
    """The names of the parts in which two identities differ, between commas; "" where they are equal."""
    return ", ".join(name for name in {**one, **other} if one.get(name) != other.get(name))


def checkpoint_for(folder: Path, stem: str, wanted: dict[str, str]) -> tuple[Path, str]:
    """The file of a training in `folder`, there or to be made, and a sentence where an earlier file of that stem is not used."""
    short = _hash(json.dumps(wanted, sort_keys=True).encode())[:8]
    names = [
        folder / f"{stem}-{short}{number}.pt"
        for number in ("", *(f"-{number}" for number in range(2, 100)))
    ]
    said = ""
    for path in names:
        if not path.exists():
            break
        try:
            read_checkpoint(path, wanted)
            return path, ""
        except OtherCheckpoint as error:
            said = f"{error} It stays where it is."
    if not said and (
        earlier := sorted(folder.glob(f"{stem}-*.pt"), key=lambda file: file.stat().st_mtime)
    ):
        try:
            changed = differences(read_checkpoint(earlier[-1])["identity"], wanted)
            said = f"{stem}: trained anew, since there is a change in {changed}; the earlier weights stay in {earlier[-1].name}."
        except OtherCheckpoint as error:
            said = f"{error} It stays where it is."
    return path, said


def read_checkpoint(path: Path, wanted: dict[str, str] | None = None) -> dict:
    """What `write_checkpoint` wrote.  Raises OtherCheckpoint for a damaged file, or one of another training than `wanted`."""
    try:
        saved = torch.load(path, weights_only=True, map_location="cpu")
        found = saved["identity"]
    except Exception:  # torch raises whatever its readers meet in a broken file
        raise OtherCheckpoint(
            f"{path} is cut off or no checkpoint of this version, so its training starts anew."
        ) from None
    if wanted is not None and (changed := differences(found, wanted)):
        raise OtherCheckpoint(
            f"{path} belongs to another training: there is a difference in {changed}. Name another file, or move it away."
        )
    return saved


def write_checkpoint(path: Path, content: dict) -> None:
    """The whole file or nothing.  Raises OSError where there is no room for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    try:
        torch.save(content, unfinished)
        os.replace(unfinished, path)
    except RuntimeError as error:  # torch's own word for a full disk
        raise OSError(
            f"{path} could not be written ({str(error).splitlines()[0][:100]}): is the disk full?"
        ) from None
    finally:
        unfinished.unlink(missing_ok=True)


# ---------------------------------------------------------------------------------------------- the code of a model


def code_behind(classes: Iterable[type]) -> dict[str, str]:
    """A hash for each module of ours, or of the user, that the classes come from or that such a module uses.

    Comments, docstrings and the layout of the source do not count.  What is defined in a notebook counts function by function.
    """
    found: dict[str, str] = {}
    waiting = [ancestor for kind in classes for ancestor in kind.__mro__]
    while waiting:
        thing = waiting.pop()
        module = (
            thing
            if isinstance(thing, types.ModuleType)
            else sys.modules.get(getattr(thing, "__module__", None) or "")
        )
        path = Path(getattr(module, "__file__", None) or "")
        if module is None or _foreign(module, path):
            continue
        if path.suffix != ".py":  # a notebook has no file
            name = f"{thing.__qualname__}" if isinstance(thing, type | types.FunctionType) else ""
            if name and name not in found:
                found[name] = ""
                codes, used = _bytecode(thing)
                found[name] = _hash(codes.encode())
                waiting += used
        elif module.__name__ not in found:
            found[module.__name__] = syntax_hash(path.read_text(encoding="utf-8"))
            waiting += [
                value
                for value in vars(module).values()
                if isinstance(value, types.ModuleType | type | types.FunctionType)
            ]
    return dict(sorted(found.items()))


def syntax_hash(source: str) -> str:
    """A hash of a module's syntax tree without docstrings: layout, comments and wording leave it as it is."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:]
    return _hash(ast.dump(tree).encode())


def _foreign(module: types.ModuleType, path: Path) -> bool:
    """Installed packages and the standard library are not followed, this package is wherever it lies."""
    if module.__name__.split(".")[0] == __name__.split(".")[0]:
        return False
    if path.suffix != ".py":
        return module.__name__ != "__main__"
    return any(
        path.is_relative_to(sysconfig.get_path(name))
        for name in ("stdlib", "platstdlib", "purelib", "platlib")
    )


def _bytecode(thing) -> tuple[str, list]:
    """What the functions of a class, or a function, do, as text, and the things of their own module that they name."""
    functions = [
        inspect.unwrap(member)
        for member in (vars(thing).values() if isinstance(thing, type) else [thing])
        if isinstance(member, types.FunctionType)
    ]
    plain = (
        {
            name: value
            for name, value in vars(thing).items()
            if isinstance(value, str | int | float | tuple)
            and name != "__doc__"
            and not name.startswith("__")
        }
        if isinstance(thing, type)
        else {}
    )
    told, used = [repr(sorted(plain.items()))], []
    for function in functions:
        codes = [function.__code__]
        for code in codes:  # grows by the functions inside
            codes += [
                constant for constant in code.co_consts if isinstance(constant, types.CodeType)
            ]
            told.append(
                repr(
                    (
                        code.co_code,
                        code.co_names,
                        [
                            c
                            for c in code.co_consts
                            if not isinstance(c, types.CodeType) and c != function.__doc__
                        ],
                    )
                )
            )
            for name in code.co_names:
                value = function.__globals__.get(name)
                if isinstance(value, str | int | float | tuple):
                    told.append(f"{name}={value!r}")
                elif isinstance(value, types.ModuleType | type | types.FunctionType):
                    used.append(value)
        told.append(repr((function.__defaults__, function.__kwdefaults__)))
    return "\n".join(told), used


def _hash(*contents: bytes | Tensor) -> str:
    digest = hashlib.sha256()
    for content in contents:
        digest.update(
            content
            if isinstance(content, bytes)
            else content.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        )
    return digest.hexdigest()[:16]
