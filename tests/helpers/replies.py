"""Replies made by number."""

from tema_lib.llm.store import Reply


def made(number, reply="a, b, c"):
    return Reply("model", "f00d", f"prompt {number}", "{}", reply)
