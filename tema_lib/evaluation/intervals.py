"""Bootstrap intervals over test cases, and paired differences between systems."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tema_lib.evaluation.ranking import Ranks

DRAWS = 2**20  # cases drawn at a time, which bounds the memory


def interval(
    values: np.ndarray, *, resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over cases.

    For a paired comparison, give the differences per case.

    Args:
        values: float [cases].
        resamples: how many samples are drawn with replacement.
        seed: of the draws.
        level: the confidence level.

    Returns:
        (low, high); NaN if there is no case.
    """
    from scipy.stats import bootstrap  # a long import, which a ranking does not need

    if len(values) < 2:  # scipy asks for two cases
        return (float(values[0]), float(values[0])) if len(values) else (math.nan, math.nan)
    found = bootstrap(
        (values,),
        np.mean,
        n_resamples=resamples,
        batch=max(1, DRAWS // len(values)),
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    low, high = found.confidence_interval
    return float(low), float(high)


def paired_difference(
    one: list[Ranks], other: list[Ranks], metric: str, domain: int | None = None
) -> tuple[float, tuple[float, float]]:
    """Mean difference `one` - `other` per case, and its interval.

    Args:
        one, other: the ranks of two systems, one entry a seed; seeds are averaged per case first.
        metric: as in `metric_of_ranks`.
        domain: 0 or 1 for the cases of one domain, None for all.

    Returns:
        The mean difference and (low, high); NaN if there is no case.

    Raises:
        ValueError: unless all ranks are of the same cases.
    """
    rows = one[0].row
    if any(not np.array_equal(ranks.row, rows) for ranks in [*one, *other]):
        raise ValueError(
            "these systems were not evaluated on the same cases: "
            "give both the same split and slice."
        )

    def mean(seeds: Sequence[Ranks]) -> np.ndarray:
        return np.mean([ranks.values(metric) for ranks in seeds], axis=0)

    difference = mean(one) - mean(other)
    if domain is not None:
        difference = difference[one[0].domain == domain]
    return float(difference.mean()) if len(difference) else math.nan, interval(difference)
