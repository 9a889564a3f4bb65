"""Sequences in time order, and the way from a domain back to merged time."""

import torch

from tema_lib.data.dataset import encode_ids
from tema_lib.data.sequences import build_sequences, domain_view, padded
from tema_lib.datasets.load import read_data
from tests.helpers.data_folders import cafe_folder
from tests.helpers.flat_sequences import DOMAIN, flat


def test_sequences_are_one_per_user_in_time_order(tmp_path):
    raw = read_data(cafe_folder(tmp_path))
    items, sequences = encode_ids(raw), build_sequences(raw, encode_ids(raw))
    assert sequences.user_id == ("u1", "u2")
    assert [items.item_id[item] for item in sequences[0]] == ["0001", "b1", "a2", "b2"]
    assert [items.item_id[item] for item in sequences[1]] == ["b1", "0001", "a2"]


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
