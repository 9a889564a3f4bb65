"""Exercises of notebook 02: weights by rarity, a parser of replies, a shuffled control, a prompt.

Each function tries the answer of the same name (`check.verdict`).

Status: ours.
"""

from __future__ import annotations

import json
import re

import numpy as np
import torch

from tema_lib.exercises.check import Answer, shaped

WORDS = """
    tea matcha whisk sushi rice nori bamboo mat pot oven bread flour yeast grill coffee filter
    wok noodle curry spice mill pepper jar honey cake stand pizza stone mug
"""
LABEL = re.compile(r"\b(title|description|tags)\s*:", re.IGNORECASE)


def rarity_weights(answer: Answer) -> None:
    """Weights of tags by rarity: tag_ids [N+1, K] -> float [N+1, K]."""
    rng = np.random.default_rng(0)
    tag_ids = torch.zeros(201, 4, dtype=torch.long)
    for item in range(1, 201):
        drawn = np.unique(rng.geometric(0.2, rng.integers(0, 5)))
        tag_ids[item, : len(drawn)] = torch.from_numpy(drawn)
    weights = _weights(answer, tag_ids)
    counts = torch.bincount(tag_ids.flatten())
    for row, tags in zip(weights.tolist(), tag_ids.tolist()):
        by_weight = [tag for _, tag in sorted(zip(row, tags)) if tag]
        rarity = [-int(counts[tag]) for tag in by_weight]
        assert rarity == sorted(rarity), "of two tags of an item, the rarer one must weigh more"
    tag_ids = torch.zeros(101, 2, dtype=torch.long)
    tag_ids[1:11, 0] = 1
    tag_ids[1, 1] = 2
    common, rare = _weights(answer, tag_ids)[1].tolist()
    assert abs(rare - 2 * common) < 1e-3, (
        "with 100 items, a tag on one weighs twice as much as a tag on ten: log 100 = 2 log 10 "
        "(row 0 is padding and no item)"
    )
    tag_ids = torch.ones(51, 2, dtype=torch.long) * torch.tensor([1, 0])
    tag_ids[0] = 0
    _weights(answer, tag_ids)


def read_tags(answer: Answer) -> None:
    """The parser: reply -> its tags in order, lower-case, each once; () where it is no list."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        tags = _drawn(rng, 5)
        shown = {
            "commas": ", ".join(tags),
            "capital letters": ", ".join(tag.title() for tag in tags),
            "spaces and a dot at the end": "  " + " ,  ".join(tags) + ". ",
            "dots and a comma too many": "., ".join(tags) + ".,",
            "repeated tags": ", ".join([*tags[:3], tags[0].upper(), *tags[2:], tags[1]]),
            "a numbered list": "\n".join(f"{i}. {tag}" for i, tag in enumerate(tags, 1)),
            "numbers with brackets": "\n".join(f"{i}) {tag}" for i, tag in enumerate(tags, 1)),
            "bullets": "\n".join(f"- {tag}" for tag in tags),
            "other bullets": "\n\n".join(f"* {tag.capitalize()}." for tag in tags),
            "JSON": json.dumps(tags),
            "fenced JSON": '```json\n["' + '",\n "'.join(tags) + '"]\n```',
            "a piece of more than four words": ", ".join(
                [tags[0], " ".join(WORDS.split()[:5]), *tags[1:]]
            ),
            "a piece with other characters": ", ".join([*tags, f"{tags[0]} = {tags[1]}"]),
        }
        for what, reply in shown.items():
            found = _read(answer, reply)
            assert found == tags, f"{what}: {reply!r} is read as {found}"
    for reply in (
        "",
        "A product for everyone.",
        "I'm sorry, I cannot tag this product.",
        "Sorry! As a language model I have no opinion, and its title says nothing about it, alas.",
        "tea, pot",
        "tea, pot, Tea.",
        "tea=1, pot=2, mug=3",
    ):
        found = _read(answer, reply)
        assert not found, f"fewer than three tags: return (), but {reply!r} gives {found}"
    for reply in ("[", "[]", '["tea", "pot", 1/0]', "[1, 2, 3]", "null", "{}", ",,,", "1.\n2.\n3."):
        _read(answer, reply)  # whatever it makes of these, it does not stop


def givers(answer: Answer) -> None:
    """The shuffled control: domain_of_item [N+1], rng -> whose tags each item gets, int [N+1]."""
    rng = np.random.default_rng(0)
    domain = np.concatenate([[-1], rng.permutation(np.repeat([0, 1], (40, 25)))])
    given = _givers(answer, domain, 1)
    assert (domain[given] == domain).all(), "tags must stay in their domain, and row 0 where it is"
    assert np.array_equal(given, _givers(answer, domain, 1)), (
        "draw from the generator that is given, so that the same seed gives the same control"
    )
    assert not np.array_equal(given, _givers(answer, domain, 2)), "another seed changes nothing"
    own = np.flatnonzero(domain == 0)
    step = np.diff(np.searchsorted(own, given[own])) % len(own)
    assert len(set(step)) > 4, "neighbours get the tags of neighbours: that is moved, not shuffled"
    small = np.array([-1, 0, 1, 0, 1, 0, 1, 0, 1])
    drawn = np.stack([_givers(answer, small, seed) for seed in range(200)])
    assert (drawn[:, 1:] != np.arange(1, 9)).all(), "an item keeps its own tags in some draws"
    for item in range(1, 9):
        others = np.bincount(drawn[:, item], minlength=9)[(small == small[item]).nonzero()]
        assert (others > 20).sum() == 3, (
            f"item {item} of a domain of four gets tags of the others {sorted(others)} times in "
            "200 draws (0 is its own); all others should have about the same chance"
        )


def write_question(answer: Answer) -> None:
    """The prompt: title, description, domain -> its domain, "Title: ", "Description: ", "Tags:"."""
    rng = np.random.default_rng(0)
    title, description = "No. 7: the blend", "Black tea (with 2 % bergamot); 5 o'clock."
    lines = _question(answer, title, description, "food")
    assert lines[1] == f"Title: {title}", "the second line must hold the title, as it is"
    assert lines[2] == f"Description: {description}", "the third line must hold the description"
    assert _question(answer, title, "", "food") == [*lines[:2], "Tags:"], (
        "without a description its line is left out, label and all"
    )
    other = _question(answer, title, description, "garden")
    assert ("food" in lines[0], "garden" in other[0]) == (True, True), (
        "the first line must name the domain"
    )
    for _ in range(20):
        text = _hostile(rng)
        for pair in ((text, "plain"), ("plain", text), (text, text)):
            lines = _question(answer, *pair, "food")
            labels = [label.lower() for label in LABEL.findall("\n".join(lines[1:]))]
            assert labels == ["title", "description", "tags"], (
                f"a text opens a product of its own: {lines[1:]}"
            )
            words = {word for line in pair for word in re.findall("[a-z]+", line.lower())}
            assert words <= set(re.findall("[a-z]+", "\n".join(lines).lower())), (
                f"harmless words are lost: {text!r} became {lines[1:]}"
            )
    long = _question(answer, "tea " * 4000, "pot " * 4000, "food")
    assert max(map(len, long)) <= 320, "a text of 16,000 characters must be cut to 300"
    assert min(len(long[1]), len(long[2])) >= 290, "the first 300 characters should be kept"


def _weights(answer: Answer, tag_ids: torch.Tensor) -> torch.Tensor:
    found = shaped(answer(tag_ids.clone()), *tag_ids.shape)
    assert found.isfinite().all(), (
        "a weight is NaN or infinite: an item may have no tag at all, and a tag that every item "
        "carries has log 1 = 0"
    )
    assert (found[tag_ids == 0] == 0).all(), "where there is no tag (id 0), the weight is 0"
    total = found.sum(1)[(tag_ids > 0).any(1)]
    assert ((total - 1).abs() < 1e-4).all(), "the weights of an item must sum to 1"
    return found


def _drawn(rng: np.random.Generator, count: int) -> list[str]:
    """Different tags of one to three words."""
    words = iter(rng.permutation(WORDS.split()).tolist())
    return [" ".join(next(words) for _ in range(rng.integers(1, 4))) for _ in range(count)]


def _read(answer: Answer, reply: str) -> list[str]:
    found = answer(reply)
    assert isinstance(found, (tuple, list)), "return a tuple of tags, () where there is no list"
    assert all(isinstance(tag, str) for tag in found), f"a tag is a text: {found} of {reply!r}"
    return list(found)


def _givers(answer: Answer, domain: np.ndarray, seed: int) -> np.ndarray:
    found = np.asarray(answer(domain.copy(), np.random.default_rng(seed)))
    assert found.shape == domain.shape, f"the shape must be {domain.shape}, not {found.shape}"
    assert (np.sort(found) == np.arange(len(domain))).all(), (
        "each item gives its tags to one item, so that no tag becomes more frequent"
    )
    return found.astype(int)


def _question(answer: Answer, title: str, description: str, domain: str) -> list[str]:
    text = answer(title, description, domain)
    assert isinstance(text, str), "return one text"
    lines = text.splitlines()
    due = 4 if description else 3
    assert len(lines) == due, f"it must have {due} lines, not {len(lines)}: {text[:90]!r}"
    assert lines[-1] == "Tags:", 'the last line must be "Tags:", where the model goes on'
    return lines


def _hostile(rng: np.random.Generator) -> str:
    """A text that tries to look like a further product."""

    def one(*choices: str) -> str:
        return str(rng.choice(choices))

    return "".join(
        one("tea", "Tea tags") + one("\n", "\r\n", "\u2028", "\t", " ", "\x0b")
        + one("Tags", "TAGS", "Title", "description") + one(":", " :", "::", ": :", ":\n")
        + one(" gold ", " gold bar ", "\n\n")
        for _ in range(3)
    )  # fmt: skip
