"""Reduced features, the fused item vectors and the weights of tags."""

import pytest
import torch
import torch.nn.functional as F

import tema_lib.training as training
from tema_lib.models.item_embedding import ItemRepresentation, reduce_features
from tema_lib.models.tema import Tema, TemaConfig
from tests.helpers.models import (
    USERS,
    awake,
    batch_of,
    inputs,
)


def test_reduced_features_are_centred_principal_components():
    given = inputs()
    reduced = reduce_features(given.text, given.text_present, width=5)
    assert (reduced[~given.text_present] == 0).all()
    rows = reduced[given.text_present]
    torch.testing.assert_close(rows.mean(0), torch.zeros(5), rtol=0, atol=1e-6)
    torch.testing.assert_close(rows.pow(2).sum(1).mean(), torch.tensor(1.0))
    covariance = torch.cov(given.text[given.text_present].T)
    _values, vectors = torch.linalg.eigh(covariance.double())
    by_hand = (
        given.text[given.text_present] - given.text[given.text_present].mean(0)
    ).double() @ vectors.flip(1)[:, :5]
    agreement = F.cosine_similarity(rows.double(), by_hand, dim=0).abs()
    torch.testing.assert_close(agreement, torch.ones(5, dtype=torch.double), rtol=0, atol=1e-6)
    junk = given.text.clone()
    junk[~given.text_present] = 1e3  # absent rows do not count
    torch.testing.assert_close(reduce_features(junk, given.text_present, width=5), reduced)


def test_an_item_is_the_sum_of_its_modalities_and_a_missing_one_is_a_learned_vector():
    torch.manual_seed(0)
    given = inputs()
    items = awake(ItemRepresentation(given, 16))
    table = items.tag_embedding()
    tags_7 = sum(w * table[t] for w, t in zip(given.tag_weights[7], given.tag_ids[7]))
    text_7, image_7 = (
        getattr(items, f"{modality}_map")(getattr(items, f"{modality}_features")[7])
        for modality in ("text", "image")
    )
    torch.testing.assert_close(items()[7], items.id[7] + text_7 + image_7 + tags_7)
    parts = items.parts()
    for modality, lacking in (("text", [3, 15]), ("image", [4, 16]), ("tags", [5, 17])):
        for item in lacking:
            torch.testing.assert_close(parts[modality][item], getattr(items, f"{modality}_missing"))
        assert not torch.isclose(parts[modality][7], getattr(items, f"{modality}_missing")).all()


def test_learned_tag_weights_start_as_the_given_ones_and_follow_the_equation():
    torch.manual_seed(0)
    given = inputs()
    items = ItemRepresentation(given, 16, tag_weighting="learned")
    others = sum(items.parts()[modality] for modality in ("id", "text", "image"))
    torch.testing.assert_close(
        items.weights(items.tag_ids, items.tag_weights, others), given.tag_weights
    )  # before training nothing has been learned
    awake(items)
    others = sum(items.parts()[modality] for modality in ("id", "text", "image"))
    scores = [
        items.weigh
        @ torch.tanh(items.weigh_tag(items.tag_embedding()[tag]) + items.weigh_item(others[7]))
        for tag in given.tag_ids[7]
    ]
    by_hand = given.tag_weights[7] * torch.stack(scores).exp()
    torch.testing.assert_close(
        items.weights(items.tag_ids, items.tag_weights, others)[7], by_hand / by_hand.sum()
    )
    assert not torch.allclose(
        items.weights(items.tag_ids, items.tag_weights, others)[7], given.tag_weights[7], atol=1e-3
    )
    torch.testing.assert_close(
        items.weights(items.tag_ids, items.tag_weights, others).sum(1), given.tag_weights.sum(1)
    )  # 1, or 0 where there is no tag
    alone = ItemRepresentation(given, 16, modalities=("tags",), tag_weighting="learned")
    assert torch.isfinite(alone()).all()


def test_uniform_tag_weights_count_each_tag_of_an_item_alike():
    given = inputs()
    items = ItemRepresentation(given, 16, modalities=("id", "tags"), tag_weighting="uniform")
    table = items.tag_embedding()
    tags = items.parts()["tags"]
    torch.testing.assert_close(tags[7], table[given.tag_ids[7]].mean(0))
    torch.testing.assert_close(tags[5], items.tags_missing)
    two = given.tag_ids.clone()
    two[7, 2] = 0
    weights = items.weights(two, given.tag_weights, 0.0)
    assert weights[7].tolist() == [0.5, 0.5, 0.0]
    assert weights[5].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "options",
    [
        {"tag_table": "frozen"},
        {"tag_table": "learned"},
        {"tag_table": "frozen", "tag_weighting": "learned"},
        {"modalities": ("tags",)},
    ],
)
def test_every_way_of_reading_tags_works_in_bfloat16(options):
    torch.manual_seed(0)
    model = Tema(inputs(), TemaConfig(hidden=16, max_length=20, **options))
    loss = training.training_step(
        model, batch_of(*USERS), torch.optim.SGD(model.parameters(), lr=0.1), precision="bfloat16"
    )["next item"]
    assert torch.isfinite(loss)
    assert loss.dtype == torch.float32


def test_the_systems_of_a_run_share_their_reduced_features():
    one, other = inputs(), inputs()
    assert ItemRepresentation(one, 8).text_features is ItemRepresentation(one, 16).text_features
    assert (
        ItemRepresentation(one, 8).text_features is not ItemRepresentation(other, 8).text_features
    )
