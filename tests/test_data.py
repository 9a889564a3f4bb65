"""Readers, filters, ids, splits and views: small files written here, and the real folders where TEMA_REAL_DATA names them."""

import gzip
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tema_lib.data.batches import ranking_batches, training_batches
from tema_lib.data.dataset import DataError, encode_ids
from tema_lib.data.filters import first_interactions, k_core, shuffle_ties
from tema_lib.data.sequences import Sequences, build_sequences, domain_view, padded
from tema_lib.data.splits import leave_one_out, published_split
from tema_lib.datasets.load import read_data

ITEMS = 'item_id\tdomain\ttitle\n0001\tA\tNA\na2\tA\tCaf&amp;eacute; "dark"\nb1\tB\tPan\nb2\tB\t\n'
EVENTS = (
    "user_id\titem_id\tdomain\ttimestamp\n"
    "u2\tb1\tB\t50\nu1\t0001\tA\t10\nu1\tb1\tB\t20\nu1\ta2\tA\t30\nu1\tb2\tB\t40\nu2\t0001\tA\t60\nu2\ta2\tA\t70\n"
)


def folder(tmp_path, items=ITEMS, events=EVENTS):
    (tmp_path / "items.tsv").write_text(items, encoding="utf-8")
    (tmp_path / "interactions.tsv").write_text(events, encoding="utf-8")
    return tmp_path


def test_text_survives_reading(tmp_path):
    raw = read_data(folder(tmp_path))
    items = encode_ids(raw)
    assert items.item_id == ("", "0001", "a2", "b1", "b2"), "leading zeros stay, A stands before B"
    assert items.title[1] == "NA"
    assert items.title[2] == 'Café "dark"'
    assert items.title[4] == ""
    assert items.domain_of_item.tolist() == [-1, 0, 0, 1, 1]
    assert raw.sha256 != read_data(folder(tmp_path, events=EVENTS.replace("70", "71"))).sha256


@pytest.mark.parametrize(
    ("items", "events", "words"),
    [
        (
            ITEMS,
            EVENTS.replace("timestamp", "time"),
            "interactions.tsv, line 1: column timestamp is missing",
        ),
        (ITEMS.replace("title", "name"), EVENTS, "items.tsv, line 1: column title is missing"),
        (ITEMS, EVENTS.replace("b1\tB\t50", "b1\tC\t50"), "line 2: 'C' is no domain"),
        (ITEMS.replace("a2\tA", "0001\tA"), EVENTS, "item 0001 stands there twice"),
        ("", EVENTS, "holds no rows"),
        (ITEMS, EVENTS.replace("\t20\n", "\tsoon\n"), "line 4: 'soon' is no time"),
        (ITEMS, EVENTS.replace("\t20\n", "\t1381536000000\n"), "looks like milliseconds"),
        (ITEMS, EVENTS.replace("\t20\n", "\t-20\n"), "line 4: '-20' lies before 1970"),
        (ITEMS, EVENTS.replace("u1\tb1", "\tb1"), "line 4: '' is no user"),
        (ITEMS, EVENTS.replace("u1\tb1\tB", "u1\tb9\tB"), "line 4: 'b9' is not in items.tsv"),
        (ITEMS, EVENTS.replace("u1\tb1\tB", "u1\tb1\tA"), "stands in another domain"),
        (
            ITEMS,
            EVENTS.replace("u1\tb1\tB\t20", "u1\tb1\tB"),
            "line 4: 3 columns where the header has 4",
        ),
    ],
)
def test_bad_tables_get_one_sentence(tmp_path, items, events, words):
    with pytest.raises(DataError) as caught:
        read_data(folder(tmp_path, items, events))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_folder_file_picture_and_encoding(tmp_path):
    with pytest.raises(DataError, match="is no folder"):
        read_data(tmp_path / "nowhere")
    with pytest.raises(DataError, match="items.tsv is missing"):
        read_data(tmp_path)
    pictured = folder(
        tmp_path,
        ITEMS.replace("title\n", "title\timage\n")
        .replace("NA\n", "NA\tgone.png\n")
        .replace('"\n', '"\t\n')
        .replace("Pan\n", "Pan\t\n")
        .replace("b2\tB\t\n", "b2\tB\t\t\n"),
    )
    pictured.joinpath("items.tsv").write_text(
        pictured.joinpath("items.tsv").read_text().replace("Pan\t", "Pan\tlost.png")
    )
    with pytest.raises(
        DataError, match="missing pictures: [^,]*gone.png, [^,]*lost.png; bring them"
    ):  # all at once
        encode_ids(read_data(pictured))
    (tmp_path / "items.tsv").write_bytes(ITEMS.encode() + b"b3\tB\t\xff\n")
    with pytest.raises(DataError, match="not UTF-8"):
        read_data(tmp_path)


def test_gzipped_tables_read_alike_and_a_truncated_one_is_refused(tmp_path):
    plain = read_data(folder(tmp_path))
    table = tmp_path / "interactions.tsv"
    packed = gzip.compress(table.read_bytes())
    table.unlink()
    twin = tmp_path / "interactions.tsv.gz"
    twin.write_bytes(packed)
    pd.testing.assert_frame_equal(read_data(tmp_path).interactions, plain.interactions)
    for broken in (packed[:-12], b"user_id\titem_id\n", packed[:20] + b"\xff" * 9 + packed[29:]):
        twin.write_bytes(broken)
        with pytest.raises(
            DataError,
            match="interactions.tsv.gz is cut off or no gzip file: copy or download it again",
        ):
            read_data(tmp_path)


def test_time_that_goes_backwards_is_named_and_put_in_order(tmp_path):
    ordered = read_data(folder(tmp_path))
    lines = EVENTS.splitlines(keepends=True)
    turned = folder(tmp_path, events="".join(lines[:1] + lines[:0:-1]))
    with pytest.warns(
        UserWarning,
        match=r"interactions.tsv, line 3: the time of user u2 goes backwards \(lines like it: 5\)",
    ):
        raw = read_data(turned)
    assert torch.equal(
        build_sequences(raw, encode_ids(raw)).items,
        build_sequences(ordered, encode_ids(ordered)).items,
    )


def test_sequences_are_one_per_user_in_time_order(tmp_path):
    raw = read_data(folder(tmp_path))
    items, sequences = encode_ids(raw), build_sequences(raw, encode_ids(raw))
    assert sequences.user_id == ("u1", "u2")
    assert [items.item_id[item] for item in sequences[0]] == ["0001", "b1", "a2", "b2"]
    assert [items.item_id[item] for item in sequences[1]] == ["b1", "0001", "a2"]


def test_first_purchases_keeps_the_earliest(tmp_path):
    with pytest.warns(UserWarning, match="line 9: the time of user u1 goes backwards"):
        raw = read_data(folder(tmp_path, events=EVENTS + "u1\t0001\tA\t5\n"))
    kept = first_interactions(raw).interactions
    assert kept[(kept.user_id == "u1") & (kept.item_id == "0001")]["timestamp"].tolist() == [5]


def test_k_core_needs_a_second_round(tmp_path):
    """x is bought twice, but one buyer is too short and leaves, so x leaves in the second round."""
    events = "user_id\titem_id\tdomain\ttimestamp\n" + "".join(
        f"{user}\t{item}\t{item[0].upper()}\t{time}\n"
        for user, seen in {"u1": "a1 b1 a2", "u2": "a1 b1 a2", "u3": "a2"}.items()
        for time, item in enumerate(seen.split())
    )
    events = events.replace("u3\ta2", "u3\tax").replace("u1\ta2", "u1\tax")
    items = "item_id\tdomain\ttitle\n" + "".join(
        f"{item}\t{item[0].upper()}\t{item}\n" for item in ("a1", "a2", "ax", "b1")
    )
    core = k_core(read_data(folder(tmp_path, items, events)), items=2, users_per_domain=1)
    assert set(core.items["item_id"]) == {"a1", "b1"}
    assert set(core.interactions["user_id"]) == {
        "u1",
        "u2",
    }
    with pytest.raises(DataError, match="nothing is left"):
        k_core(core, items=3)


def test_tie_shuffle_stays_inside_a_day_and_removes_the_bias():
    """200 users whose days always list A before B: afterwards B comes first about half of the time."""
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


def flat(*sequences):
    lengths = torch.tensor([0, *map(len, sequences)])
    return Sequences(
        tuple(f"u{number}" for number in range(len(sequences))),
        torch.tensor([item for one in sequences for item in one]),
        lengths.cumsum(0),
    )


DOMAIN = torch.tensor([-1, 0, 0, 0, 1, 1, 1])


def test_leave_one_out_holds_back_the_last_two():
    split = leave_one_out(flat([1, 4, 2, 5], [1, 2], [6, 1, 5]))
    assert [split.train[row].tolist() for row in range(2)] == [[1, 4], [6]], (
        "a user with two events cannot be split"
    )
    assert split.valid.last.tolist() == [2, 1]
    assert split.test.last.tolist() == [5, 5]
    with pytest.raises(DataError, match="at least three events"):
        leave_one_out(flat([1, 2]))


def test_ranking_batches_hide_the_target():
    (batch,) = ranking_batches(flat([1, 4, 2, 5], [6, 1]), DOMAIN, max_length=2, batch_size=9)
    assert batch.targets is None
    assert batch.target_domain.tolist() == [1, 0]
    assert batch.sequence.tolist() == [[4, 2], [6, 0]], (
        "the last two events before the target; padding on the right"
    )
    (batch,) = ranking_batches(
        flat([1, 4, 2, 5], [6, 1]), DOMAIN, max_length=2, batch_size=9, cases=torch.arange(2)
    )
    assert batch.rows.tolist() == [1, 0]
    assert batch.sequence.tolist() == [[6, 0], [4, 2]]
    assert batch.target_domain.tolist() == [0, 1]


def test_training_batches_give_every_pair_once():
    sequences = flat([1, 4, 2, 5], [6, 1], [3], [2, 3, 4])
    pairs = []
    for batch in training_batches(
        sequences, DOMAIN, max_length=50, batch_size=2, generator=torch.Generator().manual_seed(0)
    ):
        real = batch.targets > 0
        assert (batch.target_domain[real] == DOMAIN[batch.targets[real]]).all()
        assert (batch.sequence[~real] == 0).all()
        pairs += zip(batch.sequence[real].tolist(), batch.targets[real].tolist())
    assert sorted(pairs) == sorted([(1, 4), (4, 2), (2, 5), (6, 1), (2, 3), (3, 4)])


def test_domain_view_finds_the_way_back_to_merged_time():
    view = domain_view(torch.tensor([[4, 1, 5, 2, 0], [4, 5, 0, 0, 0]]), DOMAIN, 0)
    assert view.sequence.tolist() == [[1, 2], [0, 0]]
    assert view.has_any.tolist() == [[False, True, True, True, True], [False] * 5]
    assert view.read_at[0].tolist() == [0, 0, 0, 1, 1]
    other = domain_view(torch.tensor([[4, 1, 5, 2, 0]]), DOMAIN, 1)
    assert other.sequence.tolist() == [[4, 5]], "the two domains' sequences differ"


def test_padded_cuts_from_the_left():
    assert padded(flat([1, 2, 3, 4]), torch.tensor([0]), max_length=2, held_out=1).tolist() == [
        [2, 3]
    ]


def test_published_form(tmp_path):
    (tmp_path / "items.tsv").write_text(
        "item_index\tasin\tdomain\ttitle\n"
        + "".join(f"{i}\t0{i}\t{'AB'[i >= 2]}\tt{i}\n" for i in range(4))
    )
    for name, text in {
        "train_A": "1\t0,1\n",
        "train_B": "1\t2,3\n",
        "train_overlap": "1\t0,3,1\n",
        "valid": "1\t0,2,3\n",
        "test": "1\t3,1\n",
    }.items():
        (tmp_path / f"{name}.txt").write_text(text)
    raw = read_data(tmp_path)
    items = encode_ids(raw)
    split = published_split(raw, build_sequences(raw, items))
    assert (len(split.train), len(split.valid), len(split.test)) == (3, 1, 1)
    assert [items.item_id[item] for item in split.valid[0]] == ["00", "02", "03"], (
        "published order, last id = target"
    )
    for broken in ("1\t0,9\n", "1\t0,-1\n", "1;0,1\n"):
        (tmp_path / "test.txt").write_text(broken)
        with pytest.raises(DataError, match="test.txt, line 1"):
            read_data(tmp_path)


@pytest.mark.skipif(
    "TEMA_REAL_DATA" not in os.environ, reason="real data: TEMA_REAL_DATA names no folder"
)
@pytest.mark.parametrize(
    ("name", "users", "items", "events"),
    [
        ("fk_tiny", 240, 608, 5341),
        ("fk_mini", 2083, 1045, 47116),
        ("fk_core5", 6093, 7810, 120142),
        ("fk_abxi", 7144, 28095, 173548),
        ("fk_llmcdsr", 53061, 36298, 436127),
    ],
)
def test_real_folders_have_the_documented_sizes(name, users, items, events):
    raw = read_data(Path(os.environ["TEMA_REAL_DATA"]) / name)
    sequences = build_sequences(raw, encode_ids(raw))
    assert (len(sequences), len(raw.items), len(sequences.items)) == (users, items, events)
    if raw.published:
        split = published_split(raw, sequences)
        domain = encode_ids(raw).domain_of_item
        assert (len(split.valid), len(split.test)) == (960, 937)
        assert np.bincount(domain[split.test.last.numpy()]).tolist() == [300, 637]
