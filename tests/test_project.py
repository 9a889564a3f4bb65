"""The project's own promises: versions agree, nothing private or unsafe is committed, the README says what the records say."""

import ast
import functools
import gzip
import html
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tomllib

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LIBRARY = sorted((ROOT / "tema_lib").rglob("*.py"))


def plain(name):
    """'Scikit_Learn>=1.7' -> 'scikit-learn'"""
    return re.sub(r"[-_.]+", "-", re.match(r"[A-Za-z0-9._-]+", name).group()).lower()


def direct_dependencies():
    return [plain(d) for d in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]]


@functools.cache
def tracked_files():
    """Files that are committed or would be: git's own list, or the tree without what is made when there is no git."""
    try:
        listed = (
            subprocess.run(
                ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                cwd=ROOT,
                capture_output=True,
                check=True,
            )
            .stdout.decode()
            .split("\0")
        )
        return [ROOT / name for name in listed if name and (ROOT / name).is_file()]
    except (OSError, subprocess.CalledProcessError):
        made = {
            "build",
            ".venv",
            "__pycache__",
            ".git",
            ".pytest_cache",
            ".hypothesis",
            ".ipynb_checkpoints",
        }
        return [
            p
            for p in sorted(ROOT.rglob("*"))
            if p.is_file() and not made & set(p.relative_to(ROOT).parts)
        ]


def text_of(path):
    """A file's text, unpacked if need be; None for pictures and other binary files."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None


# --- one environment, told three times -------------------------------------------------------------------------------


def test_environment_file_names_the_direct_dependencies_and_says_why():
    source = (ROOT / "environment.yml").read_text(encoding="utf-8")
    entries = yaml.safe_load(source)["dependencies"]
    pip = next(e["pip"] for e in entries if isinstance(e, dict))
    assert pip[:2] == ["-c constraints.txt", "-e .[test]"]
    assert sorted(map(plain, pip[2:])) == sorted(direct_dependencies())
    for name in pip[2:]:
        assert re.fullmatch(r"[a-z0-9-]+", name), f"{name}: versions stand in pyproject.toml only"
        assert re.search(
            rf"^ *- {re.escape(name)} +# .*(\d\d|all|make).*: \w+", source, re.MULTILINE
        ), f"{name}: which notebook needs it, and why?"


def test_python_versions_agree():
    from environment import NEWEST, OLDEST

    assert PROJECT["requires-python"] == f">={OLDEST[0]}.{OLDEST[1]},<{NEWEST[0]}.{NEWEST[1] + 1}"
    conda = next(
        e
        for e in yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
        if str(e).startswith("python=")
    )
    assert OLDEST <= tuple(map(int, conda.removeprefix("python=").split("."))) <= NEWEST
    assert OLDEST <= sys.version_info[:2] <= NEWEST


def test_constraints_cover_the_dependencies_and_hold_no_address():
    from environment import TORCH
    from packaging.requirements import Requirement

    pinned = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        assert re.match(r"[a-z0-9-]+==[^ ]+( ; .*)?$", line), (
            f"constraints.txt: {line!r} is not a plain pin"
        )
        pinned.setdefault(plain(line), []).append(line.split("==")[1].split(" ;")[0])
    for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]:
        wanted = Requirement(text)
        assert pinned.get(plain(wanted.name)), f"constraints.txt does not pin {wanted.name}"
        assert all(v in wanted.specifier for v in pinned[plain(wanted.name)]), (
            f"{wanted.name}: constraints.txt lies outside pyproject.toml"
        )
    assert f"torch=={pinned['torch'][0]}" == TORCH


def test_the_library_imports_only_what_is_declared():
    names = {
        "pil": "pillow",
        "sklearn": "scikit-learn",
        "huggingface_hub": "huggingface-hub",
        "ipython": "ipykernel",
        "nbformat": "nbconvert",
        "nbclient": "nbconvert",
    }  # import name -> the dependency that brings it
    allowed = set(sys.stdlib_module_names) | {"tema_lib", "__future__"}
    for path in LIBRARY:
        for module in imported(path):
            top = module.split(".")[0]
            assert top in allowed or names.get(top.lower(), plain(top)) in direct_dependencies(), (
                f"{path.name} imports {top}: not declared"
            )


# --- the house ----------------------------------------------------------------------------------------------------------

# Along the pipeline. A wing imports from wings before it and, within a line, from its neighbours; never from later ones.
ORDER = (
    ("pretrained", "data"),
    ("features",),
    ("tags",),
    ("models",),
    ("training", "evaluation", "checkpoints"),
    ("results",),
    ("notebook",),
    ("pipeline",),
    ("explain",),
)


def imported(path):
    """Full names of the modules a file imports, also inside functions; relative imports are resolved."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = (
                ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
                if node.level
                else node.module
            )
            yield base
            yield from (
                f"{base}.{alias.name}" for alias in node.names if base.startswith("tema_lib")
            )


def printed(code, given):
    """What a fresh Python prints whose environment says nothing about threads but what is given."""
    bare = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OMP_", "MKL_", "TEMA_"))
    }
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=bare | given | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()


@pytest.mark.parametrize("given", [{}, {"OMP_NUM_THREADS": "2"}])
def test_an_import_changes_neither_the_environment_nor_the_threads(given):
    """Who uses the library in a program of their own keeps their own threads."""
    own = printed("import torch; print(torch.get_num_threads())", given)
    code = (
        "import os; before = dict(os.environ)\nimport tema_lib; now = dict(os.environ)\nimport tema_lib.experiment, torch\n"
        "print(torch.get_num_threads(), before == now, [name for name in os.environ if 'OMP' in name or 'MKL' in name])"
    )
    assert printed(code, given) == [*own, "True", str(list(given))]


HEAVY = re.compile(
    r"^\s+(import torch|from tema_lib\.(pipeline|notebook|models|training|evaluation|features)\b)",
    re.M,
)
WORKERS = (
    "ours.py",
    "parity_rectools.py",
    "peer_",
)  # speed.py and parity.py start them, with an environment
COMMANDS = [
    path
    for folder in ("tools", "benchmarks")
    for path in sorted((ROOT / folder).glob("*.py"))
    if "__main__" in path.read_text(encoding="utf-8")
    and HEAVY.search(path.read_text(encoding="utf-8"))
    and not path.name.startswith(WORKERS)
]


@pytest.mark.parametrize(
    ("given", "threads"), [({}, "1"), ({"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "ACTIVE"}, "2")]
)
@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.name)
def test_a_command_sets_threads_before_torch_is_there(path, given, threads):
    """Without a word one thread that waits passively; OMP_NUM_THREADS, which `make ... THREADS=n` sets, decides otherwise."""
    code = (
        f"import os, runpy, sys; sys.path[:0] = [{str(path.parent)!r}]; runpy.run_path({str(path)!r}, run_name='read')\n"
        "print('torch' in sys.modules, os.environ['OMP_NUM_THREADS'], os.environ['OMP_WAIT_POLICY'])"
    )
    assert printed(code, given) == ["False", threads, given.get("OMP_WAIT_POLICY", "PASSIVE")]


def test_all_commands_that_compute_are_among_these():
    assert {
        "chain.py",
        "tags.py",
        "compare.py",
        "systems.py",
        "growth.py",
        "tagging.py",
        "parity.py",
        "batches.py",
        "prompts.py",
    } <= {path.name for path in COMMANDS}


@pytest.mark.parametrize(("given", "threads"), [({}, "1"), ({"OMP_NUM_THREADS": "2"}, "2")])
def test_explain_and_the_notebooks_compute_with_one_thread_unless_told_otherwise(given, threads):
    code = "import os, runpy; runpy.run_module('tema_lib.explain', run_name='read'); print(os.environ['OMP_NUM_THREADS'], os.environ['OMP_WAIT_POLICY'])"
    assert printed(code, given) == [threads, "PASSIVE"]
    assert printed(
        "import torch; from tema_lib.notebook import setup; setup(); print(torch.get_num_threads())",
        given,
    ) == [threads]


def test_imports_point_one_way():
    position = {wing: i for i, line in enumerate(ORDER) for wing in line}
    needs = {}
    for path in LIBRARY:
        parts = path.relative_to(ROOT / "tema_lib").with_suffix("").parts
        if parts == ("__init__",):
            continue
        assert parts[0] in position, f"tema_lib/{parts[0]}: give it a place in ORDER"
        for module in imported(path):
            names = module.split(".")
            if names[0] != "tema_lib" or len(names) < 2 or names[1] not in position:
                continue
            assert position[names[1]] <= position[parts[0]], (
                f"{path.relative_to(ROOT)} imports {module}: against the direction of the pipeline"
            )
            assert "widgets" not in names[1:], (
                f"{path.relative_to(ROOT)} imports the widgets; only notebooks do"
            )
            if names[1] != parts[0]:
                needs.setdefault(parts[0], set()).add(names[1])
    for wing, others in needs.items():
        assert not [o for o in others if wing in needs.get(o, ())], (
            f"{wing} and one of {others} import each other"
        )


def code_of(path):
    """Python source of a module, or of a notebook's code cells without its magics."""
    if path.suffix == ".py":
        return path.read_text(encoding="utf-8")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    source = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    return re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE)


def unsafe(source):
    """What a file does that could run code out of a downloaded or a student's file."""
    found = []
    for node in ast.walk(ast.parse(source)):
        modules = (
            [a.name for a in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        found += [
            f"import {m}"
            for m in modules
            if m.split(".")[0]
            in {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
        ]
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        options = {k.arg: ast.unparse(k.value) for k in node.keywords}
        if name in {"eval", "exec", "pickle.load", "pickle.loads"}:
            found.append(name)
        if name.endswith((".read_pickle", ".to_pickle")):
            found.append(name)
        if (
            name in {"torch.load", "load_state_dict_from_file"}
            and options.get("weights_only") != "True"
        ):
            found.append("torch.load without weights_only=True")
        if options.get("allow_pickle", "False") != "False":
            found.append("allow_pickle")
        if options.get("trust_remote_code", "False") != "False":
            found.append("trust_remote_code")
        if name == "yaml.load":
            found.append("yaml.load instead of yaml.safe_load")
        if (
            name in {"subprocess.run", "subprocess.call", "subprocess.Popen"}
            and options.get("shell", "False") != "False"
        ):
            found.append("a shell")
    return found


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "torch.load('m.pt')",
        "np.load(p, allow_pickle=True)",
        "AutoModel.from_pretrained(n, trust_remote_code=True)",
        "pd.read_pickle(p)",
        "eval(reply)",
    ],
)
def test_the_search_for_unsafe_loads_finds_them(source):
    assert unsafe(source)


# It subclasses `pickle.Unpickler` to refuse every class and function that a file names.
READS_PICKLES_AS_DATA = ROOT / "tema_lib/datasets/published/llmcdsr.py"


def test_nothing_is_unpickled():
    assert not unsafe(
        "torch.load(p, weights_only=True); np.load(p, allow_pickle=False); model.eval()"
    )
    for path in (
        LIBRARY
        + sorted((ROOT / "tools").glob("*.py"))
        + sorted((ROOT / "notebooks").rglob("*.ipynb"))
    ):
        if ".ipynb_checkpoints" not in path.parts:
            allowed = ["import pickle"] if path == READS_PICKLES_AS_DATA else []
            assert unsafe(code_of(path)) == allowed, path.relative_to(ROOT)


# --- nothing private ----------------------------------------------------------------------------------------------------


def words(text):
    """Lower-case words and numbers, one space between: the same for JSON, HTML and plain writing of a title."""
    text = text.replace("\\n", " ").replace("\\t", " ").replace('\\"', '"')
    return " " + re.sub(r"[\W_]+", " ", html.unescape(text).lower()).strip() + " "


def titles_in(text, titles):
    """Which of the titles occur in the text, as whole words. Quick for many titles: look up their first 25 characters."""
    opening = {}
    for title in map(words, titles):
        if len(title) >= 27:  # 25 and a space on either side; shorter ones name kinds of things
            opening.setdefault(title[:26], set()).add(title)
    text = words(text)
    starts = (i for i, character in enumerate(text) if character == " ")
    return {t for i in starts for t in opening.get(text[i : i + 26], ()) if text.startswith(t, i)}


def test_the_search_for_titles_finds_them():
    titles = ['Acme &amp; Sons "Blue" Enamel Kettle, 2 Quart', "Short one"]
    assert titles_in('{"title": "Acme & Sons \\"Blue\\" enamel kettle, 2 quart"}', titles)
    assert not titles_in("Acme & Sons Blue Enamel Kettles; Short one", titles)


def test_no_tracked_file_holds_a_title_of_the_real_data():
    folder = os.environ.get("TEMA_REAL_DATA")
    if not folder:
        pytest.skip("TEMA_REAL_DATA is not set: cannot look for its titles")
    tables = sorted(pathlib.Path(folder).rglob("items.tsv"))
    assert tables, "TEMA_REAL_DATA holds no items.tsv"
    titles = set()
    for table in tables:
        head, *lines = table.read_text(encoding="utf-8").splitlines()
        column = head.split("\t").index("title")
        titles |= {line.split("\t")[column] for line in lines}
    assert len(titles) > 100
    text = "\n".join(f"{p.name}\n{t}" for p in tracked_files() if (t := text_of(p)) is not None)
    found = titles_in(text, titles)
    assert not found, (
        f"{len(found)} titles of research-only data in tracked files (titles not shown here)"
    )


def strings(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    elif isinstance(value, str):
        yield value


MACHINE_PATH = re.compile(r"""(?:^|[\s"'=:,(])(?:/|~/|[A-Za-z]:[\\/])(?=[\w.])""")


@pytest.mark.parametrize(
    ("text", "private"),
    [
        ("make run DATA=/home/me/fk", True),
        ("C:\\Users\\me", True),
        ("~/data", True),
        ("items/s", False),
        ("results/a.json", False),
        ("HR@1/5/10", False),
    ],
)
def test_machine_paths_are_recognised(text, private):
    assert bool(MACHINE_PATH.search(text)) == private


def test_records_and_texts_name_no_machine_and_no_user():
    host = socket.gethostname()
    for path in sorted((ROOT / "results").rglob("*.json")):
        for text in strings(json.loads(path.read_text(encoding="utf-8"))):
            assert not MACHINE_PATH.search(text), f"{path.name}: machine path in {text!r}"
            assert not (len(host) > 3 and re.search(rf"\b{re.escape(host)}\b", text)), (
                f"{path.name}: host name in {text!r}"
            )
    private = [str(ROOT), str(pathlib.Path.home()) + os.sep]
    for path in tracked_files():
        text = text_of(path) or ""
        assert not [p for p in private if len(p) > 5 and p in text], (
            f"{path.relative_to(ROOT)}: a path of this machine"
        )


# --- the main job's own words ---------------------------------------------------------------------------------------------


def two_tables(folder, time="30"):
    (folder / "items.tsv").write_text("item_id\tdomain\ttitle\na1\tA\tRice\nb1\tB\tPot\n")
    (folder / "interactions.tsv").write_text(
        f"user_id\titem_id\tdomain\ttimestamp\nu\ta1\tA\t10\nu\tb1\tB\t{time}\n"
    )
    return folder


def test_a_run_says_what_it_skipped(tmp_path):
    from chain import passed_over

    from tema_lib.experiment import Experiment
    from tema_lib.models.systems import SYSTEMS

    assert passed_over(Experiment("synthetic", fast=False), set(SYSTEMS)) == [
        "live profiles for all but 24 users (the others are shipped)"
    ]
    text = "\n".join(
        passed_over(Experiment("synthetic", fast=True), set(SYSTEMS) - {"sasrec", "tema-no-tags"})
    )
    assert "few epochs" in text
    assert "24 items a domain" in text
    assert "systems sasrec, tema-no-tags" in text
    assert "pictures" not in text
    folder = two_tables(tmp_path)
    with open(folder / "interactions.tsv", "a") as file:
        file.write("v\ta1\tA\t10\nv\tb1\tB\t11\nv\ta2\tA\t12\n")
    with open(folder / "items.tsv", "a") as file:
        file.write("a2\tA\tOats\n")
    text = "\n".join(passed_over(Experiment(str(folder), fast=False), set(SYSTEMS)))
    assert [word in text for word in ("descriptions", "pictures", "truth", "fast", "systems")] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_a_run_says_what_should_be_known_of_its_data_before_a_number_is_believed(tmp_path):
    """An export that wrote every row twice, a time that goes backwards: read, counted, and told by the command itself."""
    from chain import check

    folder = two_tables(tmp_path)
    with open(folder / "interactions.tsv", "a") as file:
        file.write("v\tb1\tB\t19\nv\ta1\tA\t18\nv\tb1\tB\t19\nv\ta1\tA\t25\nv\ta2\tA\t30\n")
    with open(folder / "items.tsv", "a") as file:
        file.write("a2\tA\tOats\n")
    run, remarks = check(str(folder), ["haf-vt"], domains="books,films")
    told = "\n".join(remarks)
    assert "line 5: the time of user v goes backwards" in told
    assert "1 rows stood there again, to the letter" in told
    assert "1 later events of a user with the same item were dropped" in told
    assert "domain A (books) has 1 test target" in told
    assert run.raw.dropped == {"identical": 1, "repeats": 1}
    assert run.domains == ("books", "films")


def test_bad_tables_and_names_stop_the_run_before_anything_is_made(tmp_path):
    def words(folder, *more):
        done = subprocess.run(
            [sys.executable, str(ROOT / "tools" / "chain.py"), "--data", str(folder), *more],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        return done.stderr

    (folder := tmp_path / "bad_tables").mkdir()
    two_tables(folder, time="soon")
    assert "interactions.tsv, line 3: 'soon' is not a time: write Unix seconds" in words(folder)
    assert "there is no such folder" in words(tmp_path / "nowhere")
    assert "system 'tame' is unknown: choose from popularity" in words(
        "synthetic", "--systems", "tema tame"
    )
    assert not (ROOT / "build" / "run" / "bad_tables").exists()


def test_a_comparison_pairs_the_cases_and_averages_the_seeds():
    from types import SimpleNamespace

    from compare import differences

    from tema_lib.experiment import Experiment

    run = Experiment("synthetic", fast=True)
    popular, counted = run.ranks("popularity"), run.ranks("co-occurrence")
    found = differences([run, run], "co-occurrence", "popularity", "NDCG@10")
    assert found["A"][0] + found["B"][0] == 1200
    assert found["topic crosses domains"][0] == 437
    mean, (low, high) = found["A"][1:]
    assert (
        abs(
            mean - (counted.of_domain(0).metric("NDCG@10") - popular.of_domain(0).metric("NDCG@10"))
        )
        < 1e-9
    )
    assert 0 < low < mean < high

    def seed(ranks):
        return SimpleNamespace(
            ranks=lambda system: ranks if system == "one" else popular, slices=lambda ranks: {}
        )

    luck = differences(
        [seed(popular), seed(counted)], "one", "other", "NDCG@10"
    )  # real ranks: one seed as good as nothing, one good
    assert luck["A"][1] == pytest.approx(mean / 2)
    assert set(luck) == {"A", "B"}
    assert differences([seed(popular)], "one", "other", "NDCG@10")["B"][1:] == (0, (0, 0))


# --- the README -----------------------------------------------------------------------------------------------------------


def record(system, seed, value, **config):
    metrics = {d: {"NDCG@10": value, "HR@10": 2 * value, "MRR": value / 2} for d in "AB"}
    return {
        "kind": "evaluation",
        "system": system,
        "data": {"name": "toy"},
        "split": "leave-one-out",
        "seed": seed,
        "config": {"seed": seed, **config},
        "metrics": {"full": metrics},
    }


def test_table_averages_seeds_and_tells_variants_apart():
    import report

    text = report.table(
        [
            ("a", record("tema", 0, 0.10, tags="llm")),
            ("b", record("tema", 1, 0.20, tags="llm")),
            ("c", record("tema", 0, 0.05, tags="none")),
            ("d", record("popularity", 0, 0.01)),
        ]
    )
    rows = [line for line in text.splitlines() if line.startswith(("| tema", "| pop"))]
    assert rows[0].startswith("| tema (tags=llm) | 0.1500 (0.1000–0.2000) | 0.3000 | 0.0750 |")
    assert rows[0].endswith("| 2 |")
    assert rows[1].startswith("| tema (tags=none) | 0.0500 |")
    assert rows[2].startswith("| popularity | 0.0100 |")


def test_readme_table_is_what_the_records_say():
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "report.py"), "--check"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    if "nothing to compare" in done.stdout:
        pytest.skip("no evaluation record in results/ yet")


def test_readme_table_lists_every_notebook():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    notebooks = list((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    for path in notebooks:
        assert f"(notebooks/{path.name})" in readme, (
            f"README.md: {path.name} is missing in the notebook table"
        )
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", readme):
        assert (ROOT / link).exists() or not notebooks, f"README.md: broken link {link}"
