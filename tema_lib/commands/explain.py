"""`tema explain`: one user's first recommendation, as a summary and as one HTML file."""

from __future__ import annotations

import argparse
import math
import sys

from tema_lib.commands.common import data_set, use_own_artifacts
from tema_lib.commands.output import sentence
from tema_lib.experiment import Experiment
from tema_lib.explain.attention import shortened
from tema_lib.explain.counterfactual import CounterfactualModel
from tema_lib.explain.display.html import Pages
from tema_lib.explain.explanation import FIRST, Explanation, explain
from tema_lib.reproducibility import seed_everything
from tema_lib.workspace import write_atomically


def main(chosen: argparse.Namespace) -> None:
    """Write the page and print the summary; a user without a test case is refused first."""
    data = data_set(chosen.data)
    try:
        seed_everything(chosen.seed)
        run = Experiment(
            data, chosen.seed, chosen.domains, chosen.tags, chosen.replies, chosen.epochs
        )
        run.check()
        users = run.split.test.user_id
    except (ValueError, OSError) as error:
        sys.exit(sentence(error))
    use_own_artifacts(run)
    if chosen.user not in users:
        sys.exit(
            f"--user {chosen.user}: no test case of this user in {run.raw.name}; there are "
            f"{len(users)}, such as {', '.join(users[:3])}."
        )
    reader, control = (
        CounterfactualModel(model, run.items, run.tags, run.text, tag_config=run.tag_config)
        for model in (run.train("tema"), run.build("tema"))
    )
    case = users.index(chosen.user)
    try:
        found = explain(reader, control, run.split.test, case, times=run.times(chosen.user))
    except ValueError as error:  # the history holds every item, nothing is left to recommend
        sys.exit(f"--user {chosen.user}: {error}")
    about = (
        f"TEMA-LLM on {run.raw.name}, seed {chosen.seed}, {run.history('tema').epochs} epochs; "
        f"tags by {run.tags.model}."
    )
    page = Pages(run.items.image, run.domains).page(found, about).encode()
    write_atomically(chosen.html, page)
    print(summary(found))
    print(f"{chosen.html}: {len(page) / 1024:.0f} KiB, open it in any browser.")


def summary(explanation: Explanation) -> str:
    """What drove the first recommendation, in a few lines."""
    record, effects = explanation.record, explanation.about(FIRST)
    what = "First recommendation" if FIRST in explanation.effects else "True next item"
    title = shortened(effects.target.title, 80)
    lines = [f"{what} in {record.domain}: {title} (P = {math.exp(effects.log_probability):.3f})."]
    order = sorted(
        range(len(record.history)), key=lambda position: -abs(float(effects.shapley[position]))
    )
    for position in order[:5]:
        value, error = effects.shapley[position], effects.shapley_error[position]
        title = shortened(record.history[position].title, 80)
        lines.append(f"  {value:+.2f} ± {error:.2f}  {title}")
    tags = [(tag, effect.lost) for row in effects.tags for tag, effect in row]
    tags += [(f"{tag} (its own)", effect.lost) for tag, effect in effects.own_tags]
    modalities = [(modality, effect.lost) for modality, effect in effects.modalities.items()]
    for kind, found in (("Tags", tags), ("Modalities", modalities)):
        if found:
            largest = sorted(found, key=lambda pair: -abs(pair[1]))[:4]
            listed = ", ".join(f"{name} {lost:+.2f}" for name, lost in largest)
            lines.append(f"{kind}, log P lost without: {listed}")
    branch = list(record.events)[-1]
    lost, shapley = explanation.agreement(FIRST, branch)
    if not math.isnan(lost + shapley):
        lines.append(
            f"Rank correlation of attention ({branch}) with removal {lost:+.2f}, with Shapley "
            f"values {shapley:+.2f}."
        )
    return "\n".join(lines)
