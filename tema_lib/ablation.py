"""Ablations: a plan of variants, each one change to the same system, trained with several seeds.

A plan is a TOML file.  All variants have the options of one trial of the search (`tuning`), so that
they differ in their change alone.  What a variant leaves out is the plan's:

    data = "synthetic"                  # or the name of a folder
    trial = 7                           # whose options all variants have
    seeds = [0, 1, 2]
    options = { epochs = 5 }            # of all variants, in place of the trial's; may be left out

    [variants."as it is"]               # the first variant: the others are compared with it

    [variants."no late fusion"]
    options = { late_fusion = false }   # fields of the model's configuration or of `TrainConfig`

    [variants."small tags, one round"]
    tags = "small"                      # whose tags (`Experiment`)
    tag_options = { rounds = 1 }        # fields of `TagConfig`, by which they are made anew
    against = "small tags"              # compared with another variant

    [variants."without tags"]
    system = "tema-no-tags"             # "tema" where nothing is said

Status: ours.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from tema_lib.evaluation.significance import Comparison, compare
from tema_lib.experiment import Experiment, known_options
from tema_lib.models.systems import system_named
from tema_lib.records import Record, values_of
from tema_lib.tags.config import TagConfig
from tema_lib.tuning import setting


@dataclass(frozen=True)
class Variant:
    """One system with one change.

    Args:
        name: what tables call it.
        system: a name in `SYSTEMS`.
        options, tags, tag_options, overlap: as of an `Experiment`.
        against: the name of the variant that it is compared with; "": nothing.
    """

    name: str
    system: str = "tema"
    options: Mapping[str, Any] = field(default_factory=dict)
    tags: str = ""
    tag_options: Mapping[str, Any] = field(default_factory=dict)
    overlap: float = 1.0
    against: str = ""

    def file(self, seed: int) -> str:
        """The name of its record's file: "no late fusion" -> "no-late-fusion-0.json"."""
        return f"{re.sub('[^a-z0-9]+', '-', self.name.lower()).strip('-')}-{seed}.json"


@dataclass(frozen=True)
class Plan:
    """What is to be trained: variants by name, on the same data, with the same seeds."""

    data: str
    trial: int
    seeds: tuple[int, ...]
    variants: dict[str, Variant]
    options: Mapping[str, Any] = field(default_factory=dict)

    def cases(self) -> list[tuple[Variant, int]]:
        """Every variant with every seed, all variants of a seed before the next seed."""
        return [(variant, seed) for seed in self.seeds for variant in self.variants.values()]


def read_plan(path: Path) -> Plan:
    """The plan in a TOML file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: in one sentence, for what is wrong with it.
    """
    try:
        with path.open("rb") as file:
            given = tomllib.load(file)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: not readable as TOML ({error}).") from None
    try:
        head = {"data": str, "trial": int, "seeds": list, "variants": dict}
        for key, kind in head.items():
            if not isinstance(given.get(key), kind) or given[key] in ("", [], {}):
                raise ValueError(f"give {key} as a {kind.__name__}.")
        if unknown := set(given) - {*head, "options"}:
            raise ValueError(f"a plan has no {min(unknown)!r}.")
        variants = {name: read_variant(name, own) for name, own in given["variants"].items()}
        first = next(iter(variants))
        for name, variant in variants.items():
            if variant.against and variant.against not in variants:
                raise ValueError(f"{name!r} is compared with {variant.against!r}, which is not.")
            if not variant.against and name != first:
                variants[name] = read_variant(name, given["variants"][name] | {"against": first})
        files = [variant.file(0) for variant in variants.values()]
        if len(set(files)) < len(files):
            raise ValueError("two variants would have the same file: name them differently.")
        options = tupled(given.get("options", {}))
        known_options(options)
        return Plan(given["data"], given["trial"], tuple(given["seeds"]), variants, options)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def read_variant(name: str, given: Mapping[str, Any]) -> Variant:
    """A variant from its table; raises ValueError for a field or an option that nothing has."""
    known = {own.name for own in fields(Variant)} - {"name"}
    if unknown := set(given) - known:
        raise ValueError(
            f"{name!r} names {min(unknown)!r}: choose from {', '.join(sorted(known))}."
        )
    variant = Variant(name, **dict(given) | {"options": tupled(given.get("options", {}))})
    if not 0 <= variant.overlap <= 1:
        raise ValueError(f"{name!r} has overlap {variant.overlap}: give a share from 0 to 1.")
    known_options(variant.options)
    system_named(variant.system)
    if unknown := set(variant.tag_options) - {own.name for own in fields(TagConfig)}:
        raise ValueError(f"{name!r}: TagConfig has no {min(unknown)!r}.")
    if variant.tag_options and variant.tags != "small":
        raise ValueError(f'{name!r} has tag_options: these need tags = "small".')
    return variant


def tupled(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with tuples in place of lists, since TOML has none."""
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in options.items()
    }


def experiment_of(plan: Plan, variant: Variant, seed: int, data: str) -> Experiment:
    """The experiment of a variant.

    Exported tags are read; where the small model's tags are made anew, its replies are the shipped
    ones, and it is asked about what they lack.

    Args:
        data: "synthetic", or the folder of the plan's data.
    """
    return Experiment(
        data,
        seed,
        tags=variant.tags,
        replies="shipped" if variant.tag_options else "export",
        options={**setting(plan.trial), **plan.options, **variant.options},
        tag_options=variant.tag_options,
        overlap=variant.overlap,
    )


def record_of(plan: Plan, variant: Variant, seed: int, data: str, command: str) -> Record:
    """Train and rank a variant: a record like that of an evaluation, of kind "ablation"."""
    run = experiment_of(plan, variant, seed, data)
    record = run.record(variant.system, command)
    record["kind"], record["variant"] = "ablation", variant.name
    record["config"] |= {"trial": plan.trial, "overlap": variant.overlap}
    return record


def runs_of(plan: Plan, folder: Path) -> dict[str, list[Record]]:
    """{variant: its records, a seed each}, in the order of the plan."""
    paths = {
        name: [folder / variant.file(seed) for seed in plan.seeds]
        for name, variant in plan.variants.items()
    }
    runs = {
        name: [json.loads(path.read_text(encoding="utf-8")) for path in own if path.is_file()]
        for name, own in paths.items()
    }
    return {name: records for name, records in runs.items() if records}


def differences(
    plan: Plan, runs: dict[str, list[Record]], part: str = "", metric: str = "NDCG@10"
) -> dict[str, Comparison]:
    """{variant: its difference from what it is compared with}, over the seeds that both have.

    Holm's correction is for all variants of the plan together.
    """
    gaps = {}
    for name, records in runs.items():
        against = runs.get(plan.variants[name].against, [])
        seeds = {run["seed"] for run in records} & {run["seed"] for run in against}
        own, other = (pooled(made, seeds, metric, part) for made in (records, against))
        if own is not None and other is not None:
            gaps[name] = own - other
    return compare(np.zeros_like(next(iter(gaps.values()))), gaps) if gaps else {}


def pooled(records: list[Record], seeds: set[int], metric: str, part: str) -> np.ndarray | None:
    """A metric of every test case of both domains, averaged over seeds; None without records."""
    runs = [run for run in records if run["seed"] in seeds]
    found = values_of(runs, metric, part) if runs else None
    return None if found is None else np.concatenate([found["A"], found["B"]])
