"""What the truth is used for: neighbours that share a topic; one sentence for bad input."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tema_lib.datasets.synthetic.truth import (
    KINDS,
    item_truth,
    neighbour_precision,
    precision_by_kind,
    read_truth,
    topic_precisions,
)
from tema_lib.datasets.synthetic.vocabulary import read_topics


def test_bad_input_is_one_clear_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match="only the synthetic data set has a truth"):
        read_truth(tmp_path)
    with pytest.raises(ValueError, match="line 2: expected"):
        read_topics("# tea\nA | only three | cells")
    lengths_differ, too_few = (np.eye(12), ["a"] * 11), (np.eye(3), ["a"] * 3)
    for vectors, topic in (lengths_differ, too_few):
        with pytest.raises(ValueError, match="one topic per vector and more than k"):
            neighbour_precision(vectors, topic)


def test_an_item_is_not_its_own_neighbour():
    assert neighbour_precision([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], ["a", "b", "a", "b"], k=1) == 0


def test_the_truth_about_items_has_their_order():
    items = SimpleNamespace(item_id=("", "b", "a"))
    table = pd.DataFrame({"item_id": ["a", "b", "c"], "topic": ["tea", "jam", "tea"]})
    assert item_truth(items, (table, table)).topic.tolist() == ["jam", "tea"]
    assert item_truth(items, None).topic.tolist() == []


def test_precision_is_graded_by_what_is_missing(capsys):
    """Items 1 to 4 point one way and 5 to 8 another; the topic of items 4 and 8 is the other's."""
    known = pd.DataFrame({"topic": list("aaabbbba")})
    known["uninformative"] = [0, 0, 0, 1, 0, 0, 0, 1]
    known["undescribed"] = [0, 1, 0, 1, 0, 1, 0, 1]  # an uninformative title counts first
    known["unpictured"] = [0, 0, 1, 0, 0, 0, 1, 0]
    vectors = np.zeros((9, 2))  # with the padding item, whose vector is zero
    vectors[1:5, 0], vectors[5:, 1] = 1, 1
    table = precision_by_kind({"one": vectors}, known, k=3)
    assert table.columns.tolist() == ["all items", *KINDS]
    assert table.loc["one"].tolist() == pytest.approx([1 / 2, 2 / 3, 2 / 3, 2 / 3, 0])
    topic = known.topic.to_numpy()
    assert neighbour_precision(vectors[1:], topic, k=3) == pytest.approx(1 / 2)
    nothing = precision_by_kind({"one": vectors}, known[:0])
    assert nothing.empty
    assert nothing.columns.tolist() == table.columns.tolist()
    assert "nothing to grade" in capsys.readouterr().out


def test_vectors_are_measured_between_a_random_choice_and_the_truth(capsys):
    truth = pd.DataFrame({"topic": ["a", "a", "b", "a"]})
    vectors = {"one": [[1, 0], [1, 0.1], [0, 1], [0.1, 1]]}
    found = topic_precisions(vectors, truth, k=1)
    assert found == pytest.approx({"random": (9 + 1) / 16, "one": 0.5, "truth": 1.0})
    assert list(found) == ["random", "one", "truth"]
    assert topic_precisions(vectors, truth[:0]) == {}
    assert "no ground truth" in capsys.readouterr().out
