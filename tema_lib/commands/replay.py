"""`tema run --replay`: from data to the metric table without notebooks and without an LLM."""

from __future__ import annotations

import argparse
import os
import time

from tema_lib.commands.common import check, data_set
from tema_lib.commands.output import say, shown
from tema_lib.experiment import Experiment
from tema_lib.llm.local import SMALL
from tema_lib.records import print_table, write_json
from tema_lib.tags.export import read_card
from tema_lib.workspace import home

FEW = "popularity co-occurrence sasrec tema"  # from the simplest to the one of the paper


def main(chosen: argparse.Namespace) -> None:
    """Train and rank some systems with exported tags, write their records, print the table."""
    named = chosen.systems or FEW
    experiment, remarks = check(
        data_set(chosen.data),
        named,
        chosen.seed,
        domains=chosen.domains,
        tags=chosen.tags,
        replies=chosen.replies or "export",
        epochs=chosen.epochs,
    )
    name = experiment.name
    results = home() / "results" / f"{name}-replay"
    os.environ["TEMA_ARTIFACTS"] = str(home() / "artifacts" / name)
    print(f"Data: {name}; seed {chosen.seed}; tags: {tags_named(experiment)}.", flush=True)
    say("Look at", remarks)
    for system in experiment.systems(named):
        start = time.time()
        record = experiment.record(system, f"tema run --replay, seed {chosen.seed}")
        write_json(results / f"{record['system']}-{chosen.seed}.json", record)
        print(f"{system:42} {time.time() - start:6.0f} s", flush=True)
    print()
    print_table(results)
    print(f"\nRun records         {shown(results)}/")


def tags_named(experiment: Experiment) -> str:
    """Whose tags TEMA-LLM is trained on, in a word."""
    if experiment.export:
        return str(read_card(experiment.export)["model"])
    return f"{SMALL}, {experiment.replies_from}"
