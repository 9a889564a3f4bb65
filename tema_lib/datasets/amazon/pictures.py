"""Fetch the items' pictures from the addresses that the metadata name, and keep only those that can be decoded.

    download_pictures(addresses, folder)       {item_id: address} -> {item_id: file name}, and why the others were left out

Status: ours.
"""

from __future__ import annotations

import hashlib
import io
import os
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

from tema_lib.data.dataset import DataError
from tema_lib.datasets.amazon.download import BROKEN, pause, request, unwritable, worth_another_try

PICTURE_FORMATS = {"JPEG": "jpg", "PNG": "png", "GIF": "gif", "WEBP": "webp"}
LARGEST_PICTURE = 8 * 2**20  # bytes
MOST_PIXELS = 50_000_000  # a small file can claim to be a huge picture and fill the memory
SMALLEST_SIDE = 8  # domains answer with a picture of 1 x 1 where there is none


def download_pictures(
    addresses: dict[str, str],
    folder: Path | str,
    *,
    threads: int = 8,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[dict[str, str], dict[str, int]]:
    """({item_id: file name in `folder`}, {reason: number of items without a picture}).

    A picture that is here is kept.  One that is too large, of another type, or cannot be decoded whole, is left out and counted.
    Raises `DataError` for a folder that cannot be written.
    """
    folder, pool = Path(folder), ThreadPoolExecutor(threads)
    alike = Counter(item.lower() for item in addresses)
    stem = {item: _stem(item, alike[item.lower()] == 1) for item in addresses}
    left_out = Counter()
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
        for item, (name, reason) in zip(
            wanted, tqdm(come, total=len(wanted), desc="pictures", unit="", disable=None)
        ):
            if name:
                found[item] = name
            else:
                left_out[reason] += 1
    except OSError as error:
        raise unwritable(folder, error) from error
    finally:
        pool.shutdown(
            cancel_futures=True
        )  # after an error nobody waits for the pictures not yet asked for
    return found, dict(left_out)


def _stem(item: str, alone: bool) -> str:
    """A file name for an item id, whatever stands in it: `alone` says that no other id differs from it by capitals only."""
    plain = re.fullmatch(
        r"(?!(?i:con|prn|aux|nul|com\d|lpt\d)$)[A-Za-z0-9_-]{1,64}", item
    )  # devices of Windows are no files
    return item if plain and alone else hashlib.sha256(item.encode()).hexdigest()[:32]


def _picture(address: str, path: Path, sleep) -> tuple[str, str]:
    """(file name, "") or ("", reason)."""
    for failures in range(1, 4):
        try:
            with request(address) as answer:
                if not answer.headers.get_content_type().startswith("image/"):
                    return "", "not a picture by its content type"
                content = answer.read(LARGEST_PICTURE + 1)
            if len(content) > LARGEST_PICTURE:
                return "", f"larger than {LARGEST_PICTURE // 2**20} MiB"
            break
        except DataError:
            return "", "no http address"
        except BROKEN as error:
            if not worth_another_try(error):
                return "", f"the server answered {error.code}"
            if failures == 3:
                return "", "the server could not be reached" if not isinstance(
                    error, urllib.error.HTTPError
                ) else f"the server answered {error.code}"
            pause(error, failures, sleep)
        except ValueError:  # an address that is none
            return "", "no http address"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=list(PICTURE_FORMATS)) as picture:
                kind, (width, height) = picture.format, picture.size
                picture.verify()
            if min(width, height) < SMALLEST_SIDE:
                return "", "a placeholder of a few pixels"
            if width * height > MOST_PIXELS:
                return "", "too many pixels"
            with Image.open(io.BytesIO(content), formats=list(PICTURE_FORMATS)) as picture:
                picture.load()  # `verify` does not decode; a cut-off picture shows only here
    except Exception:  # Pillow raises whatever its decoders meet in a broken file
        return "", "cannot be decoded"
    name = f"{path.name}.{PICTURE_FORMATS[kind]}"
    new = path.with_name(name + ".new")
    try:
        new.write_bytes(content)
        os.replace(new, path.with_name(name))
    finally:
        new.unlink(missing_ok=True)  # half a picture, where the disk was full
    return name, ""
