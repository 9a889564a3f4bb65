"""The similarity head, and sizes that the models' configurations refuse."""

import re

import pytest
import torch
import torch.nn.functional as F

from tema_lib.models.autocdsr import AutoCDSRConfig
from tema_lib.models.heads import SimilarityHead
from tema_lib.models.llm4cdsr import LLM4CDSRConfig
from tema_lib.models.llmrec import LLMRecConfig
from tema_lib.models.man import MANConfig
from tema_lib.models.sasrec import SASRecConfig
from tema_lib.models.tema import TemaConfig


@pytest.mark.parametrize(
    "config", [TemaConfig, SASRecConfig, LLM4CDSRConfig, AutoCDSRConfig, LLMRecConfig, MANConfig]
)
@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"hidden": 0}, "hidden is 0: give at least 1."),
        ({"layers": 0}, "layers is 0: give at least 1."),
        ({"heads": 3}, "hidden size 64 is not divisible by 3 heads"),
        ({"dropout": 1.0}, "dropout is 1.0: choose a share"),
        ({"max_length": 0}, "max_length is 0: give at least 1."),
    ],
)
def test_a_model_configuration_names_a_size_out_of_range(config, changed, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        config(**changed)


def test_a_head_gives_dot_products_or_cosines_over_the_temperature():
    torch.manual_seed(0)
    states, items = torch.randn(4, 6), torch.randn(5, 6)
    dot, cosine = SimilarityHead("dot", 0.5), SimilarityHead("cosine", 0.5)
    assert dot.states(states) is states
    assert dot.normalized(items) is items
    expected = F.cosine_similarity(states[:, None], items[None], dim=-1) / 0.5
    found = cosine.states(states) @ cosine.normalized(items).T
    torch.testing.assert_close(found, expected)


def test_an_unknown_similarity_and_temperature_are_refused():
    with pytest.raises(ValueError, match="similarity is 'euclid': choose cosine or dot"):
        SimilarityHead("euclid")
    with pytest.raises(ValueError, match="temperature is 0: give a number above 0"):
        SASRecConfig(temperature=0)
