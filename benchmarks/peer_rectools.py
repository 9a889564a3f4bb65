"""RecTools' SASRecModel as a worker of `make bench`: softmax over all items, BCE, and ranking.

The model is built by fit() (one step of its Lightning trainer); then the library's training_step,
loader and Adam are driven by hand, as Lightning does it but without Lightning's own work.  A target
is a position of `y` that is not padding.  Ranking is recommend(k=10, filter_viewed=True) and
calc_metrics, with the library's own batches of 256 and 128 users.  Difference: the feed-forward
layer of its SASRec has width d, which no parameter changes (ours: 4 d).
"""

import logging
import sys
import warnings
from itertools import cycle

import peers

CHUNK = 4096  # users of one recommend() call; each call reads all interactions, so few are better


def prepare(path):
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    import numpy as np
    import pandas as pd
    import pytorch_lightning
    import rectools
    import torch
    from rectools import Columns
    from rectools.dataset import Dataset
    from rectools.metrics import MRR, NDCG, calc_metrics
    from rectools.models import SASRecModel

    torch.set_num_threads(1)
    data = peers.load(path)
    torch.manual_seed(data.seed)

    def table(user, item, position):
        time = pd.Timestamp("2020-01-01") + pd.to_timedelta(position, unit="s")
        return pd.DataFrame(
            {Columns.User: user, Columns.Item: item, Columns.Weight: 1.0, Columns.Datetime: time}
        )

    events = table(data.user, data.items, data.position)
    train = events[data.following > 1]
    history = events[data.following > 0]
    truth = events[data.following == 0]
    # Its catalogue is what occurs in the training windows. Other items are added as a few users of
    # full length, so that all compete.
    window = data.max_length + 1
    known = data.items[(data.following >= 2) & (data.following < 2 + window)]
    absent = np.setdiff1d(np.arange(1, data.n_items + 1), known)
    fillers, number = -(-len(absent) // window), np.arange(len(absent))
    filler = table(len(data.offsets) + number % max(fillers, 1), absent, number // max(fillers, 1))
    dataset, ranked = Dataset.construct(pd.concat([train, filler])), Dataset.construct(history)

    def one_step():
        return pytorch_lightning.Trainer(
            max_steps=1,
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )

    def fitted(loss):
        model = SASRecModel(
            n_blocks=data.layers,
            n_heads=data.heads,
            n_factors=data.hidden,
            dropout_rate=data.dropout,
            session_max_len=data.max_length,
            loss=loss,
            n_negatives=1,
            lr=data.learning_rate,
            batch_size=data.batch,
            recommend_torch_device="cpu",
            get_trainer_func=one_step,
        )
        return model.fit(dataset)

    def training(model):
        module = model.lightning_model
        optimizer = module.configure_optimizers()
        module.log = lambda *_, **__: None  # there is no trainer to log to
        batches = peers.endless(model.data_preparator.get_dataloader_train())
        size = sum(weights.numel() for weights in module.parameters())
        detail = {
            "items": model.data_preparator.item_id_map.size - 1,
            "parameters": size,
            "batch": data.batch,
            "filler_users": fillers,
        }

        def task(seconds):
            module.train()
            losses, sequences, targets = [], 0, 0
            for batch in peers.for_seconds(batches, seconds):
                loss = module.training_step(batch, 0)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
                sequences += len(batch["y"])
                targets += int((batch["y"] != 0).sum())
            return {
                "sequences": sequences,
                "targets": targets,
                "loss": sum(losses) / len(losses),
                "detail": detail | {"steps": len(losses)},
            }

        return task

    softmax, bce = fitted("softmax"), fitted("BCE")
    users = truth[Columns.User].to_numpy()
    chunks = cycle([users[start : start + CHUNK] for start in range(0, len(users), CHUNK)])
    metrics = {"ndcg": NDCG(k=10, divide_by_achievable=True), "mrr": MRR(k=10)}

    def ranking(seconds):
        sizes, values = [], []
        for chunk in peers.for_seconds(chunks, seconds):
            found = softmax.recommend(users=chunk, dataset=ranked, k=10, filter_viewed=True)
            values.append(calc_metrics(metrics, found, truth[truth[Columns.User].isin(chunk)]))
            sizes.append(len(chunk))
        mean = {
            name: sum(size * value[name] for size, value in zip(sizes, values)) / sum(sizes)
            for name in metrics
        }
        return {
            "users": sum(sizes),
            "loss": None,
            "ndcg10": float(mean["ndcg"]),
            "mrr10": float(mean["mrr"]),
            "detail": {"history_masked": True, "calls": len(sizes)},
        }

    versions = {
        "rectools": rectools.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "pytorch-lightning": pytorch_lightning.__version__,
        "python": sys.version.split()[0],
    }
    return versions, {"full_ce": training(softmax), "bce": training(bce), "ranking": ranking}


if __name__ == "__main__":
    peers.serve(prepare)
