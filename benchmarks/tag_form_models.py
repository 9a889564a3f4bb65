"""Other ways to use tags, each TEMA-LLM with one change (`tag_forms.py` compares them)."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn

from tema_lib.models.base import SequenceRecommender
from tema_lib.models.layers import BranchAttention, SequenceEncoder
from tema_lib.models.systems import configured
from tema_lib.models.tema import Tema, TemaConfig


class Changed(Tema):
    """TEMA-LLM whose ranking goes through `encode`, so that a form changes one method only."""

    last_hidden_states = SequenceRecommender.last_hidden_states


class NextTags(Changed):
    """An auxiliary loss: the state also predicts the tags of the next item, weighted as given."""

    share = 0.3

    def loss(self, batch):
        table, outputs = self.item_embeddings()
        states = self.encode(batch, table)
        real = batch.targets > 0
        logits = states[real] @ F.normalize(self.items.tag_embedding(), dim=1).T
        logits = logits[:, 1:].log_softmax(1)  # without "no tag"
        ids, weights = (
            stored[batch.targets[real]] for stored in (self.items.tag_ids, self.items.tag_weights)
        )
        of_tags = (logits.gather(1, (ids - 1).clamp(min=0)) * weights).sum(1)
        return {
            "next item": self.next_item(states, outputs, batch),
            "next tags": -self.share * of_tags.mean(),
        }


class TagBranch(Changed):
    """A fourth branch: the merged sequence, of which it reads the tags alone."""

    def __init__(self, inputs, config):
        super().__init__(inputs, config)
        self.tag_encoder = SequenceEncoder.of(config)
        self.across = BranchAttention(
            config.hidden, len(config.branches) + 1, config.branch_dropout
        )

    def encode(self, batch, inputs):
        states, present, _ = self.branches(batch, inputs)
        here = batch.sequence > 0
        tags = F.embedding(batch.sequence, self.items.parts()["tags"])
        read, _ = self.tag_encoder(self.dropout(tags), batch.length)
        states = torch.cat([states, (read * here[..., None])[:, :, None]], 2)
        present = torch.cat([present, here[..., None]], 2)
        return self.mixed(states, present, batch.position_domains, here)


class TagProfile(Changed):
    """The tags of the history so far, newer ones counting more, added to the state."""

    kept = 0.8  # of an event's weight, one event later

    def __init__(self, inputs, config):
        super().__init__(inputs, config)
        self.profile = nn.Parameter(torch.zeros(2, config.hidden, config.hidden))

    def encode(self, batch, inputs):
        state = super().encode(batch, inputs)
        position = torch.arange(batch.sequence.size(1), device=batch.sequence.device)
        lag = (position[:, None] - position).float()
        decay = torch.where(lag >= 0, self.kept ** lag.clamp(min=0), 0.0)
        real = (batch.sequence > 0)[..., None]
        tags = F.embedding(batch.sequence, self.items.parts()["tags"]) * real
        profile = F.normalize(decay @ tags, dim=-1)
        for_a, for_b = profile @ self.profile[0], profile @ self.profile[1]
        return state + torch.where(batch.position_domains[..., None] == 0, for_a, for_b)


def with_title_words(run):
    """The frozen inputs with the words of the titles as further tags of each item."""
    tags, words = run.inputs(), run.inputs(tags="title words")
    after = len(tags.tag_vectors) - 1
    ids = torch.cat([tags.tag_ids, torch.where(words.tag_ids > 0, words.tag_ids + after, 0)], 1)
    weights = torch.cat([tags.tag_weights, words.tag_weights], 1)
    return replace(
        tags,
        tag_ids=ids,
        tag_weights=weights / weights.sum(1, keepdim=True).clamp(min=1e-12),
        tag_vectors=torch.cat([tags.tag_vectors, words.tag_vectors[1:]]),
    )


LATE_FUSION = "scores averaged with those of ids"
FORMS = {
    "tags": Tema,
    "tags and title words": Tema,
    "next tags predicted": NextTags,
    "a branch of tags": TagBranch,
    "tags of the history added": TagProfile,
    LATE_FUSION: Tema,
}


def build(run, form):
    """A fresh model of a form, seeded as the systems are."""
    torch.manual_seed(run.seed)
    inputs = with_title_words(run) if form == "tags and title words" else run.inputs()
    fixed = {"modalities": run.modalities, "late_fusion": form == LATE_FUSION}
    return FORMS[form](inputs, configured(TemaConfig, run, **fixed))
