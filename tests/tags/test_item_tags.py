"""Tags on disk."""

from dataclasses import replace

import pytest
import torch

from tema_lib.tags.item_tags import ItemTags
from tests.helpers.tagging import some_tags


def test_tags_come_back_from_disk_and_damage_is_named(tmp_path):
    tags = some_tags()
    tags.save(tmp_path / "tags")
    back = ItemTags.load(tmp_path / "tags")
    assert back.vocabulary == tags.vocabulary
    assert back.raw_replies == tags.raw_replies
    assert (back.model, back.fingerprint) == ("model", "f00d")
    assert ItemTags.load(tmp_path / "tags.json").vocabulary == tags.vocabulary
    assert torch.equal(back.tag_ids, tags.tag_ids)
    assert torch.equal(back.weights, tags.weights)
    assert back.tags_of(3) == tags.tags_of(3)
    replace(tags, weights=tags.weights / 2).save(tmp_path / "other")
    (tmp_path / "tags.safetensors").write_bytes((tmp_path / "other.safetensors").read_bytes())
    with pytest.raises(ValueError, match="do not belong together"):
        ItemTags.load(tmp_path / "tags")
    with pytest.raises(FileNotFoundError, match="write the tags again"):
        ItemTags.load(tmp_path / "nothing")
