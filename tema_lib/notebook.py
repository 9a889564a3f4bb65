"""What the notebooks share: where artefacts lie, tolerant checks, and errors that are shown on purpose."""

from __future__ import annotations

import contextlib
import os
import random
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from IPython.display import display
from matplotlib import pyplot as plt

ROOT = Path(__file__).resolve().parents[1]


def setup(seed: int = 0) -> None:
    """Seeds, threads and warnings: one thread unless OMP_NUM_THREADS says otherwise, so that a run can be repeated."""
    random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)
    given = os.environ.get("OMP_NUM_THREADS", "1")
    if not given.isdigit() or int(given) < 1:
        raise ValueError(
            f"OMP_NUM_THREADS is {given!r}: give a whole number of at least 1 (make run THREADS=2)."
        )
    torch.set_num_threads(int(given))
    warnings.filterwarnings(
        "ignore", r"(?s)Glyph .* missing from"
    )  # titles in other scripts: a box is drawn, no cell is flooded
    warnings.filterwarnings("ignore", "Matplotlib currently does not support")


def artifacts() -> Path:
    """Where intermediate results lie: $TEMA_ARTIFACTS, else build/artifacts beside the library."""
    folder = Path(os.environ.get("TEMA_ARTIFACTS", ROOT / "build" / "artifacts"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def expect(
    name: str, value: float, reference: float, *, abs: float = 0.0, rel: float = 0.0
) -> None:
    """Assert that a number is where it was, and print a line that does not depend on the measured value.

    Raises ValueError for a tolerance so wide that the number could be off by half (a reference of 0 has no half).
    """
    size = reference if reference >= 0 else -reference
    tolerance = max(abs, rel * size)
    if size and tolerance >= size / 2:
        raise ValueError(
            f"{name}: with ±{tolerance:.2g} around {reference:.4g} the number could be off by half; narrow the tolerance."
        )
    if not reference - tolerance <= value <= reference + tolerance:
        raise AssertionError(
            f"{name}: measured {value:.6g}, expected {reference:.6g} ± {tolerance:.2g}"
        )
    print(f"[ok] {name} within ±{tolerance:.2g} of {reference:.4g}")


def show(fig, alt: str) -> None:
    """Show a figure, with words for those who cannot see it."""
    display(fig, metadata={"image/png": {"alt": alt}})
    plt.close(fig)


@contextlib.contextmanager
def expected_error(*types: type[BaseException]):
    """Show an error as one line of text; a cell that was meant to fail and does not is itself an error."""
    try:
        yield
    except types as error:
        print(f"{type(error).__name__}: {error}")
    else:
        raise AssertionError(f"none of {[kind.__name__ for kind in types]} was raised")


@contextlib.contextmanager
def timed(seconds: dict[str, float], name: str):
    """Add the wall time of a block to `seconds[name]`."""
    start = time.perf_counter()
    yield
    seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start


def recurring_user(run) -> int:
    """The row in `run.split.test` of the user whom all notebooks follow: the first with at least four changes of domain in the last eight events."""
    for row in range(len(run.split.test)):
        domain = run.items.domain_of_item[run.split.test[row][-8:].numpy()]
        if (domain[1:] != domain[:-1]).sum() >= 4:
            return row
    return 0
