"""Encoders of text and pictures: real weights, known answers, and items that have nothing to encode."""

import json
import shutil

import numpy as np
import pytest
import torch
from helpers.full_disk import full_disk
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file

from tema_lib.data.dataset import DataError
from tema_lib.encoders.features import ItemFeatures, remembered
from tema_lib.encoders.image import encode_images, load_efficientnet, read_picture, to_tensor
from tema_lib.encoders.text import encode_text

TEXTS = [
    "",
    "Stainless steel garlic press",
    "Crusher that minces cloves",
    "Milk chocolate bar with hazelnuts",
    "  ",
    "Cocoa sweets " * 40,
]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# ------------------------------------------------------------------------------------------------------- text


def test_text_features_have_meaning_unit_length_and_zero_rows_where_text_is_missing():
    features = encode_text(TEXTS, progress=False)
    assert features.matrix.shape == (6, 384)
    assert features.model == "minilm-l6-v2"
    assert features.present.tolist() == [False, True, True, True, False, True]
    assert features.matrix[~features.present].abs().sum() == 0
    torch.testing.assert_close(features.matrix[features.present].norm(dim=1), torch.ones(4))
    alike = features.matrix @ features.matrix.T
    assert alike[1, 2] > alike[1, 3] + 0.1
    assert alike[3, 5] > alike[1, 5] + 0.1


def test_text_rows_do_not_depend_on_their_batch():
    together = encode_text(TEXTS, progress=False)
    for i in (1, 3, 5):  # row i of a padded, length-sorted batch is what the text gives alone
        torch.testing.assert_close(
            encode_text([TEXTS[i]], progress=False).matrix[0], together.matrix[i], atol=1e-5, rtol=0
        )
    torch.testing.assert_close(
        encode_text(TEXTS, batch=2, progress=False).matrix, together.matrix, atol=1e-5, rtol=0
    )


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
        pen.polygon(
            ((left, top + side), (left + side, top + side), (left + side / 2, top)), fill=colour
        )
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
    assert logits.argmax() == 905
    assert features.argmax() == 576
    assert features.sum().item() == pytest.approx(192.549, abs=0.05)


def test_a_drawn_mug_is_seen_as_a_mug():
    with torch.inference_mode():
        best = load_efficientnet()(to_tensor(draw_mug())[None]).topk(2).indices[0].tolist()
    assert set(best) == {968, 504}  # ImageNet: cup, coffee mug


def test_pixels_are_scaled_as_imagenet_networks_expect():
    white = to_tensor(Image.new("RGB", (50, 80), "white"))
    assert white.shape == (3, 224, 224)
    torch.testing.assert_close(
        white.amax((1, 2)), torch.tensor([2.2489, 2.4286, 2.64]), atol=1e-3, rtol=0
    )  # (1 - mean) / std


def test_same_shapes_are_neighbours(tmp_path):
    rng = np.random.default_rng(0)
    shapes = ["ring", "disc", "square", "triangle", "stripes"] * 5
    paths = []
    for i, shape in enumerate(shapes):
        side, (left, top) = int(rng.integers(90, 140)), rng.integers(5, 80, 2).tolist()
        draw(shape, tuple(rng.integers(0, 200, 3).tolist()), side, left, top).save(
            tmp_path / f"{i}.png"
        )
        paths.append(tmp_path / f"{i}.png")
    features = encode_images([None, *paths], progress=False)
    assert features.matrix.shape == (26, 1280)
    assert features.present.tolist() == [False] + [True] * 25
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
    with pytest.raises(DataError, match="nowhere.png is missing"):
        encode_images([None, tmp_path / "nowhere.png"], progress=False)


# ------------------------------------------------------------------------------------------------------- CLIP


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    """A complete CLIP folder, tiny and untrained: two towers, a byte-pair tokenizer of single letters, a picture processor."""
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
    assert texts.present.tolist() == [
        False,
        True,
        True,
    ]

    # The oracle is CLIP's own forward pass, which multiplies the normalised vectors of both towers.
    network = CLIPModel.from_pretrained(clip_folder).eval()
    tokens = torch.tensor([[0, 55, 1]])  # <|startoftext|> mug <|endoftext|>
    pixels = (
        np.asarray(draw_mug().resize((32, 32), Image.Resampling.BICUBIC), dtype=np.float32) / 255
    )
    mean, std = (
        np.array([0.48145466, 0.4578275, 0.40821073]),
        np.array([0.26862954, 0.26130258, 0.27577711]),
    )
    pixels = torch.tensor((pixels - mean) / std, dtype=torch.float32).permute(2, 0, 1)[None]
    with torch.inference_mode():
        out = network(input_ids=tokens, pixel_values=pixels)
    torch.testing.assert_close(texts.matrix[1], out.text_embeds[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(pictures.matrix[1], out.image_embeds[0], atol=1e-3, rtol=0)


def test_a_text_model_is_refused_for_pictures():
    with pytest.raises(ValueError, match="cannot encode pictures"):
        encode_images([None], "minilm-l6-v2", progress=False)


# ------------------------------------------------------------------------------------------- damaged folders


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


def test_the_picture_encoder_says_when_its_file_holds_another_network(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "efficientnet-lite0"}')
    save_file({"weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    Image.new("RGB", (8, 8)).save(tmp_path / "black.png")
    with pytest.raises(
        ValueError, match="does not hold the weights of EfficientNet-Lite0: delete this folder"
    ) as error:
        encode_images([tmp_path / "black.png"], tmp_path, progress=False)
    assert "\n" not in str(error.value)


# ---------------------------------------------------------------------------------------------- save and load


def test_features_survive_the_disk_and_other_files_are_refused(tmp_path):
    features = ItemFeatures(
        torch.randn(3, 4), torch.tensor([False, True, True]), "some model", "f" * 64
    )
    features.save(tmp_path / "deep" / "text.safetensors")
    again = ItemFeatures.load(tmp_path / "deep" / "text.safetensors")
    assert torch.equal(again.matrix, features.matrix)
    assert torch.equal(again.present, features.present)
    assert (again.model, again.fingerprint) == (features.model, features.fingerprint)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["text.safetensors"]
    (tmp_path / "other.safetensors").write_text("not a tensor")
    with pytest.raises(ValueError, match=r"other.safetensors does not hold item features"):
        ItemFeatures.load(tmp_path / "other.safetensors")
    with pytest.raises(FileNotFoundError):
        ItemFeatures.load(tmp_path / "nowhere.safetensors")
    with pytest.raises(ValueError, match="matrix"):
        ItemFeatures(torch.randn(3, 4), torch.ones(2, dtype=torch.bool), "m", "f")


FEATURES = ItemFeatures(
    torch.arange(12.0).view(3, 4), torch.tensor([False, True, True]), "some model", "f" * 64
)


def flip(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "damage", ["none", "cut", "empty", "zeros", "flipped", "a text", "other tensors"]
)
def test_remembered_features_are_made_once_and_again_when_their_file_is_damaged(
    tmp_path, capsys, damage
):
    path, made = tmp_path / "cache" / "text.safetensors", []

    def make():
        made.append(1)
        return FEATURES

    remembered(path, make)
    size = path.stat().st_size
    if damage == "cut":
        path.write_bytes(path.read_bytes()[: size // 2])
    elif damage in ("empty", "zeros"):
        path.write_bytes(b"\0" * (size if damage == "zeros" else 0))
    elif damage == "flipped":
        flip(path)
    elif damage == "a text":
        path.write_text("no features")
    elif damage == "other tensors":
        save_file({"weight": torch.zeros(1)}, path)
    for _ in range(2):
        assert torch.equal(remembered(path, make).matrix, FEATURES.matrix)
    assert len(made) == (1 if damage == "none" else 2)
    assert ("is damaged: its items are encoded again" in capsys.readouterr().err) == (
        damage != "none"
    )
    assert torch.equal(ItemFeatures.load(path).matrix, FEATURES.matrix)


def test_features_of_an_earlier_version_are_read(tmp_path):
    about = {"model": "some model", "fingerprint": "f" * 64}  # without a checksum
    save_file(
        {"matrix": FEATURES.matrix, "present": FEATURES.present},
        tmp_path / "old.safetensors",
        metadata=about,
    )
    assert torch.equal(ItemFeatures.load(tmp_path / "old.safetensors").matrix, FEATURES.matrix)


def test_a_full_disk_costs_the_memory_and_not_the_run(tmp_path, capsys):
    with full_disk():
        found = remembered(tmp_path / "text.safetensors", lambda: FEATURES)
    assert torch.equal(found.matrix, FEATURES.matrix)
    assert list(tmp_path.iterdir()) == []
    assert "text.safetensors cannot be written" in capsys.readouterr().err
    with (
        full_disk(),
        pytest.raises(DataError, match=r"text.safetensors cannot be written \(.*\): make room"),
    ):
        FEATURES.save(tmp_path / "text.safetensors")


def test_a_folder_that_cannot_be_written_costs_the_memory_and_not_the_run(tmp_path, capsys):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert torch.equal(
        remembered(tmp_path / "cache" / "text.safetensors", lambda: FEATURES).matrix,
        FEATURES.matrix,
    )
    said = capsys.readouterr().err
    assert "text.safetensors cannot be written (" in said
    assert "This run goes on" in said
    assert "Errno" not in said
