"""Leave-one-out holds back the last two events; less overlap leaves out sequences of both."""

import pytest
import torch

from tema_lib.data.files import DataError
from tema_lib.data.splits import leave_one_out, split_in_time, with_overlap
from tests.helpers.flat_sequences import flat


def test_leave_one_out_holds_back_the_last_two():
    split = leave_one_out(flat([1, 4, 2, 5], [1, 2], [6, 1, 5]))
    assert [split.train[row].tolist() for row in range(2)] == [[1, 4], [6]], (
        "a user with two events cannot be split"
    )
    assert split.valid.last.tolist() == [2, 1]
    assert split.test.last.tolist() == [5, 5]
    with pytest.raises(DataError, match="at least three events"):
        leave_one_out(flat([1, 2]))


def test_less_overlap_leaves_out_training_sequences_of_both_domains_only():
    domain_of_item = torch.tensor([-1, 0, 0, 0, 1, 1, 1])
    users = [[1, 4, 2, 5]] * 8 + [[1, 2, 3, 4], [4, 5, 1, 1]]  # 8 train on both domains
    split = leave_one_out(flat(*users))
    kept = {share: with_overlap(split, domain_of_item, share, 5) for share in (0, 0.25, 0.5, 1)}
    names = {share: set(part.train.user_id) for share, part in kept.items()}
    assert [len(names[share]) for share in kept] == [2, 4, 6, 10]
    assert names[0] == {split.train.user_id[8], split.train.user_id[9]}
    assert names[0] < names[0.25] < names[0.5] < names[1]
    for part in kept.values():
        assert part.test is split.test
        assert part.valid is split.valid
    assert names[0.25] != set(with_overlap(split, domain_of_item, 0.25, 6).train.user_id)
    with pytest.raises(ValueError, match=r"overlap is 1\.5: give a share"):
        with_overlap(split, domain_of_item, 1.5)
    with pytest.raises(ValueError, match="without overlap none is left"):
        with_overlap(leave_one_out(flat(*users[:8])), domain_of_item, 0)


def test_a_split_in_time_reads_nothing_later_than_a_target():
    users = flat([1, 2, 3, 4, 5], [6, 1, 2], [3, 4], [5, 6, 1])
    times = torch.tensor([1, 4, 12, 13, 25, 2, 21, 22, 15, 30, 3, 5, 12])
    split = split_in_time(users, times, valid_from=10, test_from=20)
    assert [row.tolist() for row in map(split.train.__getitem__, range(3))] == [[1, 2], [6], [5, 6]]
    assert dict(zip(split.valid.user_id, split.valid.last.tolist())) == {
        users.user_id[0]: 3,
        users.user_id[3]: 1,
    }
    assert [split.test[row].tolist() for row in range(2)] == [[1, 2, 3, 4, 5], [6, 1]]
    with pytest.raises(DataError, match="before, between and after"):
        split_in_time(users, times, valid_from=0, test_from=20)
