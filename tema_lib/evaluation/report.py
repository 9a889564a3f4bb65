"""What an evaluation found, as a small table: the main metrics of each domain with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from tema_lib.data.dataset import DOMAINS, UNNAMED
from tema_lib.evaluation.intervals import interval
from tema_lib.evaluation.ranking import Ranks

SHOWN = ("NDCG@10", "HR@10", "MRR")


@dataclass(frozen=True)
class Evaluation:
    """The ranks of one system's test cases; printed, it is its table.

    ranks: one entry a test case, full ranking; domains: what A and B are called.
    """

    ranks: Ranks
    domains: tuple[str, str] = UNNAMED

    @property
    def table(self) -> pd.DataFrame:
        """One row a domain and metric: mean over the test cases, 95 % bootstrap interval, cases.

        A domain without a test case has NaN.
        """
        rows = {}
        for index, (letter, name) in enumerate(zip(DOMAINS, self.domains)):
            own = self.ranks.of_domain(index)
            label = letter if name in UNNAMED else f"{letter} ({name})"
            for metric in SHOWN:
                low, high = interval(own.values(metric), resamples=1000)
                rows[label, metric] = (own.metric(metric), low, high, len(own))
        index = pd.MultiIndex.from_tuples(rows, names=("domain", "metric"))
        return pd.DataFrame(rows.values(), index, columns=["mean", "low", "high", "cases"])

    def __str__(self) -> str:
        return self.table.to_string(float_format="{:.4f}".format, na_rep="no case")

    def _repr_html_(self) -> str:
        return self.table.to_html(float_format="{:.4f}".format, na_rep="no case")
