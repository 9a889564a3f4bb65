"""What the truth is used for: neighbours that share a topic; one sentence for bad input."""

import numpy as np
import pandas as pd
import pytest

from tema_lib.datasets.synthetic.truth import neighbour_precision, read_truth, topic_precisions
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


def test_vectors_are_measured_between_a_random_choice_and_the_truth(capsys):
    truth = pd.DataFrame({"topic": ["a", "a", "b", "a"]})
    vectors = {"one": [[1, 0], [1, 0.1], [0, 1], [0.1, 1]]}
    found = topic_precisions(vectors, truth, k=1)
    assert found == pytest.approx({"random": (9 + 1) / 16, "one": 0.5, "truth": 1.0})
    assert list(found) == ["random", "one", "truth"]
    assert topic_precisions(vectors, None) == {}
    assert "no ground truth" in capsys.readouterr().out
