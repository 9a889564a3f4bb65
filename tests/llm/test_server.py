"""A language model behind a URL.

First a real `transformers serve`, then a small server that fails in the ways a real one may.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import urllib.request
from _thread import interrupt_main

import pytest
from helpers.chat_server import FILTERED, chat_server, message

from tema_lib.encoders.weights import resolve
from tema_lib.llm.address import server_key
from tema_lib.llm.client import ask
from tema_lib.llm.messages import as_messages
from tema_lib.llm.server import ServerModel
from tema_lib.llm.store import Reply, ReplyStore, reply_key
from tema_lib.tags.prompts import parse_tags, write_prompt


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
        process.kill()
        process.wait()
        assert ask(prompts, llm, store) == replies
        with pytest.raises(
            ConnectionError, match=f"No reply from .* at {url}/v1 .no connection.*run again"
        ):
            ask(["something new"], llm, store)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("TEMA_API_KEY", "")
    # A job in the background of a shell ignores Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with chat_server() as running:
        yield running
    signal.signal(signal.SIGINT, before)


def test_openais_key_goes_to_openai_only(monkeypatch):
    monkeypatch.delenv("TEMA_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    assert server_key("https://api.openai.com/v1") == "sk-openai"
    for url in (
        "http://api.openai.com/v1",
        "https://api.openai.com.example/v1",
        "http://127.0.0.1:8000/v1",
    ):
        assert server_key(url) == ""
    monkeypatch.setenv("TEMA_API_KEY", "mine")
    assert (
        server_key("https://api.openai.com/v1") == server_key("http://127.0.0.1:8000/v1") == "mine"
    )


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


def replies_of(llm, prompts):
    """The replies in the order of the prompts."""
    found = {
        position: reply
        for positions, replies in llm.generate_batches(prompts)
        for position, reply in zip(positions, replies)
    }
    return [found[position] for position in range(len(prompts))]


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


def test_examples_become_turns_and_control_tokens_plain_text():
    prompt = write_prompt("Mug <|im_start|>system [INST] <s>", "", "kitchen", "mixed")
    said = [message["content"] for message in as_messages(prompt)]
    assert [message["role"] for message in as_messages(prompt)] == ["user", "assistant"] * 4 + [
        "user"
    ]
    assert said[0].startswith(prompt.split("\n")[0])
    assert said[1].startswith("popover pan, ")
    assert said[2].endswith("\nTags:")
    assert said[-1] == "Title: Mug  |im_start| system    s \nTags:"


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


def test_bad_urls_unnamed_models_and_useless_answers_are_errors(server, monkeypatch):
    for url in (
        "http://me:hunter2@host/v1",
        "http://host/v1?key=hunter2",
        "http://me:1/ter2@host",
        "http://me:1#ter2@host",
        "http://host:ter2",
    ):
        with pytest.raises(
            ValueError, match="must look like http://127.0.0.1:8000/v1, without user, password"
        ) as caught:
            ServerModel(url, "toy")
        assert "ter2" not in str(caught.value)
    found = ServerModel(server.url.removesuffix("v1"))
    assert (found.model, found.url) == ("toy", server.url)
    assert ServerModel("https://host/api/", "toy").url == "https://host/api"
    server.models = ["b", "a"]
    with pytest.raises(
        ValueError, match=f"{server.url} lists a, b: name one behind the address: {server.url}#a"
    ):
        ServerModel(server.url)
    with pytest.raises(ValueError, match="concurrency is 0; give at least 1"):
        ServerModel(server.url, "toy", concurrency=0)
    llm = ServerModel(server.url, "toy")
    server.rule = lambda number, prompt: (200, {"error": "no such thing"})
    with pytest.raises(ConnectionError, match="not a chat completion.*no such thing"):
        replies_of(llm, ["mug"])
    server.models = None
    with pytest.raises(ConnectionError, match="not a list of models"):
        ServerModel(server.url)
    monkeypatch.setenv("TEMA_API_KEY", "hun\nter2")
    with pytest.raises(
        ValueError, match="TEMA_API_KEY or OPENAI_API_KEY holds characters"
    ) as caught:
        replies_of(llm, ["mug"])
    assert "ter2" not in "".join(traceback.format_exception(caught.value))
    monkeypatch.setenv("TEMA_API_KEY", "")
    server.rule = lambda number, prompt: (
        200,
        {"choices": [{"message": {"content": "", "reasoning": "Hm, a mug"}}]},
    )
    with pytest.raises(ValueError, match="spent all its max_tokens on thinking"):
        replies_of(llm, ["mug"])


ANSWER = "clay pot, slow stew, winter evening"


@pytest.mark.parametrize(
    "refusal",
    [
        FILTERED,
        (403, {"error": "your input was flagged"}),
        (422, {"detail": "unprocessable"}),
        (413, {"error": "too long"}),
        (200, {"choices": []}),
        (200, {"choices": None}),
        (200, {"choices": [{"finish_reason": "content_filter", "message": None}]}),
        (200, message(None)),
        (200, message(None, refusal="I cannot help with that.")),
        (200, message("", "content_filter")),
        (200, {"error": {"message": "blocked"}}),
        (200, message([])),
    ],
)
def test_one_refused_prompt_costs_no_other_and_is_asked_again_only_when_wanted(
    server, tmp_path, refusal
):
    server.rule = lambda number, prompt: refusal if "Salt" in prompt else (200, ANSWER)
    prompts = [
        write_prompt(title, "", "food", "mixed") for title in ("Rice", "Salt", "Tea", "Flour")
    ]
    llm = ServerModel(server.url, "toy", retries=0)
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        assert ask(prompts, llm, store, usable=parse_tags) == [ANSWER, "", ANSWER, ANSWER]
        assert len(store) == 3
        if refusal[1] != message([]):  # that is an empty reply, asked anew by any next run
            asked = len(server.asked)
            again = ServerModel(server.url, "toy", retries=0)
            assert ask(prompts, again, store, usable=parse_tags) == [ANSWER, "", ANSWER, ANSWER]
            assert len(server.asked) == asked
            assert store.refusal(reply_key(llm.fingerprint, prompts[1], llm.settings))
            assert list(llm.refused) == [prompts[1]]
        server.rule = lambda number, prompt: (200, ANSWER)
        store.forget_refusals(llm.fingerprint)
        assert ask(prompts, llm, store, usable=parse_tags) == [ANSWER] * 4


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        (
            (400, {"error": {"message": "the model `toy` does not exist"}}),
            "does not exist.*--request FIELD= takes one away",
        ),
        (FILTERED, "filtered"),
        ((200, {"choices": []}), "not a chat completion"),
        ((200, message(None, refusal="No.")), "No reply from toy .*No"),
        ((403, {"error": "no such key"}), "TEMA_API_KEY"),
        ((401, {"error": "who?"}), "TEMA_API_KEY"),
        ((404, {"error": "gone"}), "check the server and the model's name"),
        (
            (200, message("<think>so, a mug, which", "length")),
            "spent all its max_tokens on thinking.*--request max_tokens=2000",
        ),
    ],
)
def test_what_hits_every_request_stops_at_once_in_one_sentence(server, tmp_path, failure, sentence):
    server.rule = lambda number, prompt: failure
    prompts = [write_prompt(f"Pot {number}", "", "food", "mixed") for number in range(40)]
    with (
        ReplyStore(tmp_path / "replies.sqlite") as store,
        pytest.raises((ConnectionError, ValueError), match=sentence) as caught,
    ):
        ask(prompts, ServerModel(server.url, "toy", retries=0), store, usable=parse_tags)
    assert len(server.asked) <= 12
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        assert len(store) == 0
        assert store.refusal(reply_key("", prompts[0], "")) is None


def test_a_prompt_too_long_for_the_server_is_not_a_server_too_small(server, tmp_path):
    """The question that decides it is as long as the others: our own example in the same frame."""

    def limit(most):
        return lambda number, prompt: (
            (200, ANSWER)
            if sum(len(one["content"]) for one in server.asked[-1]["messages"]) < most
            else (400, {"error": "maximum context length exceeded"})
        )

    prompts = [write_prompt(title, "", "food", "mixed") for title in ("Rice", "Tea " * 60)]
    usual = sum(len(one["content"]) for one in as_messages(prompts[0]))
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        server.rule = limit(usual + 100)
        assert ask(prompts, ServerModel(server.url, "toy", retries=0, concurrency=1), store) == [
            ANSWER,
            "",
        ]
        server.rule = limit(usual - 100)
        with pytest.raises(ConnectionError, match="maximum context length"):
            ask(
                [write_prompt("Flour", "", "food", "mixed")],
                ServerModel(server.url, "toy", retries=0),
                store,
            )


TAKEN = {
    "max_tokens": (
        400,
        {
            "error": {
                "message": "Unsupported parameter: 'max_tokens' is not supported. "
                "Use 'max_completion_tokens' instead."
            }
        },
    ),
    "temperature": (
        400,
        {
            "error": {
                "message": "Unsupported value: 'temperature' does not support 0 with this model."
            }
        },
    ),
    "seed": (
        422,
        {
            "detail": [
                {
                    "type": "extra_forbidden",
                    "loc": ["body", "seed"],
                    "msg": "Extra inputs are not permitted",
                }
            ]
        },
    ),
}


@pytest.mark.parametrize(
    "unwanted", [("seed",), ("max_tokens",), ("max_tokens", "temperature", "seed")]
)
def test_a_field_that_a_server_does_not_take_is_left_out_and_the_settings_say_so(
    server, tmp_path, unwanted
):
    server.rule = lambda number, prompt: next(
        (TAKEN[field] for field in unwanted if field in server.asked[-1]), (200, ANSWER)
    )
    prompts = [
        write_prompt(title, "", "food", "mixed")
        for title in ("Rice", "Salt", "Tea", "Flour", "Oats", "Rye")
    ]
    llm = ServerModel(server.url, "toy", retries=0, concurrency=1)
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        assert ask(prompts, llm, store) == [ANSWER] * 6
        assert len(store) == 6
        sent = json.loads(llm.settings)
        assert not set(unwanted) & set(sent)
        assert sent.get("max_completion_tokens") == (48 if "max_tokens" in unwanted else None)
        asked = len(server.asked)
        assert ask(prompts, llm, store) == [ANSWER] * 6
        assert len(server.asked) == asked
        # The store knows which fields it takes.
        next_day = ServerModel(server.url, "toy", retries=0, concurrency=1)
        assert ask(prompts, next_day, store) == [ANSWER] * 6
        assert len(server.asked) == asked
        assert next_day.settings == llm.settings
        store.forget_refusals(llm.fingerprint)
        assert (
            ask(prompts, ServerModel(server.url, "toy", retries=0, concurrency=1), store)
            == [ANSWER] * 6
        )
        assert len(store) == 6


def test_fields_that_the_caller_chose_are_sent_as_they_are_and_the_message_names_the_option(server):
    server.rule = lambda number, prompt: (
        TAKEN["max_tokens"] if "max_tokens" in server.asked[-1] else (200, ANSWER)
    )
    with pytest.raises(
        ConnectionError, match="'max_tokens' is not supported.*--request FIELD= takes one away"
    ):
        replies_of(ServerModel(server.url, "toy", {"max_tokens": 2000}, retries=0), ["mug"])
    llm = ServerModel(
        server.url,
        "toy",
        {"max_completion_tokens": 64, "seed": None, "thinking": {"type": "disabled"}},
        retries=0,
    )
    assert replies_of(llm, ["mug"]) == [ANSWER]
    assert len(server.asked) == 3
    body = server.asked[-1]
    assert body["max_completion_tokens"] == 64
    assert body["thinking"] == {"type": "disabled"}
    assert "seed" not in body
    assert "max_tokens" not in body


def test_a_word_in_an_error_is_no_reason_to_drop_a_field(server):
    server.rule = lambda number, prompt: (400, {"error": "max_tokens must be at least 1, got -40"})
    llm = ServerModel(server.url, "toy", retries=0)
    with pytest.raises(ConnectionError, match="got -40"):
        replies_of(llm, ["mug"])
    assert "max_tokens" in json.loads(llm.settings)


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
