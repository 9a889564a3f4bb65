"""Where a server is, and the key it wants: neither may leak a password."""

import os
import re


def is_url(name: str) -> bool:
    """Whether a language model is given as the address of a server."""
    return name.startswith(("http://", "https://"))


def server_key(url: str) -> str:
    """The key for the server at `url`, or "" for none.

    TEMA_API_KEY serves any server, OPENAI_API_KEY only OpenAI's own address, so that another server
    cannot collect it.

    Raises:
        ValueError: the key holds characters that no key has; such a key would fail later, in errors
            that repeat it.
    """
    openai = url.startswith("https://api.openai.com/")
    fallback = os.environ.get("OPENAI_API_KEY", "") if openai else ""
    key = os.environ.get("TEMA_API_KEY", fallback).strip()
    if not re.fullmatch(r"[\w.~+/=:-]*", key, re.ASCII):
        raise ValueError(
            "The key in the environment variable TEMA_API_KEY or OPENAI_API_KEY holds characters "
            "that no key has; set it again."
        )
    return key


def server_address(url: str) -> str:
    """`url` without a final slash and with a path, /v1 if it has none.

    Raises:
        ValueError: this is not the address of a server. The message does not repeat it, since it
            may hold a password.
    """
    parts = re.fullmatch(
        r"(https?://(?:[\w.-]+|\[[\da-fA-F:]+\])(?::\d+)?)(?:/+([^?#@\s]*))?", url.strip()
    )
    if not parts:
        raise ValueError(
            "The server's URL must look like http://127.0.0.1:8000/v1, without user, password or "
            "query; a key goes into the environment variable TEMA_API_KEY."
        )
    return f"{parts[1]}/{(parts[2] or '').rstrip('/') or 'v1'}"
