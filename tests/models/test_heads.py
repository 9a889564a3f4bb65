"""Sizes that the models' configurations refuse."""

import re

import pytest

from tema_lib.models.autocdsr import AutoCDSRConfig
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
