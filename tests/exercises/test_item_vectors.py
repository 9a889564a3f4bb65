"""Wrong answers that students give to the exercises of notebook 03, and what they are told."""

import pytest
import torch
import torch.nn.functional as F

from tema_lib.encoders.features import ItemFeatures
from tema_lib.exercises import item_vectors
from tema_lib.exercises.check import verdict
from tema_lib.models.item_embedding import reduce_features
from tema_lib.tags.config import TagConfig
from tema_lib.tags.weigh import weigh


def mean(tag_ids, vectors, mask=True, count=None, least=1):
    given = (tag_ids > 0)[..., None]
    total = (vectors[tag_ids] * given).sum(1) if mask else vectors[tag_ids].sum(1)
    return total / (count or given.sum(1).clamp(min=least))


def first_tag(tag_ids, vectors):
    return vectors[tag_ids[:, 0]] * (tag_ids[:, :1] > 0)


def softmax(text, vectors, tag_ids, temperature, unit=F.normalize, hidden=-torch.inf, finite=True):
    cosine = (unit(vectors, dim=-1)[tag_ids] * unit(text, dim=-1)[:, None]).sum(-1)
    weights = (cosine / temperature).masked_fill(tag_ids == 0, hidden).softmax(1)
    return weights.nan_to_num(0) if finite else weights


def by_hand(text, vectors, tag_ids, temperature):
    """Without subtracting the maximum: the exponential overflows."""
    scores = (F.normalize(vectors)[tag_ids] * F.normalize(text)[:, None]).sum(-1) / temperature
    weights = scores.exp() * (tag_ids > 0)
    return weights / weights.sum(1, keepdim=True).clamp(min=1e-12)


def not_divided(text, vectors, tag_ids, temperature):
    weights = softmax(text, vectors, tag_ids, temperature)
    return 2 * weights * text.any(1, keepdim=True) + weights * ~text.any(1, keepdim=True)


def without_text(text, vectors, tag_ids, temperature):
    return softmax(text, vectors, tag_ids, temperature) * text.any(1, keepdim=True)


def hot(text, vectors, tag_ids, temperature):
    return softmax(text, vectors, tag_ids, 1 / temperature)


def far(text, vectors, tag_ids, temperature):
    return softmax(-text, vectors, tag_ids, temperature)


def masked(parts, present, missing):
    """0 times NaN is NaN."""
    given = present[..., None].float()
    return (parts * given + missing[:, None] * (1 - given)).sum(0)


def added(parts, present, missing):
    """Only NaN is kept out."""
    return parts.nan_to_num(0).sum(0) + (missing[:, None] * ~present[..., None]).sum(0)


def zeros(parts, present, missing):
    return torch.where(present[..., None], parts, 0).sum(0)


def average(parts, present, missing):
    return torch.where(present[..., None], parts, missing[:, None]).mean(0)


def always_added(parts, present, missing):
    return zeros(parts, present, missing) + missing.sum(0)


def cut_off(parts, present, missing):
    return torch.where(present[..., None], parts.detach(), missing[:, None].detach()).sum(0)


def offset(parts, present, missing):
    return torch.where(present[..., None], parts, missing[:, None]).sum(0) + 1


def frozen_parts(parts, present, missing):
    return torch.where(present[..., None], parts.detach(), missing[:, None]).sum(0)


def half_cut_off(parts, present, missing):
    return torch.where(present[..., None], parts, missing[:, None].detach()).sum(0)


def white(matrix, present, width, weakest=False, scale=True, shift=True, everywhere=False):
    rows = matrix[torch.ones_like(present) if everywhere else present].double()
    mean = rows.mean(0) * shift
    variance, directions = torch.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))
    if not weakest:
        variance, directions = variance.flip(0), directions.flip(1)
    made = (matrix - mean) @ directions[:, :width] / variance[:width].sqrt() ** scale
    return made.float() if everywhere else made.float() * present[:, None]


def standardised(matrix, present, width):
    """Each column by itself: they stay correlated."""
    rows = matrix[present]
    made = (matrix - rows.mean(0)) / rows.std(0, correction=0)
    return (made * present[:, None])[:, :width]


@pytest.mark.parametrize(
    ("name", "wrong", "says"),
    [
        ("plain_tag_mean", lambda ids, vectors: mean(ids, vectors, mask=False), "whatever row 0"),
        ("plain_tag_mean", lambda ids, vectors: vectors[ids].mean(1), "a vector of zeros"),
        ("plain_tag_mean", lambda ids, vectors: mean(ids, vectors, count=4), "divide by K"),
        ("plain_tag_mean", lambda ids, vectors: mean(ids, vectors, least=0), "NaN"),
        ("plain_tag_mean", first_tag, "each of an item's tags"),
        ("relevance", lambda *given: softmax(*given, finite=False), "NaN"),
        ("relevance", lambda *given: softmax(*given, hidden=0), "where there is no tag"),
        ("relevance", lambda *given: softmax(*given, unit=lambda x, dim: x), "no length"),
        ("relevance", by_hand, "NaN"),
        ("relevance", not_divided, "must sum to 1"),
        ("relevance", without_text, "missing text"),
        ("relevance", lambda *given: softmax(*given[:3], given[3] / 2), "differ by 2"),
        ("relevance", hot, "temperature"),
        ("relevance", far, "nearer to the text"),
        ("fuse", masked, "0 times NaN"),
        ("fuse", added, "has an effect"),
        ("fuse", zeros, "needs the learned vectors"),
        ("fuse", average, "a sum, not a mean"),
        ("fuse", always_added, "only there"),
        ("fuse", offset, "the sum of zeros"),
        ("fuse", cut_off, "cut off"),
        ("fuse", frozen_parts, "no gradient reaches the parts"),
        ("fuse", half_cut_off, "no gradient reaches the learned vectors"),
        ("whitened", lambda *given: white(*given, weakest=True), "strongest directions"),
        ("whitened", lambda *given: white(*given, scale=False), "a variance of 1"),
        ("whitened", lambda *given: white(*given, shift=False), "mean of the present rows"),
        ("whitened", lambda *given: white(*given, everywhere=True), "must stay zero"),
        ("whitened", lambda *given: reduce_features(*given), "a variance of 1"),
        ("whitened", standardised, "correlated"),
    ],
)
def test_a_wrong_answer_is_told_what_is_wrong(name, wrong, says):
    said = verdict(getattr(item_vectors, name), wrong)
    assert said.startswith("not solved yet: ")
    assert says in said


def test_the_library_passes():
    """What the exercise builds is what the library has; its vectors have length 1."""

    def weights(text, vectors, tag_ids, temperature):
        features = ItemFeatures(F.normalize(text), text.any(1), "none", "")
        return weigh(tag_ids, F.normalize(vectors), features, TagConfig(temperature=temperature))

    assert verdict(item_vectors.relevance, weights) == "solved"
