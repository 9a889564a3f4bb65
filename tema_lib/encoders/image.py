"""Pictures of items -> vectors, with EfficientNet-Lite0 and its ImageNet weights, or with the image tower of a CLIP model.

The network is written here, small enough to be read.  It is a stack of inverted residual blocks: widen the channels
with a 1x1 convolution, look at the neighbourhood of each channel alone (depthwise), narrow again, and add the input
where shapes allow.  "Lite" means no squeeze-and-excitation and ReLU6 instead of swish; stem and head keep their width.

Status: the paper states that pictures are encoded by a pretrained model; which one stands here is ours.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from tqdm.auto import tqdm

from tema_lib.data.dataset import DataError
from tema_lib.datasets.amazon.pictures import MOST_PIXELS
from tema_lib.encoders.features import ItemFeatures, collect, model_type
from tema_lib.encoders.weights import from_folder, resolve

LISTED = 10  # broken pictures that one message names
SIDE = 224
IMAGENET_MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
IMAGENET_STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


def encode_images(
    paths: Sequence[Path | None],
    model: str | Path = "efficientnet-lite0",
    batch: int = 16,
    progress: bool = True,
) -> ItemFeatures:
    """One vector of length 1 per picture: row i belongs to ``paths[i]``; None (no picture) is ``present`` False, zeros.

    ``model`` is a name, folder or hub id for ``tema_lib.pretrained.resolve``, of EfficientNet-Lite0 or of CLIP.
    Raises `DataError` that tells of all pictures that are missing or cannot be used, before the first is encoded, and
    ``ValueError`` for a model that cannot encode pictures or a damaged folder of one.
    Returns a matrix [len(paths), F]; F is 1280 for EfficientNet-Lite0.
    """
    check_pictures(paths)
    folder = resolve(model)
    encoders = {"efficientnet-lite0": _efficientnet, "clip": _clip_images}
    if model_type(folder) not in encoders:
        raise ValueError(
            f"The model {model} is of type {model_type(folder)!r} and cannot encode pictures: take {' or '.join(encoders)}."
        )
    encode = encoders[model_type(folder)](folder)
    present = torch.tensor([path is not None for path in paths], dtype=torch.bool)
    rows, vectors = present.nonzero().flatten().tolist(), []
    with (
        torch.inference_mode(),
        tqdm(total=len(rows), desc="pictures", unit="picture", disable=not progress) as bar,
    ):
        for start in range(0, len(rows), batch):
            pictures = [read_picture(paths[i]) for i in rows[start : start + batch]]
            vectors.append(encode(pictures))  # [B, F]
            bar.update(len(pictures))
    return collect(rows, vectors, present, model, folder)


def check_pictures(paths: Sequence[Path | None], progress: bool = False) -> None:
    """Decode every picture once, as the encoder will, before anything that takes long.

    Raises one `DataError` that tells of all that are missing or broken.  A broken picture stops a run
    instead of counting as none (ours): which items have pictures is part of the data, and an item that
    loses its own without a word changes every number after it.
    """
    faults, paths = [], dict.fromkeys(path for path in paths if path is not None)
    for path in tqdm(
        paths,
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
            f"{len(faults):,} of {len(paths):,} pictures cannot be used: {', '.join(faults[:LISTED])}{more}: replace "
            f"{'it' if len(faults) == 1 else 'them'}, or empty the image column of the items in question."
        )


def read_picture(path: str | Path) -> Image.Image:
    """Any picture Pillow can read, as RGB: the first frame, upright, transparent parts white, as on a domain's page.

    Raises `DataError` for a file that is missing or no whole picture.
    """
    try:
        return _decoded(Path(path))
    except Exception as error:
        raise DataError(
            f"The picture {path} {_fault(error)}: replace it, or leave the item's image column empty."
        ) from error


class _Unusable(ValueError):
    """Said in our own words; what Pillow says is for its developers."""


def _decoded(path: Path) -> Image.Image:
    if not path.is_file():  # a pipe or a device would wait forever
        raise (
            _Unusable(f"it is {'a folder' if path.is_dir() else 'no file'}")
            if path.exists()
            else FileNotFoundError
        )
    # Pillow gets the open file: given a path, it maps grey TIFF into memory and confuses height and
    # width of a turned one.
    with open(path, "rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd EXIF fields; the size is judged here
        with Image.open(file) as picture:
            width, height = picture.size  # from the header: nothing is decoded yet
            if width * height > MOST_PIXELS:
                raise _Unusable(f"it has {width} x {height} pixels, more than {MOST_PIXELS:,}")
            picture.verify()  # the checksums of PNG, over which its decoder passes
        file.seek(0)  # after `verify` a picture has to be opened anew
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

    No such file says what white is.  We take the least of the usual whites that no pixel exceeds: 1 for fractions, 255,
    2^16 - 1, 2^31 - 1, else the brightest pixel.  What is no number is black.
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
    return f"cannot be used ({'it is cut off' if 'truncated' in str(error).lower() else 'it is damaged'})"


def to_tensor(picture: Image.Image) -> Tensor:
    """RGB picture -> [3, 224, 224], scaled as ImageNet networks expect.  The whole picture is kept, never cropped (ours)."""
    pixels = (
        np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC), dtype=np.float32) / 255
    )
    return (torch.from_numpy(pixels).permute(2, 0, 1) - IMAGENET_MEAN) / IMAGENET_STD


# -------------------------------------------------------------------------------------------- EfficientNet-Lite0

# One line per stage: widening, kernel size, stride of its first block, channels out, number of blocks.
# Stated: Tan & Le, "EfficientNet" (2019), table 1; the Lite variant is as TensorFlow published it.
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


class SameConv(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: output side = ceil(side / stride), the odd zero goes right and below."""

    def forward(self, x: Tensor) -> Tensor:  # [B, C, S, S] -> [B, C', S', S']
        (kernel, _), (stride, _), side = self.kernel_size, self.stride, x.shape[-1]
        zeros = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        low, high = zeros // 2, zeros - zeros // 2
        return super().forward(nn.functional.pad(x, (low, high, low, high)))


def convolution(
    channels_in: int, channels_out: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution and batch normalisation, always together in this network."""
    return nn.Sequential(
        SameConv(channels_in, channels_out, kernel, stride, groups=groups, bias=False),
        nn.BatchNorm2d(channels_out, eps=1e-3),
    )


class InvertedResidual(nn.Module):
    """widen -> depthwise -> narrow, plus the input if nothing changed its shape."""

    def __init__(
        self, channels_in: int, channels_out: int, widening: int, kernel: int, stride: int
    ):
        super().__init__()
        wide = channels_in * widening
        self.expand = convolution(channels_in, wide) if widening > 1 else None
        self.depthwise = convolution(wide, wide, kernel, stride, groups=wide)
        self.project = convolution(wide, channels_out)
        self.residual = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else nn.functional.relu6(self.expand(x))
        y = self.project(
            nn.functional.relu6(self.depthwise(y))
        )  # no activation after narrowing: it would lose information
        return x + y if self.residual else y


class EfficientNetLite0(nn.Module):
    """[B, 3, 224, 224] -> features [B, 1280]; ``classifier`` maps them to the 1,000 ImageNet classes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = convolution(3, 32, kernel=3, stride=2)
        blocks, channels = [], 32
        for widening, kernel, stride, channels_out, repeats in STAGES:
            for i in range(repeats):
                blocks.append(
                    InvertedResidual(
                        channels, channels_out, widening, kernel, stride if i == 0 else 1
                    )
                )
                channels = channels_out
        self.blocks = nn.Sequential(*blocks)
        self.head = convolution(channels, 1280)
        self.classifier = nn.Linear(1280, 1000)

    def features(self, x: Tensor) -> Tensor:
        x = nn.functional.relu6(self.stem(x))  # [B, 32, 112, 112]
        x = nn.functional.relu6(self.head(self.blocks(x)))  # [B, 1280, 7, 7]
        return x.mean((2, 3))  # [B, 1280]

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))  # [B, 1000]


# The weight file's names, and ours.  Blocks first: _bn1 means another layer inside a block than outside.
RENAMED = (
    (r"^_blocks\.(\d+)\._expand_conv", r"blocks.\1.expand.0"),
    (r"^_blocks\.(\d+)\._bn0", r"blocks.\1.expand.1"),
    (r"^_blocks\.(\d+)\._depthwise_conv", r"blocks.\1.depthwise.0"),
    (r"^_blocks\.(\d+)\._bn1", r"blocks.\1.depthwise.1"),
    (r"^_blocks\.(\d+)\._project_conv", r"blocks.\1.project.0"),
    (r"^_blocks\.(\d+)\._bn2", r"blocks.\1.project.1"),
    (r"^_conv_stem", "stem.0"),
    (r"^_bn0", "stem.1"),
    (r"^_conv_head", "head.0"),
    (r"^_bn1", "head.1"),
    (r"^_fc", "classifier"),
)


def load_efficientnet(folder: str | Path = "efficientnet-lite0") -> EfficientNetLite0:
    """The network with its ImageNet weights, ready for inference.

    Every tensor must find its place, else ``ValueError``.
    """
    file, weights, network = resolve(folder) / "model.safetensors", {}, EfficientNetLite0()
    try:
        for name, tensor in load_file(file).items():
            for published, ours in RENAMED:
                name = re.sub(published, ours, name)
            weights[name] = tensor
        network.load_state_dict(weights, strict=True)
    except (OSError, SafetensorError, RuntimeError):
        raise ValueError(
            f"{file} does not hold the weights of EfficientNet-Lite0: delete this folder and run python -m tema_lib.encoders.weights."
        ) from None
    return network.eval()


def _efficientnet(folder: Path):
    network = load_efficientnet(folder)
    return lambda pictures: network.features(
        torch.stack([to_tensor(picture) for picture in pictures])
    )


def _clip_images(folder: Path):
    """The image tower of CLIP, with the resizing and cropping its own folder prescribes."""
    from transformers import CLIPImageProcessor, CLIPModel

    processor = from_folder(CLIPImageProcessor, folder)
    network = from_folder(CLIPModel, folder, use_safetensors=True).float().eval()

    def encode(pictures: list[Image.Image]) -> Tensor:
        vectors = network.get_image_features(
            pixel_values=processor(images=pictures, return_tensors="pt")["pixel_values"]
        )
        return getattr(vectors, "pooler_output", vectors)  # newer transformers wrap the tensor

    return encode
