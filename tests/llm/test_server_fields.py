"""Fields of the request that a server does not take."""

import json

import pytest

from tema_lib.llm.client import ask
from tema_lib.llm.server import ServerModel
from tema_lib.llm.store import ReplyStore
from tema_lib.tags.prompts import write_prompt
from tests.helpers.chat_server import ANSWER, replies_of

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
