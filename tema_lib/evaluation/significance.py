"""Paired t tests between systems that ranked the same test cases, corrected for their number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Comparison:
    """One system against another.

    difference: mean over the test cases, the system minus the other; error: its standard error.
    p: two-sided, of a paired t test; corrected: the same after Holm's correction.  Both count test
    cases, not trainings: that other seeds would agree, they do not say.
    """

    cases: int
    difference: float
    error: float
    p: float
    corrected: float


def paired_t(differences: np.ndarray) -> float:
    """The two-sided p value of the mean of paired differences; NaN below two cases.

    Differences that are all 0 give 1.
    """
    from scipy.stats import ttest_1samp  # a long import, which a ranking does not need

    if len(differences) < 2:
        return math.nan
    if not differences.any():
        return 1.0
    return float(ttest_1samp(differences, 0.0).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrected p values: the chance of one false finding among all of them stays below each.

    Source: Holm 1979.
    """
    corrected = [math.nan] * len(p_values)
    known = sorted((p, index) for index, p in enumerate(p_values) if not math.isnan(p))
    highest = 0.0
    for rank, (p, index) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        corrected[index] = highest
    return corrected


def compare(reference: np.ndarray, others: Mapping[str, np.ndarray]) -> dict[str, Comparison]:
    """Each system against the reference, over the same test cases.

    Args:
        reference: a metric a test case, averaged over seeds, float [cases].
        others: the same of the other systems, by name.

    Raises:
        ValueError: for another number of cases.
    """
    for name, values in others.items():
        if values.shape != reference.shape:
            raise ValueError(
                f"{name} ranked {len(values)} cases, the reference {len(reference)}: both have to "
                "be evaluated on the same ones."
            )
    differences = {name: values - reference for name, values in others.items()}
    p_values = [paired_t(difference) for difference in differences.values()]
    return {
        name: Comparison(
            len(difference),
            float(difference.mean()) if len(difference) else math.nan,
            float(difference.std(ddof=1) / len(difference) ** 0.5)
            if len(difference) > 1
            else math.nan,
            p,
            corrected,
        )
        for (name, difference), p, corrected in zip(differences.items(), p_values, holm(p_values))
    }
