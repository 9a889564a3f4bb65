"""Run records are complete, written whole, and say nothing about the machine's owner."""

import copy
import json
import os
import pathlib
import re
import socket
import statistics

import numpy as np
import pytest

from tema_lib import records as results
from tema_lib.evaluation.metrics import METRICS
from tema_lib.evaluation.ranking import Ranks
from tema_lib.evaluation.significance import compare
from tema_lib.tuning import read_trials

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
COMMITTED = sorted(RESULTS.rglob("*.json"))


def ranks(count=40):
    """Cases in both domains; every rank between 1 and 20."""
    rng = np.random.default_rng(0)
    rank, whole = rng.integers(1, 21, size=count).astype(float), np.full(count, 20)
    return Ranks(
        np.arange(count),
        np.arange(count),
        np.arange(count) % 2,
        rank,
        rank,
        whole,
        whole,
        np.zeros(count, dtype=bool),
    )


def a_record(system="tema", seed=0):
    cases = ranks()
    return results.evaluation_record(
        system,
        cases,
        data={"name": "small", "sha256": "0" * 64},
        split="leave-one-out",
        seed=seed,
        config={"model": {}},
        seconds={"train": 1.234},
        command="make run",
        slices={"rare": cases.select(cases.rank > 10)},
    )


def test_a_record_holds_what_the_ranks_say():
    record, cases = a_record(), ranks()
    assert set(record) == results.EVALUATION_KEYS | {"ranks"}
    results.check_record(record)
    assert record["metrics"]["full"]["B"]["HR@10"] == pytest.approx((cases.rank[1::2] <= 10).mean())
    assert record["slices"]["rare"]["cases"] == int((cases.rank > 10).sum())
    assert record["slices"]["rare"]["full"]["A"]["HR@10"] == 0
    assert record["candidates"]["sampled_999"]["A"] == {"cases": 20, "fewest": 20, "most": 20}
    assert record["ties"] == 0
    low, high = record["intervals"]["full"]["A"]["MRR"]
    assert low < record["metrics"]["full"]["A"]["MRR"] < high
    assert re.fullmatch(r"[0-9a-f]{40}|unknown", record["commit"])
    assert record["dirty"] in (True, False)
    assert json.loads(json.dumps(record)) == record


def test_a_domain_without_cases_has_no_number_in_record_and_table(tmp_path, capsys):
    """No 0.0, no interval of nothing, no "fewest 10^9"."""
    cases = ranks().of_domain(0)
    record = results.evaluation_record(
        "tema",
        cases,
        data={"name": "small", "sha256": "0" * 64},
        split="leave-one-out",
        seed=0,
        config={},
        seconds={},
        command="make run",
        slices={"none": cases.select(cases.rank > 50)},
    )
    results.check_record(record)
    assert set(record["metrics"]["full"]["B"].values()) == {None}
    assert set(map(tuple, record["intervals"]["full"]["B"].values())) == {(None, None)}
    assert record["candidates"]["full"]["B"] == {"cases": 0, "fewest": None, "most": None}
    assert record["slices"]["none"]["cases"] == 0
    assert record["slices"]["none"]["full"]["A"]["MRR"] is None
    path = results.write_json(tmp_path / "tema-0.json", record)
    assert json.loads(path.read_text()) == record
    assert "NaN" not in path.read_text()
    results.print_table(tmp_path)
    assert "| no case | no case | no case | 1 |" in capsys.readouterr().out
    record["metrics"]["full"]["A"]["MRR"] = None
    with pytest.raises(ValueError, match="full A MRR is None"):
        results.check_record(record)


def test_the_values_of_every_case_come_back_as_means_over_seeds():
    one, other = a_record(seed=0), a_record(seed=1)
    cases = ranks()
    found = results.values_of([one, other], "MRR")
    assert found["A"] == pytest.approx(1 / cases.rank[0::2])
    other["ranks"]["A"] = " ".join(["1"] * 20)
    assert results.values_of([one, other], "MRR")["A"] == pytest.approx(
        (1 / cases.rank[0::2] + 1) / 2
    )
    rare = results.values_of([one], "HR@10", "rare")
    assert len(rare["A"]) + len(rare["B"]) == int((cases.rank > 10).sum())
    assert not rare["B"].any()
    del other["ranks"]
    assert results.values_of([one, other], "MRR") is None


def test_ranks_among_sampled_items_are_kept_where_they_are_asked_for():
    cases = ranks()
    cases.rank_sampled[:] = 1 + np.arange(len(cases)) // 2
    given = {
        "data": {"name": "small", "sha256": "0" * 64},
        "split": "published",
        "seed": 0,
        "config": {},
        "seconds": {},
        "command": "tema evaluate",
    }
    kept = results.evaluation_record("tema", cases, **given, sampled_ranks=True)
    assert kept["ranks_sampled"]["B"].split()[:3] == ["1", "2", "3"]
    found = results.values_of([kept], "MRR", ranks="ranks_sampled")
    assert found["A"][:3] == pytest.approx([1, 1 / 2, 1 / 3])
    without = results.evaluation_record("tema", cases, **given)
    assert results.values_of([without], "MRR", ranks="ranks_sampled") is None


@pytest.mark.parametrize("key", sorted(results.EVALUATION_KEYS - {"kind"}))
def test_a_record_without_a_key_is_refused(key):
    record = a_record()
    del record[key]
    with pytest.raises(ValueError, match=key):
        results.check_record(record)


def test_an_unknown_kind_and_an_impossible_metric_are_refused():
    with pytest.raises(ValueError, match="kind is None"):
        results.check_record({})
    record = copy.deepcopy(a_record())
    record["metrics"]["sampled_999"]["B"]["HR@5"] = 1.2
    with pytest.raises(ValueError, match="sampled_999 B HR@5 is 1.2"):
        results.check_record(record)


def test_writing_is_all_or_nothing(tmp_path, monkeypatch):
    path = results.write_json(tmp_path / "new" / "tema-0.json", {"b": 1, "a": "ä"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": "ä", "b": 1}
    assert [p.name for p in path.parent.iterdir()] == ["tema-0.json"]
    whole = path.read_bytes()
    with pytest.raises(TypeError):
        results.write_json(path, {"not": object()})
    assert path.read_bytes() == whole
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):  # stopped between writing and renaming
        results.write_json(path, {"a": 2})
    assert path.read_bytes() == whole


def test_equal_content_gives_equal_files(tmp_path):
    one, other = (
        results.write_json(tmp_path / "1.json", {"a": 1, "b": 2}),
        results.write_json(tmp_path / "2.json", {"b": 2, "a": 1}),
    )
    assert one.read_bytes() == other.read_bytes()


def test_reading_names_the_broken_file_and_leaves_other_kinds_out(tmp_path):
    results.write_json(tmp_path / "a" / "tema-0.json", a_record())
    results.write_json(tmp_path / "speed.json", {"kind": "benchmark", "ratios": {}})
    assert [record["system"] for record in results.read_records(tmp_path)] == ["tema"]
    broken = a_record()
    del broken["seed"]
    results.write_json(tmp_path / "tema-1.json", broken)
    with pytest.raises(ValueError, match=r"tema-1\.json: keys \['seed'\] are missing"):
        results.read_records(tmp_path)


def test_records_are_grouped_by_system_in_the_order_of_their_seeds():
    runs = [("tema", 10), ("sasrec", 0), ("tema", 2), ("tema", 0)]
    found = results.by_system([{"system": system, "seed": seed} for system, seed in runs])
    assert {name: [run["seed"] for run in own] for name, own in found.items()} == {
        "tema": [0, 2, 10],
        "sasrec": [0],
    }
    assert list(found) == ["tema", "sasrec"]


def test_the_table_averages_seeds_and_puts_the_best_last(tmp_path):
    good, again, bad = a_record("good", 0), a_record("good", 1), a_record("bad")
    for record, value in ((good, 0.5), (again, 0.7), (bad, 0.1)):
        for domain in "AB":
            record["metrics"]["full"][domain]["NDCG@10"] = value
    lines = results.metric_table([good, bad, again]).splitlines()
    assert lines[0].startswith("| system | A NDCG@10 |")
    assert len({line.count("|") for line in lines}) == 1
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| bad", "| good"]
    assert lines[3].split(" | ")[1] == "0.6000"
    assert lines[3].endswith("| 2 |")


def test_no_mean_is_taken_over_two_versions_of_the_data(tmp_path, capsys):
    old, new = a_record(seed=0), a_record(seed=1)
    new["data"]["sha256"] = "1" * 64
    for record in (old, new):
        results.write_json(tmp_path / f"tema-{record['seed']}.json", record)
    results.print_table(tmp_path)
    shown = capsys.readouterr().out
    assert "tables 00000000" in shown
    assert "tables 11111111" in shown
    assert shown.count("| 1 |") == 2
    assert "| 2 |" not in shown


# ---- what is committed


def private(text):
    """Absolute paths, this user's name (where it is telling) and this host's name in a text."""
    names = {socket.gethostname(), os.environ.get("USER", ""), os.environ.get("LOGNAME", "")} - {
        "",
        "root",
        "localhost",
        "user",
        "runner",
    }
    found = re.findall(
        r"(?<![\w:/.])/(?:home|root|Users|work|tmp|mnt|opt|var|srv|data|private)\b"
        r'[^"\s]*|\b[A-Z]:\\\\[^"\s]*',
        text,
    )
    return found + [
        name for name in names if len(name) > 2 and re.search(rf"\b{re.escape(name)}\b", text)
    ]


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ('"command": "make run DATA=../shared/data/fk_mini"', False),
        ('"folder": "/home/ann/data"', True),
        ('"C:\\\\Users\\\\ann"', True),
        ('"rate": "3 and/or 4", "url": "https://a.org/data/x"', False),
    ],
)
def test_the_search_for_private_words_finds_them(text, bad):
    assert bool(private(text)) == bad


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.relative_to(RESULTS).as_posix())
def test_committed_records_are_complete_and_private_to_nobody(path):
    text = path.read_text(encoding="utf-8")
    results.check_record(json.loads(text))
    assert not private(text)


def test_the_readme_explains_every_key():
    explained = set(re.findall(r"`([^`]+)`", (RESULTS / "README.md").read_text(encoding="utf-8")))
    wanted = results.EVALUATION_KEYS | set(METRICS)
    for path in COMMITTED:
        wanted |= set(json.loads(path.read_text(encoding="utf-8")))
    assert wanted <= explained, f"results/README.md says nothing about {sorted(wanted - explained)}"


def test_the_tagging_benchmark_was_won_word_for_word_and_a_missing_one_is_named():
    record = results.read_benchmark("bench_tagging.json")
    assert record["kind"] == "benchmark"
    assert record["items"] == record["identical_items"] == 256
    assert record["identical"] is True
    rate = record["items_per_cpu_second"]
    assert record["ratio"] == pytest.approx(rate["fast"] / rate["plain"], rel=0.02)
    assert record["ratio"] >= 6
    with pytest.raises(FileNotFoundError, match="results/README.md says which command"):
        results.read_benchmark("bench_nothing.json")


def test_the_comparison_of_language_models_holds_both_with_their_controls():
    rows = results.read_benchmark("bench_tag_models.json")["rows"]
    for data in ("synthetic", "fk_mini", "fk_core5"):
        of_data = [row for row in rows if row["data"] == data]
        kinds = {(row["model"].partition(" ")[0], row["control"]) for row in of_data}
        assert kinds == {
            (model, control)
            for model in ("smollm2-135m-instruct", "claude")
            for control in ("", "shuffled")
        } | {("", "title words")}


def test_the_comparison_of_prompts_holds_every_style_with_its_controls():
    from tema_lib.tags.prompts import STYLES

    record = results.read_benchmark("bench_prompts.json")
    rows = {(row["data"], row["style"], row["control"]) for row in record["rows"]}
    assert all(
        (data, style, control) in rows
        for data in ("synthetic", "fk_mini")
        for style in STYLES
        for control in ("", "shuffled", "encoder only")
    )
    assert len({row["model"] for row in record["rows"]}) >= 2
    assert len(record["agreement"]) >= 8


def test_the_speed_record_keeps_the_promises_and_its_ratios_follow_from_its_rounds():
    record = results.read_benchmark("bench_speed.json")
    least_ratios = {
        "full_ce_vs_replay": 9,
        "full_ce_vs_rectools": 15,
        "bce_vs_rectools": 3,
        "ranking_vs_replay": 3.3,
        "ranking_vs_recbole": 8,
    }
    assert all(record["ratios"][name] >= least for name, least in least_ratios.items())
    assert record["ratios"]["full_ce_vs_recbole"] > 9
    assert record["share_of_limit"]["full_ce"] >= 0.55
    assert record["share_of_limit"]["ranking"] >= 0.40
    assert record["tema_targets_per_cpu_second"] >= 5000
    assert not record["dirty"]
    assert len(record["rounds"]) >= 5

    def speed(answer):
        return answer.get("targets", answer.get("users")) / answer["cpu_seconds"]

    for name, ratio in record["ratios"].items():
        task, peer = name.removesuffix("_small_batches").split("_vs_")
        theirs = "ranking_small_batches" if name.endswith("small_batches") else task
        assert ratio == pytest.approx(
            statistics.median(
                speed(one[task]["ours"]) / speed(one[theirs][peer]) for one in record["rounds"]
            ),
            abs=0.01,
        )


def test_memory_at_a_quarter_of_a_million_items_stays_below_three_gib():
    record = results.read_benchmark("bench_growth.json")
    largest = max(record["points"]["items"], key=lambda point: point["items"])
    assert largest["items"] == 250_000
    assert (
        record["peak_mib_at_250000_items"] == largest["peak_mib"]["training and ranking"] < 3 * 1024
    )
    assert (RESULTS / "bench_growth.png").read_bytes().startswith(b"\x89PNG")
    assert not record["dirty"]


def test_the_service_loses_nothing_and_stays_below_a_gib():
    record = results.read_benchmark("bench_serving.json")
    at_once = record["milliseconds over HTTP"]["200 clients at once"]
    assert (at_once["requests"], at_once["lost"]) == (2000, 0)
    assert at_once["peak_mib"] < 1024
    assert record["milliseconds in process"]["one question"]["requests"] == 2000
    assert not record["dirty"]


def test_sorted_batches_teach_what_random_ones_teach():
    record = results.read_benchmark("bench_batches.json")
    assert record["data"]["name"] == "fk_core5"
    assert len(record["seeds"]) == 3
    assert len(record["runs"]) == 6
    assert not record["dirty"]
    for part in record["sorted_minus_random"].values():
        assert abs(part["difference"]) <= 2 * part["standard_error"]
        assert part["cases"] > 1000


def test_our_sasrec_is_level_with_rectools_or_a_named_difference_says_why():
    record = results.read_benchmark("bench_parity.json")
    assert len(record["seeds"]) == 3
    assert not record["dirty"]
    for name in ("synthetic", "fk_mini"):
        differences = record["data"][name]["differences"]
        plain, switched = (
            differences[pair]["all"]
            for pair in ("ours - rectools", "ours, all as theirs - rectools, padding masked")
        )
        for part in (plain, switched):
            assert part["standard_errors_apart"] == pytest.approx(
                abs(part["difference"]) / part["standard_error"], abs=0.02
            )
            assert part["cases"] > 1000
        assert plain["standard_errors_apart"] <= 2 or switched["standard_errors_apart"] <= 2


def test_ten_million_rows_are_read_within_a_gigabyte_and_a_half():
    record = results.read_benchmark("bench_data.json")
    large = record["large"]
    assert not record["dirty"]
    assert large["lines"] == 10_000_000
    assert large["read_data"]["rows"] + sum(large["read_data"]["dropped"].values()) == 10_000_000
    assert large["read_data"]["read_mib"] <= large["read_data"]["sequences_mib"] < 1.5 * 1024


def test_the_cost_of_every_system_is_on_record():
    from tema_lib.models.systems import SYSTEMS

    record = results.read_benchmark("bench_systems.json")
    assert not record["dirty"]
    assert record["threads"] == 1
    for name in ("synthetic", "fk_mini"):
        costs = record["data"][name]["systems"]
        profiled = {"llm4cdsr", "llm4cdsr-no-contrastive"} if name == "fk_mini" else set()
        assert set(costs) == set(SYSTEMS) - profiled  # profiles cost thousands of answers
        learn = {bool(cost["parameters"]): [] for cost in costs.values()}
        for cost in costs.values():
            learn[bool(cost["parameters"])].append(cost["train"])
        assert max(learn[False]) < min(learn[True])  # counting is cheaper than learning


def test_the_recipe_says_what_the_record_of_changes_says():
    rows = results.read_benchmark("bench_changes.json")["rows"]
    rows = [row for row in rows if row["data"] == "synthetic"]

    def values(system, name, key="valid_mrr"):
        found = {r["seed"]: r[key] for r in rows if (r["system"], r["change"]) == (system, name)}
        assert set(found) == {0, 1, 2}
        return np.array([found[seed] for seed in range(3)])

    def change(system, name):
        """By seed: the validation MRR with the change minus that of the system as it is."""
        return values(system, name) - values(system, "as it is")

    for system, name, mean in (  # every seed agrees
        ("tema", "no late fusion", -0.012),
        ("sasrec", "positions from the start", -0.006),
        ("tema", "all items as negatives", 0.003),
        ("tema", "no late fusion, settings of trial 1", -0.009),
        ("tema", "softmax over both domains", 0.004),
        ("sasrec", "softmax over both domains", 0.003),
        ("sasrec", "trained on prefixes", 0.003),
    ):
        found = change(system, name)
        assert abs(np.sign(found).sum()) == 3, name
        assert round(found.mean(), 3) == mean, name
    for system, name in (  # the sign depends on the seed
        ("sasrec", "averaged with a second SASRec"),
        ("tema", "positions from the start"),
        ("sasrec", "no lag bias"),
        ("tema", "no lag bias"),
        ("sasrec", "one output map for both domains"),
        ("tema", "an encoder for each sequence"),
        ("tema", "no branch left out in training"),
        ("tema", "next tags predicted"),
        ("tema", "tags and title words"),
        ("tema", "a branch of tags"),
        ("tema", "trained on prefixes"),
        ("sasrec", "dot products"),
        ("sasrec", "a learned temperature"),
        ("tema", "a learned temperature"),
        ("tema", "LiGR layers"),
    ):
        assert change(system, name).min() < 0 < change(system, name).max(), name
    assert change("sasrec", "averaged with a second SASRec").mean() < 0
    for system in ("sasrec", "tema"):
        assert change(system, "ids ten times as long at first").max() < 0
    assert change("sasrec", "LiGR layers").max() < 0
    assert change("tema", "tags of the history added").max() < 0
    new = {
        name: values("tema", name, "new_hr").mean()
        for name in {row["change"] for row in rows if row["system"] == "tema"}
    }
    assert {row["new_cases"] for row in rows} == {60}
    assert round(new["as it is"], 2) == 0.57
    assert new["all items as negatives"] < 0.02
    assert round(new["softmax over both domains"], 2) == 0.04
    for name in ("id dropout", "ids by frequency", "logit adjustment"):
        assert new[name] < new["as it is"] + 1.5 / 60  # a target or so


@pytest.mark.parametrize("folder", ["tuned/synthetic", "further-users"])
def test_readme_says_what_the_records_of_best_trials_say(folder):
    found = {}
    for record in results.read_records(RESULTS / folder):
        found.setdefault(record["system"], []).append(record)

    def reached(system, domain):
        return [record["metrics"]["full"][domain]["NDCG@10"] for record in found[system]]

    def minus_tema(metric="NDCG@10", domains="AB", part="", reference="tema"):
        values = {name: results.values_of(runs, metric, part) for name, runs in found.items()}
        pooled = {name: np.concatenate([by[d] for d in domains]) for name, by in values.items()}
        return compare(pooled.pop(reference), pooled)

    below = ["tema-no-tags", "tema-shuffled-tags", "tema-title-words", "tema-small-tags"]
    below += ["llm4cdsr", "autocdsr", "sasrec"]
    for domain in "AB":
        assert all(min(reached("tema", domain)) > max(reached(name, domain)) for name in below)
        tests = minus_tema(domains=domain)
        assert all(tests[name].corrected < 0.01 for name in below)
    assert {len(runs) for runs in found.values()} == {5}
    assert abs(minus_tema()["tema-merged"].difference) < 0.0025
    new = {
        name: np.mean(
            [run["slices"]["target never seen"]["full"][d]["HR@10"] for run in runs for d in "AB"]
        )
        for name, runs in found.items()
    }
    assert 0.45 < new["tema"] < 0.56
    assert new["tema"] > 2 * new["tema-no-tags"]
    assert new["sasrec"] < 0.03
    if folder == "further-users":
        transitions = minus_tema(part="cross-domain transition")["tema-merged"]
        assert transitions.difference > 0
        assert transitions.corrected < 0.01
        seen = minus_tema(part="target seen")["tema-no-tags"]
        assert round(seen.difference, 3) == 0.004
        assert seen.corrected < 0.01
        assert round(minus_tema()["llm-emf"].difference, 3) == -0.003
        assert minus_tema(domains="A")["llm-emf"].corrected > 0.05
        over_none = minus_tema(reference="tema-no-tags")["tema-small-tags"]
        assert round(over_none.difference, 3) == 0.002
        assert over_none.p < 0.01


def test_readme_says_what_the_records_of_fk_mini_say():
    found = {}
    for record in results.read_records(RESULTS / "tuned" / "fk_mini"):
        found.setdefault(record["system"], []).append(record)

    def reached(system, domain):
        return [record["metrics"]["full"][domain]["NDCG@10"] for record in found[system]]

    values = {name: results.values_of(runs, "NDCG@10") for name, runs in found.items()}
    pooled = {name: np.concatenate([by["A"], by["B"]]) for name, by in values.items()}
    tests = compare(pooled.pop("tema"), pooled)
    for name in ("tema-no-tags", "tema-shuffled-tags", "tema-title-words"):
        assert tests[name].corrected > 0.05
    assert tests["tema-small-tags"].corrected < 0.05
    assert tests["tema-small-tags"].difference < 0
    for domain in "AB":
        for name in ("sasrec", "sasrec-per-domain"):
            assert min(reached("tema", domain)) > max(reached(name, domain))
    mean = {name: np.mean([reached(name, domain) for domain in "AB"]) for name in found}
    plain = results.read_benchmark("bench_parity.json")["data"]["fk_mini"]["NDCG@10"]
    for name in ("ours", "rectools"):
        assert mean["sasrec"] < np.mean([plain[name][domain] for domain in "AB"]) < mean["tema"]
    for record in found["tema"]:
        never = record["slices"]["target never seen"]
        assert never["cases"] == 57
        assert never["full"]["A"]["HR@10"] == never["full"]["B"]["HR@10"] == 0
    assert {len(runs) for runs in found.values()} == {5}


def test_readme_says_what_the_records_of_fk_core5_say():
    found = {}
    for record in results.read_records(RESULTS / "tuned" / "fk_core5"):
        found.setdefault(record["system"], []).append(record)
    learned = ["tema", "tema-no-tags", "tema-shuffled-tags", "tema-title-words"]
    learned += ["sasrec", "sasrec-per-domain"]

    def reached(system, domain):
        return [record["metrics"]["full"][domain]["NDCG@10"] for record in found[system]]

    def minus(reference, domains="AB"):
        values = {name: results.values_of(found[name], "NDCG@10") for name in learned}
        pooled = {name: np.concatenate([by[d] for d in domains]) for name, by in values.items()}
        return compare(pooled.pop(reference), pooled), values

    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace("\n", " ")
    tests, values = minus("tema")
    for name, words in (
        ("tema-shuffled-tags", "shuffled tags"),
        ("tema-title-words", "title words"),
        ("tema-no-tags", "no tags"),
    ):
        gain = np.concatenate([values["tema"][d] - values[name][d] for d in "AB"])
        half = 1.96 * gain.std(ddof=1) / len(gain) ** 0.5
        ends = (gain.mean(), gain.mean() - half, gain.mean() + half)
        shown = [f"{end:.4f}".replace("0.", ".") for end in ends]
        assert f"{shown[0]} over {words} ({shown[1]} to {shown[2]})" in readme
        assert (tests[name].corrected < 0.01) == (name != "tema-title-words")
    assert f"(p = {tests['tema-title-words'].p:.2f})".replace("0.", ".") in readme
    for domain in "AB":
        for name in ("sasrec", "sasrec-per-domain"):
            assert min(reached("tema", domain)) > max(reached(name, domain))
            assert minus("tema", domain)[0][name].corrected < 0.01
    assert np.mean(reached("tema", "A")) > 0.072
    assert np.mean(reached("tema", "B")) > 0.043
    for record in found["tema"]:
        never = record["slices"]["target never seen"]
        assert never["cases"] == 34
        assert never["full"]["A"]["HR@10"] == never["full"]["B"]["HR@10"] == 0


def test_on_fk_core5_all_that_were_searched_had_the_same_trials():
    folder = RESULTS / "tuning" / "fk_core5"
    trials = {
        path.stem: [trial["number"] for trial in read_trials(path)["trials"]]
        for path in folder.glob("*.json")
    }
    searched = ("sasrec", "sasrec-per-domain", "tema", "tema-no-tags")
    assert trials == {system: [0, 1, 7, 9, 11] for system in searched}
