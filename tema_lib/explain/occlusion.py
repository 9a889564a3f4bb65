"""What decided: take something away, ask the model again, and see how the target's log-probability and rank change.

An intervention, where attention is only a reading.  It too is no last word: events that repeat each other hide each other's effect,
and a history with a hole was never seen in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from tema_lib.data.batches import Batch
from tema_lib.data.dataset import Items
from tema_lib.data.sequences import Sequences
from tema_lib.explain.attention import AttentionRecord, Event, event_of, record_of
from tema_lib.explain.counterfactual import CounterfactualModel, Interaction
from tema_lib.explain.shapley import shapley_values
from tema_lib.explain.what_if import removed, without_tag
from tema_lib.models.base import Recommender, evaluation_mode


@torch.inference_mode()
def log_probabilities(
    model: Recommender,
    histories: Sequence[Sequence[int]],
    targets: Sequence[int] | int,
    items: Items,
    max_length: int | None = None,
) -> Tensor:
    """log P(target | history) for each history, [len(histories)]: softmax over all items of the target's domain, as in training.

    Any system that scores can be asked; one target for all histories, or one each.  `max_length`: the newest events that are read, if nothing is
    said as many as the system has places for.
    """
    windows = [window_of(model, history, max_length) for history in histories]
    targets = torch.as_tensor(targets).expand(len(windows))
    sequence = torch.zeros(len(windows), max([1, *map(len, windows)]), dtype=torch.long)
    for line, window in enumerate(windows):
        sequence[line, : len(window)] = torch.tensor(window, dtype=torch.long)
    answer, target_domain = (
        torch.empty(len(windows)),
        torch.from_numpy(items.domain_of_item)[targets],
    )
    with evaluation_mode(model):
        for domain in target_domain.unique().tolist():
            lines, candidates = (
                torch.nonzero(target_domain == domain).flatten(),
                torch.from_numpy(items.of_domain(domain)),
            )
            batch = Batch(sequence[lines], None, torch.full_like(lines, domain), lines)
            scores = torch.cat(
                [
                    part.float().log_softmax(-1)
                    for part in model.scorer(candidates, rows=1024)(batch)
                ]
            )
            answer[lines] = scores.gather(1, targets[lines, None] - candidates[0])[:, 0]
    return answer


def window_of(
    model: Recommender, history: Sequence[int], max_length: int | None = None
) -> list[int]:
    """The part of a history that a system reads."""
    longest = max_length or model.max_length
    return [int(item) for item in history][max(len(history) - longest, 0) :]


def occlusion(
    model: Recommender,
    history: Sequence[int],
    target: int,
    items: Items,
    max_length: int | None = None,
) -> Tensor:
    """log P(target | history) - log P(target | history without event j), for each event j that the model reads: [T].

    Positive: the event spoke for the target.  The window is cut first, so no older event slips in for a removed one.
    """
    return occlusions(model, [history], [target], items, max_length)[0]


def occlusions(
    model: Recommender,
    histories: Sequence[Sequence[int]],
    targets: Sequence[int],
    items: Items,
    max_length: int | None = None,
) -> list[Tensor]:
    """`occlusion` of many cases at once, a [T] each."""
    windows = [window_of(model, history, max_length) for history in histories]
    asked, wanted = [], []
    for window, target in zip(windows, targets):
        asked += [
            window,
            *(window[:position] + window[position + 1 :] for position in range(len(window))),
        ]
        wanted += [int(target)] * (len(window) + 1)
    answers = log_probabilities(model, asked, wanted, items, max_length).split(
        [len(window) + 1 for window in windows]
    )
    return [answer[0] - answer[1:] for answer in answers]


def agreement(attention: Tensor | np.ndarray, effect: Tensor | np.ndarray) -> float:
    """Spearman's rank correlation of two readings of the same events; nan for fewer than three events or a constant reading."""
    attention, effect = np.asarray(attention, dtype=float), np.asarray(effect, dtype=float)
    if len(attention) != len(effect):
        raise ValueError(
            f"{len(attention)} weights beside {len(effect)} effects: both need one number per event."
        )
    if len(attention) < 3 or np.ptp(attention) == 0 or np.ptp(effect) == 0:
        return float("nan")
    return float(spearmanr(attention, effect).statistic)


# ---------------------------------------------------------------------------------------------- events, tags and modalities of one case


class Effect(NamedTuple):
    """What the target loses when something is taken away: `lost` in log-probability (positive: it spoke for the target), and its rank then."""

    lost: float
    rank: float


@dataclass(frozen=True)
class Effects:
    """Everything that can be taken away in one case, and what this does to one target.

    events: one effect per event of the history; tags: per event (tag, effect) for each of its tags, taken from this event only;
    own_tags: the same for the target's own tags; modalities: id, text, image, tags, taken from all items alike (`CounterfactualModel.without`);
    shares, shares_error: [T] each, `shapley_values`.
    """

    target: Event
    log_probability: float
    rank: float
    events: tuple[Effect, ...]
    tags: tuple[tuple[tuple[str, Effect], ...], ...]
    own_tags: tuple[tuple[str, Effect], ...]
    modalities: dict[str, Effect]
    shares: Tensor
    shares_error: Tensor


def effects(
    reader: CounterfactualModel,
    history: Sequence[Interaction | int],
    targets: Sequence[int],
    seen: Sequence[int] | None = None,
    draws: int = 100,
) -> list[Effects]:
    """Take away each event, each tag of each event, each tag of the target and each modality, one at a time; then the Shapley values of the events."""
    seen = reader.seen(history) if seen is None else seen
    history = reader.interactions(history)
    tagged = reader.tags is not None and "tags" in reader.shares

    def tags_of(interaction):
        return reader.tags_read(interaction) if tagged else ()

    cuts = [
        (position, tag)
        for position, interaction in enumerate(history)
        for tag in tags_of(interaction)
    ]
    edited = [
        history,
        *(removed(history, position) for position in range(len(history))),
        *(
            without_tag(reader, history, position, reader.tags.vocabulary[tag])
            for position, tag in cuts
        ),
    ]
    reading, blind = (
        reader.read(edited),
        {
            modality: reader.without(modality).read([history])
            for modality in (reader.shares if len(reader.shares) > 1 else ())
        },
    )
    shares, errors = shapley_values(reader, history, targets, draws)
    found = []
    for line, target in enumerate(targets):
        candidates = reader.candidates(target, seen)
        whole = float(reading.log_probability[0, target])

        def of(answer):
            return [
                Effect(whole - chance, rank)
                for chance, rank in zip(
                    answer.log_probability[:, target].tolist(),
                    answer.rank(target, candidates).tolist(),
                )
            ]

        (_, rank), *single = of(reading)
        tags = [[] for _ in history]
        for (position, tag), effect in zip(cuts, single[len(history) :]):
            tags[position].append((reader.tags.vocabulary[tag], effect))
        own = tags_of(Interaction(target))
        found.append(
            Effects(
                event_of(reader, target),
                whole,
                rank,
                tuple(single[: len(history)]),
                tuple(map(tuple, tags)),
                tuple(
                    (
                        reader.tags.vocabulary[tag],
                        of(
                            reader.with_tags(target, [other for other in own if other != tag]).read(
                                [history]
                            )
                        )[0],
                    )
                    for tag in own
                ),
                {modality: of(answer)[0] for modality, answer in blind.items()},
                shares[line],
                errors[line],
            )
        )
    return found


# ---------------------------------------------------------------------------------------------- the whole answer

NEXT, FIRST = "true next item", "first recommendation"


@dataclass(frozen=True)
class Explanation:
    """One case, read and cross-examined.

    record: what the model looked at; control: the same case read by a network with random weights; effects: what decided, for each thing explained:
    NEXT (where it is known) and FIRST.
    """

    record: AttentionRecord
    control: AttentionRecord
    effects: dict[str, Effects]

    def about(self, of: str) -> Effects:
        """The effects on what is to be explained; on the other thing where this one is missing (no target known, or nothing left to recommend)."""
        return self.effects[of] if of in self.effects else next(iter(self.effects.values()))

    def agreement(
        self, of: str, branch: str, layer: int = -1, head: int | None = None, control: bool = False
    ) -> tuple[float, float]:
        """Rank correlation of what the newest event of a branch looks at with what the removal of each event changes, and with the Shapley values.

        `control`: the look of the random weights instead.  nan for fewer than three events.
        """
        record, positions = (
            (self.control if control else self.record),
            self.record.positions(branch),
        )
        look, effects = record.spread(branch, layer, head, -1)[positions], self.about(of)
        lost = torch.tensor([effect.lost for effect in effects.events])
        return agreement(look, lost[positions]), agreement(look, effects.shares[positions])


def explanation_of(
    reader: CounterfactualModel,
    control: CounterfactualModel,
    history: Sequence[Interaction | int],
    domain: int,
    **about,
) -> Explanation:
    """Read a history and take everything away in turn; `about` goes to `record_of` (target, user, times, bought, top).

    Raises ValueError where there is nothing to explain: no target, and nothing left to recommend.
    """
    record = record_of(reader, history, domain, **about)
    explained = ({} if record.target is None else {NEXT: record.target.item}) | {
        FIRST: item.item for item, _ in record.top[record.domain][:1]
    }
    if not explained:
        raise ValueError(
            f"there is nothing to explain: everything in {record.domain} was bought, and no target is known."
        )
    found = effects(reader, history, list(explained.values()), about.get("bought"))
    return Explanation(
        record, record_of(control, history, domain, **about), dict(zip(explained, found))
    )


def explain(
    reader: CounterfactualModel,
    control: CounterfactualModel,
    sequences: Sequences,
    row: int,
    *,
    times: Sequence[int] | None = None,
    top: int = 5,
) -> Explanation:
    """Explain test case `row`; `times` are the seconds of all its events, the target included."""
    *history, target = sequences[row].tolist()
    return explanation_of(
        reader,
        control,
        history,
        int(reader.items.domain_of_item[target]),
        target=target,
        user=sequences.user_id[row],
        times=None if times is None else list(times)[:-1],
        top=top,
    )
