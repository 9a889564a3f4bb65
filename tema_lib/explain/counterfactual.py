"""A trained TEMA-LLM that is asked about histories, also about edited ones: other tags, another domain, a modality left out.

An edited event gets a row of its own behind the item table.  So the forward pass that ranks is the one that answers "what if", and
nothing of the model is written a second time.  Status: ours.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from tema_lib.data.batches import Batch
from tema_lib.data.dataset import Items
from tema_lib.encoders.features import ItemFeatures
from tema_lib.models.tema import Tema
from tema_lib.tags.config import TagConfig
from tema_lib.tags.item_tags import ItemTags
from tema_lib.tags.weigh import weigh


@dataclass(frozen=True)
class Interaction:
    """One event as the model shall read it; None = as the item has it.

    item: global id; domain: 0 (A) or 1 (B), the sequence in which the event counts; tags: numbers of the vocabulary, () for no tag at all.
    """

    item: int
    domain: int | None = None
    tags: tuple[int, ...] | None = None


@dataclass(frozen=True)
class CounterfactualOutput:
    """What the model makes of B histories of at most T events.

    log_probability: float [B, N+1], log P(next item | history) among the items of that item's domain (-inf for padding).
    weights[branch]: float [B, layers, H, Ts, Ts], attention inside the branch; row = the event that looks.
    across: float [B, 2, branches], how much the last step listens to each branch when it answers for A and for B.
    """

    log_probability: Tensor
    weights: dict[str, Tensor]
    across: Tensor

    def rank(self, target: int, candidates: Tensor) -> Tensor:
        """Rank of `target` among `candidates` (global ids, without the target), [B]: 1 is best, ties stand in the middle."""
        own, others = self.log_probability[:, target, None], self.log_probability[:, candidates]
        return 1 + (others > own).sum(1) + 0.5 * (others == own).sum(1)


class CounterfactualModel:
    """A model in evaluation mode with its item vectors at hand.

    `tags` and `text`, those that the model was built from, are needed to edit tags: a changed list is weighed anew by `tags.writing.weigh`.
    Of a history the newest `max_length` events are read, as many as the model has places for if nothing is said.
    """

    def __init__(
        self,
        model: Tema,
        items: Items,
        tags: ItemTags | None = None,
        text: ItemFeatures | None = None,
        max_length: int | None = None,
        tag_config: TagConfig = TagConfig(),
    ):
        self.model, self.items, self.tags, self.text = model.eval(), items, tags, text
        self.max_length, self.tag_config = max_length or model.config.max_length, tag_config
        self.missing: frozenset[str] = frozenset()
        self.retagged: dict[int, tuple[int, ...]] = {}
        self.of_domain = [torch.from_numpy(items.of_domain(domain)) for domain in (0, 1)]
        with torch.inference_mode():
            self.shares = {
                modality: share.detach() for modality, share in model.items.parts().items()
            }
            self.average = {
                modality: torch.stack([share[own].mean(0) for own in self.of_domain])
                for modality, share in self.shares.items()
            }
            self.inputs, self.outputs = model.item_embeddings()

    # ------------------------------------------------------------------------------------------ other item vectors

    def without(self, *modalities: str) -> CounterfactualModel:
        """The same model, but the share of these modalities in every item vector is the average of the item's domain: they tell items apart no more.

        The average and not zero, because zero is a vector that no item ever had.  Raises ValueError for a modality the model has not.
        """
        if unknown := set(modalities) - set(self.shares):
            raise ValueError(
                f"this model has no modality {', '.join(sorted(unknown))}: choose from {', '.join(self.shares)}."
            )
        return self._changed(missing=self.missing | set(modalities))

    def with_tags(self, item: int, tags: Sequence[int]) -> CounterfactualModel:
        """The same model in a world where `item` carries these tags.  Raises ValueError where the model has no tags."""
        with torch.inference_mode():
            share = self._shares_of([Interaction(item, tags=tuple(tags))])["tags"]
            table = self.shares["tags"].clone()
            table[item] = share[0]
        return self._changed(
            shares={**self.shares, "tags": table}, retagged={**self.retagged, item: tuple(tags)}
        )

    def _changed(self, **changes) -> CounterfactualModel:
        other = copy.copy(self)
        vars(other).update(changes)
        with torch.inference_mode():
            other.inputs = other._fuse(other.shares, torch.arange(self.items.count + 1))
            other.outputs = F.normalize(other.inputs, dim=-1)
        return other

    @torch.inference_mode()
    def fused(self, interactions: Sequence[Interaction]) -> Tensor:
        """The vectors the model reads for these events, [R, D].  An item whose tags are all taken away gets the average share of tags of its domain.

        Raises ValueError for edited tags where the model has none.
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
                self._shares_of([interactions[position] for position in edited]), rows[edited]
            )
        return vectors

    def _shares_of(self, interactions: Sequence[Interaction]) -> dict[str, Tensor]:
        """Each modality's share for events with edited tags, [R, D] each."""
        if self.tags is None or self.text is None or "tags" not in self.shares:
            raise ValueError(
                "tags can be edited only in a model with tags: give its `tags` and `text` to the Reader."
            )
        rows = torch.tensor([interaction.item for interaction in interactions], dtype=torch.long)
        given = [list(self.tags_read(interaction)) for interaction in interactions]
        ids = torch.zeros(len(given), max(1, *map(len, given)), dtype=torch.long)
        for line, row in enumerate(given):
            ids[line, : len(row)] = torch.tensor(row, dtype=torch.long)
        of_rows = replace(self.text, matrix=self.text.matrix[rows], present=self.text.present[rows])
        shares = self.model.items.parts(
            rows, (ids, weigh(ids, self.tags.vectors, of_rows, self.tag_config))
        )
        bare = (ids == 0).all(1, keepdim=True)
        return shares | {
            "tags": torch.where(bare, self.average["tags"][self._domain(rows)], shares["tags"])
        }

    def _fuse(self, shares: dict[str, Tensor], rows: Tensor) -> Tensor:
        return sum(
            self.average[modality][self._domain(rows)] if modality in self.missing else share
            for modality, share in shares.items()
        )

    def _domain(self, rows: Tensor) -> Tensor:
        return self.model.domain_of_item[rows].clamp(
            min=0
        )  # padding is in no domain; its vector is never read

    # ------------------------------------------------------------------------------------------ what stands in an event

    def own_tags(self, item: int) -> tuple[int, ...]:
        """The numbers of an item's tags, as the model has them."""
        if item in self.retagged:
            return self.retagged[item]
        return (
            ()
            if self.tags is None
            else tuple(tag for tag in self.tags.tag_ids[item].tolist() if tag)
        )

    def tags_read(self, interaction: Interaction) -> tuple[int, ...]:
        return self.own_tags(interaction.item) if interaction.tags is None else interaction.tags

    def shop_of(self, interaction: Interaction) -> int:
        return (
            int(self.items.domain_of_item[interaction.item])
            if interaction.domain is None
            else interaction.domain
        )

    def interactions(self, history: Sequence[Interaction | int]) -> tuple[Interaction, ...]:
        """The part of a history that the model reads, ids turned into interactions.  Raises ValueError for an id that is no item."""
        window = tuple(
            event if isinstance(event, Interaction) else Interaction(int(event))
            for event in history
        )[-self.max_length :]
        if bad := [event.item for event in window if not 1 <= event.item <= self.items.count]:
            raise ValueError(f"{bad[0]} is no item: global ids run from 1 to {self.items.count}.")
        return window

    def seen(self, history: Sequence[Interaction | int]) -> list[int]:
        """The items of a whole history, also of the part that is too old to be read: none of them is recommended again, as in `evaluation`."""
        return [event.item if isinstance(event, Interaction) else int(event) for event in history]

    def candidates(self, target: int, seen: Sequence[int]) -> Tensor:
        """The items with which `target` competes: those of its domain that were not bought."""
        own = self.of_domain[int(self.items.domain_of_item[target])]
        return own[~torch.isin(own, torch.tensor([target, *seen]))]

    # ------------------------------------------------------------------------------------------ reading

    @torch.inference_mode()
    def read(self, histories: Sequence[Sequence[Interaction | int]]) -> CounterfactualOutput:
        """All histories in one batch, each cut to its newest `max_length` events."""
        windows = [self.interactions(history) for history in histories]
        rows: dict[Interaction, int] = {}

        def as_it_is(interaction):
            return self.shop_of(interaction) == self.items.domain_of_item[
                interaction.item
            ] and self.tags_read(interaction) == self.own_tags(interaction.item)

        def position(interaction):
            return (
                interaction.item
                if as_it_is(interaction)
                else rows.setdefault(interaction, self.items.count + 1 + len(rows))
            )

        sequence = torch.zeros(len(windows), max([1, *map(len, windows)]), dtype=torch.long)
        for line, window in enumerate(windows):
            sequence[line, : len(window)] = torch.tensor(
                [position(interaction) for interaction in window], dtype=torch.long
            )
        table, domain_of_item = self.inputs, self.model.domain_of_item
        if rows:
            table = torch.cat([table, self.fused(list(rows))])
            domain_of_item = torch.cat(
                [domain_of_item, torch.tensor([self.shop_of(interaction) for interaction in rows])]
            )

        every = torch.arange(len(sequence))
        batch = Batch(sequence, None, torch.zeros_like(every), every)
        states, present, looked = self.model.branches(
            batch, table, need_weights=True, domain_of_item=domain_of_item
        )
        states, present = states[every, batch.last][:, None], present[every, batch.last][:, None]
        answer = torch.full((len(sequence), self.items.count + 1), -torch.inf)
        for domain, own in enumerate(self.of_domain):
            state = self.model.mixed(
                states, present, torch.full_like(every, domain)[:, None], present.any(2)
            )[:, 0]
            answer[:, own] = (state @ self.outputs[own].T).log_softmax(-1)
        across = torch.stack(
            [self.model.across(states[:, 0], present[:, 0], domain)[1] for domain in (0, 1)], 1
        )
        return CounterfactualOutput(
            answer,
            {branch: torch.stack(weights, 1) for branch, (_, weights) in looked.items()},
            across,
        )
