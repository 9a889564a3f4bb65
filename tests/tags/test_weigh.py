"""Weights of tags: relevance, idf or uniform."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tema_lib.tags.config import TagConfig
from tema_lib.tags.weigh import weigh
from tests.helpers.tagging import Features


def test_weights_are_relevance_idf_or_uniform_and_sum_to_one():
    vectors = torch.tensor([[0, 0], [1, 0], [0, 1], [0.6, 0.8]])
    features = Features(
        torch.tensor([[0, 0], [1, 0], [0.8, 0.6], [0, 0]]), torch.tensor([False, True, True, False])
    )
    tag_ids = torch.tensor([[0, 0], [2, 1], [3, 1], [0, 0]])
    config = TagConfig(tags_per_item=2)
    weights = weigh(tag_ids, vectors, features, config)
    assert torch.allclose(weights.sum(1), torch.tensor([0.0, 1, 1, 0]))
    assert torch.allclose(weights[2], torch.tensor([0.96, 0.8]).div(0.1).softmax(0))
    assert weights[1, 1] > 0.99
    assert weigh(tag_ids, vectors, features, replace(config, weight="uniform"))[1].tolist() == [
        0.5,
        0.5,
    ]
    # Tag 2 on one of 3 items, tag 1 on two.
    idf = weigh(tag_ids, vectors, features, replace(config, weight="idf"))[1]
    assert torch.allclose(
        idf, torch.tensor([np.log(3), np.log(1.5)], dtype=torch.float32) / np.log(4.5)
    )
    everywhere = torch.tensor([[0, 0], [1, 0], [1, 0], [1, 0]])
    # A tag of all items has idf 0, and yet is all there is.
    assert weigh(everywhere, vectors, features, replace(config, weight="idf"))[1:, 0].tolist() == [
        1,
        1,
        1,
    ]
    with pytest.raises(ValueError, match="choose"):
        TagConfig(weight="loud")
    with pytest.raises(ValueError, match="at least 1"):
        TagConfig(tags_per_item=0)
