"""What a table of results says, in three sentences, with chance level and intervals beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from tema_lib.data.dataset import DOMAINS
from tema_lib.evaluation.intervals import paired_difference
from tema_lib.evaluation.metrics import expected_at_random
from tema_lib.evaluation.ranking import Ranks

METRIC = "NDCG@10"
CONTROLS = ("tema-no-tags", "tema-shuffled-tags")


def interpretation(ranks: Mapping[str, Ranks]) -> list[str]:
    """Three sentences: who is first, the proposed system against SASRec, and what its tags add.

    Args:
        ranks: by system, of the same test cases and one seed.
    """
    return [_first(ranks), _against_sasrec(ranks), _tags(ranks)]


def _first(ranks: Mapping[str, Ranks]) -> str:
    any_ranks = next(iter(ranks.values()))
    tested = [domain for domain in (0, 1) if len(any_ranks.of_domain(domain))]

    def mean(name: str) -> float:
        return float(np.mean([ranks[name].of_domain(d).metric(METRIC) for d in tested]))

    best = max(ranks, key=mean)
    chance = float(expected_at_random(any_ranks.candidates, METRIC).mean())
    return (
        f"{best} has the highest mean {METRIC} of {len(ranks)} systems, {mean(best):.3f}; "
        f"a random ranking reaches {chance:.3f}."
    )


def _against_sasrec(ranks: Mapping[str, Ranks]) -> str:
    if not {"tema", "sasrec"} <= set(ranks):
        return "Whether TEMA-LLM is above SASRec is open: this run did not rank both."
    return f"TEMA-LLM is {_compared(ranks, 'tema', 'sasrec')}."


def _tags(ranks: Mapping[str, Ranks]) -> str:
    controls = [name for name in CONTROLS if name in ranks and "tema" in ranks]
    if not controls:
        return "What the tags add is open: this run ranked no control for them."
    against = "; ".join(_compared(ranks, "tema", control) for control in controls)
    return f"What its tags add: it is {against}. One seed; intervals (95 %) are over test cases."


def _compared(ranks: Mapping[str, Ranks], one: str, other: str) -> str:
    """ "above `other` in A (+0.018 [+0.003, +0.033]), ..." for each domain with test cases."""
    said = []
    for index, letter in enumerate(DOMAINS):
        mean, (low, high) = paired_difference([ranks[one]], [ranks[other]], METRIC, index)
        if math.isnan(mean):
            continue
        verdict = "above" if low > 0 else "below" if high < 0 else "level with"
        said.append(f"{verdict} {other} in {letter} ({mean:+.3f} [{low:+.3f}, {high:+.3f}])")
    return ", ".join(said)
