"""The library as a package: a small public face, and a wheel that works outside the checkout."""

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import tema_lib
from tema_lib.workspace import ROOT, weights_folder

HEAVY = ("torch", "transformers", "sklearn", "pandas", "IPython", "matplotlib", "openai")


def loaded(statement, names):
    """Which of the modules a fresh Python has loaded after a statement."""
    code = f"import sys\n{statement}\nprint(*(name for name in {names} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_import_is_light():
    assert loaded("import tema_lib", HEAVY) == []


def test_the_library_needs_no_packages_of_the_notebooks():
    names = ("IPython", "matplotlib", "seaborn", "ipywidgets", "papermill", "openai")
    assert loaded("import tema_lib.experiment", names) == []


def test_every_public_name_is_there_and_a_wrong_one_is_refused():
    for name in tema_lib.__all__:
        assert getattr(tema_lib, name) is not None
        assert name in dir(tema_lib)
    with pytest.raises(AttributeError, match="has no attribute 'recomend'"):
        tema_lib.recomend  # noqa: B018  (the access itself is tested)


def test_the_version_is_that_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert tema_lib.__version__ == project["version"]
    assert project["scripts"] == {"tema": "tema_lib.cli:main"}


# --- outside the checkout ---


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from the files that are committed or would be."""
    source = tmp_path_factory.mktemp("source")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("no git here: cannot say which files belong to the project")
    for name in filter(None, listed.stdout.split("\0")):
        wanted = name.startswith(("tema_lib/", "data/")) or "/" not in name
        if wanted and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    made = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", made, source)
    (path,) = made.glob("*.whl")
    return path


def pip(*arguments):
    command = [sys.executable, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def outside(wheel, tmp_path_factory):
    """A way to run commands in another folder, on the installed wheel, with a home of its own."""
    site, home = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("home")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    pip("install", "--no-deps", "--no-index", "--target", site, wheel)
    features = ROOT / "build" / "cache"  # encoding the pictures again would take half a minute
    if features.is_dir():
        (home / "cache").symlink_to(features)
    silent = {name: value for name, value in os.environ.items() if not name.startswith("TEMA_")}
    environment = silent | {
        "TEMA_HOME": str(home),
        "TEMA_CACHE": str(weights_folder()),
        "PYTHONPATH": str(site),
        "PATH": os.pathsep.join([str(site / "bin"), os.environ["PATH"]]),
    }

    def run(*command):
        done = subprocess.run(
            command, cwd=elsewhere, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        assert not list(elsewhere.iterdir())  # nothing is made where the user happens to be
        return done.stdout

    run.home = home
    return run


def test_the_wheel_holds_the_synthetic_data_and_the_library_alone(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    committed = [path for path in (ROOT / "data").rglob("*") if path.is_file()]
    assert len(committed) > 500
    for path in committed:
        assert f"tema_lib/shipped/{path.relative_to(ROOT / 'data').as_posix()}" in names
    library = [path for path in (ROOT / "tema_lib").rglob("*") if path.is_file()]
    for path in library:
        if "__pycache__" not in path.parts:
            assert path.relative_to(ROOT).as_posix() in names
    assert {Path(name).parts[0] for name in names} == {"tema_lib", "tema_lib-0.1.0.dist-info"}


LINES = """
import tema_lib
data = tema_lib.load_dataset("synthetic")
experiment = tema_lib.Experiment(data, seed=0)
model = experiment.train("tema")
print(experiment.evaluate(model))
print(experiment.recommend(model, history=["A001", "B002"], domain="B", k=10))
assert "site" in tema_lib.__file__
assert experiment.tags_source()["source"] == "export"
"""


def test_the_lines_of_the_readme_work(outside):
    said = outside(sys.executable, "-c", LINES)
    assert "B (kitchen) NDCG@10 0.2" in said
    recommended = [line.split()[1] for line in said.splitlines() if line[:1].isdigit()]
    assert len(set(recommended)) == 10
    assert {item[0] for item in recommended} == {"B"}
    assert "B002" not in recommended


def test_the_command_goes_from_data_to_the_table(outside):
    assert "compare" in outside("tema", "--help")
    said = outside("tema", "run", "--replay", "--epochs", "2", "--systems", "popularity tema")
    assert "tags: claude (hosted large language model)" in said
    assert "| popularity | 0.0345 | 0.0833 |" in said
    assert "| tema | 0.2" in said
    records = outside.home / "results" / "synthetic-replay"
    assert sorted(path.name for path in records.iterdir()) == ["popularity-0.json", "tema-0.json"]
