"""What tags are worth: each measure against numbers counted by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from tema_lib.tags import evidence
from tema_lib.tags.config import TagConfig
from tema_lib.tags.export import export_tags, read_export
from tests.helpers.hand_tags import Items, small


def test_coverage_counts_what_it_says():
    found = evidence.coverage(small(), ("food", "kitchen"), "occasion")
    assert found["items with a tag"] == pytest.approx(5 / 6)
    assert found["items with three tags, one of them own"] == pytest.approx(2 / 6)
    assert found["tags that are the model's own words"] == pytest.approx(3 / 12)
    assert found["tags mapped to the list"] == pytest.approx(2 / 12)
    assert found["tags nearest by meaning"] == pytest.approx(7 / 12)
    assert found["share of items of the most frequent tag"] == pytest.approx(3 / 6)
    assert found["tags of the list that both domains use"] == pytest.approx(1 / 6)  # coffee
    # Movie night, on two items of A.
    assert found["tags that repeat an example"] == pytest.approx(2 / 12)
    brunch = replace(
        small(),
        vocabulary=("", "coffee", "espresso", "holiday brunch", "movie night", "cups", "white cup"),
    )
    # Each is in the other domain's examples.
    assert (
        evidence.coverage(brunch, ("food", "kitchen"), "occasion")["tags that repeat an example"]
        == 0
    )
    assert "tags that repeat an example" not in evidence.coverage(small())
    assert evidence.uses(small()).tolist() == [[0, 2, 2, 2, 0, 0, 0], [0, 1, 0, 0, 2, 2, 1]]


def test_an_empty_list_has_no_evidence_and_comes_back_from_its_export(tmp_path):
    tags = small()
    bare = torch.zeros(7, 3, dtype=torch.long)
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
    # The last item has no tags in either.
    assert evidence.agreement(one, other) == pytest.approx(np.mean([1 / 5, 1, 0, 1, 2 / 4]))


def test_joined_pairs_are_counted_as_by_hand():
    truth = ["x", "x", "y", "x", "z", "y"]
    found = evidence.joined_pairs(small(), truth)
    # joined: 1-2, 1-3, 1-4, 2-4 (coffee, espresso, movie night), 4-5 (red cup, cups)
    # together: 1-2, 1-4, 2-4, 3-6
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


TRUTH = pd.DataFrame({"topic": ["x", "x", "y", "x", "z", "y"]})


def test_systems_are_measured_on_all_pairs_and_across():
    none = replace(small(), tag_ids=torch.zeros_like(small().tag_ids))
    table = evidence.joined_table({"tags": small(), "none": none}, TRUTH)
    assert list(table) == ["precision", "recall", "F1"]
    assert table.loc[("all pairs", "tags")].tolist() == pytest.approx([3 / 5, 3 / 4, 2 / 3])
    assert table.loc[("across the domains", "tags")].tolist() == pytest.approx([1, 2 / 3, 0.8])
    assert (table.loc[[("all pairs", "none"), ("across the domains", "none")]] == 0).all(axis=None)


def test_a_shared_tag_is_right_where_the_topics_are_equal():
    """1 shares a tag with 2, 3 and 4; 2 with 1 and 4; 3 with 1; 4 with 1, 2 and 5; 6 with none."""
    assert evidence.right_shares(small(), TRUTH) == pytest.approx([2 / 3, 1, 0, 2 / 3, 0, 0])


def test_without_ground_truth_a_sentence_says_so(capsys):
    assert evidence.joined_table({"tags": small()}, pd.DataFrame()).empty
    assert "cannot be measured" in capsys.readouterr().out
    assert evidence.right_shares(small(), pd.DataFrame()) is None
    assert "no ground truth" in capsys.readouterr().out


def test_similarity_is_that_of_consecutive_interactions():
    rng = np.random.default_rng(0)
    domain = np.array([-1] + [0] * 20 + [1] * 20)
    group = np.concatenate([[-1], np.arange(20) % 4, np.arange(20) % 4])
    equal = np.zeros((41, 9), dtype=np.float32)
    affine = np.zeros((41, 9), dtype=np.float32)
    for item in range(1, 41):
        equal[item, 1 + group[item]] = 1
        affine[item, 1 + group[item] + 4 * domain[item]] = 1  # the domains share no tag
    users = []
    for _ in range(300):  # five interactions of one group each, in either domain
        wanted = rng.integers(4)
        users.append(torch.tensor([rng.choice(np.flatnonzero(group == wanted)) for _ in range(5)]))
    found = evidence.similarity(equal, users, domain)
    # 1 - 1/4 of the random pairs is alike, too, and ties count half: .875
    assert all(0.8 < found[name] < 0.9 for name in found)
    found = evidence.similarity(affine, users, domain)
    assert found["across"] == 0.5
    assert 0.8 < found["across, learned"] < 0.9
    assert found["A"] > 0.8
    shuffled = evidence.similarity(
        equal[np.concatenate([[0], 1 + rng.permutation(40)])], users, domain
    )
    assert abs(shuffled["across"] - 0.5) < 0.1
    # Half of the users go on with the next group: what is learned on the others misleads.
    changing = []
    for user in range(300):
        wanted = rng.integers(4)
        first = np.flatnonzero((group == wanted) & (domain == 0))
        second = np.flatnonzero((group == (wanted + user % 2) % 4) & (domain == 1))
        changing.append(torch.tensor([rng.choice(first), rng.choice(second)]))
    assert evidence.similarity(affine, changing, domain)["across, learned"] < 0.45
    assert np.isnan(evidence.similarity(equal, [torch.tensor([1, 2])], domain)["across"])


def test_pairs_across_the_domains_have_the_item_of_a_first():
    pairs, users = evidence.consecutive_pairs(
        [torch.tensor([1, 3, 2, 1]), torch.tensor([3]), torch.tensor([4, 3])],
        np.array([-1, 0, 0, 1, 1]),
    )
    assert pairs.tolist() == [[1, 3], [2, 3], [2, 1], [4, 3]]
    assert users.tolist() == [0, 0, 0, 2]
