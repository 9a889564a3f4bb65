"""EfficientNet-Lite0: our network answers like the published one."""

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from tema_lib.encoders.efficientnet import load_efficientnet, to_tensor
from tema_lib.encoders.image import encode_images
from tests.helpers.drawings import draw_mug


def test_our_network_answers_like_the_published_one():
    """The numbers come from the package efficientnet-lite-pytorch 0.1.0 with the same weights."""
    wave = torch.sin(torch.arange(3 * 224 * 224) * 0.01).view(1, 3, 224, 224)
    with torch.inference_mode():
        network = load_efficientnet()
        logits = network(wave)[0]
        features = network.features(wave)[0]
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
    # (1 - mean) / std.
    torch.testing.assert_close(
        white.amax((1, 2)), torch.tensor([2.2489, 2.4286, 2.64]), atol=1e-3, rtol=0
    )


def test_the_picture_encoder_says_when_its_file_holds_another_network(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "efficientnet-lite0"}')
    save_file({"weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    Image.new("RGB", (8, 8)).save(tmp_path / "black.png")
    with pytest.raises(
        ValueError, match="does not hold the weights of EfficientNet-Lite0: delete this folder"
    ) as error:
        encode_images([tmp_path / "black.png"], tmp_path, progress=False)
    assert "\n" not in str(error.value)
