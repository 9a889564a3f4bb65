"""Wrong answers that students give to the exercises of notebook 02, and what they are told."""

import json
import re

import numpy as np
import pytest
import torch

from tema_lib.encoders.features import ItemFeatures
from tema_lib.exercises import tagging
from tema_lib.exercises.check import verdict
from tema_lib.tags.config import TagConfig
from tema_lib.tags.parse import parse_tags
from tema_lib.tags.prompts import clean
from tema_lib.tags.weigh import weigh


def rarity(tag_ids, padding=0, least=1e-6, safe=1e-12, scale=torch.log):
    given = tag_ids > 0
    counts = torch.bincount(tag_ids[given], minlength=int(tag_ids.max()) + 1).clamp(min=1)
    weights = scale((len(tag_ids) - 1 + padding) / counts).clamp(min=least)[tag_ids] * given
    return weights / weights.sum(1, keepdim=True).clamp(min=safe)


def no_mask(tag_ids):
    weights = 1 / torch.bincount(tag_ids.flatten())[tag_ids]
    return weights / weights.sum(1, keepdim=True)


def at_commas(reply, dots=False, once=True):
    tags = [piece.strip().strip("." * dots).lower() for piece in reply.split(",")]
    tags = list(dict.fromkeys(tags)) if once else tags
    tags = [tag for tag in tags if tag]
    return tags if len(tags) >= 3 else ()


def by_line(reply):
    """Bullets and numbers, too, but whatever stands there is a tag."""
    lines = re.findall(r"^(?:[-*]|\d+[.)]) (.+)$", reply, re.MULTILINE)
    return at_commas(", ".join(lines) if lines else reply, dots=True)


def without_json(reply):
    fits = [tag for tag in by_line(reply) if re.fullmatch(r"\w[\w' -]*", tag)]
    return [tag for tag in fits if len(tag.split()) <= 4] if len(fits) >= 3 else []


def of_texts_only(reply):
    """Numbers in JSON have no `lower`."""
    pieces = json.loads(reply.strip("`json")) if "[" in reply and "]" in reply else None
    return [tag.lower() for tag in pieces] if pieces else without_json(reply)


def executed(reply):
    return [tag.lower() for tag in eval(reply)] if reply.startswith("[") else without_json(reply)


def permuted(domain, rng, within=True, again=False):
    giver = np.arange(len(domain))
    for own in [np.flatnonzero(domain == d) for d in (0, 1)] if within else [giver[1:].copy()]:
        giver[own] = rng.permutation(own)
        while again and (giver[own] == own).any():
            giver[own] = rng.permutation(own)
    return giver


def rolled(domain, rng):
    """Everybody gets the tags of the item some places on."""
    giver = np.arange(len(domain))
    for own in [np.flatnonzero(domain == d) for d in (0, 1)]:
        giver[own] = np.roll(own, rng.integers(1, len(own)) if rng else 1)
    return giver


def shuffled_if_many(domain, rng):
    """A few items only move one place on."""
    return permuted(domain, rng, again=True) if len(domain) > 10 else rolled(domain, None)


def drawn(domain, rng):
    """Any item of the domain, several times the same."""
    giver = np.zeros(len(domain), dtype=int)
    for own in [np.flatnonzero(domain == d) for d in (0, 1)]:
        giver[own] = rng.choice(own, len(own))
    return giver


def prompt(title, description, domain, one=clean, always=False, begin="A product of {}"):
    lines = [begin.format(domain), f"Title: {one(title)}"]
    lines += [f"Description: {one(description)}"] if description or always else []
    return "\n".join([*lines, "Tags:"])


def one_line(text):
    return " ".join(text.split())[:300]


def once_replaced(text):
    """`Tags::` keeps a colon, `TAGS:` is not found."""
    return re.sub("(Title|Description|Tags):", r"\1", one_line(text))


def asked(**how):
    return lambda *texts: prompt(*texts, **how)


@pytest.mark.parametrize(
    ("name", "wrong", "says"),
    [
        ("rarity_weights", no_mask, "where there is no tag"),
        ("rarity_weights", lambda ids: rarity(ids, safe=0), "NaN"),
        ("rarity_weights", lambda ids: rarity(ids, least=0), "must sum to 1"),
        ("rarity_weights", lambda ids: rarity(ids, padding=1), "row 0 is padding"),
        ("rarity_weights", lambda ids: rarity(ids, scale=lambda x: x), "log 100 = 2 log 10"),
        ("rarity_weights", lambda ids: rarity(ids, scale=lambda x: 1 / x), "the rarer one"),
        ("read_tags", at_commas, "a dot at the end"),
        ("read_tags", lambda reply: at_commas(reply, True, False), "repeated tags"),
        ("read_tags", lambda reply: at_commas(reply, True), "a numbered list"),
        ("read_tags", by_line, "JSON"),
        ("read_tags", without_json, "JSON"),
        ("read_tags", lambda reply: parse_tags(reply) or [reply], "return ()"),
        ("read_tags", of_texts_only, "it stops with"),
        ("read_tags", executed, "fenced JSON"),
        ("givers", permuted, "keeps its own tags"),
        ("givers", lambda *given: permuted(*given, within=False), "stay in their domain"),
        ("givers", rolled, "moved, not shuffled"),
        ("givers", shuffled_if_many, "about the same chance"),
        ("givers", drawn, "no tag becomes more frequent"),
        ("givers", lambda d, rng: permuted(d, np.random.default_rng(), again=True), "same seed"),
        (
            "givers",
            lambda d, rng: permuted(d, np.random.default_rng(0), again=True),
            "seed changes",
        ),
        ("write_question", asked(one=str), "it must have 4 lines"),
        ("write_question", asked(one=one_line), "a product of its own"),
        ("write_question", asked(one=once_replaced), "a product of its own"),
        ("write_question", asked(one=lambda text: one_line(text).replace(":", "")), "as it is"),
        ("write_question", asked(one=lambda text: clean(text).split(" tags")[0]), "words are lost"),
        ("write_question", asked(one=lambda text: clean(text, 10**6)), "cut to 300"),
        ("write_question", asked(one=lambda text: clean(text, 200)), "first 300"),
        ("write_question", lambda *texts: prompt(*texts) + " tea", "where the model goes on"),
        ("write_question", lambda a, b, c: prompt(a, b.lower(), c), "hold the description"),
        ("write_question", asked(always=True), "it must have 3 lines"),
        ("write_question", asked(begin="A product:"), "name the domain"),
    ],
)
def test_a_wrong_answer_is_told_what_is_wrong(name, wrong, says):
    said = verdict(getattr(tagging, name), wrong)
    assert said.startswith("not solved yet: ")
    assert says in said


def library_weights(tag_ids):
    none = torch.zeros(len(tag_ids), 1)
    text = ItemFeatures(none, none[:, 0] > 0, "none", "")
    return weigh(tag_ids, torch.zeros(int(tag_ids.max()) + 1, 1), text, TagConfig(weight="idf"))


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("rarity_weights", library_weights),
        ("read_tags", lambda reply: parse_tags(reply) or ()),
        ("givers", lambda *given: permuted(*given, again=True)),
        ("write_question", prompt),
    ],
)
def test_the_library_passes(name, right):
    """What the exercises build is what the library has."""
    assert verdict(getattr(tagging, name), right) == "solved"
