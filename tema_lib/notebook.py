"""What the notebooks share: seeds, tolerant checks, figures, and errors that are shown on purpose.

Imported by notebooks only: the library itself needs neither IPython nor matplotlib.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from IPython.display import display
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from tema_lib.reproducibility import seed_everything
from tema_lib.workspace import ROOT, artifacts

if TYPE_CHECKING:
    from tema_lib.experiment import Experiment

__all__ = [
    "ROOT",
    "artifacts",
    "expect",
    "expected_error",
    "recurring_user",
    "setup",
    "show",
]


def setup(seed: int = 0) -> None:
    """Seeds, threads and warnings, so that a run can be repeated.

    One thread, unless OMP_NUM_THREADS says otherwise.
    """
    seed_everything(seed)
    # Titles in other scripts: a box is drawn, no cell is flooded with warnings.
    warnings.filterwarnings("ignore", r"(?s)Glyph .* missing from")
    warnings.filterwarnings("ignore", "Matplotlib currently does not support")


def expect(
    name: str, value: float, reference: float, *, abs: float = 0.0, rel: float = 0.0
) -> None:
    """Assert that a number is where it was; the printed line does not depend on the measured value.

    Args:
        reference: the number that was measured before.
        abs, rel: the tolerance, absolute or as a share of the reference; the larger one counts.

    Raises:
        AssertionError: the number is somewhere else.
        ValueError: the tolerance is so wide that the number could be off by half (a reference of 0
            has no half).
    """
    size = reference if reference >= 0 else -reference
    tolerance = max(abs, rel * size)
    if size and tolerance >= size / 2:
        raise ValueError(
            f"{name}: with ±{tolerance:.2g} around {reference:.4g} the number could be off by "
            "half; narrow the tolerance."
        )
    if not reference - tolerance <= value <= reference + tolerance:
        raise AssertionError(
            f"{name}: measured {value:.6g}, expected {reference:.6g} ± {tolerance:.2g}"
        )
    print(f"[ok] {name} within ±{tolerance:.2g} of {reference:.4g}")


def show(fig: Figure | None, alt: str) -> None:
    """Show a figure, with words for those who cannot see it; None shows nothing."""
    if fig is None:  # what could not be drawn has been said already
        return
    display(fig, metadata={"image/png": {"alt": alt}})
    plt.close(fig)


@contextlib.contextmanager
def expected_error(*types: type[BaseException]) -> Iterator[None]:
    """Show an error as one line of text; a cell that does not fail is itself an error."""
    try:
        yield
    except types as error:
        print(f"{type(error).__name__}: {error}")
    else:
        raise AssertionError(f"none of {[kind.__name__ for kind in types]} was raised")


def recurring_user(run: Experiment) -> int:
    """The row in `run.split.test` of the user whom all notebooks follow.

    The first with at least four changes of domain in the last eight events, else row 0.
    """
    for row in range(len(run.split.test)):
        domain = run.items.domain_of_item[run.split.test[row][-8:].numpy()]
        if (domain[1:] != domain[:-1]).sum() >= 4:
            return row
    return 0
