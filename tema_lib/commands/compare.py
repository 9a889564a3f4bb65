"""`tema compare`: paired differences between systems over the same users and several seeds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tema_lib.commands.common import check, data_set, use_own_artifacts
from tema_lib.evaluation.intervals import paired_difference
from tema_lib.evaluation.metrics import METRICS
from tema_lib.evaluation.ranking import Ranks
from tema_lib.experiment import Experiment
from tema_lib.models.systems import system_named

Difference = tuple[int, float, tuple[float, float]]  # cases, mean, interval


def main(chosen: argparse.Namespace) -> None:
    """Print the differences of one system and each of the others, part by part."""
    data = data_set(chosen.data)
    experiment, _ = check(data, chosen.systems)
    try:
        one = system_named(chosen.of)
    except ValueError as error:
        sys.exit(str(error))
    if chosen.metric not in METRICS:
        sys.exit(f"--metric {chosen.metric} is unknown: choose from {', '.join(METRICS)}.")
    use_own_artifacts(experiment)
    others = [system for system in experiment.systems(chosen.systems) if system != one]
    runs = [Experiment(data, seed, epochs=chosen.epochs) for seed in chosen.seeds]
    print(
        f"{experiment.name}: {chosen.metric} of {chosen.of} minus another system, {len(runs)} "
        "seeds, paired 95 % interval over test cases"
    )
    for other in others:
        print(f"\n{chosen.of} minus {other}")
        found = differences(runs, chosen.of, other, chosen.metric)
        for part, (cases, mean, (low, high)) in found.items():
            shown = f"  {mean:+.4f} [{low:+.4f}, {high:+.4f}]" if cases else ""
            print(f"  {part:32}{cases:6} cases{shown}", flush=True)


def differences(
    runs: Sequence[Experiment], one: str, other: str, metric: str
) -> dict[str, Difference]:
    """{part: (cases, mean difference, interval)} of the system `one` minus the `other`.

    The ranks of all seeds are averaged case by case first.
    """
    ours = [parts(run, run.ranks(one)) for run in runs]
    theirs = [parts(run, run.ranks(other)) for run in runs]
    return {
        name: (
            len(cases),
            *paired_difference([by[name] for by in ours], [by[name] for by in theirs], metric),
        )
        for name, cases in ours[0].items()
    }


def parts(run: Experiment, ranks: Ranks) -> dict[str, Ranks]:
    """A system's ranks by part: each domain, then the slices."""
    return {"A": ranks.of_domain(0), "B": ranks.of_domain(1), **run.slices(ranks)}
