"""`tema train`: one system, from its checkpoint where there is one, and its table."""

from __future__ import annotations

import argparse

from tema_lib import distributed
from tema_lib.commands.common import check_system, use_own_artifacts
from tema_lib.commands.output import say
from tema_lib.reproducibility import seed_everything


def main(chosen: argparse.Namespace) -> None:
    """Train the chosen system and print how well it ranks."""
    distributed.join()
    seed_everything(chosen.seed)
    experiment, remarks = check_system(chosen)
    first = not distributed.rank()
    if first:
        say("Look at", remarks)
    use_own_artifacts(experiment)
    with distributed.first_alone():
        experiment.build(chosen.system)  # encodes and tags the items, for all processes
    found = experiment.evaluate(experiment.train(chosen.system))
    if first:
        print(
            f"{chosen.system} on {experiment.name}, seed {chosen.seed}: full ranking inside the "
            "target's domain, 95 % intervals over test cases\n"
            f"\n{found}"
        )
    distributed.leave()
