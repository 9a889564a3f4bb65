"""The last step: how much each of an item's tags counts.

Status: that tags are fused by weight is stated in the paper; what the weights are is inferred.
"""

import torch
from torch import Tensor

from tema_lib.encoders.features import ItemFeatures
from tema_lib.tags.config import DEFAULT_TAGS, TagConfig


def weigh(
    tag_ids: Tensor, vectors: Tensor, text_vectors: ItemFeatures, config: TagConfig = DEFAULT_TAGS
) -> Tensor:
    """Weights of each item's tags, as `config.weight` says.

    Args:
        tag_ids: int64 [N+1, K]; 0 = no tag.
        vectors: float [G+1, F], the meaning of each tag.
        text_vectors: the features of the items' texts.
        config: the kind of weight, and the temperature of "relevance".

    Returns:
        float32 [N+1, K]; rows sum to 1, or to 0 where there is no tag.
    """
    given = tag_ids > 0
    if config.weight == "relevance":
        cosine = (vectors[tag_ids] * text_vectors.matrix[:, None, :]).sum(-1)
        scores = (cosine / config.temperature).masked_fill(~given, -torch.inf)
        return scores.softmax(-1).nan_to_num(0.0)
    weights = given.float()
    if config.weight == "idf":
        counts = torch.bincount(tag_ids[given], minlength=len(vectors)).clamp(min=1)
        weights = weights * torch.log((len(tag_ids) - 1) / counts.float()).clamp(min=1e-6)[tag_ids]
    return weights / weights.sum(-1, keepdim=True).clamp(min=1e-12)
