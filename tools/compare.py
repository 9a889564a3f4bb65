"""Is one system better than the others? Paired differences over the same users, several seeds together, with 95 % intervals.

    python tools/compare.py                                        # tema against every other system, synthetic data set, seeds 0 1 2
    python tools/compare.py --data FOLDER --systems "sasrec co-occurrence" --seeds 0 1

Trained systems are taken from build/artifacts/<data>/ (`make run SEED=n` leaves them there); what is missing is trained first.
"""

import argparse
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# Before torch: one thread repeats its numbers to the last digit; several, waiting, shall not spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="synthetic", help="'synthetic', or a data folder")
    parser.add_argument("--of", default="tema", help="the system that is compared with the others")
    parser.add_argument("--systems", default="", help="the others, separated by spaces; empty: all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--metric", default="NDCG@10")
    parser.add_argument("--fast", action="store_true", help="compare systems of fast runs")
    return parser.parse_args()


def parts(run, ranks):
    """{name: cases} of a system's ranks: each domain, then the slices."""
    return {"A": ranks.of_domain(0), "B": ranks.of_domain(1), **run.slices(ranks)}


def differences(runs, one, other, metric):
    """{part: (cases, mean difference, interval)}; the ranks of all seeds are averaged case by case first."""
    from tema_lib.evaluation.intervals import paired_difference

    several = {system: [parts(run, run.ranks(system)) for run in runs] for system in (one, other)}
    return {
        name: (
            len(cases),
            *paired_difference(
                *([by[name] for by in several[system]] for system in (one, other)), metric
            ),
        )
        for name, cases in several[one][0].items()
    }


def main():
    chosen = arguments()
    from chain import check, data_set

    data, name = data_set(chosen.data)
    check(data, [chosen.of, *chosen.systems.split()])
    os.environ["TEMA_ARTIFACTS"] = str(ROOT / "build" / "artifacts" / name)
    from tema_lib.evaluation.metrics import METRICS
    from tema_lib.experiment import Experiment
    from tema_lib.models.systems import SYSTEMS, system_named

    if chosen.metric not in METRICS:
        sys.exit(f"--metric {chosen.metric} is unknown: choose from {', '.join(METRICS)}.")
    others = [
        system
        for system in chosen.systems.split() or SYSTEMS
        if system_named(system) != system_named(chosen.of)
    ]
    runs = [Experiment(data, chosen.fast, seed) for seed in chosen.seeds]
    print(
        f"{name}: {chosen.metric} of {chosen.of} minus another system, {len(runs)} seeds, paired 95 % interval over test cases"
    )
    for other in others:
        print(f"\n{chosen.of} minus {other}")
        for part, (cases, mean, (low, high)) in differences(
            runs, chosen.of, other, chosen.metric
        ).items():
            shown = f"  {mean:+.4f} [{low:+.4f}, {high:+.4f}]" if cases else ""
            print(f"  {part:32}{cases:6} cases{shown}", flush=True)


if __name__ == "__main__":
    main()
