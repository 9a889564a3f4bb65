"""Training batches give every pair once; ranking batches hide the target."""

import torch

from tema_lib.data.batches import ranking_batches, training_batches
from tests.helpers.flat_sequences import DOMAIN, flat


def test_ranking_batches_hide_the_target():
    (batch,) = ranking_batches(flat([1, 4, 2, 5], [6, 1]), DOMAIN, max_length=2, batch_size=9)
    assert batch.targets is None
    assert batch.target_domain.tolist() == [1, 0]
    assert batch.sequence.tolist() == [[4, 2], [6, 0]], (
        "the last two events before the target; padding on the right"
    )
    (batch,) = ranking_batches(
        flat([1, 4, 2, 5], [6, 1]), DOMAIN, max_length=2, batch_size=9, cases=torch.arange(2)
    )
    assert batch.rows.tolist() == [1, 0]
    assert batch.sequence.tolist() == [[6, 0], [4, 2]]
    assert batch.target_domain.tolist() == [0, 1]


def test_training_batches_give_every_pair_once():
    sequences = flat([1, 4, 2, 5], [6, 1], [3], [2, 3, 4])
    pairs = []
    for batch in training_batches(
        sequences, DOMAIN, max_length=50, batch_size=2, generator=torch.Generator().manual_seed(0)
    ):
        real = batch.targets > 0
        assert (batch.target_domain[real] == DOMAIN[batch.targets[real]]).all()
        assert (batch.sequence[~real] == 0).all()
        pairs += zip(batch.sequence[real].tolist(), batch.targets[real].tolist())
    assert sorted(pairs) == sorted([(1, 4), (4, 2), (2, 5), (6, 1), (2, 3), (3, 4)])
