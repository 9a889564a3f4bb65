"""What several folders of tests share, made once in each process; the order of the files."""

import json
import os
from pathlib import Path

import pytest

from tema_lib.workspace import ROOT


def pytest_collection_modifyitems(items):
    """The files that took longest come first: with two processes, none of them ends alone.

    Stored outputs of notebooks come last: they use what the notebook chain has trained.
    """
    record = ROOT / "results" / "bench_tests.json"
    seconds = json.loads(record.read_text())["files"] if record.is_file() else {}

    def start(item):
        file = item.nodeid.partition("::")[0]
        return file.endswith(".ipynb"), -seconds.get(file, 0), file

    items.sort(key=start)  # tests of one file stay in their order


@pytest.fixture(scope="session")
def shipped_replies(tmp_path_factory):
    """A store of every shipped reply about the synthetic items: the model is asked nothing anew.

    `TEMA_REPLIES` names it to whatever shall use it.
    """
    from tema_lib.datasets.load import SYNTHETIC
    from tema_lib.llm.store import ReplyStore

    path = tmp_path_factory.mktemp("replies") / "replies.sqlite"
    with ReplyStore(path) as store:
        assert store.import_jsonl(SYNTHETIC / "replies.jsonl") > 500
    return path


@pytest.fixture(scope="session")
def trained_systems(tmp_path_factory):
    """A folder where a fully trained system of the synthetic data is trained once, for all tests.

    In `make test` the notebook chain keeps its systems there too. For `TEMA_ARTIFACTS`.
    """
    chain = os.environ.get("TEMA_CHAIN")
    return Path(chain) / "artifacts/synthetic" if chain else tmp_path_factory.mktemp("systems")
