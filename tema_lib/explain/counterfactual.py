"""A trained TEMA-LLM that answers questions about real and about edited histories.

An event may have other tags or count in the other domain, and all items may lose a modality. Each
edited event gets a row of its own behind the item table, so the forward pass that ranks also
answers "what if", and no part of the model is written twice. Status: ours.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tema_lib.data.batches import Batch
from tema_lib.data.dataset import Items
from tema_lib.encoders.features import ItemFeatures
from tema_lib.models.base import Recommender
from tema_lib.models.tema import Tema
from tema_lib.tags.config import TagConfig
from tema_lib.tags.item_tags import ItemTags
from tema_lib.tags.weigh import weigh


@dataclass(frozen=True)
class Interaction:
    """One event of a history; None stands for what the item itself says.

    item: global id.
    domain: 0 (A) or 1 (B), the domain in which the event counts.
    tags: ids in the tag vocabulary; () for an item without tags.
    """

    item: int
    domain: int | None = None
    tags: tuple[int, ...] | None = None


@dataclass(frozen=True)
class CounterfactualOutput:
    """What the model predicts for B histories of at most T events.

    log_probability: float [B, N+1], log P(next item | history) among the items of that item's
        domain (-inf for padding).
    weights[branch]: float [B, layers, H, Ts, Ts], attention inside the branch; rows are queries.
    across: float [B, 2, branches], attention across the branches when the target is in A and in B.
    """

    log_probability: Tensor
    weights: dict[str, Tensor]
    across: Tensor

    def rank(self, target: int, candidates: Tensor) -> Tensor:
        """Rank of `target` among `candidates`, [B]; 1 is best, and ties get their mean rank.

        candidates: global ids, without the target.
        """
        own, others = self.log_probability[:, target, None], self.log_probability[:, candidates]
        return 1 + (others > own).sum(1) + 0.5 * (others == own).sum(1)


class CounterfactualModel:
    """TEMA-LLM in evaluation mode, with its item vectors computed once.

    inputs: float [N+1, D], the item vectors with which histories are read.
    outputs: float [N+1, D], the item vectors with which their states are compared.
    parts: what each modality adds to every item vector, float [N+1, D] each.
    average_parts: the mean of each part over the items of A and of B, float [2, D] each.

    Args:
        model: a `Tema`, such as the one that `Experiment.train("tema")` returns.
        items: the items under their global ids.
        tags, text: what the model was built from. They are needed to edit tags: a changed list gets
            new weights from `tags.weigh.weigh`.
        max_length: the number of newest events that are read; by default as in training.
        tag_config: how tags are weighted.

    Raises:
        TypeError: the model is not a `Tema`.
    """

    def __init__(
        self,
        model: Recommender,
        items: Items,
        tags: ItemTags | None = None,
        text: ItemFeatures | None = None,
        max_length: int | None = None,
        tag_config: TagConfig | None = None,
    ):
        if not isinstance(model, Tema):
            raise TypeError(
                f"only TEMA-LLM can be explained this way, not {type(model).__name__}: "
                "occlusion.py works for every recommender."
            )
        self.model: Tema = model.eval()
        self.items = items
        self.tags = tags
        self.text = text
        self.max_length = max_length or model.config.max_length
        self.tag_config = tag_config or TagConfig()
        self.missing: frozenset[str] = frozenset()
        self.retagged: dict[int, tuple[int, ...]] = {}
        self.of_domain = [torch.from_numpy(items.of_domain(domain)) for domain in (0, 1)]
        with torch.inference_mode():
            self.parts = {modality: part.detach() for modality, part in model.items.parts().items()}
            self.average_parts = {
                modality: torch.stack([part[own].mean(0) for own in self.of_domain])
                for modality, part in self.parts.items()
            }
            self.inputs = model.items()
            self.outputs = model.head.normalized(self.inputs)

    @property
    def has_tags(self) -> bool:
        """Whether tags are known here and the model uses them."""
        return self.tags is not None and "tags" in self.parts

    # ---- other item vectors

    def without(self, *modalities: str) -> CounterfactualModel:
        """The same model in which these modalities no longer distinguish the items of a domain.

        Their part of every item vector becomes the domain's average. Zero would not do: no item has
        a zero part. Raises ValueError for a modality that the model does not have.
        """
        if unknown := set(modalities) - set(self.parts):
            raise ValueError(
                f"this model has no modality {', '.join(sorted(unknown))}: "
                f"choose from {', '.join(self.parts)}."
            )
        return self._changed(missing=self.missing | set(modalities))

    def with_tags(self, item: int, tags: Sequence[int]) -> CounterfactualModel:
        """The same model in a world where `item` has these tags.

        Raises ValueError where the model has no tags.
        """
        with torch.inference_mode():
            part = self._parts_of([Interaction(item, tags=tuple(tags))])["tags"]
            table = self.parts["tags"].clone()
            table[item] = part[0]
        return self._changed(
            parts={**self.parts, "tags": table}, retagged={**self.retagged, item: tuple(tags)}
        )

    def _changed(self, **changes: Any) -> CounterfactualModel:
        other = copy.copy(self)
        vars(other).update(changes)
        with torch.inference_mode():
            other.inputs = other._fuse(other.parts, torch.arange(self.items.count + 1))
            other.outputs = other.model.head.normalized(other.inputs)
        return other

    @torch.inference_mode()
    def fused(self, interactions: Sequence[Interaction]) -> Tensor:
        """The item vectors of these events, [R, D].

        An item without any tag gets the average tag part of its domain. Raises ValueError for
        edited tags where the model has none.
        """
        rows = torch.tensor([interaction.item for interaction in interactions], dtype=torch.long)
        vectors = self.inputs[rows].clone()
        edited = [
            position
            for position, interaction in enumerate(interactions)
            if self.own_tags(interaction.item) != self.tags_read(interaction)
        ]
        if edited:
            vectors[edited] = self._fuse(
                self._parts_of([interactions[position] for position in edited]), rows[edited]
            )
        return vectors

    def _parts_of(self, interactions: Sequence[Interaction]) -> dict[str, Tensor]:
        """The part of each modality for events with edited tags, [R, D] each."""
        if self.tags is None or self.text is None or "tags" not in self.parts:
            raise ValueError(
                "tags can be edited only in a model with tags: "
                "give its `tags` and `text` to CounterfactualModel."
            )
        rows = torch.tensor([interaction.item for interaction in interactions], dtype=torch.long)
        given = [list(self.tags_read(interaction)) for interaction in interactions]
        ids = torch.zeros(len(given), max(1, *map(len, given)), dtype=torch.long)
        for row, tags in enumerate(given):
            ids[row, : len(tags)] = torch.tensor(tags, dtype=torch.long)
        text = replace(self.text, matrix=self.text.matrix[rows], present=self.text.present[rows])
        weights = weigh(ids, self.tags.vectors, text, self.tag_config)
        parts = self.model.items.parts(rows, (ids, weights))
        untagged = (ids == 0).all(1, keepdim=True)
        average = self.average_parts["tags"][self._domain(rows)]
        return parts | {"tags": torch.where(untagged, average, parts["tags"])}

    def _fuse(self, parts: dict[str, Tensor], rows: Tensor) -> Tensor:
        """The sum of all parts, with averages for the missing modalities."""
        total = torch.zeros(())
        for modality, part in parts.items():
            missing = modality in self.missing
            total = total + (self.average_parts[modality][self._domain(rows)] if missing else part)
        return total

    def _domain(self, rows: Tensor) -> Tensor:
        # Padding belongs to no domain; its vector is never read.
        return self.model.domain_of_item[rows].clamp(min=0)

    # ---- events and candidates

    def own_tags(self, item: int) -> tuple[int, ...]:
        """The ids of an item's own tags."""
        if item in self.retagged:
            return self.retagged[item]
        if self.tags is None:
            return ()
        return tuple(tag for tag in self.tags.tag_ids[item].tolist() if tag)

    def tags_read(self, interaction: Interaction) -> tuple[int, ...]:
        """The ids of the tags with which the model reads this event."""
        return self.own_tags(interaction.item) if interaction.tags is None else interaction.tags

    def tag_name(self, tag: int) -> str:
        """The text of a tag id."""
        if self.tags is None:
            raise ValueError("tags have names only where CounterfactualModel was given `tags`.")
        return self.tags.vocabulary[tag]

    def domain_of(self, interaction: Interaction) -> int:
        """The domain in which this event counts, 0 or 1."""
        if interaction.domain is None:
            return int(self.items.domain_of_item[interaction.item])
        return interaction.domain

    def interactions(self, history: Sequence[Interaction | int]) -> tuple[Interaction, ...]:
        """The newest `max_length` events, ids turned into `Interaction`.

        Raises ValueError for an unknown global id.
        """
        window = tuple(
            event if isinstance(event, Interaction) else Interaction(int(event))
            for event in history
        )[-self.max_length :]
        if bad := [event.item for event in window if not 1 <= event.item <= self.items.count]:
            raise ValueError(
                f"item {bad[0]} does not exist: global ids run from 1 to {self.items.count}."
            )
        return window

    def seen(self, history: Sequence[Interaction | int]) -> list[int]:
        """The items of the whole history, older events included; as in `evaluation`, none of them
        is recommended again."""
        return [event.item if isinstance(event, Interaction) else int(event) for event in history]

    def candidates(self, target: int, seen: Sequence[int]) -> Tensor:
        """The items that compete with `target`: those of its domain that are not in `seen`."""
        own = self.of_domain[int(self.items.domain_of_item[target])]
        return own[~torch.isin(own, torch.tensor([target, *seen]))]

    # ---- prediction

    @torch.inference_mode()
    def predict(self, histories: Sequence[Sequence[Interaction | int]]) -> CounterfactualOutput:
        """Predictions for all histories in one batch, each cut to its newest events."""
        windows = [self.interactions(history) for history in histories]
        sequence, edited = self._sequence(windows)
        table, domain_of_item = self.inputs, self.model.domain_of_item
        item_of_row = torch.arange(self.items.count + 1)
        if edited:
            domains = torch.tensor([self.domain_of(interaction) for interaction in edited])
            item_of_row = torch.cat([item_of_row, torch.tensor([event.item for event in edited])])
            table = torch.cat([table, self.fused(edited)])
            domain_of_item = torch.cat([domain_of_item, domains])

        every = torch.arange(len(sequence))
        batch = Batch(sequence, None, torch.zeros_like(every), every)
        states, present, attention = self.model.branches(
            batch, table, need_weights=True, domain_of_item=domain_of_item
        )
        states, present = states[every, batch.last][:, None], present[every, batch.last][:, None]
        log_probability = torch.full((len(sequence), self.items.count + 1), -torch.inf)
        for domain, own in enumerate(self.of_domain):
            target_domain = torch.full_like(every, domain)
            state = self.model.mixed(states, present, target_domain[:, None], present.any(2))[:, 0]
            scores = state @ self.outputs[own].T
            if self.model.sasrec is not None:
                by_id = Batch(item_of_row[sequence], None, target_domain, every)
                scores = (scores + self._id_scores(by_id, own)) / 2
            log_probability[:, own] = scores.log_softmax(-1)
        across = torch.stack(
            [self.model.across(states[:, 0], present[:, 0], domain)[1] for domain in (0, 1)], 1
        )
        weights = {branch: torch.stack(layers, 1) for branch, (_, layers) in attention.items()}
        return CounterfactualOutput(log_probability, weights, across)

    def _id_scores(self, batch: Batch, items: Tensor) -> Tensor:
        """What ids alone say of C items, [B, C]; without the modality id, nothing: 0."""
        if "id" in self.missing:
            return torch.zeros(len(batch.sequence), len(items))
        ids, outputs = self.model.id_embeddings()
        return self.model.last_id_states(batch, ids) @ outputs[items].T

    def _sequence(
        self, windows: Sequence[Sequence[Interaction]]
    ) -> tuple[Tensor, list[Interaction]]:
        """Row numbers of the item table, [B, T], and the edited events behind its last row."""
        edited: dict[Interaction, int] = {}
        first = self.items.count + 1

        def row_of(event: Interaction) -> int:
            own_domain = self.domain_of(event) == self.items.domain_of_item[event.item]
            if own_domain and self.tags_read(event) == self.own_tags(event.item):
                return event.item
            return edited.setdefault(event, first + len(edited))

        sequence = torch.zeros(len(windows), max([1, *map(len, windows)]), dtype=torch.long)
        for number, window in enumerate(windows):
            rows = [row_of(event) for event in window]
            sequence[number, : len(window)] = torch.tensor(rows, dtype=torch.long)
        return sequence, list(edited)
