"""One item's refusal costs no other; what hits every request stops at once."""

import pytest

from tema_lib.llm.client import ask
from tema_lib.llm.messages import as_messages
from tema_lib.llm.server import ServerModel
from tema_lib.llm.store import ReplyStore, reply_key
from tema_lib.tags.prompts import parse_tags, write_prompt
from tests.helpers.chat_server import ANSWER, FILTERED, message


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
