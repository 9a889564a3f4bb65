"""First interactions, the k-core, and ties in random order."""

import pandas as pd
import pytest

from tema_lib.data.files import DataError
from tema_lib.data.filters import first_interactions, k_core, shuffle_ties
from tema_lib.datasets.load import read_data
from tests.helpers.data_folders import CAFE_EVENTS, cafe_folder


def test_first_interactions_keep_the_earliest(tmp_path):
    with pytest.warns(UserWarning, match="line 9: the time of user u1 goes backwards"):
        raw = read_data(cafe_folder(tmp_path, events=CAFE_EVENTS + "u1\t0001\tA\t5\n"))
    kept = first_interactions(raw).interactions
    assert kept[(kept.user_id == "u1") & (kept.item_id == "0001")]["timestamp"].tolist() == [5]


def test_k_core_needs_a_second_round(tmp_path):
    """x has two events, but one of its users leaves, so x leaves in the second round."""
    events = "user_id\titem_id\tdomain\ttimestamp\n" + "".join(
        f"{user}\t{item}\t{item[0].upper()}\t{time}\n"
        for user, seen in {"u1": "a1 b1 a2", "u2": "a1 b1 a2", "u3": "a2"}.items()
        for time, item in enumerate(seen.split())
    )
    events = events.replace("u3\ta2", "u3\tax").replace("u1\ta2", "u1\tax")
    items = "item_id\tdomain\ttitle\n" + "".join(
        f"{item}\t{item[0].upper()}\t{item}\n" for item in ("a1", "a2", "ax", "b1")
    )
    core = k_core(read_data(cafe_folder(tmp_path, items, events)), items=2, users_per_domain=1)
    assert set(core.items["item_id"]) == {"a1", "b1"}
    assert set(core.interactions["user_id"]) == {
        "u1",
        "u2",
    }
    with pytest.raises(DataError, match="nothing is left"):
        k_core(core, items=3)


def test_tie_shuffle_stays_inside_a_day_and_removes_the_bias():
    """200 users whose days always list A before B: afterwards B comes first about half the time."""
    table = pd.DataFrame(
        [
            (f"u{user}", f"{domain}{day}", domain, day * 86400)
            for user in range(200)
            for day in range(3)
            for domain in "AB"
        ],
        columns=["user_id", "item_id", "domain", "timestamp"],
    )
    mixed = shuffle_ties(table, seed=1)
    pd.testing.assert_frame_equal(mixed, shuffle_ties(table, seed=1))
    assert not mixed.index.equals(shuffle_ties(table, seed=2).index)
    assert (mixed.groupby("user_id")["timestamp"].diff().dropna() >= 0).all()
    first = mixed.groupby(["user_id", "timestamp"])["domain"].first()
    assert 0.42 < (first == "B").mean() < 0.58
