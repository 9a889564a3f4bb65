"""Attention weights of one case, beside titles that a person can read.

The weights come from the forward pass in evaluation mode. They say what the model *attended to*,
not what *decided*: `occlusion.py` answers the second question.
Source: the paper shows attention pictures (stated); their summary per event is ours.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tema_lib.data.batches import Batch
from tema_lib.data.dataset import Items
from tema_lib.data.sequences import Sequences, padded
from tema_lib.explain.counterfactual import CounterfactualModel, CounterfactualOutput, Interaction
from tema_lib.models.tema import BRANCHES, Tema


@dataclass(frozen=True)
class Event:
    """One interaction or item, in words.

    item: global id.
    title: its title, or "item <id>" where the data have none.
    domain: "A" or "B", the domain in which it counts.
    """

    item: int
    title: str
    domain: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class AttentionRecord:
    """One case.

    history: all events that the model read, oldest first.
    days: for each of them, days before the newest; None where no times are known.
    target: the true next item; None for a history made up by hand.
    domain: "A" or "B", the domain of the next interaction.
    events[branch]: the events of a branch.
    weights[branch]: float [layers, H, T, T] over these events; rows are queries and sum to 1. A
        branch without events has T = 0.
    branch_weights[branch]: the attention of the last step to the branch; they sum to 1, or to 0 for
        an empty history.
    event_weights: float [len(history)], branches and heads of the last layer combined
        (`event_attention`).
    top[domain]: (event, probability) of the first items of each domain, best first.
    target_rank, target_probability: rank and probability of the target.
    """

    user: str
    history: tuple[Event, ...]
    days: tuple[float, ...] | None
    target: Event | None
    domain: str
    events: dict[str, tuple[Event, ...]]
    weights: dict[str, Tensor]
    branch_weights: dict[str, float]
    event_weights: Tensor
    top: dict[str, tuple[tuple[Event, float], ...]]
    target_rank: float | None
    target_probability: float | None

    def positions(self, branch: str) -> list[int]:
        """The positions in the history of a branch's events."""
        return positions_in(branch, self.history)

    def attention_row(self, branch: str, layer: int, head: int | None, query: int) -> Tensor:
        """Attention from one query event of a branch to the whole history, [len(history)].

        Args:
            head: None averages all heads.
            query: counts the events of the branch; -1 is the newest.
        """
        row = torch.zeros(len(self.history))
        if self.events[branch]:
            weights = self.weights[branch][layer]
            chosen = weights.mean(0) if head is None else weights[head]
            row[self.positions(branch)] = chosen[query]
        return row


def positions_in(branch: str, events: Sequence[Event]) -> list[int]:
    """The positions of those events that belong to a branch."""
    return [position for position, event in enumerate(events) if branch in ("merged", event.domain)]


def title_of(items: Items, item: int) -> str:
    """The whole title of an item, or "item <id>" where it has none."""
    return items.title[item] or f"item {items.item_id[item]}"


def shortened(text: str, width: int) -> str:
    """The text in at most `width` characters, cut between words where that is possible."""
    cut = textwrap.shorten(text, width, placeholder=" …")
    return f"{text[: width - 1]}…" if cut.strip() == "…" else cut


def event_of(model: CounterfactualModel, interaction: Interaction | int) -> Event:
    """An interaction, or the item with this global id, in words."""
    if not isinstance(interaction, Interaction):
        interaction = Interaction(interaction)
    tags = model.tags_read(interaction) if model.tags else ()
    return Event(
        interaction.item,
        title_of(model.items, interaction.item),
        "AB"[model.domain_of(interaction)],
        tuple(map(model.tag_name, tags)),
    )


def case_batch(model: Tema, sequences: Sequences, rows: Sequence[int]) -> Batch:
    """The given test cases as one batch: what the model reads before the last event of each."""
    chosen = torch.as_tensor(rows)
    history = padded(sequences, chosen, model.max_length, held_out=1)
    return Batch(history, None, model.domain_of_item.cpu()[sequences.last[chosen]], chosen)


def in_branch(model: Tema, batch: Batch, branch: str) -> Tensor:
    """Which events of the batch belong to a branch, bool [B, T]."""
    if branch == "merged":
        return batch.sequence > 0
    return model.domain_of_item[batch.sequence] == BRANCHES.index(branch)


@torch.inference_mode()
def newest_attention(model: Tema, batch: Batch) -> dict[str, Tensor]:
    """Attention from the newest event of each branch to the positions of the whole history.

    Returns:
        {branch: float [B, layers, H, T]}; rows of 0 for an empty branch.
    """
    record, every = model.attention(batch), torch.arange(len(batch.sequence))
    attention = {}
    for branch in model.config.branches:
        here = in_branch(model, batch, branch)
        newest = (here.sum(1) - 1).clamp(min=0)
        row = record[branch]["weights"][every, :, :, newest]  # [B, layers, H, Ts]
        position = (here.long().cumsum(1) - 1).clamp(min=0)
        position = position[:, None, None].expand(*row.shape[:3], -1)
        attention[branch] = row.gather(3, position) * here[:, None, None]
    return attention


@torch.inference_mode()
def event_attention(model: Tema, batch: Batch) -> Tensor:
    """Attention of the prediction to each event, [B, T].

        a_j = sum_s  beta_s * mean_h  alpha^s_h[newest event of s, j]

    beta is the attention across the branches, alpha the attention inside branch s in the last
    layer. Rows sum to 1, or to 0 for an empty history. The summary ignores residual paths and, with
    several layers, what earlier layers have mixed.
    Source: ours.
    """
    every = torch.arange(len(batch.last))
    across = model.attention(batch)["across"]["weights"][every, batch.last]  # [B, branches]
    newest = newest_attention(model, batch)
    return combined_attention(
        across, {branch: weights[:, -1] for branch, weights in newest.items()}
    )


def combined_attention(across: Tensor, newest: Mapping[str, Tensor]) -> Tensor:
    """The equation of `event_attention`, [..., T].

    Args:
        across: float [..., branches], attention across the branches.
        newest: {branch: float [..., H, T]} in the order of `across`, attention from the newest
            event of each branch to the positions of the whole history.
    """
    total = torch.zeros(())
    for number, weights in enumerate(newest.values()):
        total = total + across[..., number, None] * weights.mean(-2)
    return total


def record_of(
    model: CounterfactualModel,
    history: Sequence[Interaction | int],
    domain: int,
    *,
    target: int | None = None,
    user: str = "",
    times: Sequence[int] | None = None,
    seen: Sequence[int] | None = None,
    top: int = 5,
) -> AttentionRecord:
    """The record of a history.

    Args:
        history: global ids or interactions, oldest first.
        domain: the domain of the next interaction, 0 or 1.
        target: the true next item, where it is known.
        times: seconds of the events.
        seen: the items that are not recommended; by default those of the history.
        top: how many items are recommended in each domain.

    Raises:
        ValueError: an unknown global id.
    """
    seen = model.seen(history) if seen is None else seen
    window = model.interactions(history)
    events = tuple(event_of(model, interaction) for interaction in window)
    output = model.predict([window])
    across = output.across[0, domain]
    in_branches, weights, newest = {}, {}, {}
    for branch in model.model.config.branches:
        positions = positions_in(branch, events)
        size = len(positions)
        in_branches[branch] = tuple(events[position] for position in positions)
        weights[branch] = output.weights[branch][0, :, :, :size, :size].clone()
        newest[branch] = torch.zeros(weights[branch].size(1), len(events))
        if positions:
            newest[branch][:, positions] = weights[branch][-1, :, -1]
    return AttentionRecord(
        user,
        events,
        None if times is None else _days_before_newest(times, len(events)),
        None if target is None else event_of(model, target),
        "AB"[domain],
        in_branches,
        weights,
        dict(zip(model.model.config.branches, across.tolist())),
        combined_attention(across, newest),
        _top_items(model, output, seen, top),
        None if target is None else float(output.rank(target, model.candidates(target, seen))[0]),
        None if target is None else float(output.log_probability[0, target].exp()),
    )


def _days_before_newest(times: Sequence[int], count: int) -> tuple[float, ...]:
    return tuple((times[-1] - time) / 86_400 for time in list(times)[-count:])


def _top_items(
    model: CounterfactualModel, output: CounterfactualOutput, seen: Sequence[int], top: int
) -> dict[str, tuple[tuple[Event, float], ...]]:
    """The most probable unseen items of each domain, for the only history of `output`."""
    best = {}
    for name, own in zip("AB", model.of_domain):
        unseen = own[~torch.isin(own, torch.tensor(seen, dtype=torch.long))]
        first = output.log_probability[0, unseen].topk(min(top, len(unseen)))
        best[name] = tuple(
            (event_of(model, int(unseen[index])), float(value.exp()))
            for value, index in zip(first.values, first.indices)
        )
    return best


def attention_record(
    model: CounterfactualModel,
    sequences: Sequences,
    row: int,
    *,
    times: Sequence[int] | None = None,
    top: int = 5,
) -> AttentionRecord:
    """The record of test case `row`: its last event is the target, the others are the history.

    Args:
        times: seconds of all events of the row, the target included.
    """
    *history, target = sequences[row].tolist()
    return record_of(
        model,
        history,
        int(model.items.domain_of_item[target]),
        target=target,
        user=sequences.user_id[row],
        times=None if times is None else list(times)[:-1],
        top=top,
    )
