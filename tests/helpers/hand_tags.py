"""Six items, three of each domain, with tags by hand, and exports of them."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from tema_lib.tags.config import TagConfig
from tema_lib.tags.export import export_tags
from tema_lib.tags.item_tags import MAPPED, NEAREST, OWN, ItemTags


@dataclass(frozen=True)
class Items:
    item_id: tuple
    title: tuple
    description: tuple
    domain_of_item: np.ndarray

    def text(self, item):
        return self.title[item]


def small():
    """Six items, three of each domain; tags by hand."""
    tag_ids = torch.tensor(
        [[0, 0, 0], [1, 2, 3], [1, 0, 0], [2, 3, 0], [1, 4, 5], [4, 5, 6], [0, 0, 0]]
    )
    source = torch.tensor(
        [
            [0, 0, 0],
            [OWN, MAPPED, NEAREST],
            [NEAREST, 0, 0],
            [OWN, OWN, 0],
            [NEAREST] * 3,
            [MAPPED, NEAREST, NEAREST],
            [0, 0, 0],
        ],
        dtype=torch.int8,
    )
    weights = (tag_ids > 0).float() / (tag_ids > 0).sum(1, keepdim=True).clamp(min=1)
    vectors = torch.cat([torch.zeros(1, 6), torch.eye(6)])
    vectors[2] = torch.nn.functional.normalize(torch.tensor([0.9, 0.4, 0, 0, 0, 0]), dim=0)
    vectors[6] = torch.nn.functional.normalize(torch.tensor([0, 0, 0, 1.0, 0, 0.2]), dim=0)
    return ItemTags(
        ("", "coffee", "espresso", "movie night", "red cup", "cups", "white cup"),
        tag_ids,
        weights,
        source,
        vectors,
        torch.tensor([-1, 0, 0, 0, 1, 1, 1]),
        ((), *((f"reply {item}",) for item in range(1, 7))),
        "small",
        "f00d",
    )


def exported(folder, model, sha256="beef", data="toy"):
    items = Items(("", *"abcdef"), ("",) * 7, ("",) * 7, small().domain_of_item.numpy())
    return export_tags(
        replace(small(), model=model),
        items,
        folder,
        data=data,
        sha256=sha256,
        settings="{}",
        config=TagConfig(tags_per_item=3),
    )
