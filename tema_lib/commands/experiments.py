"""`tema experiments`: an ablation plan; a record of each variant and seed, kept as it ends."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable
from concurrent.futures import as_completed
from pathlib import Path
from statistics import mean

from tema_lib.ablation import Plan, Variant, experiment_of, read_plan, record_of
from tema_lib.commands.common import data_set
from tema_lib.commands.output import sentence, shown
from tema_lib.commands.pool import pool, result_of
from tema_lib.commands.tables.ablations import ablations
from tema_lib.records import write_json
from tema_lib.reproducibility import seed_everything
from tema_lib.workspace import home


def main(chosen: argparse.Namespace) -> None:
    """Print what it will cost; then make the records that are missing; then print the table."""
    try:
        plan = read_plan(chosen.plan)
    except (ValueError, OSError) as error:
        sys.exit(sentence(error))
    data = data_set(chosen.data or plan.data)
    if Path(data).name != plan.data:
        sys.exit(f"{shown(chosen.plan)} is a plan for {plan.data}: give its folder with --data.")
    if unknown := set(chosen.variants or ()) - set(plan.variants):
        sys.exit(f"{shown(chosen.plan)} has no variant {min(unknown)!r}.")
    folder = chosen.out or chosen.plan.with_suffix("")
    paths = {
        (variant.name, seed): folder / variant.file(seed)
        for variant, seed in plan.cases()
        if (not chosen.seeds or seed in chosen.seeds)
        and (not chosen.variants or variant.name in chosen.variants)
    }
    missing = {case: path for case, path in paths.items() if not path.is_file()}
    hours = about(missing, [path for path in paths.values() if path.is_file()])
    names, seeds = (sorted(set(column)) for column in zip(*paths))
    print(
        f"{len(names)} variants, seeds {seeds}: {len(missing)} records to make; CPU hours: {hours}",
        flush=True,
    )
    prepare(plan, {name for name, _ in missing}, data)
    with pool() as workers:
        running = {
            workers.submit(make_record, plan, plan.variants[name], seed, data, path): (name, seed)
            for (name, seed), path in missing.items()
        }
        for done in as_completed(list(running)):
            name, seed = running.pop(done)
            seconds = result_of(done, [f"{name}, seed {seed}"])
            print(f"{name:40} seed {seed}: {seconds:.0f} seconds", flush=True)
    print(f"\n{ablations(chosen.plan, folder)}\n\nrecords: {shown(folder)}/")


def about(missing: Iterable[tuple[str, int]], made: Iterable[Path]) -> str:
    """CPU hours of the missing records, by the mean of those that there are."""
    spent = [json.loads(path.read_text(encoding="utf-8"))["seconds"]["train"] for path in made]
    lacking = len(list(missing))
    if not lacking:
        return "0"
    return f"about {lacking * mean(spent) / 3600:.1f}" if spent else "not known before the first"


def prepare(plan: Plan, names: set[str], data: str) -> None:
    """Make here, once, what the processes would all make: encoded texts and tags."""
    for name in sorted(names):
        run = experiment_of(plan, plan.variants[name], plan.seeds[0], data)
        run.text, run.image, run.tags  # noqa: B018


def make_record(plan: Plan, variant: Variant, seed: int, data: str, path: Path) -> float:
    """Train and rank one variant in this process, and write its record; seconds that it took."""
    seed_everything(seed)
    os.environ["TEMA_ARTIFACTS"] = str(home() / "artifacts" / "ablations" / plan.data / path.stem)
    command = f"tema experiments results/ablations/{plan.data}.toml --seeds {seed}"
    record = record_of(plan, variant, seed, data, command)
    write_json(path, record)
    return float(sum(record["seconds"].values()))
