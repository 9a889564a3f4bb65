"""Plain data goes through, anything else does not, whatever bytes a student's code sends."""

import base64
import enum
import io
import json
import struct
from collections import Counter, namedtuple

import numpy as np
import pytest
import torch

from tema_lib.course import messages
from tema_lib.course.messages import Malformed, NotPlain, decode, encode


def through(value):
    """As on the way: bytes in between."""
    return decode(json.loads(json.dumps(encode(value))))


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -3,
        2.5,
        float("inf"),
        "ünï",
        [],
        (1, "a"),
        {"a": {1: (2.0, None)}},
        {(1, 2): [3]},
    ],
)
def test_python_s_own_values_arrive_as_they_were(value):
    back = through(value)
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array([True, False]),
        np.array(["tea", "rice"]),
        np.zeros((0, 3), np.float32),
        np.array(7),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_an_array_keeps_values_shape_and_dtype(array):
    back = through(array)
    assert type(back) is np.ndarray
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert np.array_equal(back, array)
    assert back.flags.writeable


def test_scalars_and_tensors_keep_their_kind():
    scalar = through(np.float32(0.5))
    assert type(scalar) is np.float32
    assert scalar == 0.5
    tensor = through(torch.tensor([[1.0, 2.0]], requires_grad=True))
    assert torch.equal(tensor, torch.tensor([[1.0, 2.0]]))


def test_what_is_derived_from_a_container_arrives_as_the_plain_one():
    back = through([Counter("aab"), namedtuple("Pair", "a b")(1, 2)])
    assert [type(part) for part in back] == [dict, tuple]
    assert back == [{"a": 2, "b": 1}, (1, 2)]


class Always(int):
    def __eq__(self, other):
        return True

    __hash__ = int.__hash__


class Colour(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize(
    "value", [Always(1), Colour.RED, {1, 2}, object(), print, np.array([object()]), b"bytes"]
)
def test_a_value_of_another_class_is_refused_with_its_name(value):
    with pytest.raises(NotPlain, match=type(value).__name__ if np.ndim(value) == 0 else "dtype"):
        encode(value)


def npy(header, body=b""):
    """Bytes of an .npy file with a header of ours."""
    text = header.encode().ljust(117) + b"\n"
    return base64.b64encode(
        b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body
    ).decode()


PICKLED = base64.b64encode(b"\x80\x04K\x01.").decode()
DEEP = [[]]
for _ in range(messages.DEEPEST + 1):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"list": []},
        {"tuple": "ab"},
        {"tuple": [], "dict": []},
        {"dict": [[1]]},
        {"dict": [[[], 1]]},
        {"dict": [[1, 1]] * (messages.ENTRIES + 1)},
        {"array": 5},
        {"array": "%%%"},
        {"array": PICKLED},
        {"array": npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", b"\0" * 8)},
        {"array": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (10**15,)}")},
        {"array": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}")},
        {"array": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}", b"\0" * 8)},
        {"array": npy("{'descr': '<M8[D]', 'fortran_order': False, 'shape': (1,)}", b"\0" * 8)},
        {"array": npy("__import__('os').abort()")},
        {"scalar": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", b"\0" * 8)},
        {"tensor": npy("{'descr': '<U1', 'fortran_order': False, 'shape': (1,)}", b"\0" * 4)},
        DEEP,
    ],
)
def test_data_that_are_no_value_are_refused(data):
    with pytest.raises(Malformed):
        decode(data)


def framed(content):
    return struct.pack(">Q", len(content)) + content


@pytest.mark.parametrize(
    "content",
    [
        struct.pack(">Q", messages.LARGEST + 1),
        framed(b"not JSON"),
        framed(b"\xff\xfe"),
        framed(b"[1]"),
        framed(b"[" * 200_000),
        framed(b'{"value": ' + b"1" * 10_000 + b"}"),
    ],
)
def test_bytes_that_are_no_message_are_refused(content):
    with pytest.raises(Malformed):
        messages.read(io.BytesIO(content))


@pytest.mark.parametrize("content", [b"", b"abc", framed(b"{}")[:-1]])
def test_the_end_is_no_message(content):
    with pytest.raises(EOFError):
        messages.read(io.BytesIO(content))


def test_a_message_that_is_too_large_is_not_sent(monkeypatch):
    monkeypatch.setattr(messages, "LARGEST", 100)
    file = io.BytesIO()
    with pytest.raises(NotPlain, match="cannot be passed on"):
        messages.write(file, {"value": "x" * 200})
    assert file.getvalue() == b""
