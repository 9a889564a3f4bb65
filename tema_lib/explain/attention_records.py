"""What the model looked at in one test case, under the titles a person can read.

The weights are those of the forward pass in evaluation mode.  They say where the model *looked*, not what *decided*:
`occlusion.py` asks the second question.  Status: the paper shows attention pictures (stated); their summary per event is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tema_lib.data.interactions import Items
from tema_lib.data.sequences import Batch, Sequences, domain_view, padded
from tema_lib.models.tema import THREADS, Tema


@dataclass(frozen=True)
class Event:
    """One purchase: global id, title ("item <id>" where the data have none), domain "A" or "B"."""

    item: int
    title: str
    domain: str


@dataclass(frozen=True)
class AttentionRecord:
    """One test case.

    history: all events the model read, oldest first; target: what was bought next (None for a history made up by hand).
    events[thread]: the events of a thread; weights[thread]: float [layers, H, T, T] over them, row = the event that looks,
    each row sums to 1 (a thread without events has T = 0); thread_weights[thread]: how much the last step listened to it (they sum to 1,
    or to 0 for an empty history); event_weights: float [len(history)], threads and heads of the last layer taken together (`event_attention`);
    top: (event, score), best first.
    """

    user: str
    history: tuple[Event, ...]
    target: Event | None
    domain: str
    events: dict[str, tuple[Event, ...]]
    weights: dict[str, Tensor]
    thread_weights: dict[str, float]
    event_weights: Tensor
    top: tuple[tuple[Event, float], ...]


def event_of(items: Items, item: int) -> Event:
    return Event(item, items.title[item] or f"item {items.item_id[item]}", "AB"[items.domain_of_item[item]])


def history_batch(histories: Sequence[Sequence[int]], domain: int, max_length: int = 50) -> Batch:
    """Histories of global ids, oldest first, as one right-padded batch that asks for the next event in `domain`."""
    sequence = torch.zeros(len(histories), max([1, *(min(len(history), max_length) for history in histories)]), dtype=torch.long)
    for line, history in enumerate(histories):
        window = torch.as_tensor(list(history)[-max_length:], dtype=torch.long)
        sequence[line, :len(window)] = window
    rows = torch.arange(len(sequence))
    return Batch(sequence, None, torch.full_like(rows, domain), rows)


def case_batch(sequences: Sequences, rows: Sequence[int], domain_of_item: Tensor, max_length: int = 50) -> Batch:
    """The given test cases as one batch: the input is everything before the last event."""
    rows = torch.as_tensor(rows)
    return Batch(padded(sequences, rows, max_length, held_out=1), None, domain_of_item[sequences.last[rows]], rows)


@torch.inference_mode()
def event_attention(model: Tema, batch: Batch) -> Tensor:
    """How much the prediction looks at each event, [B, T]: rows sum to 1, or to 0 for an empty history.

        a_j = sum_s  beta_s * mean_h  alpha^s_h[last event of s, j]

    beta: attention across the threads; alpha: attention inside thread s, last layer.  Ours: a summary that ignores residual paths and,
    with several layers, what the layers below had mixed already.
    """
    record = model.attention(batch)
    domain_of_item = model.domain_of_item
    last = batch.last
    across = record["across"]["weights"][torch.arange(len(last)), last]                     # (B, threads)
    total = torch.zeros(batch.sequence.shape)
    for number, thread in enumerate(model.config.threads):
        weights = record[thread]["weights"][:, -1].mean(1)                                  # (B, Ts, Ts), mean over heads
        here = batch.sequence > 0 if thread == "merged" else domain_of_item[batch.sequence] == THREADS.index(thread)
        latest = (here.sum(1) - 1).clamp(min=0)
        row = weights[torch.arange(len(last)), latest]                                      # (B, Ts): the thread's last event looks
        place = (here.long().cumsum(1) - 1).clamp(min=0)
        total += across[:, number, None] * row.gather(1, place) * here                      # back to merged time
    return total


@torch.inference_mode()
def record_of(model: Tema, history: Sequence[int], domain: int, items: Items, *, target: int | None = None, user: str = "",
              max_length: int = 50, top: int = 5) -> AttentionRecord:
    """Record of a history of global ids; `domain` is where the next purchase happens.  Items bought already are not recommended.

    Raises ValueError for an id that is no item.
    """
    history = [int(item) for item in history][-max_length:]
    if bad := [item for item in history if not 1 <= item <= items.count]:
        raise ValueError(f"{bad[0]} is no item: global ids run from 1 to {items.count}.")
    batch = history_batch([history], domain, max_length)
    seen = model.attention(batch)
    events, weights = {}, {}
    for thread in model.config.threads:
        ids = seen[thread]["sequence"][0]
        length = int((ids > 0).sum())
        events[thread] = tuple(event_of(items, int(item)) for item in ids[:length])
        weights[thread] = seen[thread]["weights"][0, :, :, :length, :length].clone()
    across = seen["across"]["weights"][0, max(len(history) - 1, 0)].tolist()

    candidates = torch.from_numpy(np.setdiff1d(items.of_domain(domain), history))
    training, _ = model.training, model.eval()
    scores = model.score(batch, candidates)[0]
    model.train(training)
    best = scores.topk(min(top, len(candidates)))
    ranked = tuple((event_of(items, int(candidates[place])), float(score)) for score, place in zip(best.values, best.indices))
    return AttentionRecord(user, tuple(event_of(items, item) for item in history), None if target is None else event_of(items, target), "AB"[domain],
                           events, weights, dict(zip(model.config.threads, across)), event_attention(model, batch)[0, :len(history)], ranked)


def attention_record(model: Tema, sequences: Sequences, row: int, items: Items, *, max_length: int = 50, top: int = 5) -> AttentionRecord:
    """Record of test case `row`: its last event is the target, what precedes it the history."""
    sequence = sequences[row].tolist()
    return record_of(model, sequence[:-1], int(items.domain_of_item[sequence[-1]]), items, target=sequence[-1],
                     user=sequences.user_id[row], max_length=max_length, top=top)
