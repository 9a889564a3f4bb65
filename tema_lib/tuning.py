"""The search for settings: every system is given the same ones, and validation alone decides.

Trial 0 is the setting that was used before there was a search, with the width and epochs that the
data had at the time.  The others are drawn at random from `SPACE`, once for all systems and data
sets, so that no system is tuned more than another.  A record of trials holds no test metric.

Status: ours.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tema_lib.experiment import Experiment
from tema_lib.models.systems import SMALL_TAGS
from tema_lib.records import Record, commit_and_state, write_json
from tema_lib.training import train
from tema_lib.workspace import ROOT, home, in_checkout

SPACE: dict[str, tuple[Any, ...]] = {
    "learning_rate": (5e-4, 1e-3, 2e-3, 3e-3),
    "weight_decay": (0.01, 0.1),
    "dropout": (0.1, 0.2, 0.3, 0.5),
    "layers": (1, 2),
    "hidden": (64, 128),
    "temperature": (0.05, 0.07, 0.1),
    "epochs": (10, 20, 40),
}


FIRST: dict[str, Any] = {
    "learning_rate": 3e-3,
    "weight_decay": 0.01,
    "dropout": 0.2,
    "layers": 1,
    "temperature": 0.07,
}


def trials_folder() -> Path:
    """Where records of trials are kept: results/tuning of the checkout, else of the workspace."""
    return (ROOT if in_checkout() else home()) / "results" / "tuning"


def setting(number: int) -> dict[str, Any]:
    """The options of a trial, the same for every system."""
    draw = random.Random(number)
    drawn = {name: draw.choice(values) for name, values in SPACE.items()}
    return drawn if number else FIRST


def trial(run: Experiment, system: str, number: int) -> dict[str, Any]:
    """Train a system with the options of a trial, and say how well it does on validation targets.

    Args:
        run: an experiment; its data and features are used, its options are not.
    """
    own = run.with_options(setting(number))
    model = own.build(system)
    start = time.process_time()
    history = train(model, own.split, own.domain_of_item, own.training)
    return {
        "number": number,
        "options": setting(number),
        "valid_mrr": [round(epoch["mean"], 6) for epoch in history.valid_mrr],
        "best_epoch": history.best,
        "cpu_seconds": round(time.process_time() - start, 1),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


def tune(run: Experiment, system: str, numbers: Sequence[int], path: Path) -> Record:
    """Run the trials that a record lacks, and keep each as it ends.

    Args:
        run: the experiment.
        system: a name in `SYSTEMS`.
        numbers: of the trials that there shall be.
        path: of the record; it is made where it is missing.

    Raises:
        ValueError: the record is of other data or other tags.
    """
    mine = new_record(run, system)
    record = read_trials(path) or mine
    check_same(record, mine, path)
    run.split  # noqa: B018  (made once: every trial shares it)
    known = {done["number"] for done in record["trials"]}
    for number in dict.fromkeys(numbers):
        if number not in known:
            record["trials"].append(trial(run, system, number))
            record["trials"].sort(key=lambda done: done["number"])
            record["commit"], record["dirty"] = commit_and_state()
            write_json(path, record)
    return record


def new_record(run: Experiment, system: str) -> Record:
    """A record without trials."""
    commit, dirty = commit_and_state()
    source = run.tags_source(system == SMALL_TAGS)
    return {
        "kind": "trials",
        "system": system,
        "data": {"name": run.raw.name, "sha256": run.raw.sha256},
        "seed": run.seed,
        "tags_sha256": source["export_sha256"] or source["weights_sha256"],
        "trials": [],
        "commit": commit,
        "dirty": dirty,
    }


def read_trials(path: Path) -> Record | None:
    """The record in a file; None where there is no file. Raises ValueError for a broken one."""
    if not path.is_file():
        return None
    try:
        record: Record = json.loads(path.read_text(encoding="utf-8"))
        assert record["kind"] == "trials"
    except (ValueError, KeyError, TypeError, AssertionError):
        raise ValueError(f"{path} is no record of trials: delete it and tune again.") from None
    return record


def best(record: Record) -> dict[str, Any]:
    """The trial with the highest validation MRR of any epoch; of equals the earlier one."""
    return max(record["trials"], key=lambda done: max(done["valid_mrr"], default=0.0))


def tuned(run: Experiment, system: str, folder: Path) -> tuple[Experiment, int | None]:
    """The experiment with the settings of a system's best trial, and the number of that trial.

    A control of TEMA-LLM without trials of its own has the best trial of TEMA-LLM and of the same
    without tags, where that is one and the same.

    Args:
        run: the experiment.
        system: a name in `SYSTEMS`; one without parameters has nothing to tune (None).
        folder: of the records of trials.

    Raises:
        ValueError: the system has no trials there, or they are of other data or tags.
    """
    if not any(True for _ in run.build(system).parameters()):
        return run, None
    own: tuple[str, ...] = (system,)
    if system.startswith("tema-") and not (folder / run.raw.name / f"{system}.json").is_file():
        own = ("tema", "tema-no-tags")
    found = {}
    for name in own:
        path = folder / run.raw.name / f"{name}.json"
        record = read_trials(path)
        if record is None or not record["trials"]:
            raise ValueError(f"{system} has no trials in {path.parent}: run `tema tune` first.")
        check_same(record, new_record(run.with_seed(record["seed"]), name), path)
        found[best(record)["number"]] = best(record)["options"]
    if len(found) > 1:
        raise ValueError(
            f"{system} has no trials in {path.parent}, and the best trials of {' and '.join(own)} "
            f"differ: run `tema tune --systems {system} --numbers {' '.join(map(str, found))}`."
        )
    ((number, options),) = found.items()
    return run.with_options(options), number


def check_same(record: Record, mine: Record, path: Path) -> None:
    """Raises ValueError for a record of other data or other tags."""
    if any(record[key] != mine[key] for key in ("system", "data", "seed", "tags_sha256")):
        raise ValueError(
            f"{path} holds trials of other data, tags or another seed: move it away, or name "
            "another folder."
        )


def missing_hours(records: Sequence[Record | None], numbers: Sequence[int]) -> float | None:
    """CPU hours of the trials that records lack, by the mean of those they have; None: unknown."""
    seconds = [done["cpu_seconds"] for record in records if record for done in record["trials"]]
    lacking = sum(
        len(set(numbers) - {done["number"] for done in record["trials"]} if record else numbers)
        for record in records
    )
    if not lacking:
        return 0.0
    return lacking * sum(seconds) / len(seconds) / 3600 if seconds else None
