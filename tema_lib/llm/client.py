"""What a language model has to offer, and how prompts are put to one: from the store, else asked.

`tags` and `profiles` both ask through here, whatever the model: local, or behind a server.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from tqdm.auto import tqdm

from tema_lib.llm.store import Reply, ReplyStore, reply_key

Batches = Iterator[tuple[Sequence[int], Sequence[str | None]]]


class LanguageModel(Protocol):
    """A model that answers prompts: `LocalModel`, `ServerModel`, or one of your own.

    Name, fingerprint and settings determine a greedy reply; they are part of its key in the store.
    """

    @property
    def name(self) -> str:
        """What it is called; never a path of this machine."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of its weights, or what stands for them where they cannot be known."""

    @property
    def settings(self) -> str:
        """How it decodes, as JSON text."""

    def generate_batches(self, prompts: Sequence[str]) -> Batches:
        """Yields (indices into `prompts`, their replies) as they come; a refused one is None."""

    def choose_batches(self, prompts: Sequence[str], first: str, second: str) -> Batches:
        """The same; a reply is the log-odds of the word `first` against `second`, as text."""


@runtime_checkable
class ServedModel(LanguageModel, Protocol):
    """A model behind a server: under the same name and address it may answer better tomorrow."""

    request: dict[str, Any]  # what is sent beside the prompt; part of `settings`
    refused: dict[str, str]  # prompt -> why the server refused it


def ask(
    prompts: Sequence[str],
    llm: LanguageModel,
    store: ReplyStore,
    progress: str = "tags",
    choices: tuple[str, str] | None = None,
    usable: Callable[[str], object] = bool,
) -> list[str]:
    """The replies to `prompts`: from the store, else from the model.

    Each batch enters the store as soon as it is there, so a stopped run goes on where it was, and
    the same prompt is never asked twice. Prompts are asked in groups that begin alike (same domain,
    same examples), because the model reads a common beginning only once.

    A server may be repaired under the same name and address: of its replies only those that are
    `usable` stay, the others are asked again by the next run. What it refused is noted in the
    store; the reply is "" then, and the question is not put again.

    Args:
        prompts: any number of prompts, repeated ones included.
        llm: the model that answers what the store does not know.
        store: where replies are kept.
        progress: the label of the progress bar.
        choices: two words; a reply is then the log-odds of the first against the second, as text.
        usable: whether a server's reply is worth keeping (a false value or not).

    Returns:
        One reply a prompt, in the order of `prompts`.

    Raises:
        OSError: replies are missing and the store cannot be written, or a server gave up.
    """
    served = llm if isinstance(llm, ServedModel) else None
    # Under the key of an empty prompt the store notes which fields a server takes instead.
    fields_key = reply_key(llm.fingerprint, "", llm.settings)
    if served and (accepted := store.refusal(fields_key)):
        served.request = json.loads(accepted)
    settings = _settings(llm, choices)
    key_of = {prompt: reply_key(llm.fingerprint, prompt, settings) for prompt in prompts}
    replies = _stored(key_of, store, served is not None, usable)
    missing = [prompt for prompt in key_of if prompt not in replies]
    store.must_be_writable(len(missing))
    groups: dict[str, list[str]] = {}
    for prompt in missing:
        groups.setdefault(prompt.rpartition("\n\n")[0], []).append(prompt)
    with tqdm(total=len(missing), desc=progress, unit="item", disable=not missing) as bar:
        for group in groups.values():
            batches = (
                llm.choose_batches(group, *choices) if choices else llm.generate_batches(group)
            )
            for positions, texts in batches:
                said = dict(zip((group[position] for position in positions), texts))
                now = _settings(llm, choices)
                _keep(said, llm, now, store, usable)
                if served and now != settings:
                    # The server wanted other fields; what it will say to those counts.
                    store.refuse(llm.fingerprint, {fields_key: json.dumps(served.request)})
                    return ask(prompts, llm, store, progress, choices, usable)
                replies |= {prompt: text or "" for prompt, text in said.items()}
                bar.update(len(said))
    return [replies[prompt] for prompt in prompts]


def _stored(
    key_of: dict[str, str], store: ReplyStore, served: bool, usable: Callable[[str], object]
) -> dict[str, str]:
    """The replies that the store knows, and "" for what a server refused."""
    replies = {
        prompt: reply
        for prompt, key in key_of.items()
        if (reply := store.get(key)) is not None and (usable(reply) or not served)
    }
    if served:
        for prompt, key in key_of.items():
            if prompt not in replies and store.refusal(key) is not None:
                replies[prompt] = ""
    return replies


def _keep(
    said: dict[str, str | None],
    llm: LanguageModel,
    settings: str,
    store: ReplyStore,
    usable: Callable[[str], object],
) -> None:
    """Put the replies of one batch into the store, and what a server refused beside them."""
    served = llm if isinstance(llm, ServedModel) else None
    store.put(
        [
            Reply(llm.name, llm.fingerprint, prompt, settings, text)
            for prompt, text in said.items()
            if text is not None and (usable(text) or not served)
        ],
        replace=served is not None,
    )
    refused = [prompt for prompt, text in said.items() if text is None]
    if served and refused:
        reasons = {
            reply_key(llm.fingerprint, prompt, settings): served.refused[prompt]
            for prompt in refused
        }
        store.refuse(llm.fingerprint, reasons)


def _settings(llm: LanguageModel, choices: tuple[str, str] | None) -> str:
    """The settings as they are in a reply's key."""
    if choices is None:
        return llm.settings
    return json.dumps({"choices": choices, **json.loads(llm.settings)}, sort_keys=True)
