"""Leave-one-out holds back the last two events."""

import pytest

from tema_lib.data.files import DataError
from tema_lib.data.splits import leave_one_out
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
