"""Fetch the items' pictures from the addresses in the metadata, and keep those that can be decoded.

    download_pictures(addresses, folder)       {item: address} -> {item: file name}, and why not all

Status: ours.
"""

from __future__ import annotations

import hashlib
import io
import re
import time
import urllib.error
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from tema_lib.data.files import MOST_PIXELS
from tema_lib.datasets.amazon.download import unwritable
from tema_lib.datasets.amazon.web import BROKEN, pause, request, worth_another_try
from tema_lib.workspace import write_atomically

PICTURE_FORMATS = {"JPEG": "jpg", "PNG": "png", "GIF": "gif", "WEBP": "webp"}
LARGEST_PICTURE = 8 * 2**20  # bytes
SMALLEST_SIDE = 8  # servers answer with a picture of 1 x 1 where there is none
TRIES = 3


class _LeftOutError(Exception):
    """Why an item stays without a picture."""


def download_pictures(
    addresses: dict[str, str],
    folder: Path | str,
    *,
    threads: int = 8,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[dict[str, str], dict[str, int]]:
    """Fetch pictures into a folder.

    A picture that is here is kept.  One that is too large, of another type, or cannot be decoded
    whole, is left out and counted.

    Args:
        addresses: {item_id: address}.
        folder: Where the pictures are to lie.
        threads: How many are fetched at a time.
        sleep: How to wait, in seconds.

    Returns:
        ({item_id: file name in `folder`}, {reason: number of items without a picture}).

    Raises:
        DataError: The folder cannot be written.
    """
    folder = Path(folder)
    pool = ThreadPoolExecutor(threads)
    alike = Counter(item.lower() for item in addresses)
    stem = {item: _stem(item, alike[item.lower()] == 1) for item in addresses}
    left_out: Counter[str] = Counter()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        here = {
            path.stem: path.name
            for path in folder.iterdir()
            if path.suffix.lstrip(".") in PICTURE_FORMATS.values()
        }
        found = {item: here[stem[item]] for item in addresses if stem[item] in here}
        wanted = [item for item in addresses if item not in found]
        come = pool.map(lambda item: _picture(addresses[item], folder / stem[item], sleep), wanted)
        bar = tqdm(come, total=len(wanted), desc="pictures", unit="", disable=None)
        for item, (name, reason) in zip(wanted, bar):
            if name:
                found[item] = name
            else:
                left_out[reason] += 1
    except OSError as error:
        raise unwritable(folder, error) from error
    finally:
        # After an error nobody waits for the pictures not yet asked for.
        pool.shutdown(cancel_futures=True)
    return found, dict(left_out)


def _stem(item: str, alone: bool) -> str:
    """A file name for an item id, whatever is in it.

    alone: no other id differs from it by capitals only.
    """
    # The names of Windows' devices cannot be files there.
    plain = re.fullmatch(r"(?!(?i:con|prn|aux|nul|com\d|lpt\d)$)[A-Za-z0-9_-]{1,64}", item)
    return item if plain and alone else hashlib.sha256(item.encode()).hexdigest()[:32]


def _picture(address: str, path: Path, sleep: Callable[[float], None]) -> tuple[str, str]:
    """(file name, "") or ("", reason)."""
    try:
        content = _fetched(address, sleep)
        name = f"{path.name}.{PICTURE_FORMATS[_format_of(content)]}"
    except _LeftOutError as reason:
        return "", str(reason)
    write_atomically(path.with_name(name), content)
    return name, ""


def _fetched(address: str, sleep: Callable[[float], None]) -> bytes:
    """What the server sends.  Raises `_LeftOutError`."""
    failures = 0
    while True:
        try:
            with request(address) as answer:
                if not answer.headers.get_content_type().startswith("image/"):
                    raise _LeftOutError("not a picture by its content type")
                content: bytes = answer.read(LARGEST_PICTURE + 1)
        except BROKEN as error:
            failures += 1
            if failures < TRIES and worth_another_try(error):
                pause(error, failures, sleep)
                continue
            if isinstance(error, urllib.error.HTTPError):
                raise _LeftOutError(f"the server answered {error.code}") from None
            raise _LeftOutError("the server could not be reached") from None
        except ValueError:  # a DataError is one: no address, or one of another kind
            raise _LeftOutError("no http address") from None
        if len(content) > LARGEST_PICTURE:
            raise _LeftOutError(f"larger than {LARGEST_PICTURE // 2**20} MiB")
        return content


def _format_of(content: bytes) -> str:
    """A key of `PICTURE_FORMATS`, once the whole picture is decoded.  Raises `_LeftOutError`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=list(PICTURE_FORMATS)) as picture:
                found, (width, height) = picture.format or "", picture.size
                picture.verify()
            if min(width, height) < SMALLEST_SIDE:
                raise _LeftOutError("a placeholder of a few pixels")
            if width * height > MOST_PIXELS:
                raise _LeftOutError("too many pixels")
            with Image.open(io.BytesIO(content), formats=list(PICTURE_FORMATS)) as picture:
                picture.load()  # `verify` does not decode; a cut-off picture shows only here
    except _LeftOutError:
        raise
    except Exception:  # Pillow raises whatever its decoders meet in a broken file
        raise _LeftOutError("cannot be decoded") from None
    return found
