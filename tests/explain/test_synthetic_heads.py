"""Does attention find the rule that wrote the synthetic data set?

A model that knows items only by their tags finds it; with the same tags shuffled among the items
it does not. So the test can fail, and it fails for the right reason.
"""

import numpy as np
import pytest
import torch

from tema_lib.experiment import Experiment
from tema_lib.explain.attention import (
    case_batch,
)
from tema_lib.explain.heads import known_rule
from tema_lib.explain.occlusion import occlusions
from tema_lib.models.tema import Tema, TemaConfig
from tema_lib.training import train


@pytest.fixture(scope="module")
def run(tmp_path_factory, shipped_replies):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEMA_REPLIES", str(shipped_replies))
        patch.setenv("TEMA_ARTIFACTS", str(tmp_path_factory.mktemp("artifacts")))
        # Trained longer, the heads also learn which items follow which, whatever their tags say.
        yield Experiment("synthetic", epochs=4)


def heads(run, tags):
    """The table of `known_rule` for a model that reads tags alone; all users are test cases."""
    torch.manual_seed(0)
    model = Tema(run.inputs(tags=tags), TemaConfig(modalities=("tags",), hidden=run.hidden))
    train(model, run.split, run.domain_of_item, run.training)
    test, items = run.split.test, run.items
    batch = case_batch(model, test, torch.arange(len(test)))
    topic = dict(zip(run.truth[0]["item_id"], run.truth[0]["topic"]))
    names = np.array(["", *(topic[name] for name in items.item_id[1:])])
    right = (names[batch.sequence.numpy()] == names[test.last.numpy()][:, None]) & (
        batch.sequence.numpy() > 0
    )
    seen = [test[row][:-1].tolist() for row in range(400)]  # so many users are enough
    effects = occlusions(model.eval(), seen, test.last[:400].tolist(), items)
    return known_rule(model, batch, right, effects)


def finds_the_rule(table):
    """Both merged heads put .01 more attention on the target's topic than recency, at 95 %."""
    assert (table.loc["merged", "low"] > 0.01).all()


def test_heads_find_the_rule_by_the_tags_and_not_by_shuffled_ones(run):
    true, shuffled = heads(run, ""), heads(run, "shuffled")
    finds_the_rule(true)
    assert list(true.loc["merged", "rule"].unique()) == [
        "the target's topic, events in both domains"
    ]
    assert true.loc["merged", "found"].all()
    assert (
        true["by chance"] < true["recency alone"]
    ).all()  # newer events are alike: recency alone gets that far
    with pytest.raises(AssertionError):
        finds_the_rule(shuffled)
    assert (shuffled["low"] < 0.01).all()
    assert not shuffled.loc["merged", "agrees"].any()
    assert (
        shuffled.loc["merged", "beyond recency"] < true.loc["merged", "beyond recency"] / 3
    ).all()


def test_a_model_is_the_same_whether_its_features_are_cached_or_encoded(run, monkeypatch):
    """Loading an encoder draws random numbers, which must not change the model that is trained."""
    known, encode = run.build("tema").state_dict(), Experiment._encoded
    monkeypatch.setattr(
        Experiment, "_encoded", lambda *arguments: (torch.rand(7), encode(*arguments))[1]
    )
    again = run.with_seed(0)
    for name in ("text", "image", "modalities"):
        vars(again).pop(name, None)
    fresh = again.build("tema").state_dict()
    assert known.keys() == fresh.keys()
    assert all(torch.equal(known[name], fresh[name]) for name in known)
