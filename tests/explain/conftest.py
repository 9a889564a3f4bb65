"""The small world of the explanation tests, harmless and hostile."""

import pytest

from tests.helpers.explain import hostile_world, small_world


@pytest.fixture(scope="module")
def world():
    return small_world()


@pytest.fixture(scope="module")
def evil(tmp_path_factory):
    return hostile_world(tmp_path_factory.mktemp("pictures"))
