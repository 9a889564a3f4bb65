"""Tables of the search have a row for each trial and each change."""

import json

from tema_lib.commands.tables import search


def test_trials_are_a_row_each_and_the_best_of_a_system_is_bold(tmp_path):
    options = [dict.fromkeys(search.SETTINGS, number) for number in (1, 2)]
    for system, reached in (("sasrec", [0.1, 0.3]), ("tema", [0.25])):
        trials = [
            {"number": number, "options": options[number], "valid_mrr": [0.0, mrr]}
            for number, mrr in enumerate(reached)
        ]
        path = tmp_path / "toy" / f"{system}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"system": system, "trials": trials}))
    rows = search.trials(tmp_path).splitlines()
    assert rows[-2].startswith("| 0 | 1 |")
    assert rows[-2].endswith("| 0.1000 | **0.2500** | 0.1750 |")
    assert rows[-1].endswith("| **0.3000** |  |  |")  # no mean: one system lacks the trial


def test_a_trial_of_defaults_that_are_not_spelled_out_leaves_its_settings_open(tmp_path):
    path = tmp_path / "toy" / "sasrec.json"
    path.parent.mkdir()
    trial = {"number": 0, "options": {}, "valid_mrr": [0.1]}
    path.write_text(json.dumps({"system": "sasrec", "trials": [trial]}))
    row = search.trials(tmp_path).splitlines()[-1]
    assert row == f"| 0 | {' | '.join([''] * len(search.SETTINGS))} | **0.1000** | 0.1000 |"


def test_a_change_is_a_row_with_its_difference_in_every_seed(tmp_path):
    path = tmp_path / "changes.json"
    row = {"data": "toy", "system": "tema", "change": "as it is", "new_cases": 4, "new_hr": 0.5}
    rows = [row | {"seed": seed, "valid_mrr": value} for seed, value in ((0, 0.1), (1, 0.3))]
    changed = [
        row | {"change": "no lag bias", "seed": seed, "valid_mrr": 0.2, "new_hr": 0.25}
        for seed in (0, 1)
    ]
    path.write_text(json.dumps({"rows": rows + changed}))
    assert search.changes(path).splitlines()[-2:] == [
        "| toy | tema | as it is | 0.2000 |  | 0.50 | 4 | 2 |",
        "| toy | tema | no lag bias | 0.2000 | +0.1000, -0.1000 | 0.25 | 4 | 2 |",
    ]
    assert search.changes(tmp_path / "none.json") == ""
