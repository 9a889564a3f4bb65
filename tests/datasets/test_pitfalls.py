"""Each pitfall changes what comes out when it is missed; read correctly, nothing is lost."""

import pytest
import torch

from tema_lib.data.dataset import encode_ids
from tema_lib.data.files import DataError
from tema_lib.data.sequences import build_sequences
from tema_lib.data.splits import leave_one_out, published_split
from tema_lib.datasets.pitfalls import PITFALLS, read_correctly, read_with_pitfall
from tema_lib.datasets.synthetic.official import write_official
from tema_lib.datasets.synthetic.published import write_published
from tema_lib.datasets.synthetic.truth import bag_of_words, neighbour_precision, read_truth
from tema_lib.evaluation.ranking import evaluate
from tema_lib.models.baselines import CoOccurrence
from tests.helpers.synthetic_data import SYNTHETIC

TOPIC = read_truth(SYNTHETIC.folder)[0].set_index("item_id")["topic"]


@pytest.fixture(scope="module")
def formats(tmp_path_factory):
    folders = {name: tmp_path_factory.mktemp(name) for name, _ in PITFALLS.values()}
    for name, folder in folders.items():
        if name.isdigit():
            write_official(SYNTHETIC, folder, int(name))
        else:
            write_published(SYNTHETIC, folder, name)
    return folders


def split_of(raw):
    sequences = build_sequences(raw, encode_ids(raw))
    return published_split(raw, sequences) if raw.published else leave_one_out(sequences)


def ndcg(raw):
    """Of item co-occurrence, the quickest system that learns from order, over all test cases."""
    domain, split = torch.from_numpy(encode_ids(raw).domain_of_item), split_of(raw)
    model = CoOccurrence(domain, history=True)
    model.fit_statistics(split.train)
    return evaluate(model, split.test, domain).metric("NDCG@10")


def precision(raw):
    return neighbour_precision(
        bag_of_words(raw.items["title"]), TOPIC[raw.items["item_id"]].to_numpy()
    )


def repeated_targets(raw):
    test = split_of(raw).test
    return sum(int(test.last[row]) in test[row][:-1].tolist() for row in range(len(test)))


def test_repeats_become_targets_that_are_known_already(formats):
    assert repeated_targets(read_correctly("repeats kept", formats["2014"])) == 0
    assert repeated_targets(read_with_pitfall("repeats kept", formats["2014"])) > 20


def test_entities_become_words(formats):
    right, with_pitfall = (
        read("entities left", formats["2014"]).items["title"]
        for read in (read_correctly, read_with_pitfall)
    )
    assert right.tolist() == SYNTHETIC.items["title"].tolist()
    assert not right.str.contains("&[a-z]+;|&#").any()
    assert with_pitfall.str.contains("&[a-z]+;|&#").sum() > 10


def test_variants_tear_items_apart(formats):
    right, with_pitfall = (
        read("variants not joined", formats["2023"]) for read in (read_correctly, read_with_pitfall)
    )
    assert len(right.items) == 600
    assert len(with_pitfall.items) > 1500
    assert ndcg(with_pitfall) < 0.5 * ndcg(right)


def test_headlines_say_nothing_about_products(formats):
    right, with_pitfall = (
        precision(read("headlines as titles", formats["2023"]))
        for read in (read_correctly, read_with_pitfall)
    )
    assert with_pitfall < 0.75 * right


def test_unsorted_lines_have_other_targets(formats):
    right, with_pitfall = (
        split_of(read("lines left unsorted", formats["c2dsr"])).test
        for read in (read_correctly, read_with_pitfall)
    )
    assert right.user_id == with_pitfall.user_id
    assert 0.4 < (right.last != with_pitfall.last).float().mean() < 0.75


def test_ids_of_b_that_were_not_moved_leave_b_unlearned(formats):
    right, with_pitfall = (
        ndcg(read("ids of B not moved", formats["llmcdsr"]))
        for read in (read_correctly, read_with_pitfall)
    )
    assert with_pitfall < 0.3 * right


def test_an_unknown_pitfall_is_named():
    with pytest.raises(DataError, match="'x' is not a pitfall: choose from repeats kept"):
        read_with_pitfall("x", ".")
