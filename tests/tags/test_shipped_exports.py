"""The exports in data/tags keep what their cards promise."""

import gzip
import hashlib
import json
import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from tema_lib.data.dataset import encode_ids
from tema_lib.datasets.load import read_data
from tema_lib.encoders.text import encode_text
from tema_lib.tags.config import TagConfig
from tema_lib.tags.export import prompt_version, read_card, read_export
from tema_lib.tags.export_choice import choose_export
from tema_lib.tags.prompts import STYLES, is_measure
from tema_lib.tags.refine import lemma, opposites
from tests.helpers.hand_tags import Items

ROOT = Path(__file__).resolve().parents[2]


EXPORTS = sorted((ROOT / "data" / "tags").glob("*.tsv.gz"))
SMALL = [path for path in EXPORTS if ".smollm2" in path.name]
LARGE = [path for path in EXPORTS if path not in SMALL]


def cells_of(path):
    """(item id, [(tag, weight, source), ...]) of each row."""
    rows = [line.split("\t") for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
    for item, cells in rows[1:]:
        cut = [cell.rsplit(":", 2) for cell in cells.split(",") if cell]
        yield item, [(tag, float(weight), int(source)) for tag, weight, source in cut]


@pytest.mark.parametrize("path", LARGE, ids=lambda path: path.name)
def test_large_exports_keep_to_their_list_and_their_card(path):
    card = read_card(path)
    name = "synthetic" if card["data"] == "synthetic" else "fk"
    table = path.with_name(f"{name}.claude-2026-11.vocabulary.tsv").read_text(encoding="utf-8")
    known = {line.split("\t")[1] for line in table.splitlines()[1:]}
    rows = dict(cells_of(path))
    given = [tag for cells in rows.values() for tag, _, _ in cells]
    assert len(rows) == card["items"]
    assert set(given) <= known
    assert len(set(given)) == card["tags"]
    assert sum(not cells for cells in rows.values()) == card["items_without_tags"]
    assert Counter(given).most_common(1)[0][1] / len(rows) == pytest.approx(
        card["most_frequent_share"], abs=1e-3
    )
    for cells in rows.values():
        assert len({tag for tag, _, _ in cells}) == len(cells) <= card["config"]["tags_per_item"]
        assert not cells or sum(weight for _, weight, _ in cells) == pytest.approx(1, abs=0.01)
        assert {source for *_, source in cells} <= {1}


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.name)
def test_shipped_exports_keep_what_the_list_promises(path):
    card = json.loads(path.with_name(path.name.removesuffix(".tsv.gz") + ".json").read_text())
    assert hashlib.sha256(path.read_bytes()).hexdigest() == card["file_sha256"]
    assert card["prompt_version"] == prompt_version(
        card["config"]["style"], card["config"]["domain_names"]
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
    # A dense set with a title for each item: the promise of notebook 02.
    if card["data"] == "fk_mini":
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
            # Nothing is invented where nothing is known.
            assert not (tags.tag_ids[~titled] > 0).any()
            assert (tags.tag_ids[titled] > 0).any(1).float().mean() > 0.95
            checked += 1
    assert checked


LATER = {"size"}  # settings of which the default is what was done before there was a choice


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.name)
def test_the_card_of_a_shipped_export_names_the_settings_of_today(path):
    config = read_card(path)["config"]
    assert asdict(TagConfig()).keys() - config.keys() <= LATER
    assert not config.keys() - asdict(TagConfig()).keys()
    found = TagConfig(**config | {"domain_names": tuple(config["domain_names"])})
    assert found.style in STYLES
    assert found.map_to_nearest > 0


def test_a_shipped_export_is_found_and_read():
    path = ROOT / "data" / "tags" / "fk_mini.smollm2-135m-instruct.tsv.gz"
    card = read_card(path)
    rows = [line.split("\t") for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
    ids = ("", *(row[0] for row in rows[1:]))
    empty = ("",) * len(ids)
    items = Items(ids, empty, empty, np.full(len(ids), -1))
    tags = read_export(path, items, lambda texts: torch.eye(len(texts)))
    assert choose_export("export:smollm2", path.parent, card["tables_sha256"]) == path
    assert len(tags.vocabulary) - 1 == card["tags"]
    assert (tags.model, tags.fingerprint) == (card["model"], card["weights_sha256"])
    assert torch.allclose(tags.weights.sum(1), (tags.tag_ids > 0).any(1).float())
