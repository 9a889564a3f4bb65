"""Exercises of notebook 03: the tag mean, weights by relevance, fusion with gaps, whitening.

Each function tries the answer of the same name (`check.verdict`).

Status: ours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tema_lib.exercises.check import Answer, shaped


def plain_tag_mean(answer: Answer) -> None:
    """The unweighted tag mean: tag_ids [N+1, K], vectors [G+1, F] -> [N+1, F]."""
    vectors = torch.randn(31, 6)
    tag_ids = _some_tags(40, 4, 30)
    mean = shaped(answer(tag_ids, vectors), 41, 6)
    count = (tag_ids > 0).sum(1)
    assert mean.isfinite().all(), "there is a NaN; by what do you divide if an item has no tag?"
    assert not mean[count == 0].any(), (
        "an item without tags must have a vector of zeros, whatever row 0 of the vectors holds"
    )
    alone = count == 1
    assert _close(mean[alone], vectors[tag_ids[alone].amax(1)]), (
        "the mean of a single tag is the vector of this tag; do you divide by K?"
    )
    fewer = tag_ids.clone()
    fewer[count == 3, 2] = 0  # without the last of three tags
    change = 3 * mean - 2 * answer(fewer, vectors)
    assert _close(change[count == 3], vectors[tag_ids[count == 3, 2]]), (
        "each of an item's tags must count, and all alike"
    )


def relevance(answer: Answer) -> None:
    """Tag weights: text [N+1, F], vectors [G+1, F], tag_ids [N+1, K], temperature -> [N+1, K]."""
    text, vectors, tag_ids = torch.randn(41, 8), torch.randn(31, 8), _some_tags(40, 4, 30)
    text[0], text[5], vectors[0] = 0, 0, 0  # item 5 has tags, but no text
    tag_ids[5] = torch.tensor([3, 8, 1, 0])
    given = tag_ids > 0
    ratio = {}
    for temperature in (1e-3, 0.1, 0.5):
        weights = shaped(answer(text, vectors, tag_ids, temperature), 41, 4)
        assert weights.isfinite().all(), (
            "a weight is NaN or infinite: some items have no tag, and exp(1000) is too large"
        )
        assert not weights[~given].any(), "where there is no tag (id 0), the weight is 0"
        assert _close(weights[5, :3], torch.full((3,), 1 / 3)), (
            "to a missing text (a row of zeros) all tags of the item are equally near"
        )
        assert _close(weights.sum(1), given.any(1).float()), (
            "the weights of an item must sum to 1, or to 0 if it has no tag"
        )
        other = answer(5 * text, vectors * torch.rand(31, 1).add(0.5), tag_ids, temperature)
        assert _close(other, weights), "longer vectors change the weights; a cosine has no length"
        ratio[temperature] = temperature * weights[given.all(1)][:, :2].log().diff(dim=1)
    assert _close(ratio[0.1], ratio[0.5]), (
        "temperature times log(w1 / w2) must be the same at each temperature"
    )
    close = torch.stack([text[9], -text[9]])
    some = answer(text[[0, 9]], torch.cat([vectors[:1], close]), torch.tensor([[0, 0], [1, 2]]), 1)
    assert some[1, 0] > some[1, 1], "the tag that is nearer to the text must weigh more"
    assert _close(some[1].log().diff(), torch.tensor([-2.0])), (
        "cosines of 1 and -1 differ by 2; at temperature 1 so must the logarithms of the weights"
    )


def fuse(answer: Answer) -> None:
    """Fusion with gaps: parts [M, N, D], present [M, N], missing [M, D] -> [N, D]."""
    parts, missing = torch.randn(3, 20, 5), torch.randn(3, 5)
    present = torch.rand(3, 20) < 0.6
    present[:, 0], present[:, 2:4] = True, False  # one item has everything, two have nothing
    parts = parts.where(present[..., None], 0)
    fused = shaped(answer(parts.clone(), present, missing.clone()), 20, 5)
    for garbage in (9.0, torch.nan):
        again = answer(parts.where(present[..., None], garbage), present, missing.clone())
        assert again.isfinite().all(), (
            "NaN where a modality is missing reaches the result: 0 times NaN is NaN, so choose, "
            "do not multiply"
        )
        assert _close(again, fused), "what stands in the row of a missing modality has an effect"
    assert fused[2].any(), "an item that lacks everything has zeros; it needs the learned vectors"
    for modality in range(3):
        step = torch.randn(5)
        moved = parts.clone()
        moved[modality] += step
        change = answer(moved, present, missing.clone()) - fused
        assert _close(change, present[modality, :, None] * step), (
            "an item must move with each of its modalities, by as much: a sum, not a mean"
        )
        moved = missing.clone()
        moved[modality] += step
        change = answer(parts.clone(), present, moved) - fused
        assert _close(change, ~present[modality, :, None] * step), (
            "a learned vector must stand in where its modality is missing, and only there"
        )
    nothing = answer(torch.zeros(3, 20, 5), present, torch.zeros(3, 5))
    assert not nothing.any(), "the sum of zeros must be 0"
    _assert_learns(answer, parts, present, missing)


def whitened(answer: Answer) -> None:
    """Whitening: matrix [N+1, F], present [N+1], width -> [N+1, width]."""
    hidden = torch.randn(301, 3) * torch.tensor([9.0, 5.0, 3.0])
    turned = torch.linalg.qr(torch.randn(10, 10))[0]
    matrix = torch.cat([hidden, 0.3 * torch.randn(301, 7)], dim=1) @ turned + 4 * torch.randn(10)
    present = torch.rand(301) < 0.7
    present[0] = False
    matrix[~present] = 0
    white = shaped(answer(matrix.clone(), present, 3), 301, 3)
    assert not white[~present].any(), "the row of a missing item must stay zero"
    rows = white[present].double()
    assert _close(rows.mean(0), torch.zeros(3).double(), 1e-3), (
        "the mean of the present rows must be 0; did missing rows, or no row, count in the mean?"
    )
    covariance = rows.T @ rows / len(rows)
    assert _close(covariance.diag(), torch.ones(3).double(), 1e-2), (
        "each of the new columns must have a variance of 1 over the present rows"
    )
    assert _close(covariance, torch.eye(3).double(), 1e-2), "two directions are correlated"
    known = hidden[present].double()
    known = known - known.mean(0)
    explained = rows @ torch.linalg.lstsq(rows, known).solution
    assert (explained.pow(2).sum(0) > 0.9 * known.pow(2).sum(0)).all(), (
        "the strongest directions are not those that were kept; in which order are they?"
    )


def _close(one: Tensor, other: Tensor, tolerance: float = 1e-4) -> bool:
    return torch.allclose(one, other.to(one.dtype), rtol=tolerance, atol=tolerance)


def _some_tags(items: int, width: int, tags: int) -> Tensor:
    """Random tag ids [items+1, width], an item's own first, 0 to `width` of them an item."""
    tag_ids = torch.stack([torch.randperm(tags)[:width] + 1 for _ in range(items + 1)])
    count = torch.arange(items + 1) % (width + 1)
    return tag_ids * (torch.arange(width) < count[:, None])


def _assert_learns(answer: Answer, parts: Tensor, present: Tensor, missing: Tensor) -> None:
    """The gradient reaches the parts and the learned vectors."""
    parts, missing = parts.clone().requires_grad_(), missing.clone().requires_grad_()
    fused = answer(parts, present, missing)
    assert fused.requires_grad, "the result is cut off from the parts: nothing could be learned"
    fused.sum().backward()
    assert missing.grad is not None, "no gradient reaches the learned vectors"
    assert parts.grad is not None, "no gradient reaches the parts"
