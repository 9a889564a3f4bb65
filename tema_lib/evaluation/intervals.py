"""tema_lib.evaluation.intervals"""

from __future__ import annotations

import math

import numpy as np

from tema_lib.evaluation.ranking import Ranks

# ---------------------------------------------------------------------------------------------- intervals


def interval(
    values: np.ndarray, *, resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over cases (ours); NaN without a case.  Paired comparison: give the per-case differences."""
    if len(values) == 0:
        return math.nan, math.nan
    generator = np.random.default_rng(seed)
    means = [
        values[generator.integers(len(values), size=len(values))].mean() for _ in range(resamples)
    ]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_difference(
    one: list[Ranks], other: list[Ranks], metric: str, domain: int | None = None
) -> tuple[float, tuple[float, float]]:
    """Mean per-case difference `one` - `other` and its interval; several seeds are averaged per case first.

    Raises ValueError unless all rank the same cases.
    """
    rows = one[0].row
    if any(not np.array_equal(ranks.row, rows) for ranks in [*one, *other]):
        raise ValueError(
            "these systems were not evaluated on the same cases: give both the same split and slice."
        )

    def mean(several):
        return np.mean([ranks.values(metric) for ranks in several], axis=0)

    difference = mean(one) - mean(other)
    if domain is not None:
        difference = difference[one[0].domain == domain]
    return float(difference.mean()) if len(difference) else math.nan, interval(difference)
