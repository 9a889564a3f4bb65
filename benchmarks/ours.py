"""This project's worker for `make bench`: SASRec in the peers' shape, TEMA-LLM, and the limits.

Also every technique, with and without.  Batches, training step and evaluation are those of
`tema_lib.training.train` and notebook 06; SASRec runs without weight decay and clipping, as the
peers do.  A target is a real position.
"""

import contextlib
import sys
import time
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from unittest import mock

import peers

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def sequences_of(data):
    """(sequences, domain_of_item) of an .npz."""
    import torch

    from tema_lib.data.sequences import Sequences

    domain = torch.tensor([-1] + [0] * data.n_a + [1] * (data.n_items - data.n_a))
    users = len(data.offsets) - 1
    names = tuple(map(str, range(users)))
    items, offsets = torch.from_numpy(data.items), torch.from_numpy(data.offsets)
    return Sequences(names, items, offsets), domain


def item_inputs(domain, seed, tags=4000, each=5, widths=(384, 1280)):
    """Random features in the shape of MiniLM's, EfficientNet's and a tag vocabulary's.

    One item in ten lacks text, and one in ten lacks a picture.
    """
    import torch

    from tema_lib.models.inputs import ItemInputs

    rng = torch.Generator().manual_seed(seed)
    count = len(domain)
    features = []
    for width in widths:
        present = torch.rand(count, generator=rng) > 0.1
        present[0] = False
        features += [torch.randn(count, width, generator=rng) * present[:, None], present]
    ids = torch.randint(1, tags + 1, (count, each), generator=rng)
    ids[0] = 0
    vectors = torch.randn(tags + 1, widths[0], generator=rng)
    vectors[0] = 0
    return ItemInputs(
        domain, *features, ids, torch.full((count, each), 1 / each) * (ids > 0), vectors
    )


def training(
    model, sequences, domain, data, *, batch=None, window=16, clip=0.0, weight_decay=0.0, fused=True
):
    """A task: so many CPU seconds of training steps."""
    import torch

    from tema_lib.data.batches import training_batches
    from tema_lib.training import training_step

    batch, order = batch or data.batch, torch.Generator().manual_seed(data.seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=data.learning_rate, weight_decay=weight_decay, fused=fused
    )

    def epochs():
        while True:
            yield from training_batches(
                sequences,
                domain,
                max_length=data.max_length,
                batch_size=batch,
                generator=order,
                window=window,
            )

    batches = epochs()

    def task(seconds):
        model.train()
        losses, rows, targets = [], 0, 0
        for one in peers.for_seconds(batches, seconds):
            losses.append(float(sum(training_step(model, one, optimizer, clip=clip).values())))
            rows += len(one.rows)
            targets += int((one.targets > 0).sum())
        return {"sequences": rows, "targets": targets, "loss": sum(losses) / len(losses)}

    return task


def ranking(model, sequences, domain, data, protocol, users=4096):
    """A task: so many CPU seconds of evaluation, as many users a call as RecTools gets."""
    import torch

    from tema_lib.evaluation.ranking import evaluate

    parts = cycle(
        [
            sequences.select(part)
            for part in torch.randperm(
                len(sequences), generator=torch.Generator().manual_seed(data.seed)
            ).split(users)
        ]
    )

    def task(seconds):
        ranked = [
            evaluate(model, part, domain, protocol=protocol)
            for part in peers.for_seconds(parts, seconds)
        ]
        count = sum(map(len, ranked))
        mean = {
            name: sum(ranks.values(metric).sum() for ranks in ranked) / count
            for name, metric in (("ndcg10", "NDCG@10"), ("mrr", "MRR"))
        }
        return {"users": count, "loss": None} | mean

    return task


# ---- techniques, one by one


def dense_loss(model, batch):
    """Logits at every position, padding included: what most libraries do."""
    import torch.nn.functional as F

    states, outputs = model.encode_with_items(batch)
    logits = (states @ outputs[1:].T).flatten(0, 1)
    return {"next item": F.cross_entropy(logits, batch.targets.flatten() - 1, ignore_index=-1)}


def plain_ranks(scores, target, first, early, sequences, rows, seed, protocol):
    """Two comparisons, masked and counted as booleans."""
    import torch

    position = (target - first)[:, None]
    row, items = sequences.before_last(rows)
    inside = (items >= first) & (items < first + scores.size(1))
    seen = torch.zeros(scores.shape, dtype=torch.bool)
    seen[row[inside], items[inside] - first] = True
    seen.scatter_(1, position, False)
    own = scores.gather(1, position)
    higher, tied = (scores > own) & ~seen, (scores == own) & ~seen
    tied.scatter_(1, position, False)
    rank = 1 + higher.sum(1) + tied.sum(1) / 2
    return [rank.double(), rank.double(), (~seen).sum(1), torch.ones_like(rows), tied.any(1)]


def techniques():
    """Techniques by name: the task, a context in which the model is without it, and options.

    Each is the fast way with this one technique taken out.
    """
    import torch
    import torch.nn.functional as F

    from tema_lib.evaluation import ranking as evaluation
    from tema_lib.models import base, item_embedding, layers, losses

    def masked(query, key, value, is_causal=False, dropout_p=0.0, attn_mask=None):
        mask = layers.causal_mask(query.size(2)) if is_causal else attn_mask
        mixed, weights = layers.scaled_dot_product_attention(query, key, value, mask)
        return F.dropout(weights, dropout_p) @ value if dropout_p else mixed

    def gathered(ids, table, per_sample_weights, mode):
        return torch.einsum("nk,nkd->nd", per_sample_weights, table[ids])

    def scored_anew(model, candidates, rows):
        return lambda batch: (model.score(part, candidates) for part in batch.split(rows))

    def torchs_chunked(hidden, vectors, target):
        return F.linear_cross_entropy(
            hidden,
            vectors,
            target,
            reduction="sum",
            options=torch.nn.LinearCrossEntropyOptions(batch_chunk_size=128),
        )

    none = contextlib.nullcontext
    patch = mock.patch.object
    return {
        "valid positions before the head": (
            "full_ce",
            lambda model: patch(type(model), "loss", dense_loss),
            {},
        ),
        "logits in chunks": ("full_ce", lambda model: patch(losses, "CHUNK", {"cpu": 10**9}), {}),
        "our cross-entropy, not torch's chunked one": (
            "full_ce",
            lambda model: patch(losses, "cross_entropy", torchs_chunked),
            {},
        ),
        "sequences of similar length together": ("bce", lambda model: none(), {"window": 1}),
        "fused optimiser": ("bce", lambda model: none(), {"fused": False}),
        "eight dropout draws at a time": (
            "bce",
            lambda model: patch(
                layers.Dropout,
                "forward",
                lambda self, x: F.dropout(x, 1 - self.kept / 256, self.training),
            ),
            {},
        ),
        "causal attention kernel": (
            "bce",
            lambda model: patch(F, "scaled_dot_product_attention", masked),
            {},
        ),
        "tags summed by embedding_bag": (
            "tema",
            lambda model: patch(item_embedding.F, "embedding_bag", gathered),
            {},
        ),
        "features reduced to 128": ("tema", lambda model: none(), {"feature_width": 10**6}),
        "item table made once, not for each batch": (
            "tema_ranking",
            lambda model: patch(base.SequenceRecommender, "scorer", scored_anew),
            {},
        ),
        "only the last state": (
            "ranking",
            lambda model: patch(
                type(model), "last_hidden_states", base.SequenceRecommender.last_hidden_states
            ),
            {},
        ),
        "counting by signs": (
            "ranking",
            lambda model: patch(evaluation, "_ranks", plain_ranks),
            {},
        ),
    }


# ---- limits


def limits(seconds):
    """What one thread of this machine can do, the best of many runs.

    GFLOP/s of a large product; billions a second of exp, of counting, and of copied bytes.
    """
    import torch

    a, b, c = (torch.randn(2048, 2048) for _ in range(3))
    row, out = torch.randn(64, 25_000), torch.empty(64, 25_000)  # one chunk of logits
    big, copy = torch.randn(4_000_000), torch.empty(4_000_000)
    rates = {
        "gemm_gflops": (2 * 2048**3, lambda: torch.mm(a, b, out=c)),
        "exp_g": (row.numel(), lambda: torch.exp(row, out=out)),
        "count_g": (row.numel(), lambda: out.gt_(0.5).sum(1)),
        "copy_gbytes": (8 * big.numel(), lambda: copy.copy_(big)),
    }
    best = dict.fromkeys(rates, 0.0)
    end = time.process_time() + seconds
    while True:
        for name, (work, do) in rates.items():
            do()
            start = time.process_time()
            do()
            best[name] = max(best[name], work / (time.process_time() - start) / 1e9)
        if time.process_time() >= end:
            return {"detail": {name: round(rate, 3) for name, rate in best.items()}, "loss": None}


def prepare(path):
    import torch

    from tema_lib.evaluation.protocols import PROTOCOLS, Protocol
    from tema_lib.models.sasrec import SASRec, SASRecConfig
    from tema_lib.models.tema import Tema, TemaConfig

    torch.set_num_threads(1)
    data = peers.load(path)
    sequences, domain = sequences_of(data)
    train = sequences.without_last(2)

    def sasrec(loss):
        torch.manual_seed(data.seed)
        return SASRec(
            domain,
            SASRecConfig(
                hidden=data.hidden,
                heads=data.heads,
                layers=data.layers,
                max_length=data.max_length,
                dropout=data.dropout,
                similarity="dot",
                loss=loss,
                positions="from the start",  # the network that the peers have
                lag_bias=False,
                domain_heads=False,
                negatives="all",
            ),
        )

    inputs = item_inputs(domain, data.seed)

    def tema(feature_width=128):
        torch.manual_seed(data.seed)
        return Tema(
            inputs,
            TemaConfig(
                hidden=data.hidden,
                heads=data.heads,
                max_length=data.max_length,
                dropout=data.dropout,
                feature_width=feature_width,
            ),
        )

    everything = Protocol(within="catalogue", negatives=0)

    def fit(model, **options):
        return training(model, train, domain, data, **options)

    def fit_tema(model, **options):
        return fit(model, **{"batch": 256, "clip": 5.0, "weight_decay": 0.01} | options)

    ranked, ranked_tema = sasrec("catalogue softmax"), tema()
    tasks = {
        "full_ce": fit(ranked),
        "domain_ce": fit(sasrec("domain softmax")),
        "sampled": fit(sasrec("sampled softmax")),
        "bce": fit(sasrec("binary")),
        "tema": fit_tema(ranked_tema),
        "ranking": ranking(ranked, sequences, domain, data, everything),
        "ranking_999": ranking(
            ranked, sequences, domain, data, replace(PROTOCOLS["ours"], within="catalogue")
        ),
        "tema_ranking": ranking(ranked_tema, sequences, domain, data, Protocol(negatives=0)),
        "limits": limits,
    }

    def task_without(task, without, options):
        """The same task with one technique taken out; learning starts from a model of its own."""
        if task == "tema":
            options = dict(options)
            model = tema(options.pop("feature_width", 128))
            plain = fit_tema(model, **options)
        elif task in ("full_ce", "bce"):
            model = sasrec({"full_ce": "catalogue softmax", "bce": "binary"}[task])
            plain = fit(model, **options)
        else:
            model, plain = {"ranking": ranked, "tema_ranking": ranked_tema}[task], tasks[task]

        def work(seconds):
            with without(model):
                return plain(seconds)

        return work

    for name, parts in techniques().items():
        tasks[f"without {name}"] = task_without(*parts)
    return {"torch": torch.__version__, "python": sys.version.split()[0]}, tasks


if __name__ == "__main__":
    peers.serve(prepare)
