"""What makes tags matter?  Other ways to use them, on validation targets alone.

    python benchmarks/tag_forms.py --data synthetic --seeds 0 1 2

Every form is TEMA-LLM with one change and the settings of TEMA-LLM's best trial; no test target is
ranked.  Writes the best validation MRR of each seed into results/bench_tag_forms.json, form by
form as they end; what is there is not made again.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# Before torch is imported: one thread repeats its numbers exactly; several must not spin idly.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

from tema_lib.models.base import SequenceRecommender  # noqa: E402
from tema_lib.models.layers import BranchAttention, DomainHeads, SequenceEncoder  # noqa: E402
from tema_lib.models.tema import Tema  # noqa: E402


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
        position = torch.arange(batch.sequence.size(1))
        lag = (position[:, None] - position).float()
        decay = torch.where(lag >= 0, self.kept ** lag.clamp(min=0), 0.0)
        real = (batch.sequence > 0)[..., None]
        tags = F.embedding(batch.sequence, self.items.parts()["tags"]) * real
        profile = F.normalize(decay @ tags, dim=-1)
        for_a, for_b = profile @ self.profile[0], profile @ self.profile[1]
        return state + torch.where(batch.position_domains[..., None] == 0, for_a, for_b)


class AveragedScores(Changed):
    """Beside TEMA-LLM a model of ids alone; the scores of both are averaged.

    An item that training has not seen has no id worth reading: there the first model counts alone.
    """

    def __init__(self, inputs, config):
        super().__init__(inputs, config)
        self.own_id = nn.Parameter(0.02 * torch.randn(len(self.domain_of_item), config.hidden))
        self.own_encoder = SequenceEncoder.of(config)
        self.own_heads = DomainHeads(config.hidden)

    def item_embeddings(self):
        table, outputs = super().item_embeddings()
        own = self.head.normalized(self.own_id) * self.possible[:, None]
        return torch.cat([table, self.own_id], 1), torch.cat([outputs, own], 1)

    def encode(self, batch, inputs):
        width = self.config.hidden
        states = super().encode(batch, inputs[:, :width])
        read, _ = self.own_encoder(
            self.dropout(F.embedding(batch.sequence, inputs[:, width:])), batch.length
        )
        own = self.head.states(self.own_heads(read, batch.position_domains))
        return torch.cat([states, own], 2) / 2


def with_title_words(run):
    """The frozen inputs with the words of the titles as further tags of each item."""
    from dataclasses import replace

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


FORMS = {
    "tags": Tema,
    "tags and title words": Tema,
    "next tags predicted": NextTags,
    "a branch of tags": TagBranch,
    "tags of the history added": TagProfile,
    "scores averaged with those of ids": AveragedScores,
}


def build(run, form):
    """A fresh model of a form, seeded as the systems are."""
    from tema_lib.models.systems import configured
    from tema_lib.models.tema import TemaConfig

    torch.manual_seed(run.seed)
    inputs = with_title_words(run) if form == "tags and title words" else run.inputs()
    return FORMS[form](inputs, configured(TemaConfig, run, modalities=run.modalities))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", default=["synthetic"], help="'synthetic' or folders")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--forms", nargs="+", default=list(FORMS), choices=list(FORMS))
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench_tag_forms.json")
    chosen = parser.parse_args()

    from tema_lib import records
    from tema_lib.experiment import Experiment
    from tema_lib.training import train
    from tema_lib.tuning import trials_folder, tuned

    found = {"kind": "benchmark", "name": "tag_forms", "rows": []}
    if chosen.out.is_file():
        found = json.loads(chosen.out.read_text(encoding="utf-8"))
    known = {(row["data"], row["form"], row["seed"]) for row in found["rows"]}
    for data in chosen.data:
        run, trial = tuned(Experiment(data, replies="export"), "tema", trials_folder())
        for seed in chosen.seeds:
            for form in chosen.forms:
                if (run.raw.name, form, seed) in known:
                    continue
                own = run.with_seed(seed)
                model = build(own, form)
                start = time.process_time()
                history = train(model, own.split, own.domain_of_item, own.training)
                row = {
                    "data": run.raw.name,
                    "form": form,
                    "seed": seed,
                    "trial": trial,
                    "valid_mrr": round(max(epoch["mean"] for epoch in history.valid_mrr), 6),
                    "best_epoch": history.best,
                    "cpu_seconds": round(time.process_time() - start, 1),
                }
                found["rows"].append(row)
                found["commit"], found["dirty"] = records.commit_and_state()
                found["command"] = "python benchmarks/tag_forms.py --data synthetic"
                records.write_json(chosen.out, found)
                print(row, flush=True)


if __name__ == "__main__":
    main()
