"""RecBole's SASRec trained by its own trainer, for benchmarks/time_to_quality.py.

    python benchmarks/parity_recbole.py EVENTS.npz CURVE.npz '{"seed": 0, "hidden": 64, ...}'

time_to_quality.py starts this file under RecBole's own Python.  RecBole makes one row of every
prefix and predicts only the item after it.  After each epoch of its trainer,
`tema_lib.evaluation.ranking` ranks the validation cases, through the library's own `forward` and
item embeddings.  Items that never occur in training get a user with one event, which makes no row
but lets the item compete.  Writes the validation MRR and the CPU seconds after each epoch.
"""

import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

import ours
import peers


def main(events_file, out, settings):
    warnings.filterwarnings("ignore")
    import numpy as np
    import pandas as pd
    import torch
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    torch.set_num_threads(1)
    data, given, out = peers.load(events_file), json.loads(settings), Path(out).resolve()
    test, domain = ours.sequences_of(data)

    from tema_lib.evaluation.protocols import Protocol
    from tema_lib.evaluation.ranking import evaluate
    from tema_lib.models.base import Recommender

    valid, training = test.without_last(1), data.following > 1
    absent = np.setdiff1d(np.arange(1, data.n_items + 1), data.items[training])
    users = np.concatenate([data.user[training], len(data.offsets) + np.arange(len(absent))])
    events = pd.DataFrame(
        {
            "user_id:token": users,
            "item_id:token": np.concatenate([data.items[training], absent]),
            "timestamp:float": np.concatenate([data.position[training], np.zeros_like(absent)]),
        }
    )

    class Peer(Recommender):
        """The library's module, asked as our systems are; it pads on the right, as we do."""

        max_length = given["max_length"]

        def __init__(self, module, internal):
            super().__init__()
            self.module, self.internal = module, internal

        def score(self, batch, candidates):
            states = self.module(self.internal[batch.sequence], batch.length)
            return states @ self.module.item_embedding.weight[self.internal[candidates]].T

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # RecBole makes folders in the current one
        os.mkdir("peer")
        events.to_csv("peer/peer.inter", sep="\t", index=False)
        config = Config(
            model="SASRec",
            dataset="peer",
            config_dict={
                "data_path": folder,
                "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
                "MAX_ITEM_LIST_LENGTH": given["max_length"],
                "loss_type": "CE",
                "train_neg_sample_args": None,
                "hidden_size": given["hidden"],
                "inner_size": 4 * given["hidden"],
                "n_layers": given["layers"],
                "n_heads": given["heads"],
                "hidden_dropout_prob": given["dropout"],
                "attn_dropout_prob": given["dropout"],
                "learning_rate": given["learning_rate"],
                "train_batch_size": given["rows"],
                # Every event given here is for training: we rank the validation targets.
                "eval_args": {"split": {"RS": [1, 0, 0]}, "group_by": "user", "order": "TO"},
                "use_gpu": False,
                "worker": 0,
                "seed": given["seed"],
                "show_progress": False,
                "state": "ERROR",
            },
        )
        init_seed(config["seed"], config["reproducibility"])
        rows, _, _ = data_preparation(config, create_dataset(config))
        model = get_model(config["model"])(config, rows.dataset).to(config["device"])
        trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
        names = [str(item) for item in range(1, data.n_items + 1)]
        internal = torch.tensor([0, *rows.dataset.token2id("item_id", names)])
        assert len(internal.unique()) == data.n_items + 1 == model.n_items
        mrr, spent, start = [], [], time.process_time()
        for epoch in range(given["epochs"]):
            trainer._train_epoch(rows, epoch)
            ranks = evaluate(Peer(model, internal), valid, domain, protocol=Protocol(negatives=0))
            mrr.append(sum(ranks.of_domain(index).metric("MRR") for index in (0, 1)) / 2)
            spent.append(time.process_time() - start)
            if len(mrr) - 1 - int(np.argmax(mrr)) >= given["patience"]:
                break
        os.chdir(out.parent)
    np.savez(out, about=json.dumps({"after_each_epoch": [mrr, spent]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
