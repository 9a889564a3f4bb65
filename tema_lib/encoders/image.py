"""Pictures of items -> vectors, with EfficientNet-Lite0 or the image tower of a CLIP model.

Status: the paper states that pictures are encoded by a pretrained model; which one is used here is
ours.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from tqdm.auto import tqdm

from tema_lib.data.dataset import DataError
from tema_lib.data.files import MOST_PIXELS
from tema_lib.encoders.device import best_device
from tema_lib.encoders.efficientnet import load_efficientnet, to_tensor
from tema_lib.encoders.features import ItemFeatures, collect
from tema_lib.encoders.folder import from_folder, model_type
from tema_lib.encoders.weights import resolve

LISTED = 10  # broken pictures that one message names

EncodePictures = Callable[[list[Image.Image]], Tensor]  # pictures -> vectors [B, F]


def encode_images(
    paths: Sequence[Path | None],
    model: str | Path = "efficientnet-lite0",
    batch: int = 16,
    progress: bool = True,
) -> ItemFeatures:
    """One vector of length 1 per picture: row i belongs to ``paths[i]``.

    None (no picture) has ``present`` False and a row of zeros.

    Args:
        paths: [N+1], by global id, or any others.
        model: see `resolve`; EfficientNet-Lite0 or a CLIP model.
        batch: pictures encoded at a time.
        progress: whether a bar is shown.

    Returns:
        A matrix [len(paths), F] on the processor; F is 1280 for EfficientNet-Lite0. The encoder
        runs on `best_device`.

    Raises:
        DataError: pictures are missing or cannot be used; the message names them, before the
            first is encoded.
        ValueError: the model cannot encode pictures, or its folder is damaged.
    """
    check_pictures(paths)
    folder = resolve(model)
    encoders = {"efficientnet-lite0": _efficientnet, "clip": _clip_images}
    if model_type(folder) not in encoders:
        raise ValueError(
            f"The model {model} is of type {model_type(folder)!r} and cannot encode pictures: take "
            f"{' or '.join(encoders)}."
        )
    encode = encoders[model_type(folder)](folder)
    present = torch.tensor([path is not None for path in paths], dtype=torch.bool)
    with_picture = [(row, path) for row, path in enumerate(paths) if path is not None]
    rows = [row for row, _ in with_picture]
    vectors: list[Tensor] = []
    with (
        torch.inference_mode(),
        tqdm(total=len(rows), desc="pictures", unit="picture", disable=not progress) as bar,
    ):
        for start in range(0, len(rows), batch):
            pictures = [read_picture(path) for _, path in with_picture[start : start + batch]]
            vectors.append(encode(pictures).cpu())  # [B, F]
            bar.update(len(pictures))
    return collect(rows, vectors, present, model, folder)


def check_pictures(paths: Sequence[Path | None], progress: bool = False) -> None:
    """Decode every picture once, as the encoder will, before anything that takes long.

    A broken picture stops a run instead of counting as none (ours): which items have pictures is
    part of the data, and an item that loses its own without a word changes every number after it.

    Raises:
        DataError: pictures are missing or broken; one message names them.
    """
    faults: list[str] = []
    different = dict.fromkeys(path for path in paths if path is not None)
    for path in tqdm(
        different,
        desc="checking pictures",
        unit="picture",
        disable=None if progress else True,
        leave=False,
    ):
        try:
            _decoded(path)
        except Exception as error:  # Pillow raises whatever its decoders meet in a broken file
            faults.append(f"{path} {_fault(error)}")
    if faults:
        more = f", and {len(faults) - LISTED:,} more" if len(faults) > LISTED else ""
        raise DataError(
            f"{len(faults):,} of {len(different):,} pictures cannot be used: "
            f"{', '.join(faults[:LISTED])}{more}: replace {'it' if len(faults) == 1 else 'them'}, "
            "or empty the image column of the items in question."
        )


def read_picture(path: str | Path) -> Image.Image:
    """Any picture Pillow can read, as RGB: the first frame, upright, transparent parts white.

    Raises:
        DataError: the file is missing, or no whole picture.
    """
    try:
        return _decoded(Path(path))
    except Exception as error:
        raise DataError(
            f"The picture {path} {_fault(error)}: replace it, or leave the item's image column "
            "empty."
        ) from error


class _Unusable(ValueError):
    """What is wrong, in our own words; Pillow's are for its developers."""


def _decoded(path: Path) -> Image.Image:
    if not path.is_file():  # a pipe or a device would wait forever
        if not path.exists():
            raise FileNotFoundError
        raise _Unusable(f"it is {'a folder' if path.is_dir() else 'no file'}")
    # Pillow gets the open file: given a path, it maps grey TIFF into memory and confuses height and
    # width of a turned one.
    with open(path, "rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd EXIF fields; the size is checked here
        with Image.open(file) as picture:
            width, height = picture.size  # from the header: nothing is decoded yet
            if width * height > MOST_PIXELS:
                raise _Unusable(f"it has {width} x {height} pixels, more than {MOST_PIXELS:,}")
            picture.verify()  # the checksums of PNG, over which its decoder passes
        file.seek(0)  # after `verify` a picture has to be opened again
        with Image.open(file) as picture:
            picture.load()
            return _rgb(_upright(picture))


def _upright(picture: Image.Image) -> Image.Image:
    """Turned as a camera's EXIF note says; a note that cannot be read turns nothing."""
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:
        return picture


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith(("I", "F")):  # Pillow would cut all that is above 255
        return _eight_bits(picture).convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits, or of fractions, as grey of 8 bits.

    No such file says what white is.  We take the least of the usual whites that no pixel exceeds:
    1 for fractions, 255, 2^16 - 1, 2^31 - 1, else the brightest pixel.  Nan and infinity become
    black.
    """
    grey = np.asarray(picture).astype(np.float64)
    clear = grey == picture.info.get("transparency", np.nan)
    grey = np.where(np.isfinite(grey), grey, 0).clip(0)
    whites = (1.0,) * (picture.mode == "F") + (255.0, 2.0**16 - 1, 2.0**31 - 1)
    white = next((white for white in whites if grey.max() <= white), grey.max())
    return Image.fromarray(np.where(clear, 255, (grey * (255 / white)).round()).astype(np.uint8))


def _fault(error: Exception) -> str:
    """What is wrong with a picture, to follow its name."""
    if isinstance(error, FileNotFoundError):
        return "is missing"
    if isinstance(error, UnidentifiedImageError):
        return "cannot be used (no picture of a known kind)"
    if isinstance(error, Image.DecompressionBombError):
        return f"cannot be used (it has more than {MOST_PIXELS:,} pixels)"
    if isinstance(error, _Unusable) or getattr(error, "strerror", None):
        return f"cannot be used ({getattr(error, 'strerror', None) or error})"
    truncated = "truncated" in str(error).lower()
    return f"cannot be used ({'it is cut off' if truncated else 'it is damaged'})"


def _efficientnet(folder: Path) -> EncodePictures:
    device = best_device()
    network = load_efficientnet(folder).to(device)

    def encode(pictures: list[Image.Image]) -> Tensor:
        pixels = torch.stack([to_tensor(picture) for picture in pictures])
        return network.features(pixels.to(device))

    return encode


def _clip_images(folder: Path) -> EncodePictures:
    """The image tower of CLIP, with the resizing and cropping its own folder prescribes."""
    from transformers import CLIPImageProcessor, CLIPModel

    processor = from_folder(CLIPImageProcessor, folder)
    device = best_device()
    network = from_folder(CLIPModel, folder, use_safetensors=True).float().eval().to(device)

    def encode(pictures: list[Image.Image]) -> Tensor:
        pixels = processor(images=pictures, return_tensors="pt")["pixel_values"]
        vectors = network.get_image_features(pixel_values=pixels.to(device))
        return getattr(vectors, "pooler_output", vectors)  # newer transformers wrap the tensor

    return encode
