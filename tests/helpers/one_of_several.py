"""One of several processes that train a small TEMA-LLM; the first writes what came out.

torchrun --nproc-per-node 2 -m tests.helpers.one_of_several FOLDER [EPOCHS BEFORE A POWER CUT]
"""

import json
import sys
from pathlib import Path

import torch

from tema_lib import distributed, training
from tema_lib.evaluation.ranking import evaluate
from tema_lib.models.tema import Tema, TemaConfig
from tests.helpers.models import DOMAIN, LITTLE, inputs, small_split

QUIET = TemaConfig(hidden=16, max_length=20, dropout=0.0, branch_dropout=0.0)


def outcome(folder, epochs_before_a_power_cut=0):
    """Losses and validation metrics by epoch, final weights, and ranks of the test cases."""
    torch.manual_seed(0)
    model, split = Tema(inputs(), QUIET), small_split()
    calls = []

    def cut(*arguments, **options):
        calls.append(1)
        if len(calls) > epochs_before_a_power_cut > 0:
            raise KeyboardInterrupt
        return evaluate(*arguments, **options)

    training.evaluate = cut
    try:
        history = training.train(model, split, DOMAIN, LITTLE, checkpoint=folder / "model.pt")
    except KeyboardInterrupt:
        return None
    ranks = evaluate(model, split.test, DOMAIN)
    return {
        "loss": history.loss,
        "valid_mrr": history.valid_mrr,
        "weights": {name: tensor.tolist() for name, tensor in model.state_dict().items()},
        "ranks": {name: getattr(ranks, name).tolist() for name in ("row", "rank", "rank_sampled")},
        "processes": distributed.count(),
        "epochs_here": len(calls),
    }


def main():
    torch.set_num_threads(1)
    distributed.join()
    found = outcome(Path(sys.argv[1]), *map(int, sys.argv[2:]))
    if not distributed.rank():
        (Path(sys.argv[1]) / "found.json").write_text(json.dumps(found))
    distributed.leave()
