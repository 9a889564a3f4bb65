"""One environment, told three times: pyproject.toml, environment.yml and constraints.txt agree."""

import ast
import re
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement

from tema_lib.workspace import ROOT
from tests.helpers.sources import LIBRARY, imported

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
CONDA = (ROOT / "environment.yml").read_text(encoding="utf-8")
# The name under which a package is imported, where that is another one -> what brings it.
BROUGHT_BY = {
    "pil": "pillow",
    "sklearn": "scikit-learn",
    "huggingface_hub": "huggingface-hub",
    "ipython": "ipykernel",
    "nbformat": "nbconvert",
    "nbclient": "nbconvert",
    "traitlets": "nbgrader",
    "pygments": "nbconvert",
    "anyio": "fastapi",
    "faiss": "faiss-cpu",
    "pydantic": "fastapi",
}
# What needs an extra; all other modules get along with the core.
NEED_NOTEBOOKS = ("notebook.py", "commands/steps.py", "explain/display/")
NEED_LLM = ("llm/server",)
NEED_COURSE = ("course/",)
NEED_BOOK = ("commands/book.py", "commands/slides.py")
NEED_SERVE = ("commands/serve.py", "serving/service.py", "serving/predictor.py")
# Of these the notebooks' packages may be imported in a function only.
LATE = ("commands/steps.py",)


def plain(name):
    """'Scikit_Learn>=1.7' -> 'scikit-learn'"""
    return re.sub(r"[-_.]+", "-", re.match(r"[A-Za-z0-9._-]+", name).group()).lower()


def requirements():
    return [*PROJECT["dependencies"], *(one for extra in EXTRAS.values() for one in extra)]


def setup_program():
    """The constants of tools/environment.py."""
    tree = ast.parse((ROOT / "tools" / "environment.py").read_text(encoding="utf-8"))
    values = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            try:
                value = ast.literal_eval(node.value)
            except ValueError:
                continue
            target = node.targets[0]
            names = target.elts if isinstance(target, ast.Tuple) else [target]
            parts = value if isinstance(target, ast.Tuple) else [value]
            values |= {name.id: part for name, part in zip(names, parts)}
    return values


def test_environment_file_names_the_direct_dependencies_and_says_why():
    pip = next(e["pip"] for e in yaml.safe_load(CONDA)["dependencies"] if isinstance(e, dict))
    assert pip[:2] == ["-c constraints.txt", f"-e .[{','.join(EXTRAS)}]"]
    assert sorted(map(plain, pip[2:])) == sorted(map(plain, requirements()))
    for name in pip[2:]:
        assert re.fullmatch(r"[a-z0-9-]+", name), f"{name}: versions are in pyproject.toml only"
        reason = rf"^ *- {re.escape(name)} +# .*(\d\d|all|make).*: \w+"
        assert re.search(reason, CONDA, re.MULTILINE), f"{name}: which notebook needs it, and why?"


def test_the_set_up_knows_every_extra():  # tests/test_makefile.py: which command installs which
    assert setup_program()["EXTRAS"] == tuple(EXTRAS)


def test_make_run_installs_nothing_that_a_run_does_not_import():
    used = set()
    for path in LIBRARY:
        if path.relative_to(ROOT / "tema_lib").as_posix().startswith(NEED_NOTEBOOKS):
            used |= {module.split(".")[0].lower() for module in imported(path)}
    assert set(map(plain, EXTRAS["notebooks"])) <= {BROUGHT_BY.get(top, top) for top in used}


def test_python_versions_agree():
    values = setup_program()
    oldest, newest = values["OLDEST"], values["NEWEST"]
    assert PROJECT["requires-python"] == f">={oldest[0]}.{oldest[1]},<{newest[0]}.{newest[1] + 1}"
    named = re.search(r"- python=(\d+)\.(\d+)", CONDA)
    assert oldest <= tuple(map(int, named.groups())) <= newest
    assert oldest <= sys.version_info[:2] <= newest


def test_constraints_cover_the_dependencies_and_hold_no_address():
    pinned = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        pin = r"[a-z0-9-]+==[^ ]+( ; .*)?$"
        assert re.match(pin, line), f"constraints.txt: {line!r} is not a plain pin"
        pinned.setdefault(plain(line), []).append(line.split("==")[1].split(" ;")[0])
    for text in requirements():
        wanted = Requirement(text)
        versions = pinned.get(plain(wanted.name))
        assert versions, f"constraints.txt does not pin {wanted.name}"
        for version in versions:
            assert version in wanted.specifier, (
                f"{wanted.name}: {version} is outside pyproject.toml"
            )
    assert f"torch=={pinned['torch'][0]}" == setup_program()["TORCH"]


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_library_imports_only_what_is_declared(path):
    """The core needs no extra; the notebooks' and the server's modules need theirs."""
    name = path.relative_to(ROOT / "tema_lib").as_posix()
    allowed = set(map(plain, PROJECT["dependencies"]))
    if name.startswith(NEED_NOTEBOOKS):
        allowed |= set(map(plain, EXTRAS["notebooks"]))
    if name.startswith(NEED_LLM):
        allowed |= set(map(plain, EXTRAS["llm"]))
    if name.startswith(NEED_COURSE):
        allowed |= set(map(plain, [*EXTRAS["course"], *EXTRAS["notebooks"]]))
    if name.startswith(NEED_BOOK):
        allowed |= set(map(plain, EXTRAS["notebooks"] + EXTRAS["book"]))
    if name.startswith(NEED_SERVE):
        allowed |= set(map(plain, EXTRAS["serve"]))
    for module in imported(path):
        top = module.split(".")[0]
        if top in sys.stdlib_module_names or top in ("tema_lib", "__future__"):
            continue
        assert BROUGHT_BY.get(top.lower(), plain(top)) in allowed, f"{name} imports {module}"


@pytest.mark.parametrize("name", LATE)
def test_a_run_without_notebooks_imports_none_of_their_packages(name):
    tree = ast.parse((ROOT / "tema_lib" / name).read_text(encoding="utf-8"))
    early = [
        ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert not [line for line in early if re.search("papermill|nbclient|nbconvert|nbformat", line)]
