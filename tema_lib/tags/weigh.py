"""tema_lib.tags.weigh"""

import torch
from torch import Tensor

from tema_lib.tags.config import TagConfig

# ---------------------------------------------------------------------------------------------- 4 weigh


def weigh(
    tag_ids: Tensor, vectors: Tensor, text_vectors, config: TagConfig = TagConfig()
) -> Tensor:
    """Weights [N+1, K] of each item's tags: rows sum to 1, or to 0 where there is no tag."""
    given = tag_ids > 0
    if config.weight == "relevance":
        cosine = (vectors[tag_ids] * text_vectors.matrix[:, None, :]).sum(-1)
        return (
            (cosine / config.temperature)
            .masked_fill(~given, -torch.inf)
            .softmax(-1)
            .nan_to_num(0.0)
        )
    weights = given.float()
    if config.weight == "idf":
        counts = torch.bincount(tag_ids[given], minlength=len(vectors)).clamp(min=1)
        weights = weights * torch.log((len(tag_ids) - 1) / counts.float()).clamp(min=1e-6)[tag_ids]
    return weights / weights.sum(-1, keepdim=True).clamp(min=1e-12)
