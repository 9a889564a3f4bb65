"""Random sequences in the shape of Amazon Food-Kitchen: lengths and popularity are like there.

Which user interacts with which item is random.
"""

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


def write_sequences(
    path, users=20_000, items_a=10_000, items_b=15_000, seed=0, stretch=1.0, **shape
):
    """Write the .npz that every worker reads: flat `items`, `offsets`, shape of model and batches.

    A length is 5 plus a lognormal number times `stretch` (median 11, mean 15 in all); popularity
    falls as rank^-.9.
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
