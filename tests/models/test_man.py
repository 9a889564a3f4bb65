"""MAN: candidates attend to the history; each part against its equation; the properties."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

import tema_lib.models.man as man
from tema_lib.models.man import MAN, MANConfig
from tema_lib.models.mixed_attention import ItemSimilarity, separation
from tema_lib.training import train, training_step
from tests.helpers.models import (
    ALL_ITEMS,
    DOMAIN,
    DOMAIN_A,
    DOMAIN_B,
    LITTLE,
    USERS,
    awake,
    batch_of,
    ranking,
    same_weights,
    small_split,
)

SMALL = MANConfig(
    hidden=16, max_length=20, similarity_width=8, head_widths=(16, 8), targets_per_sequence=20
)
MORE_USERS = [*USERS, [3, 15, 5, 17, 4, 16], [16, 4, 17, 5]]


def make(seed=0, **changes):
    torch.manual_seed(seed)
    return MAN(DOMAIN, replace(SMALL, **changes))


def both_domains(model, users, candidates=ALL_ITEMS):
    return torch.cat([model.score(ranking(*users, domain=domain), candidates) for domain in (0, 1)])


def loss_of(model, batch, seed=0):
    torch.manual_seed(seed)
    return model.loss(batch)


# ---- the candidate is a query


def test_another_candidate_attends_elsewhere_and_its_weights_count(monkeypatch):
    model, seen, turn = awake(make()), [], [0]
    plain = ItemSimilarity.forward

    def spy(self, affine, query, present):
        seen.append(plain(self, affine, query, present))
        return seen[-1].roll(turn[0], 1)  # with 1: every candidate gets its neighbour's weights

    monkeypatch.setattr(ItemSimilarity, "forward", spy)
    before = model.score(ranking(USERS[0]), ALL_ITEMS)
    weights = seen[0][0]  # (C, T)
    assert (weights - weights[:1]).abs().max() > 0.1
    torch.testing.assert_close(weights.sum(1), torch.ones(22))
    turn[0] = 1
    assert ((model.score(ranking(USERS[0]), ALL_ITEMS) - before).abs() > 1e-3).float().mean() > 0.8


def test_what_is_shown_of_item_similarity_is_what_the_scores_use(monkeypatch):
    model, seen = awake(make()), []
    plain = ItemSimilarity.forward

    def spy(self, affine, query, present):
        seen.append(plain(self, affine, query, present))
        return seen[-1]

    monkeypatch.setattr(ItemSimilarity, "forward", spy)
    batch = ranking(USERS[0])
    candidates = torch.tensor(DOMAIN_A)
    model.score(replace(batch, target_domain=torch.zeros_like(batch.target_domain)), candidates)
    used = seen[0][0]
    shown = model.attention(batch.sequence[0], candidates, 0)
    assert shown.shape == used.shape
    torch.testing.assert_close(shown, used)
    torch.testing.assert_close(shown.sum(1), torch.ones(len(shown)))
    assert not shown.requires_grad


def test_no_product_of_states_and_item_vectors_gives_these_scores():
    """A product of vectors of size 4 has rank 4, 5 with a popularity; these scores have more."""
    model = awake(make(hidden=4, heads=1)).double()
    users = [user[:length] for user in USERS for length in range(1, len(user) + 1)]
    with torch.no_grad():
        assert torch.linalg.matrix_rank(model.score(ranking(*users), ALL_ITEMS), rtol=1e-6) > 10


def test_events_of_both_domains_and_their_age_reach_the_candidate():
    """Keys distinguish the last event from the one before; merged states enter no similarity."""
    model = awake(make())
    for domain in (0, 1):
        _, _, keys, _, present = model.read(
            ranking([1, 13, 2], [1, 13, 2, 14], []).sequence, domain
        )
        assert present.tolist() == [[True, True, True, False], [True] * 4, [False] * 4]
        table, recent = F.layer_norm(model.id, (16,)), model.recency
        newest_first = [2, 1] if domain == 0 else [13]
        expected = []
        for item, age in ((1, 2), (13, 1), (2, 0)):
            key = table[item] + recent[2, age]
            if item in newest_first:
                key = key + table[item] + recent[domain, newest_first.index(item)]
            expected.append(key)
        torch.testing.assert_close(keys[0, :3], torch.stack(expected))


def test_separation_is_a_double_loop_and_pushes_prototypes_apart():
    torch.manual_seed(0)
    vectors = torch.randn(5, 6, dtype=torch.double, requires_grad=True)
    loop = sum((vectors[i] - vectors[j]).square().sum() / 2 for i in range(5) for j in range(i))
    torch.testing.assert_close(separation(vectors), loop)
    model = make(separation=0.01)
    apart = [torch.pdist(model.prototypes).min().item()]
    torch.testing.assert_close(
        model.loss(batch_of(*USERS))["group separation"], -0.01 * separation(model.prototypes)
    )
    optimizer = torch.optim.SGD([model.prototypes], lr=1.0)
    for _ in range(3):
        optimizer.zero_grad()
        model.loss(batch_of(*USERS))["group separation"].backward()
        optimizer.step()
        apart.append(torch.pdist(model.prototypes).min().item())
    assert apart == sorted(apart)
    assert apart[-1] > 1.1 * apart[0]


# ---- training examples


def test_an_example_is_what_came_before_its_target():
    model, batch = make(targets_per_sequence=3), batch_of(*USERS)
    torch.manual_seed(0)
    prefixes, candidates = model.examples(batch)
    assert prefixes.targets is None
    assert len(candidates) == 3 + 3 + 2 + 1
    found = set()
    for row, sequence, (target, *_) in zip(
        prefixes.rows.tolist(), prefixes.sequence.tolist(), candidates.tolist()
    ):
        events = [item for item in sequence if item]
        assert USERS[row][: len(events)] == events
        assert USERS[row][len(events)] == target
        assert sequence[: len(events)] == events
        found.add((row, target))
    assert len(found) == len(candidates)  # no position twice
    torch.manual_seed(1)
    other = model.examples(batch)  # another draw takes others
    assert found != set(zip(other[0].rows.tolist(), other[1][:, 0].tolist()))


def test_negatives_are_uniform_over_the_targets_domain_and_never_the_target():
    model = make(negatives_per_target=4000)
    prefixes, candidates = model.examples(batch_of(*USERS))
    for domain, (target, *negatives) in zip(prefixes.target_domain.tolist(), candidates.tolist()):
        members = set((DOMAIN_A, DOMAIN_B)[domain])
        assert target in members
        assert set(negatives) == members - {target}
        share = (
            torch.tensor(negatives).bincount()[list(members - {target})] / 4000 * (len(members) - 1)
        )
        assert (share - 1).abs().max() < 5 * ((len(members) - 2) / 4000) ** 0.5


def test_the_loss_is_cross_entropy_of_score():
    model = awake(make(negatives_per_target=3))
    torch.manual_seed(5)
    prefixes, candidates = model.examples(batch_of(*USERS))
    scores = model.score(prefixes, candidates)
    plain = torch.stack([scores[n].logsumexp(0) - scores[n, 0] for n in range(len(scores))]).mean()
    torch.testing.assert_close(loss_of(model, batch_of(*USERS), seed=5)["next item"], plain)


# ---- padding, order, chunks


def test_padding_changes_nothing():
    model, users = awake(make()), [*USERS, []]

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
        loss_of(model, wide(batch_of(*USERS))), loss_of(model, batch_of(*USERS))
    )
    for domain in (0, 1):
        together = model.score(ranking(*users, domain=domain), ALL_ITEMS)
        torch.testing.assert_close(
            model.score(wide(ranking(*users, domain=domain)), ALL_ITEMS),
            together,
            rtol=0,
            atol=1e-4,
        )
        for row, user in enumerate(users):
            torch.testing.assert_close(
                model.score(ranking(user, domain=domain), ALL_ITEMS)[0],
                together[row],
                rtol=0,
                atol=1e-4,
            )


def test_the_order_of_users_and_of_candidates_changes_nothing():
    model = awake(make())
    batch = replace(ranking(*USERS), target_domain=torch.tensor([0, 1, 1, 0]))
    scores = model.score(batch, ALL_ITEMS)
    turned = batch.each(lambda tensor: tensor.flip(0))
    torch.testing.assert_close(model.score(turned, ALL_ITEMS).flip(0), scores)
    shuffled = torch.randperm(22, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.score(batch, ALL_ITEMS[shuffled]), scores[:, shuffled])
    torch.testing.assert_close(model.score(batch, ALL_ITEMS[7:9]), scores[:, 7:9])
    own = torch.stack([ALL_ITEMS.roll(row) for row in range(4)])  # a list for each user
    torch.testing.assert_close(
        model.score(batch, own), torch.stack([scores[row].roll(row) for row in range(4)])
    )


@pytest.mark.parametrize("cells", [1, 4000])
def test_a_few_candidates_at_a_time_give_the_same_scores(cells, monkeypatch):
    model, sizes = awake(make()), []
    expected = both_domains(model, USERS)
    monkeypatch.setitem(man.CELLS, "cpu", cells)
    plain = ItemSimilarity.forward
    monkeypatch.setattr(
        ItemSimilarity,
        "forward",
        lambda self, affine, query, present: (
            sizes.append(query.size(1)) or plain(self, affine, query, present)
        ),
    )
    torch.testing.assert_close(both_domains(model, USERS), expected)
    assert sum(sizes) == 44
    assert max(sizes) == max(1, cells // (4 * 8 * 8))
    parts = [scores.clone() for scores in model.scorer(ALL_ITEMS, 3)(ranking(*USERS))]
    assert [len(part) for part in parts] == [3, 1]
    torch.testing.assert_close(torch.cat(parts), expected[:4])


def test_users_of_one_domain_of_one_event_and_of_none_are_finite():
    model = awake(make())
    assert torch.isfinite(
        both_domains(model, [[1], [13], [1, 2, 3], [13, 14, 15], [1, 13, 2], []])
    ).all()
    assert torch.isfinite(both_domains(model, [[]])).all()
    model.train()
    sum(model.loss(batch_of([1, 2], [3, 4, 5], [13, 14], [6, 15])).values()).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


# ---- learning


def test_every_trained_parameter_is_reached_and_can_change_a_score():
    model = awake(make())
    for term in model.loss(batch_of(*MORE_USERS)):
        model.zero_grad()
        model.loss(batch_of(*MORE_USERS))[term].backward()
        assert model.prototypes.grad.abs().max() > 0, f"{term} does not reach the prototypes"
    model.zero_grad()
    model.loss(batch_of(*MORE_USERS))["next item"].backward()
    with torch.no_grad():
        before = both_domains(model, MORE_USERS)
        for key, parameter in model.named_parameters():
            assert parameter.grad is not None, f"the loss does not reach {key}"
            assert parameter.grad.abs().max() > 1e-8, f"the loss does not reach {key}"
            kept = parameter.clone()
            parameter += torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
            change = both_domains(model, MORE_USERS) - before
            assert (change - change.mean(1, keepdim=True)).abs().max() > 1e-5, (
                f"{key} moves no score against the others"
            )
            parameter.copy_(kept)


def test_man_can_overfit_one_batch():
    torch.manual_seed(0)
    model = make(dropout=0.0)
    batch, optimizer = batch_of(*USERS), torch.optim.Adam(model.parameters(), lr=1e-2)
    path = [float(training_step(model, batch, optimizer)["next item"]) for _ in range(100)]
    assert path[0] > 1.5
    assert max(path[-5:]) < 0.1
    for user in USERS:
        members = torch.tensor(DOMAIN_A if user[-1] in DOMAIN_A else DOMAIN_B)
        scores = model.eval().score(ranking(user[:-1], domain=int(DOMAIN[user[-1]])), members)
        assert members[scores[0].argmax()] == user[-1]


def test_it_trains_like_every_system_and_equal_seeds_give_equal_numbers():
    (one, first), (two, second) = (
        (model, train(model, small_split(), DOMAIN, LITTLE)) for model in (make(), make())
    )
    assert same_weights(one, two)
    assert first.loss == second.loss
    assert first.valid_mrr == second.valid_mrr
    assert set(first.loss) == {"next item", "group separation"}
    assert first.loss["next item"][-1] < first.loss["next item"][0]


def test_it_learns_in_bfloat16():
    model = make()
    terms = training_step(
        model, batch_of(*USERS), torch.optim.SGD(model.parameters(), lr=0.1), precision="bfloat16"
    )
    assert all(torch.isfinite(term) for term in terms.values())
    assert all(term.dtype == torch.float32 for term in terms.values())


def test_impossible_heads_are_refused():
    with pytest.raises(ValueError, match="not divisible by 3 heads"):
        make(heads=3)
