"""What the model looked at in one case, under the titles a person can read.

The weights are those of the forward pass in evaluation mode.  They say where the model *looked*, not what *decided*:
`occlusion.py` asks the second question.  Status: the paper shows attention pictures (stated); their summary per event is ours.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tema_lib.data.batches import Batch
from tema_lib.data.dataset import Items
from tema_lib.data.sequences import Sequences, padded
from tema_lib.explain.counterfactual import CounterfactualModel, Interaction
from tema_lib.models.tema import BRANCHES, Tema


@dataclass(frozen=True)
class Event:
    """One interaction or item: global id, title ("item <id>" where the data have none), domain "A" or "B" in which it counts, tags."""

    item: int
    title: str
    domain: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class AttentionRecord:
    """One case.

    history: all events the model read, oldest first; days: for each, days before the newest (None where no times are known).
    target: what was bought next (None for a history made up by hand); domain: "A" or "B", where it was bought.
    events[branch]: the events of a branch; weights[branch]: float [layers, H, T, T] over them, row = the event that looks,
    each row sums to 1 (a branch without events has T = 0); branch_weights[branch]: how much the last step listened to it (they sum to 1,
    or to 0 for an empty history); event_weights: float [len(history)], branches and heads of the last layer taken together (`event_attention`);
    top[domain]: (event, probability) of the first items of each domain, best first; target_rank and target_probability: where the target stands.
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
        """Where the events of a branch stand in the history."""
        return [
            position
            for position, event in enumerate(self.history)
            if branch in ("merged", event.domain)
        ]

    def spread(self, branch: str, layer: int, head: int | None, looking: int) -> Tensor:
        """The weights that event `looking` of a branch gives (`head` None: mean of all), at the places of the whole history, [len(history)]."""
        row = torch.zeros(len(self.history))
        if self.events[branch]:
            weights = self.weights[branch][layer]
            row[self.positions(branch)] = (weights.mean(0) if head is None else weights[head])[
                looking
            ]
        return row


def title_of(items: Items, item: int) -> str:
    """What to call an item: its title, whole; "item <id>" where it has none."""
    return items.title[item] or f"item {items.item_id[item]}"


def shortened(text: str, width: int) -> str:
    """Any text in at most `width` letters, cut at a word where one ends early enough."""
    cut = textwrap.shorten(text, width, placeholder=" …")
    return f"{text[: width - 1]}…" if cut.strip() == "…" else cut


def event_of(reader: CounterfactualModel, interaction: Interaction | int) -> Event:
    interaction = interaction if isinstance(interaction, Interaction) else Interaction(interaction)
    tags = (
        tuple(reader.tags.vocabulary[tag] for tag in reader.tags_read(interaction))
        if reader.tags
        else ()
    )
    return Event(
        interaction.item,
        title_of(reader.items, interaction.item),
        "AB"[reader.shop_of(interaction)],
        tags,
    )


def case_batch(model: Tema, sequences: Sequences, rows: Sequence[int]) -> Batch:
    """The given test cases as one batch: the input is what the model reads of the history before the last event."""
    rows = torch.as_tensor(rows)
    return Batch(
        padded(sequences, rows, model.max_length, held_out=1),
        None,
        model.domain_of_item.cpu()[sequences.last[rows]],
        rows,
    )


@torch.inference_mode()
def newest_attention(model: Tema, batch: Batch) -> dict[str, Tensor]:
    """What the newest event of each branch looks at, back in merged time: {branch: float [B, layers, H, T]}; rows of 0 for an empty branch."""
    record, every = model.attention(batch), torch.arange(len(batch.sequence))
    attention = {}
    for branch in model.config.branches:
        here = (
            batch.sequence > 0
            if branch == "merged"
            else model.domain_of_item[batch.sequence] == BRANCHES.index(branch)
        )
        newest = (here.sum(1) - 1).clamp(min=0)
        row = record[branch]["weights"][every, :, :, newest]  # (B, layers, H, Ts)
        position = (
            (here.long().cumsum(1) - 1).clamp(min=0)[:, None, None].expand(*row.shape[:3], -1)
        )
        attention[branch] = row.gather(3, position) * here[:, None, None]
    return attention


@torch.inference_mode()
def event_attention(model: Tema, batch: Batch) -> Tensor:
    """How much the prediction looks at each event, [B, T]: rows sum to 1, or to 0 for an empty history.

        a_j = sum_s  beta_s * mean_h  alpha^s_h[newest event of s, j]

    beta: attention across the branches; alpha: attention inside branch s, last layer.  Ours: a summary that ignores residual paths and,
    with several layers, what the layers below had mixed already.
    """
    across = model.attention(batch)["across"]["weights"][
        torch.arange(len(batch.last)), batch.last
    ]  # (B, branches)
    attention = newest_attention(model, batch)
    return sum(
        across[:, number, None] * attention[branch][:, -1].mean(1)
        for number, branch in enumerate(model.config.branches)
    )


def record_of(
    reader: CounterfactualModel,
    history: Sequence[Interaction | int],
    domain: int,
    *,
    target: int | None = None,
    user: str = "",
    times: Sequence[int] | None = None,
    seen: Sequence[int] | None = None,
    top: int = 5,
) -> AttentionRecord:
    """Record of a history; `domain` is where the next interaction happens.

    What was `seen` (by default the items of the history) is not recommended; `times` are the events' seconds.
    Raises ValueError for an id that is no item.
    """
    seen = reader.seen(history) if seen is None else seen
    history = reader.interactions(history)
    events = tuple(event_of(reader, interaction) for interaction in history)
    reading = reader.read([history])
    in_branch, weights, share = {}, {}, reading.across[0, domain]
    event_weights = torch.zeros(len(history))
    for number, branch in enumerate(reader.model.config.branches):
        positions = [
            position for position, event in enumerate(events) if branch in ("merged", event.domain)
        ]
        in_branch[branch] = tuple(events[position] for position in positions)
        weights[branch] = reading.weights[branch][
            0, :, :, : len(positions), : len(positions)
        ].clone()
        if positions:
            event_weights[positions] += share[number] * weights[branch][-1].mean(0)[-1]
    days = (
        None
        if times is None
        else tuple((times[-1] - time) / 86_400 for time in list(times)[-len(history) :])
    )
    best = {}
    for name, own in zip("AB", reader.of_domain):
        free = own[~torch.isin(own, torch.tensor(seen, dtype=torch.long))]
        first = reading.log_probability[0, free].topk(min(top, len(free)))
        best[name] = tuple(
            (event_of(reader, int(free[position])), float(value.exp()))
            for value, position in zip(first.values, first.indices)
        )
    position = chance = None
    if target is not None:
        position = float(reading.rank(target, reader.candidates(target, seen))[0])
        chance = float(reading.log_probability[0, target].exp())
    return AttentionRecord(
        user,
        events,
        days,
        None if target is None else event_of(reader, target),
        "AB"[domain],
        in_branch,
        weights,
        dict(zip(reader.model.config.branches, share.tolist())),
        event_weights,
        best,
        position,
        chance,
    )


def attention_record(
    reader: CounterfactualModel,
    sequences: Sequences,
    row: int,
    *,
    times: Sequence[int] | None = None,
    top: int = 5,
) -> AttentionRecord:
    """Record of test case `row`: its last event is the target, what precedes it the history.  `times`: seconds of all events of the row."""
    *history, target = sequences[row].tolist()
    return record_of(
        reader,
        history,
        int(reader.items.domain_of_item[target]),
        target=target,
        user=sequences.user_id[row],
        times=None if times is None else list(times)[:-1],
        top=top,
    )
