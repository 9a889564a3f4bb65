"""The changes that `changes.py` compares: other options of a system, or a model with one change."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tema_lib.data.batches import Batch
from tema_lib.models.base import SequenceRecommender
from tema_lib.models.layers import AttentionBlock, BranchAttention, SequenceEncoder
from tema_lib.models.sasrec import SASRec, SASRecConfig
from tema_lib.models.systems import configured
from tema_lib.models.tema import Tema, TemaConfig
from tema_lib.tuning import setting


def prefixes(batch):
    """A training batch with every prefix as a sequence of its own, its target at its last event."""
    users, ends = (batch.targets > 0).nonzero(as_tuple=True)
    position = torch.arange(batch.sequence.size(1))
    return Batch(
        torch.where(position <= ends[:, None], batch.sequence[users], 0),
        torch.where(position == ends[:, None], batch.targets[users], 0),
        batch.target_domain[users],
        batch.rows[users],
    )


class OnPrefixes(SequenceRecommender):
    """Every prefix of a sequence is a training case of its own, with a target for its last event.

    So no state knows how many events follow it.  With positions from the start this is the usual
    training, only slower.
    """

    def loss(self, batch):
        return super().loss(prefixes(batch))


class SASRecOnPrefixes(OnPrefixes, SASRec):
    pass


class TemaOnPrefixes(OnPrefixes, Tema):
    pass


class TwoSASRecs(SASRec):
    """Two that are trained together by their averaged scores: what an average alone is worth."""

    def __init__(self, domain_of_item, config):
        super().__init__(domain_of_item, config)
        self.second = SASRec(domain_of_item, config)

    def item_embeddings(self):
        of_both = zip(super().item_embeddings(), self.second.item_embeddings())
        inputs, outputs = (torch.cat(pair, 1) for pair in of_both)
        return inputs, outputs

    def encode(self, batch, inputs):
        own, other = inputs.chunk(2, 1)
        return torch.cat([super().encode(batch, own), self.second.encode(batch, other)], -1) / 2

    last_hidden_states = SequenceRecommender.last_hidden_states


class GatedBlock(AttentionBlock):
    """A LiGR layer: each branch is multiplied by a gate, and the network is SwiGLU.

    x + sigmoid(G x) * attention(norm(x)), and the same again with the network.  Read in the code
    of eSASRec's authors (github.com/blondered/transformer_benchmark).
    """

    def __init__(self, hidden, heads, dropout, lags=0):
        super().__init__(hidden, heads, dropout, lags)
        self.network = None
        self.gates = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(2))
        self.wide, self.narrow = nn.Linear(hidden, 8 * hidden), nn.Linear(4 * hidden, hidden)

    def forward(self, x, need_weights=False, at=None, visible=None):
        mixed, weights = self.attention(self.attention_norm(x), need_weights, at, visible)
        if at is not None:
            x = x[torch.arange(len(x)), at][:, None]
        x = x + self.dropout(mixed) * self.gates[0](x).sigmoid()
        value, gate = self.wide(self.network_norm(x)).chunk(2, -1)
        network = self.narrow(value * F.silu(gate))
        return x + self.dropout(network) * self.gates[1](x).sigmoid(), weights


def with_gated_blocks(model):
    """The model with LiGR layers in all its encoders."""
    config = model.config
    for encoder in [each for each in model.modules() if isinstance(each, SequenceEncoder)]:
        lags = config.max_length if config.lag_bias else 0
        encoder.blocks = nn.ModuleList(
            GatedBlock(config.hidden, config.heads, config.dropout, lags) for _ in encoder.blocks
        )
    return model


class LearnedTemperature(nn.Module):
    """`SimilarityHead` for cosines whose temperature is learned, from the given one on."""

    def __init__(self, temperature):
        super().__init__()
        self.logarithm = nn.Parameter(torch.tensor(float(temperature)).log())

    def normalized(self, vectors):
        return F.normalize(vectors, dim=-1)

    def states(self, states):
        return self.normalized(states) / self.logarithm.exp()


def with_learned_temperature(model):
    for part in filter(None, (model, getattr(model, "sasrec", None))):
        part.head = LearnedTemperature(part.config.temperature)
    return model


def with_long_ids(model):
    """The model whose id vectors are ten times as long at first."""
    with torch.no_grad():
        for part in (model, getattr(model, "sasrec", None), getattr(model, "items", None)):
            if hasattr(part, "id"):
                part.id *= 10
    return model


class Changed(Tema):
    """TEMA-LLM whose ranking goes through `encode`, so that a change is made in one method only."""

    last_hidden_states = SequenceRecommender.last_hidden_states


def frequency(train, rows):
    """float [rows]: how many interactions each item has in training."""
    return torch.bincount(train.items, minlength=rows).float()


class ChangedIds(Tema):
    """TEMA-LLM whose fused vectors get `ids` of the id embeddings in place of themselves."""

    def __init__(self, inputs, config):
        super().__init__(inputs, config)
        parts = self.items.parts

        def changed_parts(*given):
            whole = parts(*given)
            return whole | {"id": self.ids(whole["id"])}

        self.items.parts = changed_parts


class IdDropout(ChangedIds):
    """In training an item's id is left out with some probability: content has to speak."""

    probability = 0.2

    def ids(self, ids):
        return ids * (torch.rand(len(ids), 1) >= self.probability) if self.training else ids


class IdsByFrequency(ChangedIds):
    """An id counts n / (n + k) for an item with n interactions in training: none for a new one."""

    k = 5.0

    def fit_statistics(self, train):
        super().fit_statistics(train)
        count = frequency(train, len(self.domain_of_item))
        self.gate = (count / (count + self.k))[:, None]

    def ids(self, ids):
        return ids * self.gate


class LogitAdjustment(Changed):
    """In training the logarithm of an item's frequency is added to its logit, so that the model
    need not learn popularity, which a new item lacks (Menon et al. 2021)."""

    def fit_statistics(self, train):
        super().fit_statistics(train)
        self.log_frequency = torch.log(frequency(train, len(self.domain_of_item)) + 1)[:, None]

    def item_embeddings(self):
        table, outputs = super().item_embeddings()
        added = self.log_frequency if self.training else torch.zeros_like(self.log_frequency)
        return table, torch.cat([outputs, added], 1)

    def encode(self, batch, inputs):
        states = super().encode(batch, inputs)
        return torch.cat([states, torch.ones_like(states[..., :1])], -1)


class NextTags(Tema):
    """An auxiliary loss: the fused state also predicts the tags of the next item, as weighted."""

    loss_weight = 0.3

    def loss(self, batch):
        inputs, outputs = self.item_embeddings()
        states = self.encode(batch, inputs)
        real = batch.targets > 0
        fused = states[real][:, : self.config.hidden]
        if self.sasrec is not None:
            fused = 2 * fused  # `encode` halves it
        logits = fused @ F.normalize(self.items.tag_embedding(), dim=1).T
        logits = logits[:, 1:].log_softmax(1)  # without "no tag"
        ids, weights = (
            stored[batch.targets[real]] for stored in (self.items.tag_ids, self.items.tag_weights)
        )
        of_tags = (logits.gather(1, (ids - 1).clamp(min=0)) * weights).sum(1)
        return {
            "next item": self.next_item(states, outputs, batch),
            "next tags": -self.loss_weight * of_tags.mean(),
        }


class TagBranch(Changed):
    """A fourth branch: the merged sequence, of which it reads the tags alone."""

    def __init__(self, inputs, config):
        super().__init__(inputs, config)
        self.tag_encoder = SequenceEncoder.of(config)
        self.across = BranchAttention(
            config.hidden, len(config.branches) + 1, config.branch_dropout
        )

    def encode_fused(self, batch, table):
        states, present, _ = self.branches(batch, table)
        here = batch.sequence > 0
        tags = F.embedding(batch.sequence, self.items.parts()["tags"])
        read, _ = self.tag_encoder(self.dropout(tags), batch.length)
        states = torch.cat([states, (read * here[..., None])[:, :, None]], 2)
        present = torch.cat([present, here[..., None]], 2)
        return self.mixed(states, present, batch.position_domains, here)


class TagProfile(Changed):
    """The tags of the history so far, newer ones counting more, added to the fused state."""

    decay = 0.8  # of an event's weight, one event later

    def __init__(self, inputs, config):
        super().__init__(inputs, config)
        self.profile = nn.Parameter(torch.zeros(2, config.hidden, config.hidden))

    def encode_fused(self, batch, table):
        state = super().encode_fused(batch, table)
        position = torch.arange(batch.sequence.size(1), device=batch.sequence.device)
        lag = (position[:, None] - position).float()
        weights = torch.where(lag >= 0, self.decay ** lag.clamp(min=0), 0.0)
        real = (batch.sequence > 0)[..., None]
        tags = F.embedding(batch.sequence, self.items.parts()["tags"]) * real
        profile = F.normalize(weights @ tags, dim=-1)
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


@dataclass(frozen=True)
class Change:
    """Options in place of the system's, and what takes the place of its class and inputs."""

    options: dict = field(default_factory=dict)
    model: type | None = None
    inputs: Callable | None = None  # of the experiment
    after: Callable = lambda model: model  # what is done to the fresh model


BASELINE = "as it is"
START = {"positions": "from the start"}
GENERIC = {
    BASELINE: Change(),
    "positions from the start": Change(START),
    "no lag bias": Change({"lag_bias": False}),
    "all items as negatives": Change({"negatives": "all"}),
    "softmax over both domains": Change({"loss": "catalogue softmax"}),
    "a learned temperature": Change(after=with_learned_temperature),
    "ids ten times as long at first": Change(after=with_long_ids),
    "LiGR layers": Change(after=with_gated_blocks),
}
CHANGES = {
    "sasrec": GENERIC
    | {
        "one output map for both domains": Change({"domain_heads": False}),
        "dot products": Change({"similarity": "dot"}),
        "trained on prefixes": Change(model=SASRecOnPrefixes),
        "trained on prefixes, positions from the start": Change(START, SASRecOnPrefixes),
        "averaged with a second SASRec": Change(model=TwoSASRecs),
    },
    "tema": GENERIC
    | {
        "an encoder for each sequence": Change({"shared_encoder": False}),
        "no branch left out in training": Change({"branch_dropout": 0.0}),
        "no late fusion": Change({"late_fusion": False}),
        # The best trial on the synthetic data while TEMA-LLM was searched without late fusion.
        "no late fusion, settings of trial 1": Change({"late_fusion": False} | setting(1)),
        "trained on prefixes": Change(model=TemaOnPrefixes),
        "id dropout": Change(model=IdDropout),
        "ids by frequency": Change(model=IdsByFrequency),
        "logit adjustment": Change(model=LogitAdjustment),
        "tags and title words": Change(inputs=with_title_words),
        "next tags predicted": Change(model=NextTags),
        "a branch of tags": Change(model=TagBranch),
        "tags of the history added": Change(model=TagProfile),
    },
}


def build(run, system, name):
    """The experiment with a change's options, and the fresh system, seeded as the systems are."""
    change = CHANGES[system][name]
    run = run.with_options(run.options | change.options)
    torch.manual_seed(run.seed)
    if system == "sasrec":
        model = (change.model or SASRec)(run.domain_of_item, configured(SASRecConfig, run))
    else:
        inputs = change.inputs(run) if change.inputs else run.inputs()
        config = configured(TemaConfig, run, modalities=run.modalities)
        model = (change.model or Tema)(inputs, config)
    return run, change.after(model)


def new_targets(train, target):
    """bool [cases]: whether no training sequence has the target."""
    return ~np.isin(target, train.items.numpy())
