"""Every pitfall of the synthetic data set's written-out forms changes what comes out when it is missed; read rightly, nothing is lost."""

from pathlib import Path

import pytest
import torch
from tema_lib.datasets.synthetic.formats import write_official, write_published

from tema_lib.data.dataset import DataError, encode_ids
from tema_lib.data.sequences import build_sequences
from tema_lib.data.splits import leave_one_out, published_split
from tema_lib.datasets.load import read_data
from tema_lib.datasets.pitfalls import PITFALLS, read_correctly, read_with_pitfall
from tema_lib.datasets.synthetic.generator import bag_of_words, neighbour_precision, read_truth
from tema_lib.evaluation.ranking import evaluate
from tema_lib.models.baselines import CoOccurrence

WORLD = read_data(Path(__file__).resolve().parents[1] / "data" / "synthetic")
TOPIC = read_truth(WORLD.folder)[0].set_index("item_id")["topic"]


@pytest.fixture(scope="module")
def forms(tmp_path_factory):
    folders = {form: tmp_path_factory.mktemp(form) for form, _ in PITFALLS.values()}
    for form, folder in folders.items():
        write_official(WORLD, folder, int(form)) if form.isdigit() else write_published(
            WORLD, folder, form
        )
    return folders


def split_of(raw):
    sequences = build_sequences(raw, encode_ids(raw))
    return published_split(raw, sequences) if raw.published else leave_one_out(sequences)


def ndcg(raw):
    """Mean over all test cases of item co-occurrence, the quickest system that learns from order."""
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


def test_repeats_become_targets_that_are_known_already(forms):
    assert repeated_targets(read_correctly("repeats kept", forms["2014"])) == 0
    assert repeated_targets(read_with_pitfall("repeats kept", forms["2014"])) > 20


def test_entities_become_words(forms):
    right, with_pitfall = (
        read("entities left", forms["2014"]).items["title"]
        for read in (read_correctly, read_with_pitfall)
    )
    assert right.tolist() == WORLD.items["title"].tolist()
    assert not right.str.contains("&[a-z]+;|&#").any()
    assert with_pitfall.str.contains("&[a-z]+;|&#").sum() > 10


def test_variants_tear_items_apart(forms):
    right, with_pitfall = (
        read("variants not joined", forms["2023"]) for read in (read_correctly, read_with_pitfall)
    )
    assert len(right.items) == 600
    assert len(with_pitfall.items) > 1500
    assert ndcg(with_pitfall) < 0.5 * ndcg(right)


def test_headlines_say_nothing_about_products(forms):
    right, with_pitfall = (
        precision(read("headlines as titles", forms["2023"]))
        for read in (read_correctly, read_with_pitfall)
    )
    assert with_pitfall < 0.75 * right


def test_unsorted_lines_have_other_targets(forms):
    right, with_pitfall = (
        split_of(read("lines left unsorted", forms["c2dsr"])).test
        for read in (read_correctly, read_with_pitfall)
    )
    assert right.user_id == with_pitfall.user_id
    assert 0.4 < (right.last != with_pitfall.last).float().mean() < 0.75


def test_ids_of_b_that_were_not_moved_leave_b_unlearned(forms):
    right, with_pitfall = (
        ndcg(read("ids of B not moved", forms["llmcdsr"]))
        for read in (read_correctly, read_with_pitfall)
    )
    assert with_pitfall < 0.3 * right


def test_an_unknown_trap_is_named():
    with pytest.raises(DataError, match="'x' is no pitfall: choose from repeats kept"):
        read_with_pitfall("x", ".")
