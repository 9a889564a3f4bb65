"""`tema tune`: the same trials for every system, each kept as it ends."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import as_completed
from pathlib import Path

from tema_lib.commands.common import check, data_set
from tema_lib.commands.output import shown
from tema_lib.commands.pool import pool, result_of
from tema_lib.experiment import Experiment
from tema_lib.reproducibility import seed_everything
from tema_lib.tuning import best, missing_hours, read_trials, trials_folder, tune


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
    folder = (chosen.out or trials_folder()) / experiment.raw.name
    systems = experiment.systems(chosen.systems)
    paths = {system: folder / f"{system}.json" for system in systems}
    numbers = chosen.numbers or range(chosen.trials)
    hours = missing_hours([read_trials(path) for path in paths.values()], numbers)
    about = "not known before the first trials" if hours is None else f"about {hours:.1f}"
    print(f"{len(systems)} systems, {len(numbers)} trials each; CPU hours to go: {about}")
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
            workers.submit(tune_quietly, given, system, numbers, paths[system]): system
            for system in systems
        }
        for done in as_completed(list(running)):
            system = running.pop(done)
            record = result_of(done, [system])
            one = best(record)
            print(
                f"{system:24} validation MRR {max(one['valid_mrr'], default=0):.4f}, trial "
                f"{one['number']} (best of {len(record['trials'])}): {one['options']}",
                flush=True,
            )
    print(f"records: {shown(folder)}/")


def tune_quietly(given: tuple, system: str, numbers: Sequence[int], path: Path) -> dict:
    """`tune` in a process of its own."""
    seed_everything(given[1])
    return tune(Experiment(*given), system, numbers, path)
