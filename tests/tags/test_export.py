"""Exports: written, read back, refused when damaged or made for other items."""

import gzip
import hashlib
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from tema_lib.data.dataset import UNNAMED
from tema_lib.tags.config import TagConfig
from tema_lib.tags.export import export_tags, file_name, prompt_version, read_export
from tema_lib.tags.export_choice import choose_export
from tests.helpers.hand_tags import Items, exported, small


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
    assert (back.model, back.fingerprint) == ("small", "f00d")
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
    # Some disks do not tell capitals apart.
    assert len({name.lower() for name in names}) == len(MODELS)
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
    tags = replace(small(), model=model)
    items = Items(("", *"abcdef"), ("",) * 7, ("",) * 7, small().domain_of_item.numpy())
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


def test_two_data_sets_of_one_name_keep_their_exports_apart(tmp_path):
    first = exported(tmp_path, "tiny-1b", sha256="beef0123")
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    second = exported(tmp_path, "tiny-1b", sha256="f00d4567")
    assert second.name == "toy-f00d4567.tiny-1b.tsv.gz"
    assert kept.items() < {path.name: path.read_bytes() for path in tmp_path.iterdir()}.items()
    assert exported(tmp_path, "tiny-1b", sha256="beef0123") == first
    assert choose_export("", tmp_path, "f00d4567") == second


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
    """Cards of larger models say other things, and a row may be longer than they say."""
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
