"""Both towers of a CLIP folder, for text and for pictures."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from tema_lib.encoders.image import encode_images
from tema_lib.encoders.text import encode_text
from tests.helpers.drawings import draw_mug


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    """A complete CLIP folder, tiny and untrained.

    Two towers, a byte-pair tokenizer of single letters, and a picture processor.
    """
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

    folder = tmp_path_factory.mktemp("clip") / "tiny-clip"
    folder.mkdir()
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [
        "<|startoftext|>",
        "<|endoftext|>",
        *letters,
        *(letter + "</w>" for letter in letters),
        "mu",
        "mug</w>",
    ]
    vocabulary = {word: i for i, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\nm u\nmu g</w>\n")
    CLIPTokenizer.from_pretrained(folder, model_max_length=16).save_pretrained(folder)
    tower = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "projection_dim": 24,
    }
    text = {
        "vocab_size": len(words),
        "max_position_embeddings": 16,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
    }
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config=tower | text,
        vision_config=tower | {"image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)
    return folder


def test_both_towers_of_a_clip_folder(clip_folder, tmp_path):
    from transformers import CLIPModel

    draw_mug().save(tmp_path / "mug.png")
    texts = encode_text(
        ["", "mug", "a far longer text than the tower can read at once"],
        clip_folder,
        progress=False,
    )
    pictures = encode_images([None, tmp_path / "mug.png"], clip_folder, progress=False)
    assert texts.matrix.shape == (3, 24)
    assert pictures.matrix.shape == (2, 24)
    assert texts.model == "tiny-clip"
    assert texts.fingerprint == pictures.fingerprint
    assert texts.present.tolist() == [False, True, True]

    # The oracle is CLIP's own forward pass, which multiplies the normalised vectors of both towers.
    network = CLIPModel.from_pretrained(clip_folder).eval()
    tokens = torch.tensor([[0, 55, 1]])  # <|startoftext|> mug <|endoftext|>
    pixels = (
        np.asarray(draw_mug().resize((32, 32), Image.Resampling.BICUBIC), dtype=np.float32) / 255
    )
    mean = np.array([0.48145466, 0.4578275, 0.40821073])
    std = np.array([0.26862954, 0.26130258, 0.27577711])
    pixels = torch.tensor((pixels - mean) / std, dtype=torch.float32).permute(2, 0, 1)[None]
    with torch.inference_mode():
        out = network(input_ids=tokens, pixel_values=pixels)
    torch.testing.assert_close(texts.matrix[1], out.text_embeds[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(pictures.matrix[1], out.image_embeds[0], atol=1e-3, rtol=0)
