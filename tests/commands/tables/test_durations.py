"""The table of the steps of a run: seconds of each, trainings together, and the whole."""

import json

from tema_lib.commands.tables.durations import durations

RECORD = {
    "cores": 2,
    "steps": {
        "06_evaluation": 15.2,
        "00_start_here": 10.1,
        "language model": 94.7,
        "tags": 21.9,
        "texts and pictures": 20.4,
        "train sasrec": 1.9,
        "train tema": 3.3,
        "interpretation": 1.3,
    },
    "wall_seconds": {"make run": {"median": 240}},
}


def test_the_steps_are_in_order_and_trainings_are_one_row(tmp_path):
    path = tmp_path / "bench_run.json"
    assert "benchmarks/commands.py" in durations(path)
    path.write_text(json.dumps(RECORD))
    rows = [line.strip("| ").split(" | ") for line in durations(path).splitlines()[2:]]
    assert [seconds for _, seconds in rows] == ["95", "20", "22", "5", "10", "15", "**240**"]
    assert rows[4][0] == "notebook 00"
