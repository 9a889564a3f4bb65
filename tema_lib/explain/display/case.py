"""The values that the HTML of one case shows."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tema_lib.explain.attention import Event
from tema_lib.explain.effects import Effect, Effects
from tema_lib.explain.explanation import Explanation


class CaseRow(NamedTuple):
    """One event of a case; `weight` is None where the query event cannot attend to it."""

    event: Event
    days: float | None
    query: bool
    weight: float | None
    tags: dict[str, Effect]
    effect: Effect
    shapley: float
    error: float


def case_values(
    explanation: Explanation,
    branch: str,
    layer: int,
    head: int | None,
    query: int,
    of: str,
) -> dict[str, Any]:
    """The values of case.html."""
    record, effects = explanation.record, explanation.about(of)
    of = next(kind for kind, found in explanation.effects.items() if found is effects)
    positions = record.positions(branch)
    query_position = positions[query] if positions else -1
    weights = record.attention_row(branch, layer, head, query).tolist()
    values, errors = effects.shapley.tolist(), effects.shapley_error.tolist()
    rows = [
        CaseRow(
            event,
            None if record.days is None else record.days[position],
            position == query_position,
            weights[position] if position in positions and position <= query_position else None,
            dict(effects.tags[position]),
            effects.events[position],
            values[position],
            errors[position],
        )
        for position, event in enumerate(record.history)
    ]
    left_out = _left_out(effects)
    return {
        "of": of,
        "branch": branch,
        "in_branch": bool(positions),
        "effects": effects,
        "probability": math.exp(effects.log_probability),
        "rows": rows,
        "widest": max([0.25, *weights]),  # the full width of a bar
        "scale": max([abs(effect.lost) for effect in effects.events] + [0.1]),
        "largest": max([abs(value) for value in values] + [0.1]),
        "branch_weights": record.branch_weights,
        "trust": trust_values(explanation, of, branch, layer, head, query),
        "left_out": left_out,
        "left_out_scale": max([abs(effect.lost) for _, effect in left_out] + [0.1]),
    }


def trust_values(
    explanation: Explanation, of: str, branch: str, layer: int, head: int | None, query: int
) -> dict[str, Any]:
    """Whether attention orders the events as occlusion and Shapley values do.

    The same question is put to random weights; `by_chance` holds for two unrelated orders.
    """
    count = len(explanation.record.positions(branch))
    if query not in (-1, count - 1):
        return {"direct": False}
    measured = [
        explanation.agreement(of, branch, layer, head, control=control) for control in (False, True)
    ]
    if count < 6 or any(math.isnan(value) for pair in measured for value in pair):
        return {"direct": True, "enough": False}
    (occlusion, shapley), (random_occlusion, random_shapley) = measured
    return {
        "direct": True,
        "enough": True,
        "events": count,
        "occlusion": occlusion,
        "shapley": shapley,
        "random_occlusion": random_occlusion,
        "random_shapley": random_shapley,
        "by_chance": 1.96 / math.sqrt(count - 1),
    }


def _left_out(effects: Effects) -> list[tuple[str, Effect]]:
    """What each modality, and each tag of the explained item itself, is worth."""
    rows = [(f"{name}, of all items", effect) for name, effect in effects.modalities.items()]
    return rows + [(f"its own tag “{tag}”", effect) for tag, effect in effects.own_tags]
