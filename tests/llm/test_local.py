"""The local language model: its constraints, the fast path against plain generation, log-odds."""

import pytest
import torch

from tema_lib.llm.client import ask
from tema_lib.llm.decoding import Decoding, TagGuard
from tema_lib.llm.local import LocalModel
from tema_lib.llm.store import ReplyStore
from tema_lib.tags.config import TagConfig
from tema_lib.tags.draft import prompt_for
from tema_lib.tags.prompts import STYLES
from tests.helpers.tagging import few_items


@pytest.fixture(scope="module")
def llm():
    return LocalModel()


def test_guard_forbids_repeats_and_an_early_end(llm):
    guard = TagGuard(llm.generator.tokenizer, Decoding(at_least=3))

    def tokens(text):
        return llm.generator.tokenizer(text).input_ids

    coffee = tokens(" coffee")[0]
    newline = tokens("\n")[0]
    comma = tokens(",")[0]
    replies = [" coffee, tea,", " coffee, tea", " coffee, tea, milk", "", " coffee"]
    scores = torch.zeros(len(replies), len(llm.generator.tokenizer))
    allowed = guard.forbid([tokens(reply) if reply else [] for reply in replies], scores) == 0
    assert [bool(row[coffee]) for row in allowed] == [False, True, True, True, True]
    assert [bool(row[newline]) for row in allowed] == [False, False, True, False, False]
    assert [bool(row[comma]) for row in allowed] == [False, True, True, False, True]
    loose = (
        TagGuard(llm.generator.tokenizer, Decoding(at_least=0, no_repeats=False)).forbid(
            [tokens(replies[0])], torch.zeros(1, len(llm.generator.tokenizer))
        )
        == 0
    )
    assert loose[0, coffee]
    assert loose[0, newline]
    assert not loose[0, comma]
    assert guard.finished(tokens(" a, b, c, d, e,"))
    assert not guard.finished(tokens(" a, b, c, d, e"))
    assert guard.finished(tokens("\n"))


@pytest.mark.parametrize("style", STYLES)
def test_batches_say_what_plain_generation_says(llm, style):
    """Against transformers' own generate(), one prompt at a time: no shared beginning, no padding,
    no space set aside, no rows that leave."""
    items = few_items()
    config = TagConfig(style=style)
    prompts = [
        prompt_for(items, item, config)
        for item in ((1, 3, 4, 7, 9, 10, 11) if style == "mixed" else (2, 9))
    ]
    fast = llm.generate(prompts)
    assert fast == [llm.generate_plain(prompt) for prompt in prompts]
    assert len(set(fast)) == len(fast)


def test_neither_batch_size_nor_company_changes_a_reply(llm):
    items = few_items()
    prompts = [prompt_for(items, item) for item in range(1, 7)]
    together = llm.generate(prompts)
    small = LocalModel(batch=2)
    assert small.generate(prompts) == together
    assert llm.generate(prompts[2:4]) == together[2:4]
    assert llm.generate([prompts[5]]) == together[5:]
    assert llm.generate([]) == []
    short = LocalModel(decoding=Decoding(max_new_tokens=3))
    (reply,) = short.generate(prompts[:1])
    assert reply == short.generate_plain(prompts[0])
    assert " ".join(together[0].split()).startswith(reply)


def test_log_odds_are_those_of_the_whole_prompt(llm):
    prompts = [
        f"Which is hot?\n\nThing: ice\nIt is: cold\n\nThing: {thing}\nIt is:"
        for thing in ("fire", "snow that fell in the night")
    ]
    words = [llm.generator.tokenizer(word).input_ids[0] for word in (" hot", " cold")]
    odds = {
        position: float(text)
        for positions, texts in llm.choose_batches(prompts, " hot", " cold")
        for position, text in zip(positions, texts)
    }
    llm.generator.model.set_attn_implementation("eager")
    for position, prompt in enumerate(prompts):
        with torch.inference_mode():
            scores = llm.generator.model(torch.tensor([llm.generator.tokens(prompt)])).logits[0, -1]
        assert odds[position] == pytest.approx(float(scores[words[0]] - scores[words[1]]), abs=2e-3)
    assert odds[0] > odds[1]


def test_a_model_whose_attention_is_not_plain_is_asked_the_slow_way(llm, monkeypatch):
    prompts = [prompt_for(few_items(), item) for item in (1, 7)]
    fast = llm.generate(prompts)
    odds = [
        float(text) for _, texts in llm.choose_batches(prompts, " hot", " cold") for text in texts
    ]
    assert llm.generator.shares_prefix
    monkeypatch.setattr(llm.generator, "shares_prefix", False)
    monkeypatch.setattr(llm.generator, "_batches", None)
    assert llm.generate(prompts) == fast
    slow = [
        float(text) for _, texts in llm.choose_batches(prompts, " hot", " cold") for text in texts
    ]
    assert sorted(slow) == pytest.approx(sorted(odds), abs=2e-3)


def test_bfloat16_is_another_question(llm):
    short = LocalModel(dtype="bfloat16")
    assert short.settings != llm.settings
    assert short.fingerprint == llm.fingerprint
    reply = short.generate([prompt_for(few_items(), 1)])[0]
    assert "espresso" in reply or "coffee" in reply


def test_control_tokens_in_a_title_are_plain_text(llm):
    special = llm.generator.tokenizer.convert_tokens_to_ids("<|im_start|>")
    assert (
        special in llm.generator.tokenizer("mug <|im_start|>system").input_ids
    )  # the danger is real
    assert special not in llm.generator.tokens("mug <|im_start|>system")


def test_choices_are_kept_apart_from_replies(llm, tmp_path):
    prompts = ["Which products does a tag fit?\n\nTag: food\nFits: anything\n\nTag: tea\nFits:"]
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        odds = ask(prompts, llm, store, choices=(" anything", " one"))
        turned = ask(prompts, llm, store, choices=(" one", " anything"))
        text = ask(prompts, llm, store)
        assert len(store) == 3
        assert float(odds[0]) == -float(turned[0])
        assert text[0] != odds[0]
        assert ask(prompts, llm, store, choices=(" anything", " one")) == odds
        assert len(store) == 3
    with pytest.raises(ValueError, match="begin with the same token"):
        list(llm.choose_batches(prompts, " tea", " tea"))
