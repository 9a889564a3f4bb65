"""Prompt styles on the same evidence: what should a tag name, to say much and join the domains?

    python benchmarks/prompts.py --data synthetic FOLDER/fk_mini --llm smollm2-135m-instruct FOLDER

Every model reads every item once in every style (bfloat16; replies are kept under build/, so a
stopped run resumes).  The controls are measured beside them: shuffled tags, title words, and the
tag list without the model's reply about the item.  Writes results/bench_prompts.json.
"""

import argparse
import os
import platform
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# Before torch is imported: one thread repeats its numbers exactly; several must not spin idly.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def measures(tags, run, style):
    """One row of the table for one tagging."""
    from tema_lib.tags import evidence

    row = {"list": len(tags.vocabulary) - 1, **evidence.coverage(tags, run.domains, style)}
    if run.truth is not None:
        topic = (
            run.truth[0].set_index("item_id")["topic"].loc[list(run.items.item_id[1:])].to_numpy()
        )
        row |= {
            f"{name} ({where})": value
            for where, across in (("all", None), ("across", True))
            for name, value in evidence.joined_pairs(tags, topic, across).items()
        }
    alike = evidence.similarity(
        evidence.weight_table(tags), run.split.train, run.items.domain_of_item
    )
    return {
        name: round(value, 4)
        for name, value in (row | {f"AUC {name}": value for name, value in alike.items()}).items()
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", default=["synthetic"], help="'synthetic' or folders")
    parser.add_argument(
        "--llm",
        nargs="+",
        default=["smollm2-135m-instruct"],
        help="known names, folders or hub ids",
    )
    parser.add_argument("--styles", nargs="+", help="prompt styles; all unless said otherwise")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench_prompts.json")
    chosen = parser.parse_args()

    from tema_lib import records
    from tema_lib.experiment import Experiment
    from tema_lib.llm.local import LocalModel
    from tema_lib.llm.store import ReplyStore
    from tema_lib.notebook import setup
    from tema_lib.tags import evidence
    from tema_lib.tags.assign import assign
    from tema_lib.tags.controls import control_tags
    from tema_lib.tags.draft import draft, sample
    from tema_lib.tags.prompts import STYLES
    from tema_lib.tags.refine import refine

    setup()
    rows, taggings = [], {}
    for name in chosen.llm:
        llm = LocalModel(name, dtype="bfloat16")
        for data in chosen.data:
            run = Experiment(data)
            catalogue = run.catalogue
            for style in chosen.styles or STYLES:
                config = replace(run.tag_config, style=style)
                with ReplyStore(ROOT / "build" / "prompts.sqlite") as store:
                    refinement = refine(
                        catalogue,
                        draft(catalogue, sample(run.items, config), llm, store, config),
                        llm,
                        store,
                        config,
                    )
                    tags = taggings[run.raw.name, llm.name, style] = assign(
                        catalogue, refinement, llm, store, config
                    )
                kinds = {"": tags} | {
                    kind: control_tags(tags, kind, catalogue, config)
                    for kind in ("shuffled", "encoder only")
                }
                if style == "thing" and name == chosen.llm[0]:
                    kinds["title words"] = control_tags(tags, "title words", catalogue, config)
                for kind, some in kinds.items():
                    rows.append(
                        {
                            "data": run.raw.name,
                            "model": llm.name,
                            "style": style,
                            "control": kind,
                            **measures(some, run, style),
                        }
                    )
                    print(rows[-1], flush=True)
    agreement = []
    # Each style with the first model's mixed one, each further model with the first.
    first = next(iter(taggings))[1], "mixed"
    for (data, *one), tags in taggings.items():
        against = first if one[0] == first[0] else (first[0], one[1])
        if tuple(one) != against and (data, *against) in taggings:
            share = evidence.agreement(tags, taggings[(data, *against)])
            agreement.append(
                {
                    "data": data,
                    "one": " ".join(one),
                    "other": " ".join(against),
                    "agreement": round(share, 4),
                }
            )
    commit, dirty = records.commit_and_state()
    records.write_json(
        chosen.out,
        {
            "kind": "benchmark",
            "name": "prompts",
            "rows": rows,
            "agreement": agreement,
            "dtype": "bfloat16",
            "python": platform.python_version(),
            "commit": commit,
            "dirty": dirty,
            "command": "python benchmarks/prompts.py",
        },
    )


if __name__ == "__main__":
    main()
