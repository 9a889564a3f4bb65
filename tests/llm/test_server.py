"""A language model behind a URL.

First a real `transformers serve`, then a small server that fails in the ways a real one may.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time
import traceback
import urllib.request
from _thread import interrupt_main

import pytest

from tema_lib.encoders.weights import resolve
from tema_lib.llm.client import ask
from tema_lib.llm.server import ServerModel
from tema_lib.llm.store import Reply, ReplyStore
from tema_lib.tags.large import LargeTagConfig, assign_batches
from tema_lib.tags.prompts import parse_tags, write_prompt
from tests.helpers.chat_server import ANSWER, message, replies_of
from tests.helpers.tagging import few_items


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """(process, URL, model) of `transformers serve` on a free port, offline.

    pytest shows its output when a test fails.
    """
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    output = tmp_path_factory.mktemp("server") / "output.txt"
    folder = str(resolve("smollm2-135m-instruct"))
    url = f"http://127.0.0.1:{port}"
    command = [
        sys.executable,
        "-c",
        "from transformers.cli.transformers import main; main()",
        "serve",
        folder,
        "--host",
        "127.0.0.1",
        "--port",
        port,
        "--device",
        "cpu",
        "--dtype",
        "float32",
    ]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1"}
    with (
        open(output, "w") as file,
        subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=offline) as process,
    ):
        try:
            for _ in range(240):  # two minutes at most
                assert process.poll() is None, "transformers serve ended"
                try:
                    urllib.request.urlopen(url + "/health", timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.5)
            yield process, url, folder
        finally:
            process.kill()
            print(output.read_text())


def test_a_real_server_says_the_same_twice_and_what_it_said_is_kept(real, tmp_path):
    process, url, folder = real
    prompts = [
        write_prompt(title, "", "food", "mixed")
        for title in ("Sushi Rice 5 kg", "Loose Leaf Green Tea", "Hickory Barbecue Sauce")
    ]
    llm = ServerModel(url, folder, request={"max_tokens": 12}, retries=0)
    assert (llm.name, llm.fingerprint) == (
        "smollm2-135m-instruct",
        f"unknown weights: smollm2-135m-instruct at {url}/v1",
    )
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        replies = ask(prompts, llm, store)
        assert all("," in reply for reply in replies)
        assert len(set(replies)) == len(store) == 3
        assert replies_of(llm, prompts) == replies
        # A small model cannot answer in JSON: its batch is halved, and no item is lost in silence.
        items = few_items()
        asked = len(store)
        config = LargeTagConfig(("food", "kitchen"), batch=2)
        given, failed = assign_batches(items, [1, 7], ["coffee", "tea"], llm, store, config)
        assert sorted([*given, *failed]) == [1, 7]
        assert failed
        assert len(store) == asked + bool(given)  # what cannot be used is not kept
        process.kill()
        process.wait()
        assert ask(prompts, llm, store) == replies
        with pytest.raises(
            ConnectionError, match=f"No reply from .* at {url}/v1 .no connection.*run again"
        ):
            ask(["something new"], llm, store)


def test_a_choice_is_read_from_the_first_word(server):
    server.rule = lambda number, prompt: (
        200,
        {"a": "Anything goes", "b": "one.", "c": "well"}[prompt],
    )
    found = {
        position: reply
        for positions, replies in ServerModel(server.url, "toy").choose_batches(
            "abc", " anything", " one"
        )
        for position, reply in zip(positions, replies)
    }
    assert found == {0: "1.0", 1: "-1.0", 2: "0.0"}


def at_work():
    return "server model" in {thread.name for thread in threading.enumerate()}


def test_the_request_is_what_the_settings_say(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "not for this one")
    llm = ServerModel(server.url, "toy", request={"seed": None, "stop": ["\n\n"]})
    replies_of(llm, ["a\n\nmug"])
    [body] = server.asked
    [key] = server.keys
    assert body.pop("messages") == [{"role": "user", "content": "a\n\nmug"}]
    assert body.pop("model") == "toy"
    assert key == "Bearer none"
    assert body == {"temperature": 0, "max_tokens": 48, "stop": ["\n\n"]}
    assert json.loads(llm.settings) == {
        "endpoint": "chat/completions",
        "messages": "examples as turns",
        **body,
    }


def test_refusals_and_a_hanging_server_are_tried_again(server):
    server.rule = lambda number, prompt: (
        {1: 429, 2: 503}.get(number, 200),
        "late" if number == 3 and not server.over.wait(10) else "steel, mug ",
    )
    assert replies_of(ServerModel(server.url, "toy", timeout=1, retries=3), ["mug"]) == [
        "steel, mug"
    ]
    assert len(server.asked) == 4
    server.rule = lambda number, prompt: server.over.wait(10) or (200, "late")
    with pytest.raises(ConnectionError, match="no answer within 0.2 s"):
        replies_of(ServerModel(server.url, "toy", timeout=0.2, retries=0), ["mug"])


def test_a_server_that_gives_up_costs_only_what_it_did_not_answer_and_nobody_sees_the_key(
    server, tmp_path, monkeypatch
):
    monkeypatch.setenv("OPENAI_API_KEY", "for OpenAI's own address only")
    monkeypatch.setenv("TEMA_API_KEY", "sk-secret")
    healthy = server.rule
    llm = ServerModel(server.url, "toy", concurrency=1, retries=2)
    server.rule = lambda number, prompt: (
        (500, {"error": f"Bearer sk-secret broke on {prompt}"})
        if prompt == "c"
        else (200, prompt.upper())
    )
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        with pytest.raises(ConnectionError) as caught:
            ask("abcde", llm, store)
        said = "".join(traceback.format_exception(caught.value))
        assert len(store) == 2
        assert server.prompts() == list("abccc")
        assert all(
            word in said
            for word in (server.url, "toy", "500", "Bearer *** broke on c", "run again")
        )
        server.rule = healthy
        assert ask("abcde", llm, store) == list("ABCDE")
        assert server.prompts() == list("abccccde")
    assert set(server.keys) == {"Bearer sk-secret"}
    assert "sk-secret" not in said + repr(llm) + repr(vars(llm)) + llm.settings + llm.fingerprint
    monkeypatch.delenv("TEMA_API_KEY")
    server.rule = lambda number, prompt: (401, {"error": "who are you?"})
    with pytest.raises(
        ConnectionError, match="who are you.*valid key into the environment variable TEMA_API_KEY"
    ):
        replies_of(llm, ["f"])
    assert server.keys[-1] == "Bearer none"
    assert server.prompts()[-2:] == ["e", "f"]


def test_what_came_before_the_failure_is_given_before_the_error(server):
    taken = threading.Event()
    given = []
    server.rule = lambda number, prompt: (
        (200, prompt) if prompt == "a" or (prompt == "b" and taken.wait(20)) else (400, {})
    )

    def take_all():
        for _, texts in ServerModel(server.url, "toy", concurrency=1).generate_batches("abc"):
            given.extend(texts)
            taken.set()
            while at_work():  # now "b" and the error wait together
                time.sleep(0.01)

    with pytest.raises(ConnectionError):
        take_all()
    assert given == ["a", "b"]


def test_as_many_requests_at_a_time_as_asked_for(server):
    together = threading.Barrier(3)
    here = set()
    most = []

    def rule(number, prompt):
        here.add(prompt)
        most.append(len(here))
        together.wait(20)  # breaks unless three are here at once
        time.sleep(0.1)  # room for a fourth
        here.remove(prompt)
        return 200, prompt.upper()

    server.rule = rule
    assert replies_of(
        ServerModel(server.url, "toy", concurrency=3, retries=0), "abcdefghijkl"
    ) == list("ABCDEFGHIJKL")
    assert max(most) == 3


@pytest.mark.parametrize("stopped_by", [KeyboardInterrupt, OSError])
def test_ctrl_c_and_an_error_of_the_caller_cancel_what_is_under_way(server, stopped_by):
    under_way = threading.Event()

    def rule(number, prompt):  # the first is answered, three hang
        if number == 4:
            under_way.set()
            if stopped_by is KeyboardInterrupt:
                interrupt_main()
        return (200, "first") if number == 1 else server.over.wait()

    def take_one():
        llm = ServerModel(server.url, "toy", concurrency=3, timeout=1, retries=1)
        for _ in llm.generate_batches(["mug"] * 10):
            if stopped_by is OSError:
                assert under_way.wait(20)
                raise OSError("the disk is full")

    server.rule = rule
    with pytest.raises(stopped_by):
        take_one()
    assert len(server.asked) == 4
    assert not at_work()


@pytest.mark.parametrize(
    "url",
    [
        "http://me:hunter2@host/v1",
        "http://host/v1?key=hunter2",
        "http://me:1/ter2@host",
        "http://me:1#ter2@host",
        "http://host:ter2",
    ],
)
def test_an_address_with_a_password_is_refused_and_not_repeated(url):
    with pytest.raises(
        ValueError, match="must look like http://127.0.0.1:8000/v1, without user, password"
    ) as caught:
        ServerModel(url, "toy")
    assert "ter2" not in str(caught.value)


def test_the_only_model_of_a_server_is_taken_and_several_are_listed(server):
    found = ServerModel(server.url.removesuffix("v1"))
    assert (found.model, found.url) == ("toy", server.url)
    assert ServerModel("https://host/api/", "toy").url == "https://host/api"
    server.models = ["b", "a"]
    with pytest.raises(
        ValueError, match=f"{server.url} lists a, b: name one behind the address: {server.url}#a"
    ):
        ServerModel(server.url)
    server.models = None
    with pytest.raises(ConnectionError, match="not a list of models"):
        ServerModel(server.url)


def test_at_least_one_request_at_a_time():
    with pytest.raises(ValueError, match="concurrency is 0; give at least 1"):
        ServerModel("http://127.0.0.1:9/v1", "toy", concurrency=0)


def test_an_answer_of_another_kind_is_an_error(server):
    server.rule = lambda number, prompt: (200, {"error": "no such thing"})
    with pytest.raises(ConnectionError, match="not a chat completion.*no such thing"):
        replies_of(ServerModel(server.url, "toy"), ["mug"])


def test_a_broken_key_is_refused_and_not_repeated(server, monkeypatch):
    llm = ServerModel(server.url, "toy")
    monkeypatch.setenv("TEMA_API_KEY", "hun\nter2")
    with pytest.raises(
        ValueError, match="TEMA_API_KEY or OPENAI_API_KEY holds characters"
    ) as caught:
        replies_of(llm, ["mug"])
    assert "ter2" not in "".join(traceback.format_exception(caught.value))


def test_an_answer_that_is_all_reasoning_says_which_limit_to_raise(server):
    thought = {"content": "", "reasoning": "Hm, a mug"}
    server.rule = lambda number, prompt: (200, {"choices": [{"message": thought}]})
    with pytest.raises(ValueError, match="spent all its max_tokens on thinking"):
        replies_of(ServerModel(server.url, "toy"), ["mug"])


def test_content_in_parts_is_text_and_a_reply_cut_at_its_limit_says_so(server):
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "a, b, c"}]},
        {"type": "text", "text": "clay pot, slow "},
        {"type": "text", "text": "stew, winter evening"},
    ]
    server.rule = lambda number, prompt: {
        "parts": (200, message(parts)),
        "cut": (200, message(ANSWER + ", bask", "length")),
        "filtered": (200, message(ANSWER + ", gu", "content_filter")),
    }[prompt]
    parts_said, cut, filtered = replies_of(
        ServerModel(server.url, "toy"), ["parts", "cut", "filtered"]
    )
    assert parts_said == ANSWER
    assert cut == ANSWER + ", bask…"
    assert parse_tags(cut) == parse_tags(filtered) == parse_tags(ANSWER)


def test_a_choice_behind_reasoning_or_cut_is_read(server):
    server.rule = lambda number, prompt: (
        200,
        {
            "a": message("<think>one? no</think>\n**Anything**", "stop"),
            "b": message("One product only, such as", "length"),
            "c": message(" anything", "length"),
        }[prompt],
    )
    found = {
        position: reply
        for positions, replies in ServerModel(server.url, "toy").choose_batches(
            "abc", " anything", " one"
        )
        for position, reply in zip(positions, replies)
    }
    assert found == {0: "1.0", 1: "-1.0", 2: "1.0"}


def test_what_cannot_be_read_is_asked_anew_once_the_server_is_set_right(server, tmp_path):
    """Even if an older store kept it."""
    llm = ServerModel(server.url, "toy")
    prompts = [write_prompt(title, "", "food", "mixed") for title in ("Rice", "Salt")]
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        store.put([Reply(llm.name, llm.fingerprint, prompts[0], llm.settings, "<think>hm, hm, hm")])
        server.rule = lambda number, prompt: (200, "I am not sure.")
        assert ask(prompts, llm, store, usable=parse_tags) == ["I am not sure."] * 2
        assert len(server.asked) == 2
        server.rule = lambda number, prompt: (200, ANSWER)
        assert ask(prompts, llm, store, usable=parse_tags) == [ANSWER] * 2
        assert len(server.asked) == 4
        assert ask(prompts, llm, store, usable=parse_tags) == [ANSWER] * 2
        assert len(server.asked) == 4

        def ask_choice():
            return ask(["Tag: tea\nFits:"], llm, store, choices=(" anything", " one"), usable=float)

        server.rule = lambda number, prompt: (200, "well")
        assert ask_choice() == ["0.0"]
        server.rule = lambda number, prompt: (200, "one")
        assert ask_choice() == ["-1.0"] == ask_choice()
        assert len(server.asked) == 6
