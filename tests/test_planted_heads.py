"""Does attention find the rule that wrote the planted world?  A model that knows items by nothing but their tags does, and with the same
tags shuffled among the items it does not: so the test of the rule can fail, and fails for the right reason."""
import numpy as np
import pytest
import torch

from tema_lib.explain.attention_records import case_batch
from tema_lib.explain.heads import planted_rule
from tema_lib.explain.occlusion import occlusions
from tema_lib.models.tema import Tema, TemaConfig
from tema_lib.pipeline import Pipeline
from tema_lib.training import train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEMA_ARTIFACTS", str(tmp_path_factory.mktemp("artifacts")))
        yield Pipeline("planted", fast=True)


def heads(run, tags):
    """The table of `planted_rule` for a model that reads tags alone; all users are test cases."""
    torch.manual_seed(0)
    model = Tema(run.inputs(tags=tags), TemaConfig(views=("tags",), hidden=run.hidden))
    train(model, run.split, run.domain_of_item, run.training)
    test, items = run.split.test, run.items
    batch = case_batch(test, torch.arange(len(test)), run.domain_of_item)
    occasion = dict(zip(run.truth[0]["item_id"], run.truth[0]["occasion"]))
    names = np.array(["", *(occasion[name] for name in items.item_id[1:])])
    right = (names[batch.sequence.numpy()] == names[test.last.numpy()][:, None]) & (batch.sequence.numpy() > 0)
    effects = occlusions(model.eval(), [test[row][:-1].tolist() for row in range(len(test))], test.last.tolist(), items)
    return planted_rule(model, batch, right, effects)


def finds_the_rule(table):
    assert table.loc["merged", "found"].all()


def test_heads_find_the_planted_rule_by_the_tags_and_not_by_shuffled_ones(run):
    true = heads(run, "")
    finds_the_rule(true)
    assert list(true.loc["merged", "planted"].unique()) == ["an occasion goes on, more often in the other shop"]
    assert (true["by chance"] < true["attention"]).all()                 # newer events are alike: recency alone gets that far, too
    shuffled = heads(run, "shuffled")
    with pytest.raises(AssertionError):
        finds_the_rule(shuffled)
    assert not shuffled["found"].any() and not shuffled["agrees"].any()
