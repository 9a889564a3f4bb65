"""`make tags`: a folder in, a compact export out, with the real model; stopped, it goes on; what is wrong is said in one sentence."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from test_tags import FOOD, KITCHEN

from tema_lib.data.interactions import encode_ids, read_data
from tema_lib.features.text import encode_text
from tema_lib.tags.exports import read_export

ROOT = Path(__file__).resolve().parents[1]


def start(folder, tmp_path, *more):
    command = [sys.executable, ROOT / "tools" / "tags.py", "--data", folder, "--out", tmp_path / "out", "--store", tmp_path / "replies.sqlite", *more]
    heard = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)      # a job in the background of a shell ignores Ctrl-C, and so would its child
    return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heard)


@pytest.fixture
def folder(tmp_path):
    """A shop of coffees and one of cups, twenty-four titles."""
    folder = tmp_path / "coffee_and_cups"
    folder.mkdir()
    titles = [("A", f"{title} {kind}") for title, _ in FOOD[:1] for kind in ("Coffee", "Decaf Coffee", "House Coffee", "Iced Coffee", "French Coffee", "Kenya Coffee")]
    titles += [("B", f"{title} {kind}") for title, _ in KITCHEN[:1] for kind in ("Coffee Mug", "White", "Blue", "with Saucers", "Glass", "Travel")]
    titles += [(domain, title) for domain, products in (("A", FOOD[1:5]), ("B", KITCHEN[1:5])) for title, _ in products]
    (folder / "items.tsv").write_text("item_id\tdomain\ttitle\n" + "".join(f"i{n}\t{domain}\t{title}\n" for n, (domain, title) in enumerate(titles)))
    (folder / "interactions.tsv").write_text("user_id\titem_id\tdomain\ttimestamp\n" + "".join(
        f"u{user}\ti{(user + n) % len(titles)}\t{titles[(user + n) % len(titles)][0]}\t{n}\n" for user in range(4) for n in range(12)))
    return folder


def test_a_folder_is_tagged_once_and_a_stopped_run_goes_on(folder, tmp_path):
    run = start(folder, tmp_path)
    while run.poll() is None and not (tmp_path / "replies.sqlite").exists():
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    out, error = run.communicate(timeout=60)
    assert run.returncode != 0 and "Stopped. The replies so far are kept" in error and "Traceback" not in error and not list((tmp_path / "out").glob("*"))
    out, error = start(folder, tmp_path).communicate(timeout=180)
    export = tmp_path / "out" / "coffee_and_cups.smollm2-135m-instruct.tsv.gz"
    assert str(export) in out, error
    card = json.loads(export.with_name("coffee_and_cups.smollm2-135m-instruct.json").read_text())
    assert card["items"] == 20 and card["decoding"]["dtype"] == "float32" and card["data"] == "coffee_and_cups"
    before = export.read_bytes()
    out, error = start(folder, tmp_path, "--replies", tmp_path / "replies.jsonl").communicate(timeout=180)
    assert "; 0 questions asked" in out, error
    replies = [json.loads(line) for line in (tmp_path / "replies.jsonl").read_text().splitlines()]
    assert len(replies) > 20 and {reply["fingerprint"] for reply in replies} == {card["weights_sha256"]}
    assert export.read_bytes() == before
    items = encode_ids(read_data(folder))
    tags = read_export(export, items, lambda texts: encode_text(texts, progress=False).matrix)
    assert len(tags.vocabulary) > 1 and (tags.tag_ids > 0).any() and (tags.tag_ids[1:, :, None] == torch.arange(1, len(tags.vocabulary))).sum((0, 1)).max() <= 3


def test_raw_replies_are_shipped_from_a_store_of_their_own_only(folder, tmp_path):
    command = [sys.executable, ROOT / "tools" / "tags.py", "--data", folder, "--replies", tmp_path / "replies.jsonl"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "must not be passed on" in done.stderr and not (tmp_path / "replies.jsonl").exists()


@pytest.mark.parametrize("arguments, sentence", [
    (("--llm", "no/such/folder/at/all"), "no/such/folder/at/all"), (("--llm", "http://127.0.0.1:9/v1#toy"), "No reply from toy at http://127.0.0.1:9/v1"),
    (("--llm", "https://user:secret@host/v1"), "without user, password or query"),
])
def test_a_model_that_cannot_be_had_is_named_without_a_traceback(folder, tmp_path, arguments, sentence):
    out, error = start(folder, tmp_path, *arguments).communicate(timeout=180)
    assert sentence in error and "Traceback" not in error and "secret" not in error and not list((tmp_path / "out").glob("*"))
