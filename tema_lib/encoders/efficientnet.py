"""EfficientNet-Lite0 with its ImageNet weights, written here, small enough to be read.

It is a stack of inverted residual blocks: widen the channels with a 1x1 convolution, mix the
neighbourhood within each channel (depthwise), narrow again, and add the input where shapes allow.
"Lite" means no squeeze-and-excitation and ReLU6 instead of swish; stem and head keep their width.

Source: Tan and Le, "EfficientNet" (2019), table 1; the Lite variant is as TensorFlow published it.
Status: which image encoder the paper uses is unknown; this one is ours.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from tema_lib.encoders.weights import resolve

SIDE = 224
IMAGENET_MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
IMAGENET_STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


def to_tensor(picture: Image.Image) -> Tensor:
    """RGB picture -> [3, 224, 224], scaled as ImageNet networks expect.

    The whole picture is kept, never cropped (ours).
    """
    resized = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    pixels = np.asarray(resized, dtype=np.float32) / 255
    return (torch.from_numpy(pixels).permute(2, 0, 1) - IMAGENET_MEAN) / IMAGENET_STD


# One line per stage: widening, kernel size, stride of its first block, channels out, blocks.
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
    """Convolution with TensorFlow's SAME padding.

    The side of the output is ceil(side / stride); an odd zero goes right and below.
    """

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
    ) -> None:
        super().__init__()
        wide = channels_in * widening
        self.expand = convolution(channels_in, wide) if widening > 1 else None
        self.depthwise = convolution(wide, wide, kernel, stride, groups=wide)
        self.project = convolution(wide, channels_out)
        self.residual = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else nn.functional.relu6(self.expand(x))
        # No activation after narrowing: it would lose information.
        y = self.project(nn.functional.relu6(self.depthwise(y)))
        return x + y if self.residual else y


class EfficientNetLite0(nn.Module):
    """[B, 3, 224, 224] -> features [B, 1280]; ``classifier`` maps them to 1,000 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = convolution(3, 32, kernel=3, stride=2)
        blocks: list[nn.Module] = []
        channels = 32
        for widening, kernel, first_stride, channels_out, repeats in STAGES:
            for i in range(repeats):
                stride = first_stride if i == 0 else 1
                blocks.append(InvertedResidual(channels, channels_out, widening, kernel, stride))
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


# The names of the weight file, and ours.  Blocks first: inside a block _bn1 is another layer.
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
    """The network with its ImageNet weights, ready for inference, on the processor.

    Raises:
        ValueError: not every tensor finds its layer, or the file is damaged.
    """
    file = resolve(folder) / "model.safetensors"
    weights: dict[str, Tensor] = {}
    network = EfficientNetLite0()
    try:
        for name, tensor in load_file(file).items():
            for published, ours in RENAMED:
                name = re.sub(published, ours, name)
            weights[name] = tensor
        network.load_state_dict(weights, strict=True)
    except (OSError, SafetensorError, RuntimeError):
        raise ValueError(
            f"{file} does not hold the weights of EfficientNet-Lite0: delete this folder and run "
            "python -m tema_lib.encoders.weights."
        ) from None
    return network.eval()
