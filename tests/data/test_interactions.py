"""Times down to the nanosecond, repeats, and the memory that a row costs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tema_lib.data.dataset import encode_ids
from tema_lib.data.files import DataError
from tema_lib.data.filters import first_interactions
from tema_lib.data.interactions import moment
from tema_lib.data.sequences import build_sequences
from tema_lib.data.summary import data_quality_warnings
from tema_lib.datasets.load import read_data
from tests.helpers.data_folders import CAFE_EVENTS, EVENTS, RIGHT, cafe_folder, order, tables

ROOT = Path(__file__).resolve().parents[2]
BACKWARDS = pytest.mark.filterwarnings("ignore:.*goes backwards")


@BACKWARDS
@pytest.mark.parametrize("positions", [1, 3, 6, 9])
def test_text_times_keep_their_order_down_to_the_nanosecond(tmp_path, positions):
    events = EVENTS
    for old, step in ((100, 2), (200, 1), (300, 3)):
        events = events.replace(f"\t{old}\n", f"\t1700000000.{step:0{positions}d}\n")
    raw = read_data(tables(tmp_path, events=events.replace("\t400\n", "\t1700000001\n")))
    assert order(raw) == {"mina": "t1 k1 t2 k2"}
    assert raw.interactions["timestamp"].tolist() == [1700000000] * 3 + [1700000001]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", (5, 0)),
        (" 5.25 ", (5, 250_000_000)),
        (".5", (0, 500_000_000)),
        ("1.3749696E9", (1374969600, 0)),
        ("1700000000.1234567899", (1700000000, 123456789)),
        ("-0.5", (-1, 500_000_000)),
        ("1700000000123", (1700000000123, 0)),
    ],
)
def test_a_time_is_seconds_and_nanoseconds(text, expected):
    assert moment(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "soon", "1e400", "-1e400", "9" * 5000, "nan", "inf", "1_0", "0x10", "--1", "2013-04-13"],
)
def test_what_is_no_time_is_said(text):
    with pytest.raises(ValueError, match="is not a time: write Unix seconds"):
        moment(text)


def test_time_that_goes_backwards_is_named_and_put_in_order(tmp_path):
    ordered = read_data(cafe_folder(tmp_path))
    lines = CAFE_EVENTS.splitlines(keepends=True)
    turned = cafe_folder(tmp_path, events="".join(lines[:1] + lines[:0:-1]))
    with pytest.warns(
        UserWarning,
        match=r"interactions.tsv, line 3: the time of user u2 goes backwards \(lines like it: 5\)",
    ):
        raw = read_data(turned)
    assert torch.equal(
        build_sequences(raw, encode_ids(raw)).items,
        build_sequences(ordered, encode_ids(ordered)).items,
    )


AGAIN = EVENTS + "mina\tk1\tB\t500\nmina\tt1\tA\t200\n"


@BACKWARDS
def test_repeats_are_dropped_and_counted_or_kept(tmp_path):
    raw = read_data(tables(tmp_path, events=AGAIN))
    assert order(raw) == RIGHT
    assert raw.dropped == {"identical": 1, "repeats": 1}
    assert raw.repeats == "first"
    said = " ".join(data_quality_warnings(raw))
    assert "1 rows repeat another row exactly" in said
    assert "1 later events of a user with the same item were dropped" in said
    kept = read_data(tmp_path, repeats="keep")
    assert order(kept) == {"mina": "k1 t1 t2 k2 k1"}
    assert kept.dropped == {"identical": 1, "repeats": 0}
    assert kept.repeats == "keep"
    assert "1 events repeat a user's earlier interaction" in " ".join(data_quality_warnings(kept))
    assert order(first_interactions(kept)) == RIGHT
    (tmp_path / "dataset.json").write_text('{"repeats": "keep"}')
    assert order(read_data(tmp_path)) == order(kept)
    assert order(read_data(tmp_path, repeats="first")) == RIGHT
    (tmp_path / "dataset.json").write_text('{"repeats": "all"}')
    with pytest.raises(DataError, match="dataset.json: repeats is 'all': write first or keep"):
        read_data(tmp_path)
    (tmp_path / "dataset.json").unlink()
    with pytest.raises(DataError, match="repeats='last': choose first or keep"):
        read_data(tmp_path, repeats="last")


@BACKWARDS
def test_the_first_of_repeats_is_the_first_by_the_full_time(tmp_path):
    raw = read_data(
        tables(
            tmp_path,
            events=EVENTS.replace("\t100\n", "\t450.75\n")
            + "mina\tk1\tB\t450.25\nmina\tt1\tA\t450.5\n",
        )
    )
    assert order(raw) == {"mina": "t1 t2 k2 k1"}
    assert raw.dropped == {"identical": 0, "repeats": 2}
    kept = read_data(tmp_path, repeats="keep")
    assert order(kept) == {"mina": "t1 t2 k2 k1 t1 k1"}, "450.25, 450.5, 450.75"


def test_a_row_costs_some_numbers_and_no_texts(tmp_path):
    """400,000 rows in a process of their own take at most 200 bytes a row above the import.

    It was over 400 when each field was a text of its own.
    """
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import data as bench

    bench.write_own_tables(tmp_path, 400_000, seed=0)
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "benchmarks" / "data.py"),
            "--way",
            "read",
            "--folder",
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["rows"] + found["dropped"]["repeats"] + found["dropped"]["identical"] == 400_000
    assert found["users"] == 25_000
    assert (found["read_mib"] - found["import_mib"]) * 2**20 / 400_000 < 200
