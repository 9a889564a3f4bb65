"""The changes that `devices.py` compares: options of a system, or a model with one change."""

import numpy as np
import torch
import torch.nn.functional as F
from tag_form_models import Changed

from tema_lib.models.sasrec import SASRec, SASRecConfig
from tema_lib.models.systems import configured
from tema_lib.models.tema import TemaConfig


class OnPrefixes(SASRec):
    """Every prefix of a sequence is a training case of its own, with a target for its last event.

    So no state knows how many events follow it.  With positions from the start this is the usual
    training, only slower.
    """

    def loss(self, batch):
        users, ends = (batch.targets > 0).nonzero(as_tuple=True)
        position = torch.arange(batch.sequence.size(1))
        sequence = torch.where(position <= ends[:, None], batch.sequence[users], 0)
        inputs, outputs = self.item_embeddings()
        embedded = self.dropout(F.embedding(sequence, inputs))
        states, _ = self.encoders[0](embedded, ends + 1, at=ends)
        states = self.predicting(states[:, 0], batch.target_domain[users, ends])
        targets = batch.targets[users, ends]
        return {"next item": self.loss_function(states, outputs, targets, self.candidates)}


class IdDropout(Changed):
    """In training an item's id is left out with probability `share`: content has to speak."""

    share = 0.2

    def item_embeddings(self):
        parts = self.items.parts()
        if self.training:
            kept = torch.rand(len(self.domain_of_item), 1) >= self.share
            parts["id"] = parts["id"] * kept
        table = sum(parts.values())
        return table, self.head.normalized(table)


class IdsByFrequency(Changed):
    """An id counts n / (n + k) for an item with n interactions in training: none for a new one."""

    k = 5.0

    def fit_statistics(self, train):
        super().fit_statistics(train)
        count = torch.bincount(train.items, minlength=len(self.domain_of_item)).float()
        self.gate = (count / (count + self.k))[:, None]

    def item_embeddings(self):
        parts = self.items.parts()
        table = sum((parts | {"id": parts["id"] * self.gate}).values())
        return table, self.head.normalized(table)


class LogitAdjustment(Changed):
    """In training the logarithm of an item's frequency is added to its logit, so that the model
    need not learn popularity, which a new item lacks (Menon et al. 2021)."""

    def fit_statistics(self, train):
        super().fit_statistics(train)
        count = torch.bincount(train.items, minlength=len(self.domain_of_item)).float()
        self.log_frequency = torch.log(count + 1)[:, None]

    def item_embeddings(self):
        table, outputs = super().item_embeddings()
        added = self.log_frequency if self.training else torch.zeros_like(self.log_frequency)
        return table, torch.cat([outputs, added], 1)

    def encode(self, batch, inputs):
        states = super().encode(batch, inputs)
        return torch.cat([states, torch.ones_like(states[..., :1])], -1)


START = {"positions": "from the start"}
WHOLE = "as it is"
GENERIC = {
    WHOLE: {},
    "positions from the start": START,
    "no lag bias": {"lag_bias": False},
    "all items as negatives": {"negatives": "all"},
}
CHANGES = {
    "sasrec": GENERIC
    | {
        "one output map for both domains": {"domain_heads": False},
        "trained on prefixes": OnPrefixes,
        "trained on prefixes, positions from the start": (OnPrefixes, START),
    },
    "tema": GENERIC
    | {
        "an encoder for each sequence": {"shared_encoder": False},
        "no branch left out in training": {"branch_dropout": 0.0},
        "added: id dropout": IdDropout,
        "added: ids by frequency": IdsByFrequency,
        "added: logit adjustment": LogitAdjustment,
        "added: late fusion": {"late_fusion": True},
    },
}


def build(run, system, change):
    """A fresh system with one change, seeded as the systems are."""
    change = CHANGES[system][change]
    if isinstance(change, dict):
        return run.with_options(run.options | change).build(system)
    model, options = change if isinstance(change, tuple) else (change, {})
    torch.manual_seed(run.seed)
    if issubclass(model, SASRec):
        return model(run.domain_of_item, configured(SASRecConfig, run, **options))
    return model(run.inputs(), configured(TemaConfig, run, modalities=run.modalities, **options))


def new_targets(train, target):
    """bool [cases]: whether no training sequence has the target."""
    return ~np.isin(target, train.items.numpy())
