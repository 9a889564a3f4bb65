"""What passes between the grader and the sandbox: plain data, one JSON text behind its length.

A value is None, a bool, int, float or str, a list, tuple or dict of values, a numpy array or
scalar, or a torch tensor. Arrays travel as the bytes of an .npy file that holds no object. Whatever
a student's code writes into the channel, the grader gets exact built-in types out of it, or
`Malformed`. Status: ours.
"""

from __future__ import annotations

import base64
import io
import json
import math
import struct
import sys
from typing import IO, Any

LARGEST = 32 * 2**20  # bytes of one message
DEEPEST = 40  # lists in lists
ENTRIES = 20_000  # of one dict: integers can be chosen so that building a dict takes for ever
PLAIN = (type(None), bool, int, float, str)
KINDS = "biufcU"  # dtypes: bool, integer, float, complex, text


class NotPlain(TypeError):
    """A value of a class that may not pass between sandbox and grader."""


class Malformed(ValueError):
    """Bytes that are no message of ours."""


def encode(value: Any, depth: int = 0) -> Any:
    """A value as JSON data; NotPlain if it, or something in it, is of another class."""
    if type(value) in PLAIN:
        return value
    if depth == DEEPEST:
        raise NotPlain("lists, tuples or dictionaries are nested too deeply")
    if isinstance(value, list):  # and what is derived from it: it arrives as a list
        return [encode(part, depth + 1) for part in value]
    if isinstance(value, tuple):
        return {"tuple": [encode(part, depth + 1) for part in value]}
    if isinstance(value, dict):
        if len(value) > ENTRIES:
            raise NotPlain(f"a dictionary has more than {ENTRIES:,} entries")
        pairs = value.items()
        return {"dict": [[encode(key, depth + 1), encode(part, depth + 1)] for key, part in pairs]}
    return _encode_array(value)


def _encode_array(value: Any) -> Any:
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")  # imported by whoever uses it
    if torch is not None and isinstance(value, torch.Tensor):
        return {"tensor": _npy(value.detach().cpu().numpy())}
    if numpy is not None and isinstance(value, numpy.generic):
        return {"scalar": _npy(numpy.asarray(value))}
    if numpy is not None and isinstance(value, numpy.ndarray):
        return {"array": _npy(value)}
    raise NotPlain(
        f"an object of the class {type(value).__name__} cannot be passed on; numbers, text, lists, "
        "tuples, dictionaries, numpy arrays and torch tensors can"
    )


def _npy(array: Any) -> str:
    import numpy

    if array.dtype.kind not in KINDS:
        raise NotPlain(f"an array of dtype {array.dtype} cannot be passed on")
    file = io.BytesIO()
    numpy.lib.format.write_array(file, numpy.asarray(array), allow_pickle=False)
    return base64.b64encode(file.getvalue()).decode()


def decode(data: Any, depth: int = 0) -> Any:
    """The value of JSON data; Malformed if this is nothing that `encode` makes."""
    if depth > DEEPEST:
        raise Malformed("nested too deeply")
    if type(data) in PLAIN:
        return data
    if type(data) is list:
        return [decode(part, depth + 1) for part in data]
    if type(data) is not dict or len(data) != 1:
        raise Malformed("no value")
    [(kind, content)] = data.items()
    if kind == "tuple" and type(content) is list:
        return tuple(decode(part, depth + 1) for part in content)
    if kind == "dict" and type(content) is list:
        return _decode_dict(content, depth)
    if kind in ("array", "scalar", "tensor") and type(content) is str:
        return _decode_array(kind, content)
    raise Malformed("no value")


def _decode_dict(pairs: list[Any], depth: int) -> dict[Any, Any]:
    if len(pairs) > ENTRIES or not all(type(pair) is list and len(pair) == 2 for pair in pairs):
        raise Malformed("no dictionary")
    try:
        return {decode(key, depth + 1): decode(part, depth + 1) for key, part in pairs}
    except TypeError as error:  # a key that cannot be one
        raise Malformed("no dictionary") from error


def _decode_array(kind: str, content: str) -> Any:
    import numpy

    try:
        raw = base64.b64decode(content, validate=True)
        file = io.BytesIO(raw)
        version = numpy.lib.format.read_magic(file)
        if version != (1, 0):
            raise Malformed("no array")
        shape, fortran, dtype = numpy.lib.format.read_array_header_1_0(file)
        body = memoryview(raw)[file.tell() :]
        # numpy would allocate what the header promises before it looks at what is there.
        if dtype.kind not in KINDS or math.prod(shape) * dtype.itemsize != len(body):
            raise Malformed("no array")
        flat = numpy.frombuffer(body, dtype) if len(body) else numpy.empty(0, dtype)
        array = flat.reshape(shape, order="F" if fortran else "C").copy()
    except (ValueError, TypeError, SyntaxError, OverflowError, MemoryError) as error:
        raise Malformed("no array") from error
    if kind == "array":
        return array
    if kind == "scalar":
        if array.shape != ():
            raise Malformed("no scalar")
        return array[()]
    import torch

    try:
        return torch.from_numpy(array)
    except TypeError as error:  # text
        raise Malformed("no tensor") from error


def write(file: IO[bytes], message: dict[str, Any]) -> None:
    """Send a message; NotPlain if it is too large."""
    content = json.dumps(message).encode()
    if len(content) > LARGEST:
        raise NotPlain(f"more than {LARGEST >> 20} MiB cannot be passed on")
    file.write(struct.pack(">Q", len(content)) + content)
    file.flush()


def read(file: IO[bytes]) -> dict[str, Any]:
    """The next message; EOFError at the end, Malformed for anything that is no message."""
    head = file.read(8)
    if len(head) < 8:
        raise EOFError
    (length,) = struct.unpack(">Q", head)
    if length > LARGEST:
        raise Malformed("too long")
    content = file.read(length)
    if len(content) < length:
        raise EOFError
    try:
        message = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Malformed("no JSON") from error
    if type(message) is not dict:
        raise Malformed("no message")
    return message
