"""One seed and one number of processor threads for everything random in a run."""

from __future__ import annotations

import os
import random

import numpy as np
import torch


def seed_everything(seed: int = 0) -> None:
    """Seed Python, NumPy and torch, and give torch $OMP_NUM_THREADS processor threads, else one.

    Raises:
        ValueError: OMP_NUM_THREADS is no whole number of at least 1.
    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  (libraries draw from the global generator)
    torch.manual_seed(seed)
    given = os.environ.get("OMP_NUM_THREADS", "1")
    if not given.isdigit() or int(given) < 1:
        raise ValueError(
            f"OMP_NUM_THREADS is {given!r}: give a whole number of at least 1 (make run THREADS=2)."
        )
    torch.set_num_threads(int(given))
