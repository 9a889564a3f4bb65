"""tema_lib.llm.client"""

import json
from collections.abc import Callable, Sequence

from tqdm.auto import tqdm

from tema_lib.llm.store import Reply, ReplyStore, reply_key


def ask(
    prompts: Sequence[str],
    llm,
    store: ReplyStore,
    progress: str = "tags",
    choices: tuple[str, str] | None = None,
    usable: Callable[[str], object] = bool,
) -> list[str]:
    """The replies to `prompts`: from the store, else from the model, whose every batch enters the store at once.

    So a stopped run goes on where it was, and the same prompt is never asked twice. Prompts are asked in groups that
    begin alike (same domain, same examples), because the model reads a common beginning only once.
    choices: two words; the reply is then the log-odds of the first against the second, as text.

    A server may be set right under the same name and address (`llm.may_change`): of its replies only those that are `usable`
    stay, the others are asked anew by the next run. What it refused, the store notes; the reply is "" then, and the question
    is not put again. Raises OSError where replies are missing and the store cannot be written.
    """
    may_change = getattr(llm, "may_change", False)
    if may_change and (wanted := store.refusal(reply_key(llm.fingerprint, "", llm.settings))):
        llm.request = json.loads(wanted)  # it refused these fields once, and took those
    before, settings = llm.settings, _settings(llm, choices)
    key_of = {prompt: reply_key(llm.fingerprint, prompt, settings) for prompt in prompts}
    replies = {
        prompt: reply
        for prompt, key in key_of.items()
        if (reply := store.get(key)) is not None and (usable(reply) or not may_change)
    }
    if may_change:
        replies |= {
            prompt: ""
            for prompt, key in key_of.items()
            if prompt not in replies and store.refusal(key) is not None
        }
    missing = [prompt for prompt in key_of if prompt not in replies]
    store.must_be_writable(len(missing))
    groups: dict[str, list[str]] = {}
    for prompt in missing:
        groups.setdefault(prompt.rpartition("\n\n")[0], []).append(prompt)
    with tqdm(total=len(missing), desc=progress, unit="item", disable=not missing) as bar:
        for group in groups.values():
            for positions, texts in (
                llm.generate_batches(group)
                if choices is None
                else llm.choose_batches(group, *choices)
            ):
                said = dict(zip((group[position] for position in positions), texts))
                now = _settings(llm, choices)
                store.put(
                    [
                        Reply(llm.name, llm.fingerprint, prompt, now, text)
                        for prompt, text in said.items()
                        if text is not None and (usable(text) or not may_change)
                    ],
                    replace=may_change,
                )
                if refused := {
                    reply_key(llm.fingerprint, prompt, now): llm.refused[prompt]
                    for prompt, text in said.items()
                    if text is None
                }:
                    store.refuse(llm.fingerprint, refused)
                if (
                    now != settings
                ):  # the server wanted other fields: what it once said to these counts
                    store.refuse(
                        llm.fingerprint,
                        {reply_key(llm.fingerprint, "", before): json.dumps(llm.request)},
                    )
                    return ask(prompts, llm, store, progress, choices, usable)
                replies |= {prompt: text or "" for prompt, text in said.items()}
                bar.update(len(said))
    return [replies[prompt] for prompt in prompts]


def _settings(llm, choices: tuple[str, str] | None) -> str:
    """The settings as they stand in a reply's key."""
    return (
        llm.settings
        if choices is None
        else json.dumps({"choices": choices, **json.loads(llm.settings)}, sort_keys=True)
    )
