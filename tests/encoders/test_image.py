"""Pictures are read, encoded, or refused by name."""

import numpy as np
import pytest
import torch
from PIL import Image

from tema_lib.data.dataset import DataError
from tema_lib.encoders.image import encode_images, read_picture
from tests.helpers.drawings import draw, draw_mug


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
        monkeypatch.setattr("tema_lib.encoders.image.MOST_PIXELS", 224 * 224 - 1)
    with pytest.raises(ValueError, match=r"bad\.png cannot be used .*replace it") as error:
        encode_images([None, bad], progress=False)
    assert "\n" not in str(error.value)
    with pytest.raises(DataError, match="nowhere.png is missing"):
        encode_images([None, tmp_path / "nowhere.png"], progress=False)


def test_a_text_model_is_refused_for_pictures():
    with pytest.raises(ValueError, match="cannot encode pictures"):
        encode_images([None], "minilm-l6-v2", progress=False)
