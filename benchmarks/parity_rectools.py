"""RecTools' SASRecModel trained as its users train it, for benchmarks/parity.py.

    python benchmarks/parity_rectools.py EVENTS.npz RANKS.npz '{"seed": 0, "hidden": 64, ...}'

parity.py starts this file under RecTools' own Python.  fit() runs the library's Lightning trainer;
after each epoch, `tema_lib.evaluation.ranking` itself ranks the validation cases, on left-padded
histories that go through the library's torch module.  The best epoch's weights rank the test cases,
and their ten best items must be those of the library's own recommend().  Items that never occur in
training are added as users whose events have weight 0: they are in the catalogue and in the
softmax, but never a target.
"""

import json
import logging
import sys
import time
import warnings
from dataclasses import asdict

import ours
import peers


def main(events_file, out, settings):
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    import numpy as np
    import pandas as pd
    import pytorch_lightning
    import rectools
    import torch
    from rectools import Columns
    from rectools.dataset import Dataset
    from rectools.models import SASRecModel
    from rectools.models.nn.transformers.net_blocks import PreLNTransformerLayers

    torch.set_num_threads(1)
    data, given = peers.load(events_file), json.loads(settings)
    test, domain = ours.sequences_of(data)

    from tema_lib.evaluation.protocols import Protocol
    from tema_lib.evaluation.ranking import evaluate
    from tema_lib.models.base import Recommender

    valid = test.without_last(1)
    protocol = Protocol(negatives=0)
    width = given["max_length"]

    def table(user, item, position, weight=1.0):
        when = pd.Timestamp("2020-01-01") + pd.to_timedelta(position, unit="s")
        return pd.DataFrame(
            {Columns.User: user, Columns.Item: item, Columns.Weight: weight, Columns.Datetime: when}
        )

    events = table(data.user, data.items, data.position)
    train, history = events[data.following > 1], events[data.following > 0]
    absent = np.setdiff1d(
        np.arange(1, data.n_items + 1),
        data.items[(data.following >= 2) & (data.following < 2 + width + 1)],
    )
    if len(absent) == 1:
        absent = np.repeat(absent, 2)  # one event alone would be filtered out
    # No filler user with a few items, none with too many.
    number = np.minimum(
        np.arange(len(absent)) // (width // 2), max(len(absent) // (width // 2) - 1, 0)
    )
    filler = table(len(data.offsets) + number, absent, np.arange(len(absent)), 0.0)
    dataset, ranked = Dataset.construct(pd.concat([train, filler])), Dataset.construct(history)

    class Peer(Recommender):
        """The library's torch module, asked as our systems are."""

        max_length = width

        def __init__(self, module):
            super().__init__()
            self.module = module.torch_model
            known = module.data_preparator.item_id_map
            self.internal = torch.from_numpy(
                np.append(0, known.convert_to_internal(np.arange(1, data.n_items + 1)))
            ).long()
            assert len(self.internal.unique()) == data.n_items + 1 == known.size

        def score(self, batch, candidates):
            position = torch.arange(width) - (width - batch.length[:, None])
            left = self.internal[batch.sequence].gather(1, position.clamp(min=0)) * (position >= 0)
            vectors = self.module.item_model.get_all_embeddings()
            return (
                self.module.encode_sessions({"x": left}, vectors)[:, -1]
                @ vectors[self.internal[candidates]].T
            )

    class BestEpoch(pytorch_lightning.Callback):
        """The rule of tema_lib.training: keep the best validation MRR, stop after `patience`."""

        def __init__(self):
            self.mrr, self.spent, self.best, self.state = [], [], -1, None

        def on_train_epoch_end(self, trainer, module):
            ranks = evaluate(Peer(module), valid, domain, protocol=protocol)
            self.mrr.append(sum(ranks.of_domain(index).metric("MRR") for index in (0, 1)) / 2)
            self.spent.append(time.process_time() - start)
            if self.best < 0 or self.mrr[-1] > self.mrr[self.best]:
                self.best = len(self.mrr) - 1
                weights = module.torch_model.state_dict()
                self.state = {name: value.clone() for name, value in weights.items()}
            trainer.should_stop = len(self.mrr) - 1 - self.best >= given["patience"]

    def trainer():
        return pytorch_lightning.Trainer(
            max_epochs=given["epochs"],
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[BestEpoch()],
        )

    pytorch_lightning.seed_everything(given["seed"])
    changed = {}
    if given.get("layers_type") == "PreLN":
        changed["transformer_layers_type"] = PreLNTransformerLayers
    model = SASRecModel(
        n_blocks=given["layers"],
        n_heads=given["heads"],
        n_factors=given["hidden"],
        dropout_rate=given["dropout"],
        session_max_len=width,
        loss="softmax",
        lr=given["learning_rate"],
        batch_size=given["batch_size"],
        use_key_padding_mask=given.get("key_padding", False),
        recommend_torch_device="cpu",
        get_trainer_func=trainer,
        **changed,
    )
    began, start = time.perf_counter(), time.process_time()
    model.fit(dataset)
    seconds, spent = time.perf_counter() - began, time.process_time() - start
    kept = next(
        callback for callback in model.fit_trainer.callbacks if isinstance(callback, BestEpoch)
    )
    model.torch_model.load_state_dict(kept.state)
    peer = Peer(model.lightning_model)
    found = {
        "valid": evaluate(peer, valid, domain, protocol=protocol),
        "test": evaluate(peer, test, domain, protocol=protocol),
    }

    # The library's own ten best items, against ours.
    some = np.arange(0, len(test), 4)
    theirs = model.recommend(users=some, dataset=ranked, k=10, filter_viewed=True).sort_values(
        [Columns.User, Columns.Rank]
    )
    theirs = theirs[Columns.Item].to_numpy().reshape(len(some), 10)

    from tema_lib.data.batches import Batch
    from tema_lib.data.sequences import padded

    rows = torch.from_numpy(some)
    with torch.no_grad():
        scores = peer.eval().score(
            Batch(padded(test, rows, width, 1), None, domain[test.last[rows]], rows),
            torch.arange(1, data.n_items + 1),
        )
    row, seen = test.before_last(rows)
    scores[row, seen - 1] = -torch.inf
    agreement = float((scores.topk(10).indices.numpy() + 1 == theirs).mean())
    if agreement < 0.995:
        raise SystemExit(
            f"recommend() and our ranking agree on only {agreement:.1%} of the ten best items: "
            "check benchmarks/parity_rectools.py against the installed RecTools."
        )

    about = {
        "valid_MRR": kept.mrr[kept.best],
        "best_epoch": kept.best,
        "epochs": len(kept.mrr),
        "after_each_epoch": [kept.mrr, kept.spent],  # validation MRR, CPU seconds
        "seconds": round(seconds, 1),
        "cpu_seconds": round(spent, 1),
        "parameters": sum(weights.numel() for weights in model.torch_model.parameters()),
        "recommend_agrees": round(agreement, 5),
        "items_without_training": len(np.unique(absent)),
        "versions": {
            "rectools": rectools.__version__,
            "torch": torch.__version__.split("+")[0],
            "numpy": np.__version__,
            "pytorch-lightning": pytorch_lightning.__version__,
            "python": sys.version.split()[0],
        },
    }
    np.savez(
        out,
        about=json.dumps(about),
        **{
            f"{part}_{name}": column
            for part, ranks in found.items()
            for name, column in asdict(ranks).items()
        },
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
