"""Encoders of text and pictures: real weights, known answers, and items that have nothing to encode."""

import json

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from tema_lib.features import ItemFeatures
from tema_lib.features.image import encode_images, load_efficientnet, read_picture, to_tensor
from tema_lib.features.text import encode_text

TEXTS = ["", "Stainless steel garlic press", "Crusher that minces cloves", "Milk chocolate bar with hazelnuts", "  ", "Cocoa sweets " * 40]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# ------------------------------------------------------------------------------------------------------- text


def test_text_features_have_meaning_unit_length_and_zero_rows_where_text_is_missing():
    features = encode_text(TEXTS, progress=False)
    assert features.matrix.shape == (6, 384) and features.model == "minilm-l6-v2"
    assert features.present.tolist() == [False, True, True, True, False, True]
    assert features.matrix[~features.present].abs().sum() == 0
    torch.testing.assert_close(features.matrix[features.present].norm(dim=1), torch.ones(4))
    alike = features.matrix @ features.matrix.T
    assert alike[1, 2] > alike[1, 3] + 0.1 and alike[3, 5] > alike[1, 5] + 0.1


def test_text_rows_do_not_depend_on_their_batch():
    together = encode_text(TEXTS, progress=False)
    for i in (1, 3, 5):  # row i of a padded, length-sorted batch is what the text gives alone
        torch.testing.assert_close(encode_text([TEXTS[i]], progress=False).matrix[0], together.matrix[i], atol=1e-5, rtol=0)
    torch.testing.assert_close(encode_text(TEXTS, batch=2, progress=False).matrix, together.matrix, atol=1e-5, rtol=0)


def test_a_picture_model_is_refused_for_text():
    with pytest.raises(ValueError, match="encodes pictures, not text"):
        encode_text(["mug"], "efficientnet-lite0", progress=False)


# --------------------------------------------------------------------------------------------------- pictures


def draw(shape, colour, side, left, top):
    """A shape on white, 224 x 224."""
    picture = Image.new("RGB", (224, 224), "white")
    pen, box = ImageDraw.Draw(picture), (left, top, left + side, top + side)
    if shape == "ring":
        pen.ellipse(box, outline=colour, width=side // 6)
    elif shape == "disc":
        pen.ellipse(box, fill=colour)
    elif shape == "square":
        pen.rectangle(box, fill=colour)
    elif shape == "triangle":
        pen.polygon(((left, top + side), (left + side, top + side), (left + side / 2, top)), fill=colour)
    elif shape == "stripes":
        for line in range(0, side, 12):
            pen.rectangle((left, top + line, left + side, top + line + 5), fill=colour)
    return picture


def draw_mug():
    picture = Image.new("RGB", (224, 224), "white")
    pen = ImageDraw.Draw(picture)
    pen.ellipse((130, 85, 190, 150), outline=(180, 40, 40), width=14)
    pen.rectangle((50, 65, 150, 180), fill=(180, 40, 40))
    pen.ellipse((50, 165, 150, 195), fill=(180, 40, 40))
    pen.ellipse((50, 50, 150, 80), fill=(120, 20, 20))
    return picture


def test_our_network_answers_like_the_published_one():
    """The figures come from the network code of the package efficientnet-lite-pytorch 0.1.0 with the same weights."""
    wave = torch.sin(torch.arange(3 * 224 * 224) * 0.01).view(1, 3, 224, 224)
    with torch.inference_mode():
        network = load_efficientnet()
        logits, features = network(wave)[0], network.features(wave)[0]
    published = torch.tensor([-1.4542, -0.2582, -1.7763, -2.6903, -0.2117, -0.1708])
    torch.testing.assert_close(logits[:6], published, atol=2e-3, rtol=0)
    assert logits.argmax() == 905 and features.argmax() == 576
    assert features.sum().item() == pytest.approx(192.549, abs=0.05)


def test_a_drawn_mug_is_seen_as_a_mug():
    with torch.inference_mode():
        best = load_efficientnet()(to_tensor(draw_mug())[None]).topk(2).indices[0].tolist()
    assert set(best) == {968, 504}  # ImageNet: cup, coffee mug


def test_pixels_are_scaled_as_imagenet_networks_expect():
    white = to_tensor(Image.new("RGB", (50, 80), "white"))
    assert white.shape == (3, 224, 224)
    torch.testing.assert_close(white.amax((1, 2)), torch.tensor([2.2489, 2.4286, 2.64]), atol=1e-3, rtol=0)  # (1 - mean) / std


def test_same_shapes_are_neighbours(tmp_path):
    rng = np.random.default_rng(0)
    shapes = ["ring", "disc", "square", "triangle", "stripes"] * 5
    paths = []
    for i, shape in enumerate(shapes):
        side, (left, top) = int(rng.integers(90, 140)), rng.integers(5, 80, 2).tolist()
        draw(shape, tuple(rng.integers(0, 200, 3).tolist()), side, left, top).save(tmp_path / f"{i}.png")
        paths.append(tmp_path / f"{i}.png")
    features = encode_images([None, *paths], progress=False)
    assert features.matrix.shape == (26, 1280) and features.present.tolist() == [False] + [True] * 25
    assert features.matrix[0].abs().sum() == 0
    torch.testing.assert_close(features.matrix[1:].norm(dim=1), torch.ones(25))
    alike = (features.matrix[1:] @ features.matrix[1:].T).fill_diagonal_(-1)
    right = np.mean([shapes[i] == shapes[j] for i, j in enumerate(alike.argmax(1).tolist())])
    assert right >= 0.9  # chance 0.2; the same network with random weights about 0.35


def test_transparent_means_white_and_other_modes_are_read(tmp_path):
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    clear.save(tmp_path / "clear.png")
    assert read_picture(tmp_path / "clear.png").getpixel((0, 0)) == (255, 255, 255)
    Image.new("L", (4, 4), 100).save(tmp_path / "grey.png")
    assert read_picture(tmp_path / "grey.png").getpixel((0, 0)) == (100, 100, 100)
    Image.new("CMYK", (4, 4)).save(tmp_path / "print.jpg")
    assert read_picture(tmp_path / "print.jpg").mode == "RGB"


@pytest.mark.parametrize("damage", ["no picture", "cut off", "too large"])
def test_a_bad_picture_is_named_with_a_remedy(tmp_path, monkeypatch, damage):
    bad = tmp_path / "bad.png"
    draw_mug().save(bad)
    if damage == "no picture":
        bad.write_text("<html>not found</html>")
    elif damage == "cut off":
        bad.write_bytes(bad.read_bytes()[:200])
    else:
        monkeypatch.setattr("tema_lib.features.image.MOST_PIXELS", 224 * 224 - 1)
    with pytest.raises(ValueError, match=r"bad\.png cannot be used .*replace it") as error:
        encode_images([None, bad], progress=False)
    assert "\n" not in str(error.value)
    with pytest.raises(FileNotFoundError, match="nowhere.png is missing"):
        encode_images([None, tmp_path / "nowhere.png"], progress=False)


# ------------------------------------------------------------------------------------------------------- CLIP


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    """A complete CLIP folder, tiny and untrained: two towers, a byte-pair tokenizer of single letters, a picture processor."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

    folder = tmp_path_factory.mktemp("clip") / "tiny-clip"
    folder.mkdir()
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(letter + "</w>" for letter in letters), "mu", "mug</w>"]
    vocabulary = {word: i for i, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\nm u\nmu g</w>\n")
    CLIPTokenizer.from_pretrained(folder, model_max_length=16).save_pretrained(folder)
    tower = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, projection_dim=24)
    text = dict(vocab_size=len(words), max_position_embeddings=16, bos_token_id=0, eos_token_id=1, pad_token_id=1)
    torch.manual_seed(0)
    config = CLIPConfig(text_config=tower | text, vision_config=tower | dict(image_size=32, patch_size=8), projection_dim=24)
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def test_both_towers_of_a_clip_folder(clip_folder, tmp_path):
    from transformers import CLIPModel

    draw_mug().save(tmp_path / "mug.png")
    texts = encode_text(["", "mug", "a far longer text than the tower can read at once"], clip_folder, progress=False)
    pictures = encode_images([None, tmp_path / "mug.png"], clip_folder, progress=False)
    assert texts.matrix.shape == (3, 24) and pictures.matrix.shape == (2, 24) and texts.model == "tiny-clip"
    assert texts.fingerprint == pictures.fingerprint and texts.present.tolist() == [False, True, True]

    # The oracle is CLIP's own forward pass, which multiplies the normalised vectors of both towers.
    network = CLIPModel.from_pretrained(clip_folder).eval()
    tokens = torch.tensor([[0, 55, 1]])  # <|startoftext|> mug <|endoftext|>
    pixels = np.asarray(draw_mug().resize((32, 32), Image.Resampling.BICUBIC), dtype=np.float32) / 255
    mean, std = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])
    pixels = torch.tensor((pixels - mean) / std, dtype=torch.float32).permute(2, 0, 1)[None]
    with torch.inference_mode():
        out = network(input_ids=tokens, pixel_values=pixels)
    torch.testing.assert_close(texts.matrix[1], out.text_embeds[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(pictures.matrix[1], out.image_embeds[0], atol=1e-3, rtol=0)


def test_a_text_model_is_refused_for_pictures():
    with pytest.raises(ValueError, match="cannot encode pictures"):
        encode_images([None], "minilm-l6-v2", progress=False)


# ---------------------------------------------------------------------------------------------- save and load


def test_features_survive_the_disk_and_other_files_are_refused(tmp_path):
    features = ItemFeatures(torch.randn(3, 4), torch.tensor([False, True, True]), "some model", "f" * 64)
    features.save(tmp_path / "deep" / "text.safetensors")
    again = ItemFeatures.load(tmp_path / "deep" / "text.safetensors")
    assert torch.equal(again.matrix, features.matrix) and torch.equal(again.present, features.present)
    assert (again.model, again.fingerprint) == (features.model, features.fingerprint)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["text.safetensors"]
    (tmp_path / "other.safetensors").write_text("not a tensor")
    with pytest.raises(ValueError, match=r"other.safetensors does not hold item features"):
        ItemFeatures.load(tmp_path / "other.safetensors")
    with pytest.raises(FileNotFoundError):
        ItemFeatures.load(tmp_path / "nowhere.safetensors")
    with pytest.raises(ValueError, match="matrix"):
        ItemFeatures(torch.randn(3, 4), torch.ones(2, dtype=torch.bool), "m", "f")
