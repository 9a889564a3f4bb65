"""Explain one user's first recommendation: a summary here, the whole story as one HTML file that needs no network.

    python -m tema_lib.explain --user u0001 --html out.html
    python -m tema_lib.explain --user u0001 --html out.html --data FOLDER --seed 1 --fast

The model is the one that `make run` trained with the same data, seed and length (--fast: the short one); it is trained now if there is none.
"""

import argparse
import math
import os
import sys
from pathlib import Path

# Before torch: one branch repeats its numbers to the last digit; several, waiting, shall not spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from tema_lib.experiment import Experiment
from tema_lib.explain.attention import shortened
from tema_lib.explain.counterfactual import CounterfactualModel
from tema_lib.explain.display.html import Pages
from tema_lib.explain.explanation import FIRST, Explanation, explain
from tema_lib.notebook import ROOT, setup
from tema_lib.workspace import write_atomically


def summary(explanation: Explanation) -> str:
    """What drove the first recommendation, in a few lines."""
    record, effects = explanation.record, explanation.about(FIRST)
    lines = [
        f"{'First recommendation' if FIRST in explanation.effects else 'True next item'} in {record.domain}: {shortened(effects.target.title, 80)} (P = {math.exp(effects.log_probability):.3f})."
    ]
    order = sorted(
        range(len(record.history)), key=lambda position: -abs(float(effects.shapley[position]))
    )
    lines += [
        f"  {effects.shapley[position]:+.2f} ± {effects.shapley_error[position]:.2f}  {shortened(record.history[position].title, 80)}"
        for position in order[:5]
    ]
    named = [(tag, effect.lost) for row in effects.tags for tag, effect in row] + [
        (f"{tag} (its own)", effect.lost) for tag, effect in effects.own_tags
    ]
    for kind, found in (
        ("Tags", named),
        ("Modalities", [(name, effect.lost) for name, effect in effects.modalities.items()]),
    ):
        if found:
            lines.append(
                f"{kind}, log P lost without: "
                + ", ".join(
                    f"{name} {lost:+.2f}"
                    for name, lost in sorted(found, key=lambda pair: -abs(pair[1]))[:4]
                )
            )
    lost, share = explanation.agreement(FIRST, list(record.events)[-1])
    if not math.isnan(lost + share):
        lines.append(
            f"Rank correlation of attention ({list(record.events)[-1]}) with removal {lost:+.2f}, with Shapley values {share:+.2f}."
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tema_lib.explain",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--user", required=True, help="the user's id in interactions.tsv")
    parser.add_argument("--html", required=True, type=Path, help="the file to write")
    parser.add_argument(
        "--data",
        default="synthetic",
        help="'synthetic', or a folder with interactions.tsv and items.tsv",
    )
    parser.add_argument(
        "--domains",
        default="",
        help="what A and B are called, such as movies,books; else the data set says",
    )
    parser.add_argument(
        "--tags", default="live", help="as for make run: live, export:MODEL or a file"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--fast",
        action="store_true",
        help="the model of a fast run: short training, few live replies",
    )
    chosen = parser.parse_args()
    data = (
        chosen.data if chosen.data == "synthetic" else str(Path(chosen.data).expanduser().resolve())
    )
    setup(chosen.seed)
    try:
        run = Experiment(data, chosen.fast, chosen.seed, chosen.domains, chosen.tags)
        run.check()
        users = run.split.test.user_id
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    os.environ.setdefault(
        "TEMA_ARTIFACTS", str(ROOT / "build" / "artifacts" / run.name)
    )  # where `make run` leaves its models
    if chosen.user not in users:
        print(
            f"--user {chosen.user}: no test case of this user in {run.raw.name}; there are {len(users)}, such as {', '.join(users[:3])}.",
            file=sys.stderr,
        )
        return 1
    reader, control = (
        CounterfactualModel(model, run.items, run.tags, run.text, tag_config=run.tag_config)
        for model in (run.train("tema")[0], run.build("tema"))
    )
    try:
        found = explain(
            reader, control, run.split.test, users.index(chosen.user), times=run.times(chosen.user)
        )
    except ValueError as error:
        print(f"--user {chosen.user}: {error}", file=sys.stderr)
        return 1
    about = f"TEMA-LLM on {run.raw.name}, {'short' if chosen.fast else 'full'} training, seed {chosen.seed}; tags by {run.tags.model}."
    page = Pages(run.items.image, run.domains).page(found, about)
    write_atomically(chosen.html, page.encode())
    print(
        f"{summary(found)}\n{chosen.html}: {len(page.encode()) / 1024:.0f} KiB, open it in any browser."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
