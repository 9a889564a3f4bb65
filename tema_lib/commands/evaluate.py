"""`tema evaluate`: train and rank systems with several seeds; a record each, kept as it ends."""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import as_completed
from pathlib import Path

from tema_lib.commands.common import check, data_set, use_own_artifacts
from tema_lib.commands.output import say, shown
from tema_lib.commands.pool import pool, result_of
from tema_lib.evaluation.protocols import PROTOCOLS
from tema_lib.experiment import Experiment
from tema_lib.records import Record, print_table, read_records, write_json
from tema_lib.reproducibility import seed_everything
from tema_lib.tuning import trials_folder, tuned
from tema_lib.workspace import home

# (data, domains, tags, replies, protocol, the folder of trials whose best settings are taken)
Given = tuple[str, str, str, str, str, Path | None]


def main(chosen: argparse.Namespace) -> None:
    """Make the records that are missing, two at a time; then print the table of all."""
    data, replies = data_set(chosen.data), chosen.replies or "export"
    if chosen.protocol not in PROTOCOLS:
        sys.exit(f"protocol {chosen.protocol!r} is unknown: choose from {', '.join(PROTOCOLS)}.")
    experiment, remarks = check(
        data, chosen.systems, domains=chosen.domains, tags=chosen.tags, replies=replies
    )
    kind = "tuned" if chosen.tuned else "seeds"
    folder = chosen.out or home() / "results" / f"{experiment.raw.name}-{kind}"
    systems = experiment.systems(chosen.systems)
    trials = trials_folder() if chosen.tuned else None
    if trials:
        try:  # a missing search is known before anything is trained
            for system in systems:
                tuned(experiment, system, trials)
        except ValueError as error:
            sys.exit(str(error))
    paths = {
        (system, seed): folder / f"{system}-{seed}.json"
        for seed in chosen.seeds
        for system in systems
    }
    missing = {case: path for case, path in paths.items() if not path.is_file()}
    for record in read_records(folder) if folder.is_dir() else ():
        if what := differs(record, experiment, chosen):
            sys.exit(
                f"{shown(folder)} holds records of other {what}: name another folder with --out."
            )
    print(
        f"{len(systems)} systems, seeds {chosen.seeds}: {len(missing)} records to make", flush=True
    )
    say("Look at", remarks)
    use_own_artifacts(experiment)
    experiment.text, experiment.image, experiment.tags  # noqa: B018  (cached before the processes)
    given = (data, chosen.domains, chosen.tags, replies, chosen.protocol, trials)
    with pool() as workers:
        running = {
            workers.submit(make_record, given, *case, path): case for case, path in missing.items()
        }
        for done in as_completed(list(running)):
            system, seed = running.pop(done)
            seconds = result_of(done, [f"{system}, seed {seed}"])
            print(f"{system:24} seed {seed}: {seconds:.0f} seconds", flush=True)
    print()
    print_table(folder)
    print(f"\nRun records         {shown(folder)}/")


def differs(record: Record, experiment: Experiment, chosen: argparse.Namespace) -> str:
    """In what a record differs from those that are to be made: "data", "settings", or ""."""
    if record["data"]["sha256"] != experiment.raw.sha256:
        return "data"
    config = record["config"]
    same_protocol = config.get("protocol", "ours") == chosen.protocol
    same_search = ("trial" in config) == chosen.tuned
    return "" if same_protocol and same_search else "settings"


def make_record(given: Given, system: str, seed: int, path: Path) -> float:
    """Train and rank one system in this process, and write its record; seconds that it took."""
    data, domains, tags, replies, protocol, trials = given
    seed_everything(seed)
    run, number = Experiment(data, seed, domains, tags, replies, protocol=protocol), None
    words = ["tema evaluate", f"--systems {system}", f"--seeds {seed}"]
    if trials:
        run, number = tuned(run, system, trials)
        words.append("--tuned")
    words += [] if run.synthetic else [f"--data {run.raw.name}"]
    words += [f"--tags {tags}"] if tags and not tags.endswith(".tsv.gz") else []
    words += [f"--protocol {protocol}"] if protocol != "ours" else []
    words += [f"--replies {replies}"] if replies != "export" else []
    record = run.record(system, " ".join(words))
    if trials:
        record["config"]["trial"] = number
    write_json(path, record)
    return float(sum(record["seconds"].values()))
