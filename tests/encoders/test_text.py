"""The text encoder: real weights, known answers, and items without text."""

import pytest
import torch

from tema_lib.encoders.text import encode_text

TEXTS = [
    "",
    "Stainless steel garlic press",
    "Crusher that minces cloves",
    "Milk chocolate bar with hazelnuts",
    "  ",
    "Cocoa sweets " * 40,
]


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
