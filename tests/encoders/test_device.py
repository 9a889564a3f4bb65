"""Where encoders and the language model compute: on a GPU as on the processor."""

import pytest
import torch

from tema_lib.encoders.device import best_device
from tema_lib.encoders.text import encode_text
from tema_lib.llm.local import LocalModel

needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(),
    reason="no GPU here: encoding and answering on one stay untested in this run",
)


def test_the_device_can_be_chosen(monkeypatch):
    for name in ("cpu", "meta"):
        monkeypatch.setenv("TEMA_DEVICE", name)
        assert best_device().type == name


@pytest.mark.parametrize("wrong", ["gpu", "cuda:99", "tpu"])
def test_a_device_that_is_not_there_is_named_in_one_sentence(monkeypatch, wrong):
    monkeypatch.setenv("TEMA_DEVICE", wrong)
    with pytest.raises(ValueError, match=f"TEMA_DEVICE is '{wrong}', which torch cannot use here"):
        best_device()


@needs_gpu
def test_a_gpu_encodes_as_the_processor_does(monkeypatch):
    texts = ["", "green tea", "a steel tea pot with a lid"]
    there = encode_text(texts, progress=False)
    monkeypatch.setenv("TEMA_DEVICE", "cpu")
    here = encode_text(texts, progress=False)
    assert there.matrix.device.type == "cpu"
    torch.testing.assert_close(there.matrix, here.matrix, atol=1e-4, rtol=0)


@needs_gpu
def test_a_gpu_answers_as_the_processor_does(monkeypatch):
    prompts = [f"Tags of a product.\n\nTitle: {title}\nTags:" for title in ("Tea pot", "Rice")]
    there = LocalModel()
    assert there.generator.model.device.type == "cuda"
    monkeypatch.setenv("TEMA_DEVICE", "cpu")
    here = LocalModel()
    assert there.settings == here.settings
    assert there.generate(prompts) == here.generate(prompts)
    assert [there.generate_plain(prompt) for prompt in prompts] == there.generate(prompts)
