"""A synthetic world in the shape of Amazon Food-Kitchen: how long sequences are and how popular items are; who buys what is chance."""

import numpy as np

SHAPE = {
    "max_length": 50,
    "batch": 128,
    "hidden": 64,
    "layers": 2,
    "heads": 2,
    "dropout": 0.2,
    "learning_rate": 1e-3,
}


def synthetic(path, users=20_000, items_a=10_000, items_b=15_000, seed=0, stretch=1.0, **shape):
    """Write the .npz that every worker reads: flat `items`, `offsets`, and the shape of model and batches.

    Lengths are 5 and a lognormal (median 11, mean 15) times `stretch`; popularity falls as rank^-.9.
    """
    rng = np.random.default_rng(seed)
    lengths = np.clip(5 + (stretch * rng.lognormal(1.75, 1.05, users)).round().astype(int), 5, 300)
    share = 1 / np.arange(1, items_a + items_b + 1) ** 0.9
    by_rank = rng.permutation(np.arange(1, items_a + items_b + 1))
    items = by_rank[rng.choice(items_a + items_b, lengths.sum(), p=share / share.sum())]
    np.savez(
        path,
        items=items,
        offsets=np.append(0, lengths.cumsum()),
        n_items=items_a + items_b,
        n_a=items_a,
        seed=seed,
        **{**SHAPE, **shape},
    )
    return path
