"""A damaged folder of a sentence encoder is refused in one sentence; a whole one loads quietly."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from tema_lib.encoders.text import encode_text
from tema_lib.workspace import ROOT

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "milk", "mug", "tea"]


@pytest.fixture(scope="module")
def sentence_folder(tmp_path_factory):
    """A complete sentence encoder, tiny and untrained."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("encoder") / "tiny encoder"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    shape = {
        "vocab_size": len(WORDS),
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    BertModel(BertConfig(**shape)).save_pretrained(folder)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    return folder


def cut(name):
    def damage(folder):
        (folder / name).write_bytes(
            (folder / name).read_bytes()[: (folder / name).stat().st_size // 2]
        )

    return damage


def without(*names):
    def damage(folder):
        for name in names:
            (folder / name).unlink(missing_ok=True)

    return damage


def rewritten(change):
    """The weights, changed and saved again: a whole file, but of another model."""

    def damage(folder):
        weights = load_file(folder / "model.safetensors")
        change(weights)
        save_file(weights, folder / "model.safetensors")

    return damage


def split_in_two(folder):
    """Weights in two files, of which the second did not come."""
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    index = {
        "metadata": {},
        "weight_map": {"embeddings.word_embeddings.weight": "model-00002-of-00002.safetensors"},
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def pickled(folder):
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")


def more_words(folder):
    """The tokenizer of another model: its words have no rows in this one's table."""
    from transformers import BertTokenizerFast

    (folder / "vocab.txt").write_text(
        "\n".join(WORDS + [f"word{number}" for number in range(20)]) + "\n"
    )
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)


def blank(weights):
    weights["embeddings.word_embeddings.weight"][:] = float("nan")


def shorter(weights):
    weights["embeddings.word_embeddings.weight"] = weights["embeddings.word_embeddings.weight"][
        :4
    ].clone()


def layerless(weights):
    for name in [name for name in weights if "layer.1." in name]:
        del weights[name]


DAMAGED_FOLDERS = {
    "no configuration": (
        without("config.json"),
        "is not a model: it needs config.json and .* config.json is missing",
    ),
    "cut configuration": (cut("config.json"), r"config\.json is damaged"),
    "configuration of no type": (
        lambda folder: (folder / "config.json").write_text("{}"),
        "does not know",
    ),
    "configuration that is a list": (
        lambda folder: (folder / "config.json").write_text("[]"),
        r"config\.json is damaged",
    ),
    "an unknown type": (
        lambda folder: (folder / "config.json").write_text('{"model_type": "newer"}'),
        "of type 'newer', which .* does not know",
    ),
    "no weights": (without("model.safetensors"), r"\*\.safetensors is missing"),
    "empty weights": (
        lambda folder: (folder / "model.safetensors").write_bytes(b""),
        "model.safetensors is cut off or damaged",
    ),
    "cut weights": (cut("model.safetensors"), "model.safetensors is cut off or damaged"),
    "pickled weights": (pickled, "pytorch_model.bin is a pickle.*convert it"),
    "half of the weights": (split_in_two, "lacks model-00002-of-00002.safetensors"),
    "a layer too few": (
        rewritten(layerless),
        r"not all there \(16 are missing, such as encoder.layer.1",
    ),
    "weights of another shape": (
        rewritten(shorter),
        "its weights have other shapes than config.json says",
    ),
    "weights that are no numbers": (rewritten(blank), "not finite"),
    "no tokenizer": (
        without("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"),
        "holds no tokenizer",
    ),
    "a cut tokenizer": (
        cut("tokenizer.json"),
        r"tokenizer in .* cannot be loaded \(a JSON file in it is cut off\)",
    ),
    "another tokenizer": (more_words, "they belong to two models"),
    "cut pooling": (cut("1_Pooling/config.json"), r"config\.json is damaged"),
}


@pytest.mark.parametrize("damage", DAMAGED_FOLDERS)
def test_a_damaged_folder_of_an_encoder_is_refused_in_one_sentence(
    sentence_folder, tmp_path, damage
):
    spoil, words = DAMAGED_FOLDERS[damage]
    folder = shutil.copytree(sentence_folder, tmp_path / "my model")
    assert encode_text(["mug"], folder, progress=False).present.all()
    spoil(folder)
    with pytest.raises(ValueError, match=words) as error:
        encode_text(["mug"], folder, progress=False)
    said = str(error.value)
    assert "my model" in said
    assert "\n" not in said
    assert said.endswith(".")
    assert any(remedy in said for remedy in ("again", "take another")) or "convert it once" in said


def test_words_are_read_although_only_the_old_vocabulary_file_is_there(sentence_folder, tmp_path):
    folder = shutil.copytree(sentence_folder, tmp_path / "older")
    before = encode_text(["mug", "tea"], folder, progress=False).matrix
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    without("tokenizer.json", "tokenizer_config.json")(folder)
    assert torch.equal(encode_text(["mug", "tea"], folder, progress=False).matrix, before)


def test_loading_quietly_leaves_the_bars_as_they_were():
    """Where the environment forbids bars, switching them on again is answered by a warning."""
    code = """
import warnings
warnings.simplefilter("error")
from transformers.utils import logging
from tema_lib.encoders.folder import quiet_transformers
before = logging.is_progress_bar_enabled()
with quiet_transformers():
    assert not logging.is_progress_bar_enabled()
assert logging.is_progress_bar_enabled() == before, before
print(before)
"""
    usual = {k: v for k, v in os.environ.items() if k != "HF_HUB_DISABLE_PROGRESS_BARS"}
    for environment, bars in (
        (usual, "True"),
        ({**usual, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}, "False"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=ROOT
        )
        assert (done.returncode, done.stdout.strip()) == (0, bars), done.stderr
