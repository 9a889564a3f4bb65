"""Attention heads over all users: what the newest event attends to, and whether a head found the
rule that wrote the synthetic data set.

Every share of attention appears beside *recency alone*: the average attention at each age, given to
whatever event has that age. Newer events are alike in many ways, so a head that only prefers new
events also seems to prefer the same tag and the same topic. Status: ours.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from tema_lib.data.batches import Batch
from tema_lib.evaluation.intervals import interval
from tema_lib.explain.attention import in_branch, newest_attention
from tema_lib.explain.occlusion import agreement
from tema_lib.models.layers import AttentionBlock, MultiHeadAttention, SequenceEncoder
from tema_lib.models.tema import Tema
from tema_lib.tags.item_tags import ItemTags

RULE = {
    "A": "the target's topic, events in A",
    "B": "the target's topic, events in B",
    "merged": "the target's topic, events in both domains",
}
INDEX = ["branch", "layer", "head"]


def ages(here: np.ndarray) -> np.ndarray:
    """How many events of the branch came after each one, int [B, T].

    Meaningless where `here` [B, T] is False.
    """
    return here[:, ::-1].cumsum(1)[:, ::-1] - 1


def recency_alone(attention: np.ndarray, here: np.ndarray) -> np.ndarray:
    """What remains of attention [B, T] when only the age of an event may matter.

    It is the average attention at each age, among the cases with equally many events in the branch.
    Rows sum to 1, or to 0 for an empty branch.

    Long and short histories stay apart: pooled, the small weights of long ones would make every age
    look older than it is, and uniform attention would seem to prefer old events.
    """
    lengths, profile = here.sum(1), np.zeros(here.shape)
    for length in np.unique(lengths[lengths > 0]):
        cases = lengths == length
        average = attention[cases][here[cases]].reshape(-1, length).mean(0)  # oldest to newest
        rows = np.zeros((cases.sum(), here.shape[1]))
        rows[here[cases]] = np.tile(average, cases.sum())
        profile[cases] = rows
    return profile


def share_on(
    attention: np.ndarray, here: np.ndarray, right: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The share of attention on the `right` events: measured, by recency alone, and uniform.

    Only cases count in which some but not all events of the branch are right; in the others every
    attention scores 0 or 1.

    Args:
        attention: float [B, T].
        here: bool [B, T], the events of the branch.
        right: bool [B, T].

    Returns:
        three float arrays with one share per counted case.
    """
    right = right & here
    counted = right.any(1) & (right.sum(1) < here.sum(1))
    uniform = here / np.maximum(here.sum(1, keepdims=True), 1)

    def share(weights: np.ndarray) -> np.ndarray:
        return (weights * right).sum(1)[counted]

    return share(attention), share(recency_alone(attention, here)), share(uniform)


def heads_of(model: Tema, batch: Batch) -> Iterator[tuple[str, int, int, np.ndarray, np.ndarray]]:
    """(branch, layer, head, attention [B, T], here [B, T]) of every head.

    The attention is that of the branch's newest event, at the positions of the whole history.
    """
    for branch, attention in newest_attention(model, batch).items():
        here = in_branch(model, batch, branch).numpy()
        for layer in range(attention.size(1)):
            for head in range(attention.size(2)):
                yield branch, layer + 1, head + 1, attention[:, layer, head].numpy(), here


def mean_of(values: np.ndarray) -> float:
    """The mean; nan, without a warning, where there is no value."""
    return float(values.mean()) if len(values) else float("nan")


def head_table(model: Tema, batch: Batch, tags: ItemTags | None = None) -> pd.DataFrame:
    """One row per head.

    Columns: the mean age of the attended events (0 is the newest event itself), the mean share of
    attention on the other domain, and the mean share on earlier events that have a tag in common
    with the newest; each share also by recency alone. nan where no case counts.
    """
    sequence = batch.sequence.numpy()
    domain = model.domain_of_item[batch.sequence].numpy()
    every = np.arange(len(sequence))
    rows = []
    for branch, layer, head, attention, here in heads_of(model, batch):
        newest = here.shape[1] - 1 - here[:, ::-1].argmax(1)
        back = (attention * ages(here) * here).sum(1)[here.any(1)]
        row = {"branch": branch, "layer": layer, "head": head, "events back": mean_of(back)}
        measures = {}
        if branch == "merged":
            measures["other domain"] = domain != domain[every, newest][:, None]
        if tags is not None:
            shared = _share_a_tag(tags, sequence, sequence[every, newest])
            measures["same tag"] = shared & (ages(here) > 0)
        for name, right in measures.items():
            found, recency, _ = share_on(attention, here, right)
            row |= {name: mean_of(found), f"{name}, recency alone": mean_of(recency)}
        rows.append(row)
    return pd.DataFrame(rows).set_index(INDEX)


def _share_a_tag(tags: ItemTags, sequence: np.ndarray, newest: np.ndarray) -> np.ndarray:
    """bool [B, T]: the event has a tag in common with the newest one [B]."""
    theirs, own = tags.tag_ids[torch.from_numpy(sequence)], tags.tag_ids[torch.from_numpy(newest)]
    same = (theirs[:, :, :, None] == own[:, None, None, :]) & (theirs[..., None] > 0)
    return same.any(3).any(2).numpy()


def known_rule(
    model: Tema, batch: Batch, right: np.ndarray, effects: Sequence[Tensor]
) -> pd.DataFrame:
    """One row per head: the rule, what the head attends to, and whether occlusion agrees.

    Columns: the share of attention on right events by chance (uniform), by recency alone and as
    measured; "beyond recency", the mean difference over cases with its 95 % interval (low, high);
    "occlusion", the mean rank correlation inside each history of the attention beyond recency with
    the events' effects, with its interval. The rule is "found", and occlusion "agrees", where the
    interval is above 0.

    Args:
        right: bool [B, T], the event serves the target's topic.
        effects: `occlusion` of each case.
    """
    rows = []
    for branch, layer, head, attention, here in heads_of(model, batch):
        found, recency, chance = share_on(attention, here, right)
        beyond = attention - recency_alone(attention, here)
        rho = np.array(
            [
                agreement(beyond[case][here[case]], effect.numpy()[here[case][: len(effect)]])
                for case, effect in enumerate(effects)
            ]
        )
        rho = rho[~np.isnan(rho)]
        low, high = interval(found - recency)
        rho_low, rho_high = interval(rho)
        rows.append(
            {
                "branch": branch,
                "layer": layer,
                "head": head,
                "rule": RULE[branch],
                "by chance": chance.mean(),
                "recency alone": recency.mean(),
                "attention": found.mean(),
                "beyond recency": (found - recency).mean(),
                "low": low,
                "high": high,
                "occlusion": rho.mean(),
                "occlusion low": rho_low,
                "occlusion high": rho_high,
                "found": low > 0,
                "agrees": rho_low > 0,
            }
        )
    return pd.DataFrame(rows).set_index(INDEX)


def uniform_attention(
    model: Tema, branch: str | None = None, layer: int | None = None, head: int | None = None
) -> Tema:
    """A copy of the network whose chosen heads attend to all events equally; nothing is retrained.

    Queries, keys and lag biases of the chosen heads become 0.

    Args:
        branch, layer, head: which heads, layers and heads counted from 1; None chooses all. If all
            three are None, attention across the branches becomes uniform as well, and that of the
            SASRec whose scores are averaged in.
    """
    uniform = copy.deepcopy(model)
    heads = range(model.config.heads) if head is None else range(head - 1, head)
    encoders = {}
    for name in uniform.config.branches:
        # A copy for each branch: they may share one encoder.
        uniform.encoders[name] = copy.deepcopy(uniform.encoders[name])
        if branch in (None, name):
            encoders[name] = uniform.encoders[name]
    if (branch, layer, head) == (None, None, None):
        if uniform.across.query is not None:
            torch.nn.init.zeros_(uniform.across.query)
        if uniform.sasrec is not None:
            encoders["ids"] = uniform.sasrec.encoders[0]
    for encoder in encoders.values():
        assert isinstance(encoder, SequenceEncoder)
        for number, block in enumerate(encoder.blocks, start=1):
            assert isinstance(block, AttentionBlock)
            if layer in (None, number):
                _attend_equally(block.attention, heads)
    return uniform


@torch.no_grad()
def _attend_equally(attention: MultiHeadAttention, heads: range) -> None:
    """Make queries, keys and lag biases of these heads 0, in place."""
    hidden = attention.output.in_features
    width = hidden // attention.heads
    projection = attention.query_key_value
    for parameter in (projection.weight, projection.bias):  # rows: queries, keys, values
        by_kind = parameter.view(3, hidden, *parameter.shape[1:])
        by_kind[:2, heads.start * width : heads.stop * width] = 0
    if attention.lag is not None:
        attention.lag[heads.start : heads.stop] = 0
