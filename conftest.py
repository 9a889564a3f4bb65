"""Makes the bare `pytest --nbval notebooks/` right, from any folder.

It sets the environment and nbval's options, and gives shown numbers a tolerance.
"""

import functools
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parent
for name, value in {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",  # before torch is imported anywhere
    "TQDM_DISABLE": "1",
    "PYTHONHASHSEED": "0",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}.items():
    os.environ.setdefault(name, value)
# Kernels are processes of their own: they must import this checkout, not an installed copy.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
NOTEBOOKS = sorted(path.name for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
OUR_ARTIFACTS = pytest.StashKey[str]()
ALONE = pytest.StashKey[list[str]]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    option = config.option
    if not (getattr(option, "nbval", False) or getattr(option, "nbval_lax", False)):
        return
    option.nbval_sanitize_with = option.nbval_sanitize_with or str(
        ROOT / "tests" / "nbval_sanitize.cfg"
    )
    if option.nbval_kernel_name is None:
        # The interpreter that runs pytest, whatever kernels are registered.
        option.nbval_current_env = True
    if option.nbval_cell_timeout == 2000:  # nbval's own default, half an hour for a hanging cell
        option.nbval_cell_timeout = 300.0
    if "TEMA_CHAIN" in os.environ:  # what the notebook chain has trained is used again
        config.stash[ALONE] = run_alone()
    elif (
        "TEMA_ARTIFACTS" not in os.environ
    ):  # a test run leaves the student's build/artifacts/ alone
        (ROOT / "build").mkdir(exist_ok=True)
        os.environ["TEMA_ARTIFACTS"] = config.stash[OUR_ARTIFACTS] = tempfile.mkdtemp(
            prefix="nbval-", dir=ROOT / "build"
        )


def run_alone():
    """The notebooks that find nothing which an earlier one would have left.

    Two, others with each commit: TEMA_ALONE=04,05 names them, TEMA_ALONE=all takes every one.
    """
    wish = os.environ.get("TEMA_ALONE", "")
    if wish:
        return [name for name in NOTEBOOKS if wish == "all" or name[:2] in re.split("[ ,]+", wish)]
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    turn = head.stdout.strip() if head.returncode == 0 else "no git here"
    return sorted(NOTEBOOKS, key=lambda name: hashlib.sha256(f"{turn} {name}".encode()).digest())[
        :2
    ]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Before the kernel of a notebook starts: where it works, and which trained systems it finds.

    A process runs no other test after a notebook, so that none is run in that place.
    """
    if type(item).__name__ != "IPyNbCell" or "TEMA_CHAIN" not in os.environ:
        return
    home = os.environ.get("TEMA_HOME") or ROOT / "build"
    os.environ.setdefault("TEMA_CACHE", os.path.join(home, "pretrained"))
    os.environ["TEMA_HOME"] = os.environ["TEMA_CHAIN"]
    shared = pathlib.Path(os.environ["TEMA_CHAIN"])
    alone = item.path.name in item.config.stash[ALONE]
    folder = shared / "alone" / item.path.stem if alone else shared / "artifacts" / "synthetic"
    os.environ["TEMA_ARTIFACTS"] = str(folder)


def pytest_unconfigure(config):
    if OUR_ARTIFACTS in config.stash:
        shutil.rmtree(config.stash[OUR_ARTIFACTS], ignore_errors=True)
        os.environ.pop("TEMA_ARTIFACTS", None)


# A cell tagged `nbval-approx` may differ in its decimal numbers, by this share and by half a unit
# of the last digit shown. There is no fixed absolute tolerance, since it would swallow small
# metrics: an NDCG of 0.0040 must not pass for 0.0020. Whole numbers, words and the order of
# everything have to be the same. See tests/test_notebooks.py for what must fail.
SHARE = 0.15
DECIMAL = re.compile(r"(?<![\w.])[-+]?(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?")


def half_unit(number):
    """Half a unit of the last digit shown: 0.005 for "0.43", 5e-6 for "1.20e-03"."""
    digits, _, exponent = number.lower().partition("e")
    return 0.5 * 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))


def close(committed, fresh):
    tolerance = SHARE * abs(float(committed)) + half_unit(committed)
    return abs(float(committed) - float(fresh)) <= tolerance


def map_to_nearest(committed, fresh):
    """`committed` if `fresh` says the same within tolerance.

    Else `fresh`, with its close numbers replaced by the committed ones.
    """
    if not (isinstance(committed, str) and isinstance(fresh, str)):
        return fresh

    def shape(text):
        return re.sub(r"\s+", " ", DECIMAL.sub("#", text))

    if shape(committed) != shape(fresh):
        return fresh
    pairs = list(zip(DECIMAL.findall(committed), DECIMAL.findall(fresh)))
    if all(close(c, f) for c, f in pairs):
        return committed
    kept = iter([c if close(c, f) else f for c, f in pairs])
    return DECIMAL.sub(lambda match: next(kept), fresh)


def compare_approximately(compare, fresh, committed, skip_compare=None):
    """nbval's own comparison, after close numbers were replaced by the committed ones."""
    for old, new in zip(committed, fresh):
        if old.output_type == new.output_type == "stream":
            new["text"] = map_to_nearest(old["text"], new["text"])
        for mime in set(old.get("data", {})) & set(new.get("data", {})):
            new["data"][mime] = map_to_nearest(old["data"][mime], new["data"][mime])
    return compare(fresh, committed, skip_compare)


def pytest_collection_modifyitems(items):
    for item in items:
        if type(item).__name__ == "IPyNbCell" and "nbval-approx" in item.cell.metadata.get(
            "tags", []
        ):
            item.compare_outputs = functools.partial(compare_approximately, item.compare_outputs)
