"""Products, a stand-in for the language model, an encoder of words, and tags made by hand."""

import re
from dataclasses import dataclass

import numpy as np
import torch

from tema_lib.tags.catalogue import Catalogue
from tema_lib.tags.config import TagConfig
from tema_lib.tags.item_tags import ItemTags

FOOD = [
    ("Dark Roast Espresso Beans, 2 lb", "Oily whole beans for a thick crema."),
    ("Stone Ground Bread Flour", "High protein wheat flour for sourdough."),
    ("Sushi Rice 5 kg", ""),
    ("Hickory Barbecue Sauce", "Smoky glaze for ribs on the grill."),
    ("Loose Leaf Green Tea", ""),
    ("XK-20", ""),
]


KITCHEN = [
    ("Espresso Cups, Set of 6", "Thick porcelain keeps a short coffee hot."),
    ("Proofing Basket 9 Inch", "Rattan basket for rising bread dough."),
    ("Bamboo Sushi Mat", ""),
    ("Long Grill Tongs", "Locking steel tongs for the barbecue."),
    ("Cast Iron Teapot", ""),
    ("", ""),
]


@dataclass(frozen=True)
class FewItems:
    """The part of `Items` that tags need."""

    title: tuple
    description: tuple
    domain_of_item: np.ndarray

    def text(self, item):
        return ". ".join(part for part in (self.title[item], self.description[item]) if part)


FOOD_COUNT = len(FOOD)


def few_items(products=(*FOOD, *KITCHEN), first_of_kitchen=FOOD_COUNT):
    domains = [-1] + [int(position >= first_of_kitchen) for position in range(len(products))]
    return FewItems(
        ("", *(title for title, _ in products)),
        ("", *(text for _, text in products)),
        np.array(domains),
    )


@dataclass(frozen=True)
class Features:
    matrix: torch.Tensor
    present: torch.Tensor


class Scripted:
    """A stand-in that answers by a rule given by the test and counts what it was asked."""

    name = "scripted"
    fingerprint = "f00d"
    settings = "{}"

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def generate_batches(self, prompts):
        self.asked += prompts
        yield list(range(len(prompts))), [self.answer(prompt) for prompt in prompts]

    def choose_batches(self, prompts, first, second):
        yield (
            list(range(len(prompts))),
            [
                "1.0"
                if re.search(r"Tag: (food|stuff|useful|grocery|everyday)\n[^\n]*$", prompt)
                else "-1.0"
                for prompt in prompts
            ],
        )


def by_word(texts):
    """Unit vectors [len, 64]: one direction per word, so that cosine counts common words."""
    vectors = torch.zeros(len(texts), 64)
    for row, text in enumerate(texts):
        for word in text.lower().replace(",", " ").replace(".", " ").split():
            vectors[row, sum(map(ord, word)) % 64] += 1
    return torch.nn.functional.normalize(vectors, dim=1)


def by_word_features(items):
    texts = [items.text(item) for item in range(len(items.title))]
    return Features(by_word(texts), torch.tensor([bool(text) for text in texts]))


FOOD_AND_KITCHEN = TagConfig(domain_names=("food", "kitchen"))


def by_word_catalogue(items):
    return Catalogue(items, by_word_features(items), by_word)


def some_tags(count=40):
    rng = np.random.default_rng(0)
    tag_ids = torch.from_numpy(
        rng.permuted(np.tile(np.arange(1, 10), (count + 1, 1)), axis=1)[:, :3]
    )
    tag_ids[0], tag_ids[5], tag_ids[6, 1:] = 0, 0, 0
    weights = (tag_ids > 0).float() / (tag_ids > 0).sum(1, keepdim=True).clamp(min=1)
    domain = torch.tensor([-1] + [0] * (count // 2) + [1] * (count - count // 2))
    return ItemTags(
        ("", *"abcdefghi"),
        tag_ids,
        weights,
        (tag_ids > 0).to(torch.int8),
        torch.eye(10),
        domain,
        tuple((f"reply {item}",) for item in range(count + 1)),
        "model",
        "f00d",
    )
