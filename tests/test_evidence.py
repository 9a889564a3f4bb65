"""What tags are worth: measures, controls, and the compact export, each against numbers counted by hand."""

import gzip
import hashlib
import json
import os
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_tags import Features, by_word, some_tags

from tema_lib.data.dataset import UNNAMED, encode_ids
from tema_lib.datasets.load import read_data
from tema_lib.encoders.text import encode_text
from tema_lib.tags.catalogue import Catalogue
from tema_lib.tags.config import TagConfig
from tema_lib.tags.controls import CONTROLS, control_tags
from tema_lib.tags.export import (
    check_choice,
    choose_export,
    export_tags,
    file_name,
    find_exports,
    prompt_version,
    read_export,
)
from tema_lib.tags.item_tags import MAPPED, NEAREST, OWN, ItemTags, evidence
from tema_lib.tags.prompts import is_measure
from tema_lib.tags.refine import lemma, opposites


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


def test_coverage_counts_what_it_says():
    found = evidence.coverage(small(), ("food", "kitchen"), "topic")
    assert found["items with a tag"] == pytest.approx(5 / 6)
    assert found["items with three tags, one of them own"] == pytest.approx(2 / 6)
    assert found["tags that are the model's own words"] == pytest.approx(3 / 12)
    assert found["tags mapped to the list"] == pytest.approx(2 / 12)
    assert found["tags nearest by meaning"] == pytest.approx(7 / 12)
    assert found["share of items of the most frequent tag"] == pytest.approx(3 / 6)
    assert found["tags of the list that both domains use"] == pytest.approx(1 / 6)  # coffee
    assert found["tags that repeat an example"] == pytest.approx(
        2 / 12
    )  # movie night, on two items of A
    brunch = replace(
        small(),
        vocabulary=("", "coffee", "espresso", "holiday brunch", "movie night", "cups", "white cup"),
    )
    assert (
        evidence.coverage(brunch, ("food", "kitchen"), "topic")["tags that repeat an example"] == 0
    )  # each stands in the other domain's examples
    assert "tags that repeat an example" not in evidence.coverage(small())
    assert evidence.uses(small()).tolist() == [[0, 2, 2, 2, 0, 0, 0], [0, 1, 0, 0, 2, 2, 1]]


def test_an_empty_list_has_no_evidence_and_comes_back_from_its_export(tmp_path):
    tags, bare = small(), torch.zeros(7, 3, dtype=torch.long)
    empty = replace(
        tags,
        vocabulary=("",),
        tag_ids=bare,
        weights=bare.float(),
        source=bare.to(torch.int8),
        vectors=torch.zeros(1, 6),
    )
    assert set(evidence.coverage(empty, style="mixed").values()) == {0.0}
    assert evidence.closest_pairs(empty) == []
    assert np.isnan(evidence.agreement(empty, empty))
    assert (
        evidence.joined_pairs(empty, list("xxyyzz"))["F1"]
        == 0
        == evidence.joined_pairs(empty, list("abcdef"))["F1"]
    )
    items = Items(("", *"abcdef"), ("",) * 7, ("",) * 7, tags.domain_of_item.numpy())
    path = export_tags(
        empty,
        items,
        tmp_path,
        data="toy",
        sha256="beef",
        settings="{}",
        config=TagConfig(tags_per_item=3),
    )
    back = read_export(path, items, lambda texts: torch.ones(len(texts), 6))
    assert back.vocabulary == ("",)
    assert back.vectors.shape == (1, 6)
    assert back.weights.sum() == 0


def test_closest_pairs_name_opposites_and_equal_lemmas_are_found():
    pairs = evidence.closest_pairs(small(), 2)
    assert [(one, other, apart) for _, one, other, apart in pairs] == [
        ("red cup", "white cup", True),
        ("coffee", "espresso", False),
    ]
    assert [cosine for cosine, *_ in pairs] == pytest.approx(
        [1 / 1.04**0.5, 0.9 / 0.97**0.5], abs=1e-6
    )
    assert len(evidence.closest_pairs(small(), 500)) == 15
    assert evidence.equal_lemmas(small()) == []
    assert evidence.equal_lemmas(
        replace(small(), vocabulary=("", "cup", "espresso", "tea", "red cup", "cups", "white cup"))
    ) == [("cup", "cups")]


def test_agreement_is_the_mean_overlap_and_sees_through_plurals():
    one = small()
    assert evidence.agreement(one, one) == 1.0
    other = replace(one, vocabulary=("", "coffees", "tea", "milk", "red cups", "cup", "pot"))
    assert evidence.agreement(one, other) == pytest.approx(
        np.mean([1 / 5, 1, 0, 1, 2 / 4])
    )  # the last item has no tags in either


def test_joined_pairs_are_counted_as_by_hand():
    truth = ["x", "x", "y", "x", "z", "y"]
    found = evidence.joined_pairs(small(), truth)
    # joined: 1-2, 1-3, 1-4, 2-4 (coffee, espresso, movie night), 4-5 (red cup, cups); together: 1-2, 1-4, 2-4, 3-6
    assert found == pytest.approx(
        {
            "precision": 3 / 5,
            "recall": 3 / 4,
            "F1": 2 / 3,
            "pairs joined": 5,
            "lift": (3 / 5) / (4 / 15),
        }
    )
    assert evidence.joined_pairs(small(), truth, across=True) == pytest.approx(
        {"precision": 1, "recall": 2 / 3, "F1": 0.8, "pairs joined": 2, "lift": 3.0}
    )
    assert evidence.joined_pairs(small(), truth, across=False)["pairs joined"] == 3


def test_likeness_is_that_of_consecutive_purchases():
    chance = np.random.default_rng(0)
    domain = np.array([-1] + [0] * 20 + [1] * 20)
    group = np.concatenate([[-1], np.arange(20) % 4, np.arange(20) % 4])
    equal, affine = np.zeros((41, 9), dtype=np.float32), np.zeros((41, 9), dtype=np.float32)
    for item in range(1, 41):
        equal[item, 1 + group[item]] = 1
        affine[item, 1 + group[item] + 4 * domain[item]] = 1  # the domains share no tag
    users = []
    for _ in range(300):  # five interactions of one group each, in either domain
        wanted = chance.integers(4)
        users.append(
            torch.tensor([chance.choice(np.flatnonzero(group == wanted)) for _ in range(5)])
        )
    found = evidence.similarity(equal, users, domain)
    assert all(
        0.8 < found[name] < 0.9 for name in found
    )  # 1 - 1/4 of the random pairs is alike, too, and ties count half: .875
    found = evidence.similarity(affine, users, domain)
    assert found["across"] == 0.5
    assert 0.8 < found["across, learned"] < 0.9
    assert found["A"] > 0.8
    shuffled = evidence.similarity(
        equal[np.concatenate([[0], 1 + chance.permutation(40)])], users, domain
    )
    assert abs(shuffled["across"] - 0.5) < 0.1
    fickle = []  # half of the users go on with the next group: what is learned on the others misleads
    for user in range(300):
        wanted = chance.integers(4)
        first, second = (
            np.flatnonzero((group == wanted) & (domain == 0)),
            np.flatnonzero((group == (wanted + user % 2) % 4) & (domain == 1)),
        )
        fickle.append(torch.tensor([chance.choice(first), chance.choice(second)]))
    assert evidence.similarity(affine, fickle, domain)["across, learned"] < 0.45
    assert np.isnan(evidence.similarity(equal, [torch.tensor([1, 2])], domain)["across"])


def test_pairs_across_the_shops_have_the_item_of_a_first():
    pairs, users = evidence.consecutive_pairs(
        [torch.tensor([1, 3, 2, 1]), torch.tensor([3]), torch.tensor([4, 3])],
        np.array([-1, 0, 0, 1, 1]),
    )
    assert pairs.tolist() == [[1, 3], [2, 3], [2, 1], [4, 3]]
    assert users.tolist() == [0, 0, 0, 2]


# ---------------------------------------------------------------------------------------------- controls


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
    catalogue, config = catalogue_of(tags), TagConfig(assign=0.3, assign_first=-1.0)
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
    assert set(control.vocabulary) == {
        "",
        "red",
        "blue",
    }  # "mug" and "thing" stand in every title, digits are no words
    one = control_tags(
        tags, "title words", catalogue_of(tags), TagConfig(tags_per_item=1, max_share=1.0)
    )
    assert set(one.vocabulary) == {"", "red", "blue", "mug", "thing"}
    assert {tag for item in range(1, 9) for tag, _, _ in one.tags_of(item)} == {"red", "blue"}
    assert [tag for tag, _, _ in control.tags_of(1)] == ["red"]
    assert control.model == "title words"
    assert torch.allclose(control.weights[1:].sum(1), torch.ones(len(tags.tag_ids) - 1))


# ---------------------------------------------------------------------------------------------- exports


def test_an_export_comes_back_and_says_how_it_was_made(tmp_path):
    tags = small()
    items = Items(
        ("", *"abcdef"),
        ("", "Secret Brand Espresso", *("",) * 5),
        ("",) * 7,
        tags.domain_of_item.numpy(),
    )
    config = TagConfig(tags_per_item=3)
    path = export_tags(
        tags,
        items,
        tmp_path,
        data="toy",
        sha256="beef",
        settings='{"dtype": "float32"}',
        config=config,
    )
    card = json.loads((tmp_path / "toy.small.json").read_text())
    assert path.name == "toy.small.tsv.gz"
    assert card["items"] == 6
    assert card["tags"] == 6
    assert card["weights_sha256"] == "f00d"
    assert (
        card["prompt_version"] == prompt_version("mixed", UNNAMED) != prompt_version("use", UNNAMED)
    )
    assert card["coverage"]["items with a tag"] == round(5 / 6, 4)
    text = gzip.decompress(path.read_bytes()).decode()
    assert "Secret" not in text
    assert "reply" not in text
    assert text.splitlines()[1] == "a\tcoffee:0.333:1,espresso:0.333:2,movie night:0.333:3"

    def encode(texts):
        return torch.stack([tags.vectors[tags.vocabulary.index(text)] for text in texts])

    back = read_export(path, items, encode)
    for item in range(7):
        assert [(tag, source) for tag, _, source in back.tags_of(item)] == [
            (tag, source) for tag, _, source in tags.tags_of(item)
        ]
    assert torch.allclose(back.weights, tags.weights)
    assert (back.model, back.fingerprint) == (
        "small",
        "f00d",
    )
    assert torch.allclose(back.vectors[back.vocabulary.index("espresso")], tags.vectors[2])
    before = path.read_bytes()
    assert before[4:8] == bytes(4)  # no time in the packed file: equal tags, equal bytes, whenever
    export_tags(
        tags,
        items,
        tmp_path,
        data="toy",
        sha256="beef",
        settings='{"dtype": "float32"}',
        config=config,
    )
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match="tags other items.*make tags"):
        read_export(path, replace(items, item_id=("", *"abcdeg")), encode)
    path.write_bytes(gzip.compress(b"item_id\n"))
    with pytest.raises(ValueError, match="fetch both again"):
        read_export(path, items, encode)
    (tmp_path / "toy.small.json").unlink()
    with pytest.raises(FileNotFoundError, match="toy.small.json is missing.*make tags"):
        read_export(path, items, encode)


def test_the_version_of_the_prompt_is_that_of_its_words_and_names():
    names = [
        ("food", "kitchen"),
        ("kitchen", "food"),
        ("movies", "books"),
        ("movies", "records"),
        UNNAMED,
    ]
    assert len({prompt_version("mixed", pair) for pair in names}) == 5
    assert prompt_version("mixed", ["food", "kitchen"]) == "43fd52b43d30eca8"
    assert (
        len(
            {prompt_version("basket", pair) for pair in names}
            | {prompt_version("mixed", pair) for pair in names}
        )
        == 10
    )


MODELS = (
    "qwen3:0.6b",
    "qwen3-0.6b",
    "Qwen3-0.6B",
    "org/model",
    "other/model",
    "org\\model",
    "model",
    "con",
    "NUL",
    "com1.gguf",
    "a b",
    "a  b",
    "model.",
    " model",
    "model ",
    "x" * 300,
    "x" * 301,
    "模型",
    "mod?l",
    "mod*l",
    'mod"l',
    "mod<l",
    "mod>l",
    "mod|l",
    "../../etc/passwd",
    "",
    ".",
    "..",
    "-",
    "mod\nl",
    "mod\0l",
    "crème",
    "cre\u0300me",
)


def test_every_model_has_a_file_name_of_its_own_that_every_system_takes():
    names = [file_name(model) for model in MODELS]
    assert len({name.lower() for name in names}) == len(
        MODELS
    )  # some disks do not tell capitals apart
    for name in names:
        assert 0 < len(name) <= 100
        assert not re.search(r'[\\/:*?"<>|\s\x00-\x1f]', name)
        assert name[0] not in ".-"
        assert name[-1] not in ". "
        assert name.split(".")[0].lower() not in ("con", "prn", "aux", "nul", "com1", "lpt1")
    assert file_name("smollm2-135m-instruct") == "smollm2-135m-instruct"
    assert file_name("fk_abxi") == "fk_abxi"


@pytest.mark.parametrize("model", MODELS[:8])
def test_an_export_of_any_model_is_written_and_read_back(tmp_path, model):
    tags, items = (
        replace(small(), model=model),
        Items(("", *"abcdef"), ("",) * 7, ("",) * 7, small().domain_of_item.numpy()),
    )
    path = export_tags(
        tags,
        items,
        tmp_path,
        data="toy:1",
        sha256="beef",
        settings="{}",
        config=TagConfig(tags_per_item=3),
    )
    assert path.parent == tmp_path
    assert ":" not in path.name
    assert read_export(path, items, lambda texts: torch.eye(len(texts))).model == model


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


def test_two_data_sets_of_one_name_keep_their_exports_apart(tmp_path):
    first = exported(tmp_path, "tiny-1b", sha256="beef0123")
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    second = exported(tmp_path, "tiny-1b", sha256="f00d4567")
    assert second.name == "toy-f00d4567.tiny-1b.tsv.gz"
    assert kept.items() < {path.name: path.read_bytes() for path in tmp_path.iterdir()}.items()
    assert exported(tmp_path, "tiny-1b", sha256="beef0123") == first
    assert choose_export("export", tmp_path, "f00d4567") == second


def test_an_export_is_found_by_the_hash_of_its_tables_whatever_it_is_called(tmp_path, monkeypatch):
    tiny, large, other = (
        exported(tmp_path, "tiny-1b"),
        exported(tmp_path, "large (hosted), 2026", data="another name"),
        exported(tmp_path, "tiny-1b", sha256="f00d", data="toy2"),
    )
    (tmp_path / "._toy.tiny-1b.tsv.gz").write_bytes(b"\0\5\x16\7")
    (tmp_path / "broken.tsv.gz").write_bytes(b"")
    (tmp_path / "broken.json").write_text("[")
    (tmp_path / "alone.tsv.gz").write_bytes(b"")
    assert set(find_exports(tmp_path, "beef")) == {tiny, large}
    assert choose_export("live", tmp_path, "beef") is None
    assert (
        choose_export("export:tiny-1b", tmp_path, "beef")
        == choose_export("export:tiny", tmp_path, "beef")
        == choose_export("export:TINY", tmp_path, "beef")
        == tiny
    )
    assert choose_export("export:large", tmp_path, "beef") == large
    assert choose_export("export", tmp_path, "f00d") == other
    assert choose_export(str(tiny), tmp_path / "nowhere", "0") == tiny
    aside = exported(tmp_path / "exports", "mine")  # a path may begin with the word
    monkeypatch.chdir(tmp_path)
    assert choose_export(str(aside.relative_to(tmp_path)), tmp_path, "beef") == aside.relative_to(
        tmp_path
    )
    with pytest.raises(
        ValueError,
        match="Several exports .* fit tags export: .*export:large .hosted., 2026 .*; export:tiny-1b .*",
    ):
        choose_export("export", tmp_path, "beef")
    with pytest.raises(
        ValueError, match="is by a model called huge; there are export:large.*export:tiny-1b"
    ):
        choose_export("export:huge", tmp_path, "beef")
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(
            ValueError, match="was made from these tables .hash 0123.*make tags.*live tags"
        ):
            choose_export("export:tiny", folder, "0123")
    with pytest.raises(FileNotFoundError, match="no.tsv.gz is missing"):
        choose_export(str(tmp_path / "no.tsv.gz"), tmp_path, "beef")
    exported(tmp_path, "tiny-1b-long")
    assert (
        choose_export("export:tiny-1b", tmp_path, "beef") == tiny
    )  # a whole name before a beginning
    for word in ("exprot", "", "exports", "lively", "tags.tsv"):
        with pytest.raises(ValueError, match='choose "live", "export", "export:MODEL"'):
            check_choice(word)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("a", "line 2"),
        ("a\tcoffee", "line 2"),
        ("a\tcoffee:x:1", "line 2"),
        ("a\tcoffee:nan:1", "line 2"),
        ("a\tcoffee:-1:1", "line 2"),
        ("a\tcoffee:inf:1", "line 2"),
        ("a\tcoffee:.5:9", "line 2"),
        ("a\t:.5:1", "line 2"),
        ("a\tb\tc", "line 2"),
        ("a\tx:.5:1\n", "line 3"),
        (None, "cut off or no gzip file"),
        ("", "line 2"),
    ],
)
def test_a_line_that_is_no_item_with_its_tags_is_named(tmp_path, line, sentence):
    items = Items(("", "a"), ("", ""), ("", ""), np.array([-1, 0]))
    packed = b"no gzip" if line is None else gzip.compress(f"item_id\ttags\n{line}\n".encode())
    card = {
        "data": "toy",
        "tables_sha256": "beef",
        "model": "m",
        "weights_sha256": "w",
        "file_sha256": hashlib.sha256(packed).hexdigest(),
        "config": {"tags_per_item": 3},
    }
    (tmp_path / "toy.tsv.gz").write_bytes(packed)
    (tmp_path / "toy.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match=f"toy.tsv.gz.*{sentence}.*fetch it again") as caught:
        read_export(tmp_path / "toy.tsv.gz", items, lambda texts: torch.eye(len(texts)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "card", ["[]", "{", "null", '{"config": {}}', '{"config": {"tags_per_item": "5"}}', b"\xff\xfe"]
)
def test_a_card_that_is_none_is_named(tmp_path, card):
    (tmp_path / "toy.tsv.gz").write_bytes(b"")
    (tmp_path / "toy.json").write_bytes(card if isinstance(card, bytes) else card.encode())
    with pytest.raises(ValueError, match="fetch both again"):
        read_export(
            tmp_path / "toy.tsv.gz",
            Items(("",), ("",), ("",), np.array([-1])),
            lambda texts: torch.eye(len(texts)),
        )


def test_a_card_of_another_hand_with_more_tags_an_item_is_read(tmp_path):
    """Cards of larger models say other things; what is needed is there, and a row may be longer than they say."""
    packed = gzip.compress(b"item_id\ttags\na\tx:.5:1,y:.3:1,z:.2:1\nb\t\n")
    card = {
        "data": "toy",
        "tables_sha256": "beef",
        "model": "large, hosted",
        "weights_sha256": "not known",
        "file_sha256": hashlib.sha256(packed).hexdigest(),
        "config": {"tags_per_item": 2},
        "decoding": {"temperature": "not known"},
        "more": 1,
    }
    (tmp_path / "toy.large.tsv.gz").write_bytes(packed)
    (tmp_path / "toy.large.json").write_text(json.dumps(card))
    tags = read_export(
        tmp_path / "toy.large.tsv.gz",
        Items(("", "a", "b"), ("",) * 3, ("",) * 3, np.array([-1, 0, 1])),
        lambda texts: torch.eye(len(texts)),
    )
    assert [tag for tag, _, _ in tags.tags_of(1)] == ["x", "y", "z"]
    assert tags.tags_of(2) == []
    assert tags.weights.sum(1).tolist() == [0, 1, 0]


ROOT = Path(__file__).resolve().parents[1]
EXPORTS = sorted((ROOT / "data" / "tags").glob("*.tsv.gz"))


@pytest.mark.parametrize("path", EXPORTS, ids=lambda path: path.name)
def test_shipped_exports_keep_what_the_list_promises(path):
    card = json.loads(path.with_name(path.name.removesuffix(".tsv.gz") + ".json").read_text())
    assert hashlib.sha256(path.read_bytes()).hexdigest() == card["file_sha256"]
    assert card["prompt_version"] == prompt_version(
        card["config"]["form"], card["config"]["domain_names"]
    )
    rows = [line.split("\t") for line in gzip.decompress(path.read_bytes()).decode().splitlines()][
        1:
    ]
    given = [[cell.split(":") for cell in row[1].split(",") if cell] for row in rows]
    tags = [[tag for tag, _, _ in row] for row in given]
    counts = Counter(tag for row in tags for tag in row)
    assert len(rows) == card["items"]
    assert len(counts) == card["tags"]
    assert max(map(len, tags)) <= card["config"]["tags_per_item"]
    assert max(counts.values()) <= card["config"]["max_share"] * len(rows)
    assert not any(map(is_measure, counts))
    assert len({lemma(tag) for tag in counts}) == len(counts)
    vectors = encode_text(sorted(counts), progress=False).matrix.numpy()
    near = np.argwhere(np.triu(vectors @ vectors.T, 1) >= card["config"]["merge"])
    assert all(opposites(sorted(counts)[one], sorted(counts)[other]) for one, other in near)
    assert card["coverage"]["tags that repeat an example"] < 0.02
    if (
        card["data"] == "fk_mini"
    ):  # a dense set with a title for each item: the promise of notebook 02
        assert (
            np.mean(
                [len(row) >= 3 and any(source in "12" for _, _, source in row) for row in given]
            )
            >= 0.95
        )


def test_exports_fit_the_real_data_beside_them():
    folder = os.environ.get("TEMA_REAL_DATA")
    if not folder or not any((Path(folder) / path.name.split(".")[0]).is_dir() for path in EXPORTS):
        pytest.skip("TEMA_REAL_DATA names no folder with the tagged data sets")
    checked = 0
    for path in EXPORTS:
        data = Path(folder) / path.name.split(".")[0]
        if data.is_dir():
            raw = read_data(data)
            items = encode_ids(raw)
            tags = read_export(path, items, lambda texts: torch.eye(len(texts)))
            card = json.loads(
                path.with_name(path.name.removesuffix(".tsv.gz") + ".json").read_text()
            )
            assert raw.sha256 == card["tables_sha256"]
            titled = torch.tensor([bool(title) for title in items.title])
            assert not (
                tags.tag_ids[~titled] > 0
            ).any()  # nothing is invented where nothing is known
            assert (tags.tag_ids[titled] > 0).any(1).float().mean() > 0.95
            checked += 1
    assert checked
