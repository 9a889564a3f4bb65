"""RecBole's SASRec as a worker of `make bench`: full cross-entropy and full-sort ranking.

The loops of its own Trainer run (`_train_epoch` and `evaluate`); they get batches until the CPU
time of a slice is spent.  RecBole makes one row of every prefix and predicts only the item after
it: a row is one target and one sequence.  Differences: a batch of 128 rows holds 128 targets, not
those of 128 users (its defaults, 2,048 rows for training and 4,096 users for ranking, were slower
here); its loader passes no history for sequential models, so none is masked.
"""

import atexit
import os
import shutil
import sys
import tempfile
import warnings

import peers


def prepare(path):
    warnings.filterwarnings("ignore")
    import numpy as np
    import pandas as pd
    import recbole
    import torch
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.data.dataloader import FullSortEvalDataLoader
    from recbole.utils import get_model, get_trainer, init_seed

    torch.set_num_threads(1)
    data = peers.load(path)
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.chdir(folder)  # RecBole makes folders in the current one
    os.mkdir("peer")
    # Its catalogue is what occurs. Any other item gets a user with one event, which makes no row
    # but lets the item compete.
    absent = np.setdiff1d(np.arange(1, data.n_items + 1), data.items)
    events = pd.DataFrame(
        {
            "user_id:token": np.concatenate(
                [data.user, len(data.offsets) + np.arange(len(absent))]
            ),
            "item_id:token": np.concatenate([data.items, absent]),
            "timestamp:float": np.concatenate([data.position, np.zeros_like(absent)]),
        }
    )
    events.to_csv("peer/peer.inter", sep="\t", index=False)
    config = Config(
        model="SASRec",
        dataset="peer",
        config_dict={
            "data_path": folder,
            "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
            "MAX_ITEM_LIST_LENGTH": data.max_length,
            "loss_type": "CE",
            "train_neg_sample_args": None,
            "hidden_size": data.hidden,
            "inner_size": 4 * data.hidden,
            "n_layers": data.layers,
            "n_heads": data.heads,
            "hidden_dropout_prob": data.dropout,
            "attn_dropout_prob": data.dropout,
            "learning_rate": data.learning_rate,
            "train_batch_size": data.batch,
            "eval_batch_size": data.batch,
            "eval_args": {
                "split": {"LS": "valid_and_test"},
                "group_by": "user",
                "order": "TO",
                "mode": "full",
            },
            "metrics": ["MRR", "NDCG", "Hit"],
            "topk": [10],
            "valid_metric": "NDCG@10",
            "metric_decimal_place": 8,
            "use_gpu": False,
            "worker": 0,
            "seed": data.seed,
            "show_progress": False,
            "state": "ERROR",
        },
    )
    init_seed(config["seed"], config["reproducibility"])
    train_data, _, test_data = data_preparation(config, create_dataset(config))
    model = get_model(config["model"])(config, train_data.dataset).to(config["device"])
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    trainer.eval_collector.data_collect(train_data)
    train_batches = peers.endless(train_data)
    config["eval_batch_size"] = 4096  # RecBole's default; the smaller batch above is quicker here
    as_shipped = FullSortEvalDataLoader(
        config, test_data._dataset, test_data._sampler, shuffle=False
    )
    size = sum(weights.numel() for weights in model.parameters())
    detail = {"items": model.n_items - 1, "parameters": size, "batch": data.batch}

    def full_ce(seconds):
        sizes = []

        def batches():
            for rows in peers.for_seconds(train_batches, seconds):
                sizes.append(len(rows))
                yield rows

        loss = trainer._train_epoch(batches(), 0) / len(sizes)
        return {
            "sequences": sum(sizes),
            "targets": sum(sizes),
            "loss": loss,
            "detail": detail | {"steps": len(sizes)},
        }

    class Slice(FullSortEvalDataLoader):
        """`evaluate` asks for this class; a slice only passes on batches of the real loader."""

        def __init__(self, batches, seconds):
            self._dataset = test_data._dataset
            self.batches = batches
            self.seconds = seconds
            self.users = 0

        def __bool__(self):
            return True

        def __iter__(self):
            for batch in peers.for_seconds(self.batches, self.seconds):
                self.users += len(batch[0])
                yield batch

    def ranking(loader):
        batches = peers.endless(loader)

        def task(seconds):
            users = Slice(batches, seconds)
            result = trainer.evaluate(users, load_best_model=False)
            return {
                "users": users.users,
                "loss": None,
                "ndcg10": float(result["ndcg@10"]),
                "mrr10": float(result["mrr@10"]),
                "detail": detail | {"history_masked": False, "hit10": float(result["hit@10"])},
            }

        return task

    versions = {
        "recbole": recbole.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": sys.version.split()[0],
    }
    return versions, {
        "full_ce": full_ce,
        "ranking": ranking(as_shipped),
        "ranking_small_batches": ranking(test_data),
    }


if __name__ == "__main__":
    peers.serve(prepare)
