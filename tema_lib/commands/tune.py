"""`tema tune`: the same trials for every system, each kept as it ends."""

from __future__ import annotations

import argparse
from concurrent.futures import as_completed
from pathlib import Path

from tema_lib.commands.common import check, data_set
from tema_lib.commands.output import shown
from tema_lib.commands.pool import pool
from tema_lib.experiment import Experiment
from tema_lib.reproducibility import seed_everything
from tema_lib.tuning import best, missing_hours, read_trials, tune
from tema_lib.workspace import ROOT, home, in_checkout


def main(chosen: argparse.Namespace) -> None:
    """Print what it will cost; then train, two systems at a time; then the best of each system."""
    experiment, _ = check(
        data_set(chosen.data),
        chosen.systems,
        chosen.seed,
        domains=chosen.domains,
        tags=chosen.tags,
        replies=chosen.replies or "export",
    )
    out = chosen.out or (ROOT / "results" if in_checkout() else home() / "results") / "tuning"
    folder = out / experiment.raw.name
    systems = experiment.systems(chosen.systems)
    paths = {system: folder / f"{system}.json" for system in systems}
    hours = missing_hours([read_trials(path) for path in paths.values()], chosen.trials)
    about = "not known before the first trials" if hours is None else f"about {hours:.1f}"
    print(f"{len(systems)} systems, {chosen.trials} trials each; CPU hours to go: {about}")
    experiment.text, experiment.image, experiment.tags  # noqa: B018  (cached before the processes)
    given = (
        experiment.data,
        chosen.seed,
        chosen.domains,
        chosen.tags,
        chosen.replies or "export",
    )
    with pool() as workers:
        running = {
            workers.submit(tune_quietly, given, system, chosen.trials, paths[system]): system
            for system in systems
        }
        for done in as_completed(running):
            record = done.result()
            one = best(record)
            print(
                f"{running[done]:24} validation MRR {max(one['valid_mrr'], default=0):.4f}, trial "
                f"{one['number']} of {len(record['trials'])}: {one['options']}",
                flush=True,
            )
    print(f"records: {shown(folder)}/")


def tune_quietly(given: tuple, system: str, trials: int, path: Path) -> dict:
    """`tune` in a process of its own."""
    seed_everything(given[1])
    return tune(Experiment(*given), system, trials, path)
