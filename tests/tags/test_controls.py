"""Controls keep what they promise and nothing else."""

from dataclasses import replace

import pytest
import torch

from tema_lib.tags.catalogue import Catalogue
from tema_lib.tags.config import TagConfig
from tema_lib.tags.controls import CONTROLS, control_tags
from tema_lib.tags.item_tags import NEAREST
from tests.helpers.hand_tags import Items
from tests.helpers.tagging import Features, by_word, some_tags


def catalogue_of(tags):
    words = [
        "",
        *(
            f"{'red' if item % 2 else 'blue'} mug {item % 9} thing"
            for item in range(1, len(tags.tag_ids))
        ),
    ]
    items = Items(
        tuple(f"i{item}" for item in range(len(words))),
        tuple(words),
        ("",) * len(words),
        tags.domain_of_item.numpy(),
    )
    vectors = torch.nn.functional.normalize(
        torch.randn(len(words), 10, generator=torch.Generator().manual_seed(0)), dim=1
    )
    return Catalogue(
        items, Features(vectors, torch.arange(len(words)) > 0), lambda texts: by_word(texts)[:, :10]
    )


def test_controls_keep_what_they_promise():
    tags = some_tags()
    catalogue = catalogue_of(tags)
    shuffled = control_tags(tags, "shuffled", catalogue, seed=1)
    for domain in (0, 1):
        rows = tags.domain_of_item == domain
        assert sorted(shuffled.tag_ids[rows].tolist()) == sorted(tags.tag_ids[rows].tolist())
    assert (shuffled.tag_ids != tags.tag_ids).any(1).float().mean() > 0.5
    assert shuffled.tag_ids[0].sum() == 0
    assert torch.equal(control_tags(tags, "shuffled", catalogue, seed=1).tag_ids, shuffled.tag_ids)
    assert not torch.equal(
        control_tags(tags, "shuffled", catalogue, seed=2).tag_ids, shuffled.tag_ids
    )
    drawn = control_tags(tags, "random", catalogue, seed=1)
    assert torch.equal(drawn.tag_ids > 0, tags.tag_ids > 0)
    assert torch.equal(drawn.weights, tags.weights)
    assert (drawn.tag_ids != tags.tag_ids).any(1).float().mean() > 0.5
    assert all(
        len(set(row)) == len(row)
        for row in ([tag for tag in row if tag] for row in drawn.tag_ids.tolist())
    )
    assert control_tags(tags, "none", catalogue).weights.sum() == 0
    assert control_tags(tags, "none", catalogue).tags_of(1) == []
    with pytest.raises(ValueError, match="choose one of shuffled"):
        control_tags(tags, "upside down", catalogue)
    assert len(CONTROLS) == 5


def test_encoder_only_ignores_what_the_model_said_of_the_item():
    tags = some_tags()
    catalogue = catalogue_of(tags)
    config = TagConfig(assign=0.3, assign_first=-1.0)
    control = control_tags(tags, "encoder only", catalogue, config)
    assert control.vocabulary == tags.vocabulary
    assert (control.source[1:] == NEAREST).any(1).all()
    assert control.raw_replies[1] == ()
    roomy = control_tags(tags, "encoder only", catalogue, TagConfig(assign=-1.0))
    assert ((roomy.tag_ids[1:] > 0).sum(1) == 5).all()
    assert roomy.tag_ids.shape[1] == 5
    cosines = tags.vectors[1:] @ catalogue.text_vectors.matrix[7]
    assert control.tag_ids[7, 0] == cosines.argmax() + 1
    assert ((control.tag_ids[1:] > 0).sum(1) >= 3).all()
    other = replace(tags, tag_ids=tags.tag_ids.roll(1, 0))
    assert torch.equal(
        control_tags(other, "encoder only", catalogue, config).tag_ids, control.tag_ids
    )


def test_title_words_are_the_rarest_words_of_the_title():
    tags = some_tags()
    control = control_tags(
        tags, "title words", catalogue_of(tags), TagConfig(tags_per_item=2, max_share=0.6)
    )
    # "mug" and "thing" are in every title, digits are no words.
    assert set(control.vocabulary) == {"", "red", "blue"}
    one = control_tags(
        tags, "title words", catalogue_of(tags), TagConfig(tags_per_item=1, max_share=1.0)
    )
    assert set(one.vocabulary) == {"", "red", "blue", "mug", "thing"}
    assert {tag for item in range(1, 9) for tag, _, _ in one.tags_of(item)} == {"red", "blue"}
    assert [tag for tag, _, _ in control.tags_of(1)] == ["red"]
    assert control.model == "title words"
    assert torch.allclose(control.weights[1:].sum(1), torch.ones(len(tags.tag_ids) - 1))
