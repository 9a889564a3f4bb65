"""`tema run`: from data to the table, with all notebooks; or, with --replay, without them.

The steps are those of `commands.steps`. Those that do not wait for each other run side by side
(`commands.pool`).
"""

from __future__ import annotations

import argparse
import html
import os
import shutil
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch

from tema_lib.commands import replay, steps
from tema_lib.commands.common import check, data_set
from tema_lib.commands.output import say, shown
from tema_lib.commands.pool import QUIET, Step, processes, run_all
from tema_lib.commands.steps import ASK, Setting
from tema_lib.encoders import weights
from tema_lib.experiment import Experiment
from tema_lib.models.systems import SYSTEMS
from tema_lib.records import print_table, read_benchmark, write_json
from tema_lib.shipped_replies import LIVE_ITEMS, LIVE_USERS
from tema_lib.workspace import ROOT, home, in_checkout, write_atomically

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")) if in_checkout() else []
OF_THE_PROJECT = ("08", "09")  # they read synthetic data or committed records, whatever is named


def main(chosen: argparse.Namespace) -> None:
    """Run everything on the chosen data; print the table, what it says, and where it all is."""
    if chosen.replay:
        return replay.main(chosen)
    data = data_set(chosen.data)
    if not NOTEBOOKS:
        sys.exit(
            "There are no notebooks here, they are in the checkout: run this command there, or "
            "`tema run --replay`, which needs none."
        )
    if not find_spec("papermill"):
        sys.exit("The notebooks need more packages: pip install 'tema-lib[notebooks]'.")
    experiment, remarks = check(
        data,
        chosen.systems,
        chosen.seed,
        domains=chosen.domains,
        tags=chosen.tags,
        replies=chosen.replies or "live",
        epochs=chosen.epochs,
    )
    setting, systems = setting_of(chosen, data, experiment), experiment.systems(chosen.systems)
    for folder in (setting.executed, setting.pages, setting.results):
        folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(QUIET)
    os.environ.update(
        TEMA_ARTIFACTS=str(home() / "artifacts" / experiment.name),
        TEMA_RESULTS=str(setting.results),
        PYTHONPATH=os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    )

    start = time.perf_counter()
    name, tags = experiment.name, replay.tags_named(experiment)
    print(
        f"Data: {name}; seed {chosen.seed}; tags: {tags}; systems: {' '.join(systems)}.", flush=True
    )
    say("Look at", remarks)
    try:
        for model in weights.PINNED:
            weights.resolve(model)
    except (OSError, ValueError) as error:
        sys.exit(f"The model weights could not be fetched: {error}")
    todo = plan(setting, experiment, systems)
    done = run_all(todo, expected_seconds(todo, experiment))
    seconds = {step: result.seconds for step, result in done.items()}
    total = time.perf_counter() - start
    timings = {"probe": probe(), "processes": processes(), "steps": seconds, "total": total}
    write_json(setting.executed / "timings.json", timings)
    write_index(setting.pages, name, seconds)

    told = dict.fromkeys(line for result in done.values() for line in result.remarks)
    say("Look at", told)
    say("Skipped", passed_over(experiment, systems) or ["nothing"])
    print()
    print_table(setting.results)
    say("\nIn words", done[IN_WORDS].value)
    print(
        f"Executed notebooks  {shown(setting.executed)}/, in {total:.0f} seconds"
        f"\nHTML                {shown(setting.pages / 'index.html')}"
        f"\nRun records         {shown(setting.results)}/"
    )
    return None


def setting_of(chosen: argparse.Namespace, data: str, experiment: Experiment) -> Setting:
    """What every step has to know; paths are absolute, since kernels run in another folder."""
    name, tags = experiment.name, chosen.tags
    if tags.endswith(".tsv.gz"):
        tags = str(Path(tags).resolve())
    return Setting(
        data=data,
        seed=chosen.seed,
        domains=chosen.domains,
        tags=tags,
        replies=experiment.replies_from,
        systems=chosen.systems,
        epochs=chosen.epochs,
        command=experiment.command(chosen.systems),
        executed=home() / "run" / name,
        pages=home() / "html" / name,
        results=home() / "results" / name,
    )


# --- the plan ---

ENCODE, TAGS, IN_WORDS = "texts and pictures", "tags", "interpretation"


def plan(setting: Setting, experiment: Experiment, systems: Sequence[str]) -> dict[str, Step]:
    """All steps by name, the long ones first."""
    todo = {}
    if not experiment.small_export:
        parts = processes()
        for part in range(parts):
            name = f"{ASK}, part {part + 1} of {parts}"
            todo[name] = Step(steps.ask_about_items, (setting, part, parts))
    todo[ENCODE] = Step(steps.encode_items, (setting,))
    todo[TAGS] = Step(steps.write_tags, (setting,), tuple(todo))
    trained = []
    for system in sorted(systems, key=SLOW_FIRST.index):
        trained.append(f"train {system}")
        todo[trained[-1]] = Step(steps.train_and_rank, (setting, system), (TAGS,))
    for path in NOTEBOOKS:
        number = path.stem[:2]
        if number in OF_THE_PROJECT and not experiment.synthetic:
            continue
        before = trained
        if number in ("00", "01", *OF_THE_PROJECT):  # they need nothing that this run makes
            before = []
        elif number in ("02", "03"):
            before = [TAGS]
        todo[path.stem] = Step(steps.run_notebook, (setting, path), tuple(before))
    todo[IN_WORDS] = Step(steps.interpret, (setting, list(systems)), tuple(trained))
    return todo


SLOW_FIRST = ["man", "llm-rec", "llm4cdsr", *(name for name in SYSTEMS if name != "llm4cdsr")]


def probe() -> float:
    """Seconds of a small fixed computation: how fast this machine is, now."""
    matrix = torch.rand(384, 384, generator=torch.Generator().manual_seed(0))
    start = time.perf_counter()
    for _ in range(200):
        matrix @ matrix
    return time.perf_counter() - start


def expected_seconds(todo: dict[str, Step], experiment: Experiment) -> dict[str, float]:
    """About how long each step will take: the committed record, scaled by the probe and the data.

    Empty where there is no record.
    """
    try:
        record = read_benchmark("bench_run.json")
    except FileNotFoundError:
        return {}
    speed = probe() / record["probe"]
    items = experiment.items.count / record["items"]
    events = len(experiment.sequences.items) / record["events"] * experiment.hidden / 64
    events *= experiment.epochs / record["epochs"]
    known: dict[str, float] = record["steps"]
    expected = {}
    for name in todo:
        like = ASK if name.startswith(ASK) else name
        share = processes() if like == ASK else 1
        size = items if name in (ENCODE, TAGS) or like != name else 1.0
        size = events if name.startswith("train") else size
        expected[name] = known.get(like, 10.0) * speed * size / share
    return expected


# --- the end ---


def write_index(pages: Path, name: str, seconds: dict[str, float]) -> None:
    """The page that links the pages of all notebooks."""
    for drawing in (ROOT / "notebooks").glob("*.svg"):  # what notebooks show
        shutil.copy(drawing, pages)
    links = "".join(
        f'<li><a href="{path.stem}.html">{html.escape(path.stem)}</a>, '
        f"{seconds[path.stem]:.0f} s</li>\n"
        for path in NOTEBOOKS
        if path.stem in seconds
    )
    title = f"TEMA-LLM on {html.escape(name)}"
    write_atomically(
        pages / "index.html",
        f"<!doctype html><meta charset='utf-8'><title>{title}</title>\n"
        f"<h1>{title}</h1>\n<ol start='0'>\n{links}</ol>\n",
    )


def passed_over(run: Experiment, trained: Sequence[str]) -> list[str]:
    """What this run did not do, one line each.

    Args:
        trained: names of the systems that were trained.
    """
    lines = []
    if run.replies_from == "shipped" and not run.small_export:
        lines.append(f"live replies for all but {LIVE_ITEMS} items a domain (the others: shipped)")
    if run.synthetic and "llm4cdsr" in trained and not run.small_export:
        lines.append(f"live profiles for all but {LIVE_USERS} users (the others are shipped)")
    if not run.synthetic and "llm4cdsr-no-profiles" in trained and "llm4cdsr" not in trained:
        lines.append('written profiles for LLM4CDSR, which cost many answers (SYSTEMS="llm4cdsr")')
    if not run.synthetic:
        lines.append("notebooks 08 and 09, which say the same whatever the data are")
    if not any(run.items.description):
        lines.append("descriptions: these data have none")
    if not any(run.items.image):
        lines.append("pictures: these data have none, so items are fused without them")
    if run.truth is None:
        lines.append("comparisons with a known truth: these data have none")
    if missing := [name for name in SYSTEMS if name not in trained]:
        lines.append(f"systems (SYSTEMS=all trains them): {', '.join(missing)}")
    return lines
