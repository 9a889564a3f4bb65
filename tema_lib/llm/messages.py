"""A prompt as the messages of a chat, and a message as text."""

import re
from typing import Any

# What control tokens are in; the last bar is the wide one of DeepSeek's.
_BRACKETS = re.compile(r"[<>\uff5c]|\[/?[A-Z_]+\]")


def as_messages(prompt: str) -> list[dict[str, str]]:
    """The prompt as a chat: each example product is a turn, answered with its tags.

    A prompt without examples is one message. Put into one message, the examples make a small model
    write more products instead of tags. Control tokens written out in a title ("<|im_start|>") are
    untrusted input that a server would obey: their brackets are taken out.
    """
    *shown, question = _BRACKETS.sub(" ", prompt).split("\n\n")
    label = "\n" + question.rpartition("\n")[2]  # "Tags:" on its own line: the answer begins there
    opening = ""
    messages: list[dict[str, str]] = []
    for paragraph in shown:
        example, answered, answer = paragraph.rpartition(label)
        if answered:
            messages += [
                {"role": "user", "content": opening + example + label},
                {"role": "assistant", "content": answer.strip()},
            ]
        opening = "" if answered else opening + paragraph + "\n\n"
    return [*messages, {"role": "user", "content": opening + question}]


def about_an_example(prompt: str) -> str:
    """The same question about a product of ours: the prompt's first example, or else a spoon."""
    *shown, question = prompt.split("\n\n")
    label = "\n" + question.rpartition("\n")[2]
    parted = [paragraph.rpartition(label) for paragraph in shown]
    examples = [before for before, answered, _ in parted if answered]
    if not examples:
        return "Five tags for a product, separated by commas.\n\nTitle: Wooden spoon\nTags:"
    return "\n\n".join([*shown, examples[0] + label])


def message_text(content: Any) -> str:
    """The content of a message as text.

    Some servers send it in parts, those of the reasoning among them.
    """
    if isinstance(content, list):
        parts = [part if isinstance(part, dict) else {"text": part} for part in content]
        said = [
            part.get("text")
            for part in parts
            if part.get("type", "text") in ("text", "output_text")
        ]
        content = "".join(text for text in said if isinstance(text, str))
    return (content or "").strip()
