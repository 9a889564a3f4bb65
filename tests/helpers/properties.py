"""What every system must satisfy: no leak, the right domain, padding, order, gradients.

Each property is a function of a model's factory and its name.
"""

from dataclasses import replace
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F

from tema_lib.models.base import SequenceRecommender
from tema_lib.training import training_step
from tests.helpers.models import (
    ALL_ITEMS,
    DOMAIN_A,
    DOMAIN_B,
    USERS,
    awake,
    batch_of,
    next_item,
    ranking,
)


def a_later_event_never_changes_an_earlier_state(make, name):
    """Position 5 is exchanged inside its domain: the states before stay, a later one changes.

    A state may know how many events of a domain follow, since positions count from the newest one.
    """
    model = awake(make())
    for target_domain, position in product((0, 1), (5, 6)):
        before = batch_of(*USERS[:2], target_domain=target_domain)
        sequence = before.sequence.clone()
        sequence[0, position] = 12 if sequence[0, position] in DOMAIN_A else 22
        old, changed = (
            model.encode_with_items(batch)[0]
            for batch in (before, replace(before, sequence=sequence))
        )
        earlier = slice(0, position)
        torch.testing.assert_close(changed[0, earlier], old[0, earlier], rtol=0, atol=1e-5)
        torch.testing.assert_close(changed[1], old[1], rtol=0, atol=1e-5)  # nor another user's
        if not name.startswith("sasrec-per-domain"):
            assert (changed[0, position:] - old[0, position:]).abs().max() > 1e-3


def the_loss_of_the_past_does_not_know_the_future(make, name):
    model = awake(make())
    whole = batch_of(USERS[0])
    early = replace(whole, targets=whole.targets.clone())
    early.targets[:, 4:] = 0  # only the first four positions count
    other = replace(early, sequence=early.sequence.clone())
    other.sequence[:, 4:] = torch.tensor([12, 11, 22])  # of the same domains
    torch.testing.assert_close(next_item(model, other), next_item(model, early))
    other.sequence[:, 3] = 21  # what the last of them does see
    if not name.startswith("sasrec-per-domain"):
        assert abs(next_item(model, other) - next_item(model, early)) > 1e-4


def a_target_competes_in_its_own_domain_only(make, _name):
    """With targets in A, an unseen item of B gets no gradient, and an unseen item of A does."""
    model = awake(make())
    batch = batch_of([1, 2, 3, 4])
    states, table = (tensor.detach() for tensor in model.encode_with_items(batch))
    model.next_item(states, table.requires_grad_(), batch).backward()
    assert table.grad[22].abs().max() == 0
    assert table.grad[12].abs().max() > 0


def users_of_one_domain_and_of_one_event_are_finite(make, _name):
    model = awake(make())
    users = [[1], [13], [1, 2, 3], [13, 14, 15], [1, 13, 2], []]  # the last has no event at all
    for domain in (0, 1):
        assert torch.isfinite(model.score(ranking(*users, domain=domain), ALL_ITEMS)).all()
    model.train()
    model.total_loss(model.loss(batch_of([1, 2], [3, 4, 5], [13, 14], [6, 15]))).backward()
    assert all(
        torch.isfinite(parameter.grad).all()
        for parameter in model.parameters()
        if parameter.grad is not None
    )


def padding_changes_nothing(make, _name):
    model, users = awake(make()), USERS

    def wide(batch):
        return replace(
            batch,
            sequence=F.pad(batch.sequence, (0, 4)),
            targets=None if batch.targets is None else F.pad(batch.targets, (0, 4)),
            target_domain=F.pad(batch.target_domain, (0, 4), value=-1)
            if batch.target_domain.dim() == 2
            else batch.target_domain,
        )

    torch.testing.assert_close(
        model.score(wide(ranking(*users)), ALL_ITEMS),
        model.score(ranking(*users), ALL_ITEMS),
        rtol=0,
        atol=1e-4,
    )
    torch.testing.assert_close(
        next_item(model, wide(batch_of(*users))), next_item(model, batch_of(*users))
    )
    together = model.score(ranking(*users), ALL_ITEMS)
    for row, user in enumerate(users):
        torch.testing.assert_close(
            model.score(ranking(user), ALL_ITEMS)[0], together[row], rtol=0, atol=1e-4
        )


def the_order_of_users_and_of_candidates_changes_nothing(make, _name):
    model = awake(make())
    scores = model.score(ranking(*USERS), ALL_ITEMS)
    turned = model.score(ranking(*USERS[::-1]), ALL_ITEMS)
    torch.testing.assert_close(turned.flip(0), scores, rtol=0, atol=1e-4)
    shuffled = torch.randperm(22, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        model.score(ranking(*USERS), ALL_ITEMS[shuffled]), scores[:, shuffled], rtol=0, atol=1e-4
    )
    own = torch.stack([ALL_ITEMS.roll(row) for row in range(4)])  # a list for each user
    torch.testing.assert_close(
        model.score(ranking(*USERS), own),
        torch.stack([scores[row].roll(row) for row in range(4)]),
        rtol=0,
        atol=1e-4,
    )
    if isinstance(model, SequenceRecommender):  # MAN's draws follow the order of the users
        torch.testing.assert_close(
            next_item(model, batch_of(*USERS[::-1])), next_item(model, batch_of(*USERS))
        )


def the_chunked_loss_is_cross_entropy_with_its_gradients(make, name):
    """More positions than a chunk holds, against a loop with torch's own cross-entropy."""
    model, rng = awake(make()).double(), np.random.default_rng(0)
    batch = batch_of(
        *(rng.permutation(np.arange(1, 23))[: rng.integers(2, 18)].tolist() for _ in range(40))
    )
    assert (batch.targets > 0).sum() > 2 * 128
    model.loss(batch)["next item"].backward()
    ours = {
        key: parameter.grad.clone()
        for key, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    value = model.loss(batch)["next item"].detach()
    model.zero_grad()
    (states, table), terms = model.encode_with_items(batch), []
    for state, targets in zip(states, batch.targets):
        for vector, target in zip(state, targets):
            if target > 0:
                members = torch.tensor(DOMAIN_A if target in DOMAIN_A else DOMAIN_B)
                terms.append(
                    F.cross_entropy(table[members] @ vector, torch.nonzero(members == target)[0, 0])
                )
    plain = torch.stack(terms).mean()
    plain.backward()
    torch.testing.assert_close(value, plain.detach())
    assert len(ours) > 1
    for key, parameter in model.named_parameters():
        expected = parameter.grad
        torch.testing.assert_close(ours.get(key), expected, rtol=1e-6, atol=1e-9, msg=key)


def a_scorer_gives_the_scores_a_few_rows_at_a_time(make, _name):
    model = awake(make())
    for domain in (0, 1):
        batch = ranking(*USERS, [], [16, 17], domain=domain)
        parts = [scores.clone() for scores in model.scorer(ALL_ITEMS, 4)(batch)]
        assert [len(part) for part in parts] == [4, 2]
        torch.testing.assert_close(torch.cat(parts), model.score(batch, ALL_ITEMS).detach())


def the_last_state_alone_is_the_last_of_all_states(make, _name):
    """Users of both domains, of one only, of one event, and of none."""
    model = awake(make())
    batch = replace(
        ranking(*USERS, [16, 17], [1], []), target_domain=torch.tensor([0, 1, 0, 1, 0, 1, 0])
    )
    inputs_, _ = model.item_embeddings()
    torch.testing.assert_close(
        model.last_hidden_states(batch, inputs_),
        model.encode(batch, inputs_)[torch.arange(7), batch.last],
        rtol=1e-5,
        atol=1e-5,
    )


def every_trained_parameter_is_reached_and_can_change_a_score(make, name):
    model = awake(make())
    # Items that lack text, picture or tags are among them.
    batch = batch_of(*USERS, [3, 15, 5, 17, 4, 16], [16, 4, 17, 5])
    for term in model.loss(batch):  # a fresh graph each: the chunked loss keeps none
        model.zero_grad()
        model.loss(batch)[term].backward()
        assert any(
            parameter.grad is not None and parameter.grad.abs().max() > 0
            for key, parameter in model.named_parameters()
            if not key.startswith(model.training_only)
        ), f"{term} reaches nothing that a score reads"
    model.zero_grad()
    model.total_loss(model.loss(batch)).backward()

    def scores():
        return torch.cat(
            [
                model.score(ranking(*USERS, [3, 15, 5, 17, 4, 16], domain=domain), ALL_ITEMS)
                for domain in (0, 1)
            ]
        )

    with torch.no_grad():
        before = scores()
        for key, parameter in model.named_parameters():
            assert parameter.grad is not None, f"the loss does not reach {key}"
            assert parameter.grad.abs().max() > 1e-8, f"the loss does not reach {key}"
            kept = parameter.clone()
            parameter += torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
            changed = (scores() - before).abs().max() > 1e-4
            assert changed != key.startswith(model.training_only), (
                f"{key}: does it change a score? {changed}"
            )
            parameter.copy_(kept)


def a_model_can_overfit_one_batch(make, name):
    """Without dropout, the next items of a few users become certain."""
    torch.manual_seed(0)
    model = make().eval()
    # A model of one domain cannot know when the other one comes next.
    one_domain = [[1, 2, 3, 4, 5], [16, 17, 18, 19], [9, 10, 6], [20, 21]]
    batch = batch_of(*(one_domain if name.startswith("sasrec-per-domain") else USERS))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    first = model.loss(batch)["next item"].item()
    for _ in range(150):
        loss = training_step(model, batch, optimizer)["next item"]
    assert first > 1.5
    assert loss.item() < 0.1


EVERY_MODEL = (
    the_loss_of_the_past_does_not_know_the_future,
    users_of_one_domain_and_of_one_event_are_finite,
    padding_changes_nothing,
    the_order_of_users_and_of_candidates_changes_nothing,
    a_scorer_gives_the_scores_a_few_rows_at_a_time,
    every_trained_parameter_is_reached_and_can_change_a_score,
    a_model_can_overfit_one_batch,
)
SEQUENCE_MODEL = (
    a_later_event_never_changes_an_earlier_state,
    a_target_competes_in_its_own_domain_only,
    the_chunked_loss_is_cross_entropy_with_its_gradients,
    the_last_state_alone_is_the_last_of_all_states,
)
