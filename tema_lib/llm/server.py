"""A language model behind a URL: any server that speaks OpenAI's chat protocol (vLLM, Ollama, llama.cpp, `transformers serve`, OpenAI).

A server works on several prompts at once, so a few are always waiting there; the `openai` package repeats what failed in
passing. Which weights a server runs cannot be known: the fingerprint says so, and names the model and the address instead.
Status: ours (the paper names no language model and no server).
"""

import asyncio
import json
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath

from openai import APIConnectionError, APITimeoutError, AsyncOpenAI, OpenAI, OpenAIError, Timeout

from tema_lib.llm.replies import CUT, plain

REQUEST = {
    "temperature": 0,
    "seed": 0,
    "max_tokens": 48,
}  # ours: as greedy as a server can be, as long as with `llm.Decoding`


# A field that a server does not know, or a value that it does not take, by the words of those seen so far.
UNWANTED = re.compile(
    r"unsupported|not support|extra|forbidden|unknown|unrecogni[sz]ed|unexpected|not permitted|not allowed|"
    r"deprecated|invalid (?:field|parameter|argument|property)|additional propert",
    re.IGNORECASE,
)
ITEMS_OWN = (
    400,
    403,
    413,
    422,
)  # with these a server may refuse one prompt (its content, its length), or every request
ODD = (
    AttributeError,
    IndexError,
    TypeError,
    ValueError,
)  # what reading a web page, or an error sent with status 200, raises


class _Refused(Exception):
    """No reply, which may be this prompt's fault: `error` to raise if it is not, `reason` to keep if it is.

    lasting: False where another try, after the server was set right, may do better.
    """

    def __init__(self, error: Exception, reason: str, lasting: bool = True):
        super().__init__(reason)
        self.error, self.reason, self.lasting = error, reason, lasting


def as_messages(prompt: str) -> list[dict[str, str]]:
    """The prompt as a chat: each example product is a turn, answered with its tags. A prompt without examples is one message.

    Put into one message, the examples make a small model write more products instead of tags. Control tokens written out
    in a title ("<|im_start|>") are text of a stranger, which a server would obey: their brackets are taken out.
    """
    *shown, question = re.sub(r"[<>｜]|\[/?[A-Z_]+\]", " ", prompt).split("\n\n")
    label = (
        "\n" + question.rpartition("\n")[2]
    )  # "Tags:" on a line of its own: there the answer begins
    opening, messages = "", []
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
    """The same question about a product of ours: the first example of the prompt, or a spoon where it has none."""
    *shown, question = prompt.split("\n\n")
    label = "\n" + question.rpartition("\n")[2]
    examples = [
        before
        for paragraph in shown
        for before, answered, _ in [paragraph.rpartition(label)]
        if answered
    ]
    spoon = "Five tags for a product, separated by commas.\n\nTitle: Wooden spoon\nTags:"
    return "\n\n".join([*shown, examples[0] + label]) if examples else spoon


def _text(content) -> str:
    """The content of a message as text; some servers send it in parts, those of the reasoning among them."""
    if isinstance(content, list):
        parts = [part if isinstance(part, dict) else {"text": part} for part in content]
        said = [
            part.get("text")
            for part in parts
            if part.get("type", "text") in ("text", "output_text")
        ]
        content = "".join(text for text in said if isinstance(text, str))
    return (content or "").strip()


class ServerModel:
    """A language model that answers at `url`, such as "http://127.0.0.1:8000/v1".

    model: its id there; None takes the only one that the server lists. request: fields of the request that replace those of
    `REQUEST` or join them (None takes one away). concurrency: requests at a time; timeout: seconds without an answer until a
    request has failed; retries: how often it is repeated, waiting longer each time, after a lost connection, a time-out, or
    status 429 or 5xx. A key is read from the environment variable TEMA_API_KEY whenever it is needed (at OpenAI's own address
    OPENAI_API_KEY serves as well), and kept nowhere; TEMA_API_KEY set to nothing sends none.

    `.name`, `.fingerprint` and `.settings` (JSON text) say what produced a reply, as far as that can be known. `.refused` says
    which prompts the server refused, and why: they have None for a reply.
    """

    may_change = (
        True  # the same name and address may answer better tomorrow: an unusable reply is not final
    )

    def __init__(
        self,
        url: str,
        model: str | None = None,
        request: Mapping | None = None,
        concurrency: int = 4,
        timeout: float = 120,
        retries: int = 5,
    ):
        self.url, self.concurrency, self.timeout, self.retries = (
            _address(url),
            concurrency,
            timeout,
            retries,
        )
        if concurrency < 1:
            raise ValueError(f"concurrency is {concurrency}; give at least 1.")
        self.model = model or self._only_model()
        self.name = next(
            (
                path.name
                for path in (PurePosixPath(self.model), PureWindowsPath(self.model))
                if path.is_absolute()
            ),
            self.model,
        )
        self.fingerprint = (
            f"unknown weights: {self.name} at {self.url}"  # the name is never a path of a machine
        )
        self.chosen, self.refused = frozenset(request or ()), {}
        ours = {
            field: value
            for field, value in REQUEST.items()
            if field != "max_tokens" or "max_completion_tokens" not in self.chosen
        }
        self.request = {
            field: value
            for field, value in {**ours, **(request or {})}.items()
            if value is not None
        }

    @property
    def settings(self) -> str:
        """What is sent beside the prompt, as JSON text; shorter than at first where the server does not take a field of `REQUEST`."""
        return json.dumps(
            {"endpoint": "chat/completions", "messages": "examples as turns", **self.request},
            sort_keys=True,
        )

    def generate_batches(self, prompts: Sequence[str]) -> Iterator[tuple[list[int], list[str]]]:
        """Yields (places in `prompts`, replies) as they come, so that the caller can keep what is done so far.

        A reply is None where the server refuses this one prompt. Raises ConnectionError when the server gives up, after all
        that it answered before. Closing the generator, or Ctrl-C, cancels what is under way.
        """
        # The requests run in a thread of their own: a notebook's own thread has an event loop already.
        finished, loop = queue.SimpleQueue(), asyncio.new_event_loop()
        work = loop.create_task(self._ask(prompts, finished.put))
        work.add_done_callback(finished.put)  # the last in the queue is the task itself
        thread = threading.Thread(
            target=loop.run_until_complete,
            args=(asyncio.wait([work]),),
            name="server model",
            daemon=True,
        )
        thread.start()
        try:
            group = []
            while work not in group:
                while finished.empty():
                    time.sleep(0.02)  # not a waiting get(): on Windows Ctrl-C does not reach that
                group = [finished.get() for _ in range(finished.qsize())]
                if replies := [entry for entry in group if entry is not work]:
                    yield [position for position, _ in replies], [text for _, text in replies]
            work.result()  # raises what went wrong
        finally:
            loop.call_soon_threadsafe(work.cancel)
            thread.join()
            loop.close()

    def choose_batches(
        self, prompts: Sequence[str], first: str, second: str
    ) -> Iterator[tuple[list[int], list[str]]]:
        """Like `generate_batches`, but the reply is 1.0 where the answer begins with the word `first`, -1.0 with `second`, else 0.0.

        A local model gives log-odds here; not every server shows the probabilities that this would take.
        """
        for positions, replies in self.generate_batches(prompts):

            def begins(reply, word):
                return re.match(
                    rf"\W*{re.escape(word.strip())}", plain(reply.removesuffix(CUT)), re.IGNORECASE
                )

            yield (
                positions,
                [
                    None
                    if reply is None
                    else "1.0"
                    if begins(reply, first)
                    else "-1.0"
                    if begins(reply, second)
                    else "0.0"
                    for reply in replies
                ],
            )

    async def _ask(self, prompts: Sequence[str], done: Callable) -> None:
        """Calls `done` with each (place, reply). The first failure cancels the rest."""
        waiting = iter(enumerate(prompts))

        async def keep_asking(client):
            for position, prompt in waiting:
                done((position, await self._answer(client, prompt)))

        try:
            async with self._client(AsyncOpenAI) as client, asyncio.TaskGroup() as group:
                for _ in range(self.concurrency):
                    group.create_task(keep_asking(client))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _answer(self, client: AsyncOpenAI, prompt: str) -> str | None:
        """The reply to one prompt; None, with the reason in `refused`, where the server refuses this one alone.

        A refusal is this prompt's where the same question about one of our own example products is answered; else every
        request would fail, and the error is raised.
        """
        try:
            return await self._reply(client, prompt)
        except _Refused as refusal:
            try:
                await self._reply(client, about_an_example(prompt))
            except _Refused as general:
                raise general.error from None
            if not refusal.lasting:
                return ""
            self.refused[prompt] = refusal.reason
            return None

    async def _reply(self, client: AsyncOpenAI, prompt: str) -> str:
        """Raises _Refused for what may be this prompt's fault, ConnectionError for all else."""
        answer, sent = "no JSON", dict(self.request)
        try:
            answer = await client.chat.completions.create(
                model=self.model, messages=as_messages(prompt), extra_body=sent
            )
            choice = answer.choices[0]
            message = choice.message
            reply = _text(message.content)
        except OpenAIError as error:
            if self._leave_out(error, sent):
                return await self._reply(client, prompt)
            if getattr(error, "status_code", None) in ITEMS_OWN:
                raise _Refused(self._no_reply(error), self._said(error)) from None
            raise self._no_reply(error) from None
        except ODD:
            raise _Refused(
                self._no_reply(f"not a chat completion: {answer}"), "no answer in the reply"
            ) from None
        limit = next(
            (name for name in ("max_completion_tokens", "max_tokens") if name in sent), "max_tokens"
        )
        ended = getattr(choice, "finish_reason", None)
        thought = getattr(message, "reasoning", None) or getattr(message, "reasoning_content", None)
        if (not reply and thought) or (reply and ended == "length" and not plain(reply)):
            raise _Refused(
                ValueError(
                    f"{self.name} at {self.url} spent all its {limit} on thinking: switch that off (many servers take --request "
                    f"""'chat_template_kwargs={{"enable_thinking": false}}'), or leave it room with --request {limit}=2000 """
                    "(in Python: ServerModel(request={...}))."
                ),
                "spent all its tokens on thinking",
                lasting=False,
            )
        if not reply and (ended == "content_filter" or message.content is None):
            reason = str(
                getattr(message, "refusal", None)
                or "content filter" * (ended == "content_filter")
                or "an empty message"
            )
            raise _Refused(self._no_reply(reason), self._said(reason))
        return reply + CUT if reply and ended in ("length", "content_filter") else reply

    def _leave_out(self, error: OpenAIError, sent: Mapping) -> bool:
        """True when the error names a field of ours that this server does not take, and the request goes without it from now on.

        Fields that the caller chose are not touched: there the message says what to do.
        """
        if getattr(error, "status_code", None) not in (400, 422) or not UNWANTED.search(
            said := str(error)
        ):
            return False
        for field in sent:
            if field not in self.chosen and re.search(rf"\b{field}\b", said):
                value = self.request.pop(
                    field, None
                )  # None: another request was told the same just before
                if field == "max_tokens" and value is not None:
                    self.request.setdefault("max_completion_tokens", value)
                return True
        return False

    def _only_model(self) -> str:
        with self._client(OpenAI) as client:
            try:
                listed = sorted(entry.id for entry in client.models.list())
            except OpenAIError as error:
                raise self._no_reply(error) from None
            except ODD:
                raise self._no_reply("not a list of models") from None
        if len(listed) != 1:
            raise ValueError(
                f"{self.url} lists {', '.join(listed) or 'no model'}: name one behind the address: {self.url}#{listed[0] if listed else 'name'}"
            )
        return listed[0]

    def _client(self, kind: type):
        # Without a key the package refuses to start, so that a server that needs none gets a word it ignores.
        return kind(
            base_url=self.url,
            api_key=_key(self.url) or "none",
            max_retries=self.retries,
            timeout=Timeout(self.timeout, connect=min(self.timeout, 10)),
        )

    def _no_reply(self, error: Exception | str) -> ConnectionError:
        """Says in one sentence what happened and what to do."""
        status = getattr(error, "status_code", None)
        if isinstance(error, APITimeoutError):
            what = f"no answer within {self.timeout:g} s"
        else:
            what = (
                f"no connection, {error.__cause__}"
                if isinstance(error, APIConnectionError)
                else str(error)
            )
        what = self._said(what)
        remedy = (
            "put a valid key into the environment variable TEMA_API_KEY"
            if status in (401, 403)
            else "check the server and the model's name"
        )
        if status in (400, 422):
            remedy = "check the model's name, and the fields of the request: --request FIELD= takes one away, --request FIELD=VALUE sets it,"
        name = getattr(self, "model", "any model")  # it has none yet while it asks for the list
        return ConnectionError(
            f"No reply from {name} at {self.url} ({what}): {remedy} and run again; replies so far are kept."
        )

    def _said(self, error: Exception | str) -> str:
        """What the server says, on one line and without the key, which it might repeat."""
        return " ".join(str(error).replace(_key(self.url) or "\0", "***").split())[:300]


def _key(url: str) -> str:
    """The key for a server: TEMA_API_KEY for any, OPENAI_API_KEY for OpenAI's own address only, lest another server collect it."""
    others = (
        os.environ.get("OPENAI_API_KEY", "") if url.startswith("https://api.openai.com/") else ""
    )
    key = os.environ.get("TEMA_API_KEY", others).strip()
    if not re.fullmatch(
        r"[\w.~+/=:-]*", key, re.ASCII
    ):  # other characters fail later, in errors that repeat the key
        raise ValueError(
            "The key in the environment variable TEMA_API_KEY or OPENAI_API_KEY holds characters that no key has; set it again."
        )
    return key


def _address(url: str) -> str:
    """`url` without a final slash and with a path, /v1 if it has none. The error does not repeat it: it may hold a password."""
    parts = re.fullmatch(
        r"(https?://(?:[\w.-]+|\[[\da-fA-F:]+\])(?::\d+)?)(?:/+([^?#@\s]*))?", url.strip()
    )
    if not parts:
        raise ValueError(
            "The server's URL must look like http://127.0.0.1:8000/v1, without user, password or query; "
            "a key goes into the environment variable TEMA_API_KEY."
        )
    return f"{parts[1]}/{(parts[2] or '').rstrip('/') or 'v1'}"
