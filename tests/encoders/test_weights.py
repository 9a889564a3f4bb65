"""Where models come from: names, folders and hub ids, each refused in one sentence."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from tema_lib.encoders.folder import fingerprint
from tema_lib.encoders.weights import resolve


def test_twins_that_macos_leaves_are_no_weights(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    save_file({"weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    before = fingerprint(resolve(tmp_path))
    (tmp_path / "._model.safetensors").write_bytes(b"\0\5\x16\7Mac OS X")
    assert fingerprint(resolve(tmp_path)) == before


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            "someone/some-model",
            "no hub model of this name could be downloaded .the variable HF_HUB_OFFLINE",
        ),
        (
            "some--one/mo..del",
            "no hub model of this name could be downloaded .the variable HF_HUB_OFFLINE",
        ),
        ("model.gguf", "model.gguf is a file: give the folder"),
        ("", "There is no model ''"),
        ("https://models.example/one", "There is no model 'https"),
    ],
)
def test_what_is_no_model_is_explained_in_one_sentence(tmp_path, monkeypatch, given, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(FileNotFoundError, match=words) as error:
        resolve(given)
    assert "\n" not in str(error.value)
    assert "Error" not in str(error.value)


def test_a_local_folder_needs_safetensors_and_an_unknown_name_is_explained(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(
        ValueError, match=r"is not a model: it needs config.json and \*.safetensors"
    ):
        resolve(tmp_path)
    save_file({"weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    assert resolve(str(tmp_path)) == tmp_path
    with pytest.raises(FileNotFoundError, match=r"no model 'minilm'.*minilm-l6-v2"):
        resolve("minilm")


def test_a_hub_id_without_network_gives_one_sentence(monkeypatch, tmp_path):
    import huggingface_hub

    def offline(hub_id, allow_patterns):
        assert not {"*.bin", "*.pt", "*.py", "*"} & set(allow_patterns)  # safetensors only, no code
        raise huggingface_hub.errors.LocalEntryNotFoundError("not in the cache\nand no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(
        FileNotFoundError, match="no hub model of this name could be downloaded"
    ) as error:
        resolve("someone/some-model")
    assert "\n" not in str(error.value)


def test_fingerprint_follows_the_weights(tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    first = fingerprint(tmp_path)
    save_file({"weight": torch.ones(2)}, tmp_path / "model.safetensors")
    assert fingerprint(tmp_path) != first
    assert len(first) == 64


def test_the_real_weights_are_the_published_ones():
    # SHA-256 of MiniLM's published file, and the parameter count of the converted language model
    assert fingerprint(resolve("minilm-l6-v2")).startswith("53aa51172d142c89")
    language_model = load_file(resolve("smollm2-135m-instruct") / "model.safetensors")
    assert sum(tensor.numel() for tensor in language_model.values()) == 134_515_008
    assert {tensor.dtype for tensor in language_model.values()} == {torch.bfloat16}
