"""What the commands share: opening a data set, with one sentence for what is wrong with it."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from tema_lib.commands.output import sentence
from tema_lib.data.summary import data_quality_warnings
from tema_lib.experiment import Experiment
from tema_lib.workspace import home


def data_set(value: str) -> str:
    """ "synthetic", or the folder's absolute path, since kernels run elsewhere.

    Raises SystemExit, with a sentence, for a folder that is not there.
    """
    if value == "synthetic":
        return value
    folder = Path(value).expanduser().resolve()
    if not folder.is_dir():
        sys.exit(
            f"DATA={value}: there is no such folder. Give one that holds interactions.tsv and "
            "items.tsv, or leave DATA out."
        )
    return str(folder)


def check(
    data: str, systems: str = "", seed: int = 0, **choices: Any
) -> tuple[Experiment, list[str]]:
    """(the experiment, what should be known of its data before a number is believed).

    Raises SystemExit, with a sentence, for bad data, tags, domains or names of systems: at once,
    and not after the weights and inside a notebook.
    """
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            experiment = Experiment(data, seed, **choices)
            experiment.systems(systems)
            experiment.check()
        except (ValueError, OSError) as error:
            sys.exit(sentence(error))
    told = dict.fromkeys(str(warning.message) for warning in warned)
    return experiment, [*told, *data_quality_warnings(experiment.raw)]


def check_system(chosen: argparse.Namespace) -> tuple[Experiment, list[str]]:
    """`check` for a command line with one system and the options of an experiment."""
    return check(
        data_set(chosen.data),
        chosen.system,
        chosen.seed,
        domains=chosen.domains,
        tags=chosen.tags,
        replies=chosen.replies,
        epochs=chosen.epochs,
    )


def use_own_artifacts(experiment: Experiment) -> None:
    """Let trained models lie where `tema run` leaves those of this data set."""
    os.environ.setdefault("TEMA_ARTIFACTS", str(home() / "artifacts" / experiment.name))
