"""tema_lib.evaluation.metrics"""

from __future__ import annotations

import re

import numpy as np

METRICS = ("MRR", "NDCG@5", "NDCG@10", "HR@1", "HR@5", "HR@10")


def metric_of_ranks(ranks: np.ndarray, name: str) -> np.ndarray:
    """One metric per case from ranks (1 = best; halves where tied).  MRR is not cut; one target a case, so the ideal DCG is 1.

    Raises ValueError for another name than MRR, HR@k or NDCG@k.
    """
    if name == "MRR":
        return 1.0 / ranks
    asked = re.fullmatch(r"(HR|NDCG)@([1-9]\d*)", name)
    if not asked:
        raise ValueError(f"metric {name!r} is unknown: write MRR, HR@k or NDCG@k.")
    hit = ranks <= int(asked[2])
    return hit.astype(float) if asked[1] == "HR" else np.where(hit, 1.0 / np.log2(1.0 + ranks), 0.0)
