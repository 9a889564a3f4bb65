"""Head by head, over all users: where the newest event looks, and whether a head found the rule that wrote the synthetic data set.

Every share stands beside *recency alone*: the average look at each age, given to whatever stands there.  Newer events are alike in many
ways, so a head that only prefers new things seems to prefer the same tag and the same topic too.  Status: ours.
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
from tema_lib.explain.attention import newest_attention
from tema_lib.explain.occlusion import agreement
from tema_lib.models.tema import BRANCHES, Tema
from tema_lib.tags.item_tags import ItemTags

SYNTHETIC = {
    "A": "the target's topic, events in A",
    "B": "the target's topic, events in B",
    "merged": "the target's topic, events in both domains",
}


def ages(here: np.ndarray) -> np.ndarray:
    """How many events of the branch came after each one, int [B, T]; meaningless where `here` [B, T] is False."""
    return here[:, ::-1].cumsum(1)[:, ::-1] - 1


def recency_alone(attention: np.ndarray, here: np.ndarray) -> np.ndarray:
    """What remains of attention [B, T] when only an event's age may matter: the average look at each age, among the cases with equally many
    events in the branch.  Rows sum to 1, or to 0 for an empty branch.

    Long and short histories apart: pooled, the small weights of long ones would make every age look older than it is, and attention that
    prefers nothing at all would seem to prefer old things.
    """
    lengths, profile = here.sum(1), np.zeros(here.shape)
    for length in np.unique(lengths[lengths > 0]):
        cases = lengths == length
        average = attention[cases][here[cases]].reshape(-1, length).mean(0)  # oldest to newest
        some = np.zeros((cases.sum(), here.shape[1]))
        some[here[cases]] = np.tile(average, cases.sum())
        profile[cases] = some
    return profile


def share_on(
    attention: np.ndarray, here: np.ndarray, right: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Attention on the `right` events, by recency alone, and by chance (all events of the branch alike), per case: [cases] each.

    Only the cases count in which some but not all events of the branch are right; in the others every reading scores 0 or 1.
    """
    right = right & here
    open_question = right.any(1) & (right.sum(1) < here.sum(1))
    shares = (
        attention,
        recency_alone(attention, here),
        here / np.maximum(here.sum(1, keepdims=True), 1),
    )
    return tuple((share * right).sum(1)[open_question] for share in shares)


def heads_of(model: Tema, batch: Batch) -> Iterator[tuple[str, int, int, np.ndarray, np.ndarray]]:
    """(branch, layer, head, looks [B, T], here [B, T]) of every head: what the newest event of the branch looks at, in merged time."""
    for branch, attention in newest_attention(model, batch).items():
        here = (
            batch.sequence > 0
            if branch == "merged"
            else model.domain_of_item[batch.sequence] == BRANCHES.index(branch)
        )
        for layer in range(attention.size(1)):
            for head in range(attention.size(2)):
                yield branch, layer + 1, head + 1, attention[:, layer, head].numpy(), here.numpy()


def mean_of(values: np.ndarray) -> float:
    """The mean; nan without a value, and without a warning."""
    return float(values.mean()) if len(values) else float("nan")


def head_table(model: Tema, batch: Batch, tags: ItemTags | None = None) -> pd.DataFrame:
    """One row a head: mean share of attention that crosses to the other domain, mean age of what is looked at (0 = the newest event
    itself), and share on earlier events that have a tag in common with the newest; each share also by recency alone.  nan where no case asks."""
    sequence = batch.sequence.numpy()
    domain = model.domain_of_item[batch.sequence].numpy()
    rows = []
    for branch, layer, head, attention, here in heads_of(model, batch):
        some = here.any(1)
        newest = here.shape[1] - 1 - here[:, ::-1].argmax(1)
        own = sequence[np.arange(len(sequence)), newest]
        row = {
            "branch": branch,
            "layer": layer,
            "head": head,
            "events back": mean_of((attention * ages(here) * here).sum(1)[some]),
        }
        measures = (
            {"other domain": domain != domain[np.arange(len(domain)), newest][:, None]}
            if branch == "merged"
            else {}
        )
        if tags is not None:
            measures["same tag"] = _share_a_tag(tags, sequence, own) & (ages(here) > 0)
        for name, right in measures.items():
            found, recency, _ = share_on(attention, here, right)
            row |= {name: mean_of(found), f"{name}, recency alone": mean_of(recency)}
        rows.append(row)
    return pd.DataFrame(rows).set_index(["branch", "layer", "head"])


def _share_a_tag(tags: ItemTags, sequence: np.ndarray, newest: np.ndarray) -> np.ndarray:
    """bool [B, T]: the event has a tag in common with the newest one [B]."""
    theirs, own = tags.tag_ids[torch.from_numpy(sequence)], tags.tag_ids[torch.from_numpy(newest)]
    return (
        ((theirs[:, :, :, None] == own[:, None, None, :]) & (theirs[..., None] > 0))
        .any(3)
        .any(2)
        .numpy()
    )


def known_rule(
    model: Tema, batch: Batch, right: np.ndarray, effects: Sequence[Tensor]
) -> pd.DataFrame:
    """One row a head: what was synthetic, what the head found, and whether occlusion agrees.

    right: bool [B, T], the event serves the target's topic; effects: `occlusion` of each case.
    found: attention on right events minus recency alone, mean with its 95 % interval (low, high) over cases; occlusion: mean rank correlation,
    inside each history, of the attention beyond recency with the events' effects, with its interval.  The rule is "found" and occlusion
    "agrees" where the interval lies above 0.
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
        above = found - recency
        row = {
            "branch": branch,
            "layer": layer,
            "head": head,
            "synthetic": SYNTHETIC[branch],
            "by chance": chance.mean(),
            "recency alone": recency.mean(),
            "attention": found.mean(),
            "beyond recency": above.mean(),
        }
        row["low"], row["high"] = interval(above)
        row["occlusion"], (row["occlusion low"], row["occlusion high"]) = rho.mean(), interval(rho)
        row["found"], row["agrees"] = row["low"] > 0, row["occlusion low"] > 0
        rows.append(row)
    return pd.DataFrame(rows).set_index(["branch", "layer", "head"])


def blinded(
    model: Tema, branch: str | None = None, layer: int | None = None, head: int | None = None
) -> Tema:
    """A copy of the network that looks at everything alike: in the chosen heads (None: all of them), and across the branches if all three are None.

    Queries and keys of the chosen heads are set to 0; nothing is trained again.
    """
    blind = copy.deepcopy(model)
    width = model.config.hidden // model.config.heads
    with torch.no_grad():
        for name, encoder in blind.encoders.items():
            for number, block in enumerate(encoder.blocks, start=1):
                if branch in (None, name) and layer in (None, number):
                    chosen = (
                        slice(None) if head is None else slice((head - 1) * width, head * width)
                    )
                    for parameter in (
                        block.attention.query_key_value.weight,
                        block.attention.query_key_value.bias,
                    ):
                        parameter.modality(3, model.config.hidden, *parameter.shape[1:])[
                            :2, chosen
                        ] = 0  # rows: queries, keys, values
        if (branch, layer, head) == (None, None, None):
            blind.across.query.zero_()
    return blind
