"""A tagging run that is killed again and again."""

import os
import random
import signal
import time

import torch

from tema_lib.llm.decoding import Decoding
from tema_lib.llm.local import LocalModel
from tema_lib.llm.store import ReplyStore
from tema_lib.tags.catalogue import Catalogue
from tema_lib.tags.config import TagConfig
from tema_lib.tags.write import write_tags
from tests.helpers.tagging import FOOD, KITCHEN, Features, few_items


def test_a_run_killed_twenty_times_ends_with_the_store_of_an_undisturbed_one(tmp_path):
    """The real model tags titles; each run is a process of its own, killed after a random time."""
    titles = [(title, text) for title, text in FOOD + KITCHEN if title]
    items = few_items(tuple(titles), len(FOOD))
    llm = LocalModel(batch=2, decoding=Decoding(max_new_tokens=12))  # short replies do
    assert llm.generator  # loaded once; every child has it from the start
    features = Features(
        torch.nn.functional.normalize(torch.ones(len(titles) + 1, 4)),
        torch.ones(len(titles) + 1, dtype=torch.bool),
    )

    def encode(texts):
        return torch.nn.functional.normalize(
            torch.tensor(
                [[len(text) % 5 + 1.0, len(text) % 3, text.count("e"), 1.0] for text in texts]
            )
        )

    config = TagConfig(min_items=1, max_share=1.0, rounds=2)

    def start(path):
        child = os.fork()
        if not child:  # the child tags and leaves, whatever happens, without pytest's clean-up
            code = 1
            try:
                torch.set_num_threads(1)
                with ReplyStore(path) as store:
                    write_tags(Catalogue(items, features, encode), llm, store, config)
                code = 0
            finally:
                os._exit(code)
        return child

    def finish(child):
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def ended(child):
        return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def count(path):
        with ReplyStore(path) as store:
            return len(store)

    began = time.monotonic()
    assert finish(start(tmp_path / "calm.sqlite")) == 0
    whole = count(tmp_path / "calm.sqlite")
    each = (time.monotonic() - began) / whole  # seconds a reply
    draw = random.Random(0)
    kept = [0]
    path = tmp_path / "killed.sqlite"
    for _ in range(20):
        child = start(path)
        wanted = kept[-1] + draw.randrange(3)
        while (count(path) if path.exists() else 0) < wanted and not ended(child):
            time.sleep(0.01)  # on a busy machine a fixed time may end before the first reply
        time.sleep(draw.uniform(0, 2) * each)
        os.kill(child, signal.SIGKILL)
        finish(child)
        kept.append(count(path) if path.exists() else 0)
    assert kept == sorted(kept)
    assert any(0 < some < whole for some in kept)  # runs were killed half way, and lost nothing
    assert finish(start(path)) == 0
    for name in ("calm", "killed"):
        with ReplyStore(tmp_path / f"{name}.sqlite") as store:
            store.export_jsonl(tmp_path / f"{name}.jsonl")
    assert (tmp_path / "killed.jsonl").read_bytes() == (tmp_path / "calm.jsonl").read_bytes()
