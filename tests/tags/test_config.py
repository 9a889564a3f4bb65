"""How tags are made: values out of range are refused."""

import pytest

from tema_lib.tags.config import TagConfig


@pytest.mark.parametrize(
    "changed", [{"tags_per_item": 0}, {"temperature": 0.0}, {"map_to_nearest": 0.0}]
)
def test_a_value_out_of_range_is_refused_in_one_sentence(changed):
    with pytest.raises(ValueError, match="temperature and map_to_nearest above 0"):
        TagConfig(**changed)
