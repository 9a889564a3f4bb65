"""`tema tags`: a folder in, a compact export out, with the real model.

Stopped, it goes on; what is wrong is said in one sentence.
"""

import json
import re
import signal
import subprocess
import sys
import time

import pytest
import torch

from tema_lib import cli, pipeline
from tema_lib.data.dataset import encode_ids
from tema_lib.datasets.load import read_data
from tema_lib.encoders.text import encode_text
from tema_lib.experiment import Experiment
from tema_lib.llm.store import ReplyStore
from tema_lib.tags.export import read_export
from tests.helpers.chat_server import FILTERED, chat_server, message
from tests.helpers.commands import tema

COFFEES = ("Coffee", "Decaf Coffee", "House Coffee", "Iced Coffee", "French Coffee", "Kenya Coffee")
MUGS = ("Coffee Mug", "White", "Blue", "with Saucers", "Glass", "Travel")
TITLES = [
    *(("A", f"Dark Roast Espresso Beans, 2 lb {kind}") for kind in COFFEES),
    *(("B", f"Espresso Cups, Set of 6 {kind}") for kind in MUGS),
    ("A", "Stone Ground Bread Flour"),
    ("A", "Sushi Rice 5 kg"),
    ("A", "Hickory Barbecue Sauce"),
    ("A", "Loose Leaf Green Tea"),
    ("B", "Proofing Basket 9 Inch"),
    ("B", "Bamboo Sushi Mat"),
    ("B", "Long Grill Tongs"),
    ("B", "Cast Iron Teapot"),
]


@pytest.fixture
def folder(tmp_path):
    """Coffees and cups, and eight other things: twenty titles, four users."""
    folder = tmp_path / "coffee_and_cups"
    folder.mkdir()
    (folder / "items.tsv").write_text(
        "item_id\tdomain\ttitle\n"
        + "".join(f"i{n}\t{domain}\t{title}\n" for n, (domain, title) in enumerate(TITLES))
    )
    (folder / "interactions.tsv").write_text(
        "user_id\titem_id\tdomain\ttimestamp\n"
        + "".join(
            f"u{user}\ti{item}\t{TITLES[item][0]}\t{n}\n"
            for user in range(4)
            for n in range(12)
            for item in [(user + n) % len(TITLES)]
        )
    )
    return folder


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("TEMA_API_KEY", "")
    with chat_server() as server:
        yield server


def places(folder, tmp_path):
    """Options that keep everything a run writes in a test's own folder."""
    options = ("--data", folder, "--out", tmp_path / "out", "--store", tmp_path / "replies.sqlite")
    return list(map(str, options))


def start(folder, tmp_path):
    """The command in a process of its own, which can be stopped."""

    def heard():  # a job in the background of a shell ignores Ctrl-C, and so would its child
        return signal.signal(signal.SIGINT, signal.SIG_DFL)

    return subprocess.Popen(
        [sys.executable, "-m", "tema_lib", "tags", *places(folder, tmp_path)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heard,
    )


def encode(texts):
    return encode_text(texts, progress=False).matrix


def assert_tags_within_rounding(run, tags):
    """An export keeps three digits of a weight."""
    for item in range(len(TITLES) + 1):
        assert run.tags.tags_of(item) == [
            (tag, pytest.approx(weight, abs=2e-3), source)
            for tag, weight, source in tags.tags_of(item)
        ]


def test_a_folder_is_tagged_once_and_a_stopped_run_goes_on(folder, tmp_path, monkeypatch):
    run = start(folder, tmp_path)
    while run.poll() is None and not (tmp_path / "replies.sqlite").exists():
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    _, error = run.communicate(timeout=60)
    assert run.returncode != 0
    assert "Stopped. The replies so far are kept" in error
    assert "Traceback" not in error
    assert not list((tmp_path / "out").glob("*"))
    done = tema("tags", *places(folder, tmp_path))
    export = tmp_path / "out" / "coffee_and_cups.smollm2-135m-instruct.tsv.gz"
    assert str(export) in done.stdout, done.stderr
    card = json.loads(export.with_name("coffee_and_cups.smollm2-135m-instruct.json").read_text())
    assert card["items"] == 20
    assert card["decoding"]["dtype"] == "float32"
    assert card["data"] == "coffee_and_cups"
    before = export.read_bytes()
    again = tema("tags", *places(folder, tmp_path), "--replies", tmp_path / "replies.jsonl")
    assert "; 0 questions asked" in again.stdout, again.stderr
    replies = [json.loads(line) for line in (tmp_path / "replies.jsonl").read_text().splitlines()]
    assert len(replies) > 20
    assert {reply["fingerprint"] for reply in replies} == {card["weights_sha256"]}
    assert export.read_bytes() == before
    tags = read_export(export, encode_ids(read_data(folder)), encode)
    assert len(tags.vocabulary) > 1
    assert (tags.tag_ids > 0).any()
    counts = torch.bincount(tags.tag_ids.flatten(), minlength=len(tags.vocabulary))
    assert counts[1:].max() <= 3

    # A run finds the replies of this command, since there is one store ...
    monkeypatch.setenv("TEMA_REPLIES", str(tmp_path / "replies.sqlite"))
    assert_tags_within_rounding(Experiment(str(folder)), tags)
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        assert len(store) == len(replies)
    # ... or its export.
    monkeypatch.setattr(pipeline, "EXPORTS", tmp_path / "out")
    read = Experiment(str(folder), replies="export")
    for item in range(len(TITLES) + 1):
        assert read.tags.tags_of(item) == tags.tags_of(item)


def test_raw_replies_are_shipped_from_a_store_of_their_own_only(folder, tmp_path, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["tags", "--data", str(folder), "--replies", str(tmp_path / "replies.jsonl")])
    assert left.value.code == 2
    assert "must not be passed on" in capsys.readouterr().err
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
    folder, tmp_path, arguments, sentence, monkeypatch
):
    monkeypatch.setattr("openai._base_client.MAX_RETRY_DELAY", 0.05)  # all retries, at once
    done = tema("tags", *places(folder, tmp_path), *arguments)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "secret" not in done.stdout + done.stderr
    assert not list((tmp_path / "out").glob("*"))


# --- behind a server ---


def by_title(prompt):
    """What a good model might say: tags of the title's words, or " one" where none is shown."""
    title = re.search(r"Title: (.*)", prompt.rpartition("\n\n")[2])
    if not title:
        return 200, " one"
    one, other, *_ = title[1].lower().split() * 2
    return 200, f"{one} lover, {one} gift, daily {one}, {other} home, {other} box"


def tag(folder, tmp_path, *more):
    """(exit code, everything said) of the command, without its progress bars."""
    done = tema("tags", *places(folder, tmp_path), *more)
    lines = re.split(r"[\r\n]+", done.stdout + done.stderr)
    return done.returncode, "\n".join(
        line for line in lines if not re.search("(item|text)/s", line)
    )


def test_refused_items_are_listed_all_others_tagged_and_again_asks_once_more(
    folder, tmp_path, server
):
    server.rule = lambda number, prompt: (
        FILTERED if "Mug" in prompt and "Title:" in prompt else by_title(prompt)
    )
    for turn in (1, 2):
        code, said = tag(folder, tmp_path, "--llm", server.url)
        assert code == 0, said
        assert "1 items have no tags of their own, since the server refused them (--again" in said
        assert re.search(r"\n  i6  'Espresso Cups, Set of 6 Coffee Mug': .*filtered", said)
        assert "\x1b" not in said
        assert turn == 1 or "; 0 questions asked" in said
    asked = len(server.asked)
    server.rule = lambda number, prompt: by_title(prompt)
    code, said = tag(folder, tmp_path, "--llm", server.url, "--again")
    assert code == 0
    assert "since the server refused" not in said
    assert any("Mug" in body["messages"][-1]["content"] for body in server.asked[asked:])
    (export,) = (tmp_path / "out").glob("*.tsv.gz")
    items = encode_ids(read_data(folder))
    assert (read_export(export, items, lambda texts: torch.eye(len(texts))).tag_ids > 0).any()


@pytest.mark.parametrize(
    ("nothing", "sentence"),
    [
        (
            (200, "I am a teapot."),
            "In none of the 40 replies of toy a list of tags could be read "
            '(the first: "I am a teapot."), so no export is written',
        ),
        (
            (200, ""),
            "In none of the 40 replies of toy a list of tags could be read (all are empty), "
            "so no export is written",
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
    assert code == 0, said
    assert len(list((tmp_path / "out").glob("*.tsv.gz"))) == 1


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
    table = (folder / "items.tsv").read_text()
    (folder / "items.tsv").write_text(re.sub(r"^(i\d+\t[AB]\t).*$", r"\1", table, flags=re.M))
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
    prompts = [body["messages"] for body in server.asked]
    first = {
        texts[0]["content"].split(":")[0]
        for texts in prompts
        if "Fits:" not in texts[-1]["content"]
    }
    assert len(first) == 4  # two domains, two wordings
    for text in first:
        assert any(f"a {name} shop" in text for name in ("movies", "books"))
        assert "food" not in text
        assert "kitchen" not in text
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
    body = server.asked[0]
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


# --- a large model ---


def in_json(prompt):
    """What a large model might say: words of the titles as the list, and those of each item."""
    titles = re.findall(r"^(\d+)\. \(\w+ ?\w*\) (.*)$", prompt, re.MULTILINE)
    words = {number: re.findall(r"[a-z]{4,}", title.lower()) for number, title in titles}
    if "You tag the items" not in prompt:
        return 200, json.dumps(["coffee", "espresso", "cups", "dark", "beans", "glass"])
    return 200, json.dumps({n: dict.fromkeys(own[:5], 5) for n, own in words.items()})


def test_a_large_model_behind_a_server_writes_an_export_and_is_asked_nothing_twice(
    folder, tmp_path, server
):
    server.rule = lambda number, prompt: in_json(prompt)
    code, said = tag(folder, tmp_path, "--large", "--llm", server.url)
    assert code == 0, said
    assert "tags on the list, round by round: 6, 6, 6" in said
    assert {body["max_tokens"] for body in server.asked} == {8000}
    asked = len(server.asked)
    assert asked <= 6  # one for the draft, two a round, one for all twenty items
    (export,) = (tmp_path / "out").glob("*.tsv.gz")
    tags = read_export(export, encode_ids(read_data(folder)), lambda texts: torch.eye(len(texts)))
    assert {tag for tag, *_ in tags.tags_of(1)} == {"dark", "espresso", "beans", "coffee"}
    card = json.loads(export.with_name(export.name.replace(".tsv.gz", ".json")).read_text())
    assert card["config"]["batch"] == 60
    assert card["decoding"]["max_tokens"] == 8000
    assert re.fullmatch("[0-9a-f]{16}", card["prompt_version"])
    code, said = tag(folder, tmp_path, "--large", "--llm", server.url)
    assert "; 0 questions asked" in said
    assert len(server.asked) == asked


def test_items_that_a_large_model_fails_at_are_listed(folder, tmp_path, server):
    server.rule = lambda number, prompt: (
        (200, "{}") if "You tag" in prompt and "Sushi Mat" in prompt else in_json(prompt)
    )
    code, said = tag(folder, tmp_path, "--large", "--llm", server.url)
    assert code == 0, said
    assert re.search(r"1 items got no answer .*\n  i17  'Bamboo Sushi Mat': an answer in", said)
    server.rule = lambda number, prompt: in_json(prompt) if "You tag" not in prompt else (200, "{}")
    code, said = tag(folder, tmp_path / "other", "--large", "--llm", server.url)
    assert code == 1
    assert "toy gave no answer about any item that could be used: no export is written" in said
    code, said = tag(folder, tmp_path, "--large")
    assert code == 1
    assert "--large asks a large model behind a server: name its URL with --llm" in said
