"""Answers to the exercises of notebook 03; yours may be others, the checks decide.

Each function stands alone, so that it can be copied into the notebook in place of the empty one.
"""

import torch


def plain_tag_mean(tag_ids, vectors):
    """Padding is masked in the sum and in the count; a count of 0 becomes 1."""
    given = (tag_ids > 0)[..., None]
    return (vectors[tag_ids] * given).sum(1) / given.sum(1).clamp(min=1)


def relevance(text, vectors, tag_ids, temperature):
    """What is no tag gets the score minus infinity before the softmax, and 0 after it."""
    text = torch.nn.functional.normalize(text, dim=1)
    vectors = torch.nn.functional.normalize(vectors, dim=1)
    cosine = (vectors[tag_ids] * text[:, None]).sum(-1)
    scores = (cosine / temperature).masked_fill(tag_ids == 0, -torch.inf)
    return scores.softmax(1).nan_to_num(0.0)  # a row without tags is 0 / 0


def fuse(parts, present, missing):
    """`where` chooses, so that what stands in a missing row has no value and no gradient."""
    return torch.where(present[..., None], parts, missing[:, None]).sum(0)


def whitened(matrix, present, width):
    """PCA, but each direction is divided by its own standard deviation, not all by one number.

    The last cell shows that neighbours get worse. A likely reason: topics differ most along the
    strong directions. After whitening, the weakest direction counts as much as the strongest, and
    what it holds is mostly the wording of single items.
    """
    rows = matrix[present].double()
    centred = rows - rows.mean(0)
    variance, directions = torch.linalg.eigh(centred.T @ centred / len(rows))  # ascending
    variance, directions = variance.flip(0)[:width], directions.flip(1)[:, :width]
    white = torch.zeros(len(matrix), directions.size(1))
    white[present] = (centred @ directions / variance.clamp(min=1e-12).sqrt()).float()
    return white


# 5. A gate instead of a sum (open)
#
# A good answer
# - says what the gate may see. From the terms themselves, g_i = softmax(a . tanh(U p_im)), it can
#   learn that a text is of an uninformative title; from the id alone it could only memorise items,
#   and a new item would get an untrained gate.
# - lets the learned vectors of missing modalities go through the gate too, or masks them, and says
#   which; starts at equal weights, times the number of modalities, so that training starts from the
#   sum.
# - shows g by kind of item: for uninformative titles the weight of the text should fall and that of
#   the picture rise, in each of several seeds.
# - compares with a sum that has as many parameters (a wider map W, say), over several seeds, on the
#   ranks and not only on neighbour precision, for all items and for those kinds.
# - is convinced only if the gain exceeds the spread over seeds, and vanishes when the gates are
#   exchanged between items: then it is the item's own gate that matters, and not a global weight of
#   each modality, which the maps W can express already.
