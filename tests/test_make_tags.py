"""`make tags`: a folder in, a compact export out, with the real model; stopped, it goes on; what is wrong is said in one sentence."""

import contextlib
import importlib
import io
import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_server import FILTERED, message, server  # noqa: F401  (a fixture)
from test_tags import FOOD, KITCHEN, some_tags

from tema_lib import experiment as pipeline
from tema_lib.data.dataset import encode_ids
from tema_lib.datasets.load import read_data
from tema_lib.encoders.text import encode_text
from tema_lib.experiment import Experiment
from tema_lib.llm.store import ReplyStore
from tema_lib.tags.config import TagConfig
from tema_lib.tags.export import export_tags, read_export

ROOT = Path(__file__).resolve().parents[1]


def start(folder, tmp_path, *more):
    command = [
        sys.executable,
        ROOT / "tools" / "tags.py",
        "--data",
        folder,
        "--out",
        tmp_path / "out",
        "--store",
        tmp_path / "replies.sqlite",
        *more,
    ]

    def heard():
        return signal.signal(
            signal.SIGINT, signal.SIG_DFL
        )  # a job in the background of a shell ignores Ctrl-C, and so would its child

    return subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heard,
    )


@pytest.fixture
def folder(tmp_path):
    """A domain of coffees and one of cups, twenty-four titles."""
    folder = tmp_path / "coffee_and_cups"
    folder.mkdir()
    titles = [
        ("A", f"{title} {kind}")
        for title, _ in FOOD[:1]
        for kind in (
            "Coffee",
            "Decaf Coffee",
            "House Coffee",
            "Iced Coffee",
            "French Coffee",
            "Kenya Coffee",
        )
    ]
    titles += [
        ("B", f"{title} {kind}")
        for title, _ in KITCHEN[:1]
        for kind in ("Coffee Mug", "White", "Blue", "with Saucers", "Glass", "Travel")
    ]
    titles += [
        (domain, title)
        for domain, products in (("A", FOOD[1:5]), ("B", KITCHEN[1:5]))
        for title, _ in products
    ]
    (folder / "items.tsv").write_text(
        "item_id\tdomain\ttitle\n"
        + "".join(f"i{n}\t{domain}\t{title}\n" for n, (domain, title) in enumerate(titles))
    )
    (folder / "interactions.tsv").write_text(
        "user_id\titem_id\tdomain\ttimestamp\n"
        + "".join(
            f"u{user}\ti{(user + n) % len(titles)}\t{titles[(user + n) % len(titles)][0]}\t{n}\n"
            for user in range(4)
            for n in range(12)
        )
    )
    return folder


def test_a_folder_is_tagged_once_and_a_stopped_run_goes_on(folder, tmp_path, monkeypatch):
    run = start(folder, tmp_path)
    while run.poll() is None and not (tmp_path / "replies.sqlite").exists():
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    out, error = run.communicate(timeout=60)
    assert run.returncode != 0
    assert "Stopped. The replies so far are kept" in error
    assert "Traceback" not in error
    assert not list((tmp_path / "out").glob("*"))
    out, error = start(folder, tmp_path).communicate(timeout=180)
    export = tmp_path / "out" / "coffee_and_cups.smollm2-135m-instruct.tsv.gz"
    assert str(export) in out, error
    card = json.loads(export.with_name("coffee_and_cups.smollm2-135m-instruct.json").read_text())
    assert card["items"] == 20
    assert card["decoding"]["dtype"] == "float32"
    assert card["data"] == "coffee_and_cups"
    before = export.read_bytes()
    out, error = start(folder, tmp_path, "--replies", tmp_path / "replies.jsonl").communicate(
        timeout=180
    )
    assert "; 0 questions asked" in out, error
    replies = [json.loads(line) for line in (tmp_path / "replies.jsonl").read_text().splitlines()]
    assert len(replies) > 20
    assert {reply["fingerprint"] for reply in replies} == {card["weights_sha256"]}
    assert export.read_bytes() == before
    items = encode_ids(read_data(folder))
    tags = read_export(export, items, lambda texts: encode_text(texts, progress=False).matrix)
    monkeypatch.setenv("TEMA_REPLIES", str(tmp_path / "replies.sqlite"))
    live, asked = (
        Experiment(str(folder)),
        len(replies),
    )  # a run finds the replies of `make tags`: one store
    assert [live.tags.tags_of(item) for item in range(21)] == [
        [
            (tag, pytest.approx(weight, abs=2e-3), source)
            for tag, weight, source in tags.tags_of(item)
        ]
        for item in range(21)
    ]
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        assert len(store) == asked
    monkeypatch.setattr(pipeline, "EXPORTS", tmp_path / "out")
    read = Experiment(str(folder), tags="export")  # ... or its export
    assert [read.tags.tags_of(item) for item in range(21)] == [
        tags.tags_of(item) for item in range(21)
    ]
    assert len(tags.vocabulary) > 1
    assert (tags.tag_ids > 0).any()
    assert (tags.tag_ids[1:, :, None] == torch.arange(1, len(tags.vocabulary))).sum(
        (0, 1)
    ).max() <= 3


def test_raw_replies_are_shipped_from_a_store_of_their_own_only(folder, tmp_path):
    command = [
        sys.executable,
        ROOT / "tools" / "tags.py",
        "--data",
        folder,
        "--replies",
        tmp_path / "replies.jsonl",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "must not be passed on" in done.stderr
    assert not (tmp_path / "replies.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--llm", "no/such/folder/at/all"), "no/such/folder/at/all"),
        (("--llm", "http://127.0.0.1:9/v1#toy"), "No reply from toy at http://127.0.0.1:9/v1"),
        (("--llm", "https://user:secret@host/v1"), "without user, password or query"),
    ],
)
def test_a_model_that_cannot_be_had_is_named_without_a_traceback(
    folder, tmp_path, arguments, sentence
):
    _out, error = start(folder, tmp_path, *arguments).communicate(timeout=180)
    assert sentence in error
    assert "Traceback" not in error
    assert "secret" not in error
    assert not list((tmp_path / "out").glob("*"))


# ---------------------------------------------------------------------------------------------- behind a server


def by_title(prompt):
    """What a good model might say: " one" to the question how broad a tag is, else tags of the title's words."""
    title = re.search(r"Title: (.*)", prompt.rpartition("\n\n")[2])
    one, other, *_ = title[1].lower().split() * 2 if title else ("x", "y")
    return (
        200,
        f"{one} lover, {one} gift, daily {one}, {other} home, {other} box" if title else " one",
    )


def tag(folder, tmp_path, *more):
    """(exit code, everything said) of the command, run in this process: the models of text need not be loaded anew."""
    command = [
        "tags.py",
        "--data",
        folder,
        "--out",
        tmp_path / "out",
        "--store",
        tmp_path / "replies.sqlite",
        *more,
    ]
    said, code = io.StringIO(), 0
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        patch.syspath_prepend(str(ROOT / "tools"))
        patch.setattr(sys, "argv", list(map(str, command)))
        try:
            importlib.import_module("tags").main()
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 1
            print(left.code)
    assert "Traceback" not in said.getvalue()
    return code, "\n".join(
        line
        for line in re.split(r"[\r\n]+", said.getvalue())
        if "item/s" not in line and "text/s" not in line
    )


def test_refused_items_are_listed_all_others_tagged_and_again_asks_once_more(
    folder, tmp_path, server
):
    server.rule = lambda number, prompt: (
        FILTERED if "Mug" in prompt and "Title:" in prompt else by_title(prompt)
    )
    for turn in (1, 2):
        code, said = tag(folder, tmp_path, "--llm", server.url)
        assert (
            code == 0
            and "1 items have no tags of their own, since the server refused them (--again asks once more)"
            in said
        ), said
        assert re.search(r"\n  i6  'Espresso Cups, Set of 6 Coffee Mug': .*filtered", said)
        assert "\x1b" not in said
        assert turn == 1 or "; 0 questions asked" in said
    asked = len(server.asked)
    server.rule = lambda number, prompt: by_title(prompt)
    code, said = tag(folder, tmp_path, "--llm", server.url, "--again")
    assert code == 0
    assert "since the server refused" not in said
    assert any("Mug" in body["messages"][-1]["content"] for body, _ in server.asked[asked:])
    (export,) = (tmp_path / "out").glob("*.tsv.gz")
    assert (
        read_export(
            export, encode_ids(read_data(folder)), lambda texts: torch.eye(len(texts))
        ).tag_ids
        > 0
    ).any()


@pytest.mark.parametrize(
    ("nothing", "sentence"),
    [
        (
            (200, "I am a teapot."),
            'In none of the 40 replies of toy a list of tags could be read (the first: "I am a teapot."), so no export is written',
        ),
        (
            (200, ""),
            "In none of the 40 replies of toy a list of tags could be read (all are empty), so no export is written",
        ),
        (FILTERED, "No reply from toy"),
        ((200, message("<think>a, b, c, d", "length")), "spent all its max_tokens on thinking"),
        ((400, {"error": "there is no model toy"}), "there is no model toy"),
        ((200, {"choices": []}), "not a chat completion"),
    ],
)
def test_no_usable_reply_at_all_is_a_failure_and_a_server_set_right_is_asked_anew(
    folder, tmp_path, server, nothing, sentence
):
    server.rule = lambda number, prompt: nothing
    code, said = tag(folder, tmp_path, "--llm", server.url)
    assert code == 1
    assert sentence in said
    assert not list((tmp_path / "out").glob("*"))
    server.rule = lambda number, prompt: by_title(prompt)
    code, said = tag(folder, tmp_path, "--llm", server.url)
    assert code == 0 and len(list((tmp_path / "out").glob("*.tsv.gz"))) == 1, said


def test_tags_that_no_two_items_share_and_items_without_text_are_no_export(
    folder, tmp_path, server
):
    server.rule = lambda number, prompt: (200, f"n{number}a, n{number}b, n{number}c")
    code, said = tag(folder, tmp_path, "--llm", server.url)
    assert code == 1
    assert (
        "but none of these tags fits two items or more and not too many, so no export is written"
        in said
    )
    assert not list((tmp_path / "out").glob("*"))
    table = (folder / "items.tsv").read_text().splitlines()
    (folder / "items.tsv").write_text(
        "\n".join([table[0], *("\t".join([*line.split("\t")[:2], ""]) for line in table[1:])])
        + "\n"
    )
    asked = len(server.asked)
    code, said = tag(folder, tmp_path, "--llm", server.url)
    assert code == 1
    assert "has a title or a description: there was nothing to ask" in said
    assert len(server.asked) == asked


@pytest.mark.parametrize("by_option", [True, False])
def test_the_domains_are_called_what_the_data_set_or_the_option_says(
    folder, tmp_path, server, by_option
):
    if not by_option:
        (folder / "dataset.json").write_text('{"domains": ["movies", "books"]}')
    server.rule = lambda number, prompt: by_title(prompt)
    code, said = tag(
        folder, tmp_path, "--llm", server.url, *(["--domains", "movies,books"] if by_option else [])
    )
    assert code == 0
    assert "the domains are called movies and books" in said
    first = {
        body["messages"][0]["content"].split(":")[0]
        for body, _ in server.asked
        if "Fits:" not in body["messages"][-1]["content"]
    }
    assert {re.match(r".* of (an? .* domain)", text)[1] for text in first} == {
        "a movies domain",
        "a books domain",
    }
    assert not any("food" in text or "kitchen" in text for text in first)
    card = json.loads(next((tmp_path / "out").glob("*.json")).read_text())
    assert card["config"]["domain_names"] == ["movies", "books"]


def test_fields_of_the_request_are_options(folder, tmp_path, server):
    server.rule = lambda number, prompt: by_title(prompt)
    code, said = tag(
        folder,
        tmp_path,
        "--llm",
        server.url,
        "--request",
        "max_completion_tokens=64",
        "--request",
        "seed=",
        "--request",
        'thinking={"type": "disabled"}',
        "--request",
        "effort=low",
    )
    assert code == 0, said
    body, _ = server.asked[0]
    assert {
        name: body.get(name)
        for name in ("max_completion_tokens", "max_tokens", "seed", "thinking", "effort")
    } == {
        "max_completion_tokens": 64,
        "max_tokens": None,
        "seed": None,
        "thinking": {"type": "disabled"},
        "effort": "low",
    }
    card = json.loads(next((tmp_path / "out").glob("*.json")).read_text())
    assert card["decoding"]["max_completion_tokens"] == 64
    assert "seed" not in card["decoding"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--llm", "http://127.0.0.1:9/v1#toy", "--request", "seed"), "'seed' is not FIELD=VALUE"),
        (("--request", "seed="), "--request and --again are for a server"),
        (("--again",), "for a server"),
        (("--llm", "http://127.0.0.1:9/v1#toy", "--request", "stream=true"), "stream is not free"),
        (("--domains", "movies"), "give two different short names"),
        (("--domains", "a,a"), "give two different short names"),
        (("--out", "/proc/none/here"), "cannot be read or written"),
    ],
)
def test_an_option_that_cannot_be_is_refused_in_one_sentence(folder, tmp_path, arguments, sentence):
    code, said = tag(folder, tmp_path, *arguments)
    assert code in (1, 2)
    assert sentence in said
    assert "[Errno" not in said


# ---------------------------------------------------------------------------------------------- a run reads an export


def test_a_run_says_whose_tags_it_used_and_enriches_texts_by_an_exports_tags(
    folder, tmp_path, monkeypatch
):
    raw = read_data(folder)
    items, made = encode_ids(raw), some_tags(20)
    made = replace(made, domain_of_item=torch.as_tensor(items.domain_of_item))
    path = export_tags(
        made,
        items,
        tmp_path / "tags",
        data="any name",
        sha256=raw.sha256,
        settings="{}",
        config=TagConfig(tags_per_item=3),
    )
    card = json.loads(path.with_name(path.name.removesuffix(".tsv.gz") + ".json").read_text())
    monkeypatch.setattr(pipeline, "EXPORTS", tmp_path / "tags")
    monkeypatch.setattr(
        pipeline, "LocalModel", lambda *_, **__: pytest.fail("the language model is not needed")
    )
    for tags in ("export", "export:model", "export:mod", str(path)):
        run = Experiment(str(folder), tags=tags)
        assert [run.tags.tags_of(item) for item in range(21)] == [
            [
                (tag, pytest.approx(weight, abs=2e-3), source)
                for tag, weight, source in made.tags_of(item)
            ]
            for item in range(21)
        ]
        assert run.tags_source == {
            "source": "export",
            "model": "model",
            "weights_sha256": "f00d",
            "tables_sha256": raw.sha256,
            "export": path.name,
            "export_sha256": card["file_sha256"],
        }
    assert run.with_seed(1).tags is run.tags
    said = []
    monkeypatch.setattr(
        Experiment, "_encoded", lambda self, kind, model, content, make: said.append(content)
    )
    run.enriched
    assert said[0][1] == f"{items.text(1)} {', '.join(tag for tag, _, _ in run.tags.tags_of(1))}"
    assert said[0][0] == ""
    monkeypatch.undo()
    monkeypatch.setattr(pipeline, "EXPORTS", tmp_path / "tags")
    record = run.record("popularity", "make run")
    assert record["config"]["tags_source"] == run.tags_source
    assert record["config"]["tags"]["tags_per_item"] == 3
    with pytest.raises(ValueError, match='tags "exprot" are unknown'):
        Experiment(str(folder), tags="exprot")
    with pytest.raises(ValueError, match="there are export:model"):
        Experiment(str(folder), tags="export:other").tags
