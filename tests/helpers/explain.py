"""A small data set with an untrained TEMA-LLM, for the tests of explanations."""

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from tema_lib.data.batches import Batch
from tema_lib.data.dataset import Items
from tema_lib.data.sequences import Sequences
from tema_lib.encoders.features import ItemFeatures
from tema_lib.explain.counterfactual import CounterfactualModel
from tema_lib.models.item_embedding import ItemInputs
from tema_lib.models.tema import Tema, TemaConfig
from tema_lib.tags.item_tags import ItemTags
from tema_lib.tags.weigh import weigh

ITEMS_A, ITEMS_B = 8, 7
COUNT = ITEMS_A + ITEMS_B
NASTY = '$5 or $6 <script>alert("x")</script> & tea'  # the signs stand where a label is not cut
TAG = 'to "share" <b>$'
HISTORIES = ([], [13], [1, 4, 6], [9, 10], [1, 9, 4, 10, 11, 5], [2, 9, 2, 3])
LONG = HISTORIES[4]


class World(NamedTuple):
    items: Items
    sequences: Sequences
    text: ItemFeatures
    tags: ItemTags
    inputs: ItemInputs
    model: Tema
    counterfactual: CounterfactualModel
    control: CounterfactualModel


def awake(inputs, seed=1, **config):
    torch.manual_seed(seed)
    model = Tema(
        inputs,
        TemaConfig(
            **{"modalities": ("id", "text", "tags"), "hidden": 16, "heads": 2, "layers": 2} | config
        ),
    )
    # Zero at the start: all branches alike, which would hide mistakes.
    torch.nn.init.normal_(model.across.query)
    for name, parameter in model.named_parameters():
        if name.endswith("lag"):
            torch.nn.init.normal_(parameter)
    return model.eval()


def small_world():
    """Four users, 15 items and five tags.

    u0 has events in both domains, u1 only in A with a target in B, u2 has one event, and u3 has the
    item with the nasty title twice. Item 3 has no title, item 5 no tag, item 6 a single one.
    """
    titles = ["", *(f"Good number {item}" for item in range(1, COUNT + 1))]
    titles[2], titles[3] = NASTY, ""
    domain = np.array([-1] + [0] * ITEMS_A + [1] * ITEMS_B)
    ids = ("", *(f"i{item}" for item in range(1, COUNT + 1)))
    items = Items(
        ids,
        tuple(titles),
        ("",) * (COUNT + 1),
        (None,) * (COUNT + 1),
        domain,
        {name: item for item, name in enumerate(ids) if item},
    )
    rows = [[1, 9, 4, 10, 11, 5, 12], [1, 4, 6, 9], [13, 2], [2, 9, 2, 3, 1]]
    sequences = Sequences(
        ("u0", "u1", "u2", "u3"),
        torch.tensor([item for row in rows for item in row]),
        torch.tensor([0, *map(len, rows)]).cumsum(0),
    )
    torch.manual_seed(0)
    text = ItemFeatures(
        F.normalize(torch.randn(COUNT + 1, 12), dim=1), torch.arange(COUNT + 1) > 0, "text", ""
    )
    text.matrix[[0, 3]], text.present[3] = 0, False
    vectors = F.normalize(torch.randn(6, 12), dim=1)
    vectors[0] = 0
    tag_ids = torch.stack([torch.randperm(5)[:3] + 1 for _ in range(COUNT + 1)])
    tag_ids[[0, 5]], tag_ids[6, 1:], tag_ids[2, 0] = 0, 0, 1
    tag_ids[2, 1:] = torch.tensor([3, 4])
    replies = ((), *((f"reply <i>{item}", "again") for item in range(1, COUNT + 1)))
    tags = ItemTags(
        ("", TAG, "salty", "warm", "for one", "old"),
        tag_ids,
        weigh(tag_ids, vectors, text),
        (tag_ids > 0).to(torch.int8) * torch.tensor([1, 2, 3], dtype=torch.int8),
        vectors,
        torch.from_numpy(domain),
        replies,
    )
    inputs = ItemInputs(
        torch.from_numpy(domain),
        text.matrix,
        text.present,
        tag_ids=tag_ids,
        tag_weights=tags.weights,
        tag_vectors=vectors,
    )
    model = awake(inputs)
    return World(
        items,
        sequences,
        text,
        tags,
        inputs,
        model,
        CounterfactualModel(model, items, tags, text),
        CounterfactualModel(awake(inputs, seed=2), items, tags, text),
    )


def answers(model, history, domain, table=None, compared=None, ids=True):
    """log P of all items of a domain through the path that ranks, with the softmax written out.

    One history without padding; `table` and `compared` replace the fused item vectors.  Without
    `ids` the model of ids beside them finds all items equal.
    """
    batch = Batch(torch.tensor([history or [0]]), None, torch.tensor([domain]), torch.tensor([0]))
    with torch.no_grad():
        inputs, outputs = model.item_embeddings()
        width = model.config.hidden  # what follows are the ids of the model beside the fused one
        if table is not None:
            inputs = torch.cat([table, inputs[:, width:]], 1)
        if compared is not None:
            outputs = torch.cat([compared, outputs[:, width:]], 1)
        if not ids:
            outputs[:, width:] = 0
        state = model.last_hidden_states(batch, inputs)[0]
        odds = (outputs[model.domain_of_item == domain] @ state).double().exp()
    return torch.log(odds / odds.sum()).float()


def answer(model, history, target, *vectors):
    domain = int(target > ITEMS_A)
    return float(answers(model, history, domain, *vectors)[target - 1 - ITEMS_A * domain])


def vector_by_hand(world, item, tags, without=()):
    """id + text + sum of weighted tags; the domain's average for a missing modality or no tag."""
    with torch.no_grad():
        whole, fused = world.model.items.parts(), world.model.items
        shares = {modality: share[item] for modality, share in whole.items()}
        if tags:
            odds = [
                math.exp(float(world.tags.vectors[tag] @ world.text.matrix[item]) / 0.1)
                for tag in tags
            ]
            shares["tags"] = sum(
                odd / sum(odds) * (fused.tags_map(fused.tag_features[tag]) + fused.tag[tag])
                for odd, tag in zip(odds, tags)
            )
        own = slice(1, ITEMS_A + 1) if item <= ITEMS_A else slice(ITEMS_A + 1, None)
        for modality in {*without, *(() if tags else ("tags",))}:
            shares[modality] = whole[modality][own].mean(0)
        return sum(shares.values())


def close(one, other, abs=1e-5):
    return torch.allclose(torch.as_tensor(one), torch.as_tensor(other), atol=abs, rtol=0)


EVIL = '$\\x$ </script></p><!-- <x-evil onclick="a()"> \' " &amp; $ $'


def hostile_world(folder):
    """The small world in which every text is an attack.

    Items 1 and 9 have a picture, item 2 a broken one, and the file of item 3 is missing.
    """
    world = small_world()
    for name in ("1.png", "9.jpg"):
        Image.new("RGB", (60, 30), "red").save(folder / name)
    (folder / "2.jpg").write_bytes((folder / "9.jpg").read_bytes()[:200])
    pictures = {
        1: folder / "1.png",
        9: folder / "9.jpg",
        2: folder / "2.jpg",
        3: folder / "lost.jpg",
    }

    def words(kind):
        return ("", *(f"{kind} {number} {EVIL}" for number in range(1, COUNT + 1)))

    items = replace(
        world.items,
        title=words("title"),
        description=words("about"),
        image=tuple(map(pictures.get, range(COUNT + 1))),
    )
    tags = replace(
        world.tags,
        vocabulary=words("tag")[:6],
        raw_replies=tuple((reply,) for reply in words("reply")),
    )
    sequences = replace(
        world.sequences, user_id=tuple(f"user {number} {EVIL}" for number in range(4))
    )
    counterfactual, control = (
        CounterfactualModel(one.model, items, tags, world.text)
        for one in (world.counterfactual, world.control)
    )
    return world._replace(
        items=items, tags=tags, sequences=sequences, counterfactual=counterfactual, control=control
    )
