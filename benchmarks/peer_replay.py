"""RePlay's SasRec (replay.nn) as a worker of `make bench`: CE over all items, and ranking.

Loader, transforms, model, optimiser and ComputeMetricsCallback are the library's; forward, backward
and step are driven by hand, as Lightning does it but without Lightning's own work.  A target is a
position of `positive_labels` that its mask counts: in sequences shorter than the window this
includes the first event, predicted from padding.  The fast options of the library are used: batches
trimmed to their longest sequence (AdaptiveTrimTransform and its target-aware form), and an encoder
that works on rows of similar length together in training (LengthBucketedQueryEncoder).
"""

import atexit
import math
import os
import shutil
import sys
import tempfile
import warnings
from importlib.metadata import version
from types import SimpleNamespace

import peers

BUCKET = 32  # rows that go through its encoder together, sorted by length


def prepare(path):
    warnings.filterwarnings("ignore")
    import numpy as np
    import pandas as pd
    import torch
    from replay.data import FeatureHint, FeatureSource, FeatureType
    from replay.data.nn import ParquetModule, TensorFeatureInfo, TensorFeatureSource, TensorSchema
    from replay.nn.lightning import LightningModule
    from replay.nn.lightning.callback import ComputeMetricsCallback
    from replay.nn.lightning.optimizer import OptimizerFactory
    from replay.nn.lightning.postprocessor import SeenItemsFilter
    from replay.nn.sequential import LengthBucketedQueryEncoder, SasRec
    from replay.nn.transform import AdaptiveTrimTransform, TargetAwareAdaptiveTrimTransform
    from replay.nn.transform.template import make_default_sasrec_transforms

    torch.set_num_threads(1)
    data = peers.load(path)
    torch.manual_seed(data.seed)
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    items = data.items - 1  # its ids are 0 to N - 1
    padding = data.n_items
    sequences = np.split(items, data.offsets[1:-1])
    train, test = os.path.join(folder, "train.parquet"), os.path.join(folder, "test.parquet")
    pd.DataFrame({"item_id": [sequence[:-2] for sequence in sequences]}).to_parquet(train)
    history = [sequence[:-1] for sequence in sequences]
    truth = [sequence[-1:] for sequence in sequences]
    pd.DataFrame({"item_id": history, "seen_ids": history, "ground_truth": truth}).to_parquet(test)
    schema = TensorSchema(
        [
            TensorFeatureInfo(
                "item_id",
                feature_type=FeatureType.CATEGORICAL,
                is_seq=True,
                cardinality=data.n_items,
                padding_value=padding,
                embedding_dim=data.hidden,
                feature_hint=FeatureHint.ITEM_ID,
                feature_sources=[TensorFeatureSource(FeatureSource.INTERACTIONS, "item_id")],
            )
        ]
    )
    transforms = make_default_sasrec_transforms(schema)
    # Each trim comes right after the masks are named: step 2 in training, step 1 in validation.
    transforms["train"].insert(2, TargetAwareAdaptiveTrimTransform(["item_id", "positive_labels"]))
    transforms["validate"].insert(1, AdaptiveTrimTransform("item_id"))
    shapes = {
        "train": {"item_id": {"shape": data.max_length + 1, "padding": padding}},
        "validate": {
            "item_id": {"shape": data.max_length, "padding": padding},
            "ground_truth": {"shape": 1, "padding": -1},
            "seen_ids": {"shape": max(map(len, history)), "padding": -2},
        },
    }
    loaders = ParquetModule(
        batch_size=data.batch,
        metadata=shapes,
        transforms=transforms,
        train_path=train,
        validate_path=test,
    )
    loaders.setup("fit")
    model = SasRec.from_params(
        schema,
        embedding_dim=data.hidden,
        num_heads=data.heads,
        num_blocks=data.layers,
        max_sequence_length=data.max_length,
        dropout=data.dropout,
        hidden_dim=4 * data.hidden,
    )
    model.body.encoder = LengthBucketedQueryEncoder(model.body.encoder, bucket_size=BUCKET)
    module = LightningModule(
        model, optimizer_factory=OptimizerFactory("adam", learning_rate=data.learning_rate)
    )
    optimizer = module.configure_optimizers()
    train_batches = peers.endless(loaders.train_dataloader())
    test_batches = peers.endless(loaders.val_dataloader())
    size = sum(weights.numel() for weights in module.parameters())
    detail = {"items": data.n_items, "parameters": size, "batch": data.batch}

    def full_ce(seconds):
        module.train()
        losses, sequences, targets = [], 0, 0
        for batch in peers.for_seconds(train_batches, seconds):
            batch = loaders.compiled_transforms["train"](batch)
            loss = module(batch)["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            sequences += len(batch["positive_labels"])
            targets += int(batch["target_padding_mask"].sum())
        return {
            "sequences": sequences,
            "targets": targets,
            "loss": sum(losses) / len(losses),
            "detail": detail | {"steps": len(losses)},
        }

    @torch.inference_mode()
    def ranking(seconds):
        module.eval()
        # All that the callback reads of a trainer.
        trainer = SimpleNamespace(num_val_batches=[math.inf], sanity_checking=False)
        callback = ComputeMetricsCallback(
            metrics=["ndcg", "mrr", "recall"],
            ks=[10],
            item_count=data.n_items,
            verbose=False,
            postprocessors=[SeenItemsFilter(data.n_items)],
        )
        callback.on_validation_epoch_start(trainer, module)
        users = 0
        for number, batch in enumerate(peers.for_seconds(test_batches, seconds)):
            batch = loaders.compiled_transforms["validate"](batch)
            callback.on_validation_batch_end(
                trainer, module, module.validation_step(batch, number), batch, number
            )
            users += len(batch["ground_truth"])
        values = callback._metrics_builders[0].get_metrics()
        return {
            "users": users,
            "loss": None,
            "ndcg10": float(values["ndcg@10"]),
            "mrr10": float(values["mrr@10"]),
            "detail": detail | {"history_masked": True, "hit10": float(values["recall@10"])},
        }

    versions = {
        "replay": version("replay-rec"),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "lightning": version("lightning"),
        "python": sys.version.split()[0],
    }
    return versions, {"full_ce": full_ce, "ranking": ranking}


if __name__ == "__main__":
    peers.serve(prepare)
