"""Where tensors are computed: on a GPU that torch can use, else on the processor."""

from __future__ import annotations

import os

import torch


def best_device() -> torch.device:
    """$TEMA_DEVICE, else a CUDA GPU that torch can use, else the processor.

    Apple's GPU (mps) is untried, so it is used only where TEMA_DEVICE names it.

    Raises:
        ValueError: TEMA_DEVICE names a device that torch cannot use here.
    """
    asked = os.environ.get("TEMA_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=asked).device
    except (RuntimeError, AssertionError):  # an unknown word, or a device out of reach
        raise ValueError(
            f"TEMA_DEVICE is {asked!r}, which torch cannot use here: leave it out, or write cpu."
        ) from None
