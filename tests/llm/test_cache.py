"""The common beginning of prompts."""

from tema_lib.llm.cache import common_prefix


def test_common_prefix_leaves_a_token_of_each_row():
    assert common_prefix([[1, 2, 3, 4], [1, 2, 3, 5]]) == 3
    assert common_prefix([[1, 2], [1, 2, 3]]) == 1
    assert common_prefix([[1, 2]]) == 1
    assert common_prefix([[1], [2]]) == 0
