"""What statistics say of a data set, which warnings it gets, and which data no run can use."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tema_lib.data.dataset import RawData
from tema_lib.data.files import DataError
from tema_lib.data.summary import check_runnable, data_quality_warnings, order_of, population
from tema_lib.datasets.load import read_data
from tests.helpers.data_folders import EVENTS, ITEMS, event_lines, order, tables, write_c2dsr

DAY = 86_400


def table(rows, titles=None):
    events = pd.DataFrame(rows, columns=["user_id", "item_id", "domain", "timestamp"]).assign(
        split=""
    )
    items = events[["item_id", "domain"]].drop_duplicates().reset_index(drop=True)
    return RawData(
        "x",
        Path("."),
        events,
        items.assign(title=titles or "a " + items["item_id"], description="", image=""),
        "",
    )


def test_population_counts_users_of_both_domains_and_coverage():
    counted = population(
        table([("u1", "a1", "A", 5), ("u1", "b1", "B", 6), ("u2", "a1", "A", 5)], ["Rice", ""])
    )
    assert counted["both"][["users", "of them in both domains", "items", "events"]].tolist() == [
        2,
        1,
        2,
        3,
    ]
    assert counted["A"]["users"] == 2
    assert counted["B"]["users"] == 1
    assert counted["both"]["items with title"] == "50.0%"
    assert counted["both"]["events per user"] == "1/2/2/2"


def test_ties_and_changes_of_domain_are_counted_against_chance():
    order = order_of(
        table(
            [
                ("u1", "a1", "A", 0),
                ("u1", "b1", "B", 0),
                ("u1", "b2", "B", 10),
                ("u1", "a2", "A", DAY),
                ("u2", "b1", "B", 0),
                ("u2", "a1", "A", 0),
            ]
        )
    )
    assert (order["a_before_b"], order["b_before_a"], order["switches"]) == (1, 1, 3)
    assert order["same_day"] == 0.75
    assert order["same_time"] == 0.5
    assert order["switches_by_chance"] == pytest.approx(2 * 2 * 2 / 4 + 2 * 1 * 1 / 2)


def test_each_data_quality_warning_is_raised_by_its_own_pitfall_only():
    rng = np.random.default_rng(0)
    people = [
        (
            f"u{user}",
            f"{(domain := 'AB'[int(rng.random() < 0.5)])}{position}",
            domain,
            1000 * position + user,
        )
        for user in range(100)
        for position in range(8)
    ]
    assert data_quality_warnings(table(people)) == []
    counting = [
        (user, item, domain, position % 8)
        for position, (user, item, domain, _) in enumerate(people)
    ]
    assert len(found := data_quality_warnings(table(counting))) == 1
    assert "0, 1, 2" in found[0]
    biased = [
        (f"u{user}", f"{domain}{day}", domain, day * DAY)
        for user in range(60)
        for day in range(1, 4)
        for domain in "AB"
    ]
    assert "A comes before B 180 times and B before A 0 times" in " ".join(
        data_quality_warnings(table(biased))
    )
    assert "interleaved artificially" in " ".join(data_quality_warnings(table(biased)))
    many = [(f"u{number % 40}", f"A{number}", "A", 100 * number) for number in range(60)]
    assert "60 items share 2 short titles" in " ".join(
        data_quality_warnings(table(many, ["Best value", "Nice"] * 30))
    )
    assert "1 events repeat" in " ".join(
        data_quality_warnings(table([*people, (*people[0][:3], 99_999)]))
    )


@pytest.mark.parametrize(
    ("histories", "words"),
    [
        (["t1 t2", "t2 t1"], r"no event of domain B \(pots\): this course is about two domains"),
        (["k1 k2"], r"no event of domain A \(tea\)"),
        (["t1 k1", "k2 t2"], "no user with three events"),
    ],
)
def test_what_no_run_can_use_is_one_sentence_and_still_read(tmp_path, histories, words):
    (tables(tmp_path, events=event_lines(*histories)) / "dataset.json").write_text(
        '{"domains": ["tea", "pots"]}'
    )
    raw = read_data(tmp_path)
    assert len(order(raw)) == len(histories)
    with pytest.raises(DataError, match=words):
        check_runnable(raw)


def test_users_of_three_events_and_no_user_of_both_domains_run_with_a_word(tmp_path):
    raw = read_data(
        tables(
            tmp_path, items=ITEMS + "t3\tA\t\nk3\tB\t\n", events=event_lines("t1 t2 t3", "k3 k2 k1")
        )
    )
    check_runnable(raw)
    said = data_quality_warnings(raw)
    assert (
        "no user has events in both domains: nothing can be carried over from one to the other"
        in said
    )
    assert "domain A has 1 test target: its metrics mean little" in said
    assert "domain B has no test targets: it has no metrics" in data_quality_warnings(
        read_data(tables(tmp_path, events=event_lines("k1 k2 t1")))
    )


def test_a_published_split_without_a_test_is_told(tmp_path):
    folder = write_c2dsr(tmp_path)
    check_runnable(read_data(folder))
    (folder / "testdata_new.txt").write_text("")
    with pytest.raises(DataError, match="has no test sequence of two events"):
        check_runnable(read_data(folder))


def test_titles_that_are_missing_or_shared_and_times_that_tie_are_said(tmp_path):
    def said(items):
        return " ".join(
            data_quality_warnings(read_data(tables(tmp_path, items, event_lines("t1 k1 t2 k2"))))
        )

    assert "title" not in said(ITEMS)
    assert "no item has a title" in said(
        "".join(
            f"{line[: line.rindex(chr(9))]}\t{'title' if line.startswith('item') else ''}\n"
            for line in ITEMS.splitlines()
        )
    )
    assert "2 of 4 titled items share their title with another item" in said(
        ITEMS.replace("Wok", "Kettle")
    )
    tied = tables(tmp_path, events=EVENTS.replace("\t200", "\t100").replace("\t300", "\t100"))
    assert "67% of consecutive events have equal times" in " ".join(
        data_quality_warnings(read_data(tied))
    )
