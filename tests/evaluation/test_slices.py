"""Parts of the test cases: never-seen and long-tail targets, against counting by hand."""

from types import SimpleNamespace

import numpy as np
import torch

from tema_lib.data.splits import Split
from tema_lib.evaluation.ranking import evaluate
from tema_lib.evaluation.slices import slices
from tema_lib.models.baselines import Popularity
from tests.helpers.models import DOMAIN, sequences


def test_never_seen_and_long_tail_targets_are_those_of_a_count():
    users = [[1, 2, 13, 3], [1, 2, 14, 5], [1, 13, 15, 2], [5, 16, 6, 1]]
    whole = sequences(users)
    split = Split("own", whole.without_last(2), whole.without_last(1), whole)
    model = Popularity(DOMAIN)
    model.fit_statistics(split.train)
    ranks = evaluate(model, split.test, DOMAIN)
    parts = slices(ranks, split, SimpleNamespace(count=22, domain_of_item=DOMAIN.numpy()))
    seen = {item: sum(item in user[:2] for user in users) for item in range(1, 23)}
    targets = np.array([user[-1] for user in users])[ranks.row]
    assert set(targets) == {3, 5, 2, 1}
    assert parts["target never seen"].target.tolist() == [t for t in targets if seen[t] == 0]
    assert parts["target seen"].target.tolist() == [t for t in targets if seen[t] > 0]
    rare = parts["target seen at most 2 times"].target.tolist()
    assert rare == [t for t in targets if seen[t] <= 2]
    assert rare != parts["target never seen"].target.tolist()
    assert torch.tensor(rare).unique().numel() == len(rare) < len(targets)


def test_short_histories_end_at_the_first_quartile_and_some_lie_in_one_domain():
    users = [[1, 2, 3], [1, 13, 2, 3], [1, 2, 4, 13], [13, 14, 1, 2, 3], [5, 6, 7, 8, 9]]
    whole = sequences(users)
    split = Split("own", whole.without_last(2), whole.without_last(1), whole)
    model = Popularity(DOMAIN)
    model.fit_statistics(split.train)
    ranks = evaluate(model, split.test, DOMAIN)
    parts = slices(ranks, split, SimpleNamespace(count=22, domain_of_item=DOMAIN.numpy()))
    assert parts["short history"].row.tolist() == [0, 1, 2]  # lengths 3 4 4 5 5: the quartile is 4
    assert parts["history in one domain"].row.tolist() == [0, 2, 4]
