"""A language model behind a URL: any server that speaks OpenAI's chat protocol.

vLLM, Ollama, llama.cpp, `transformers serve` and OpenAI do. A server works on several prompts at
once, so a few are always waiting there; the `openai` package repeats what failed in passing. Which
weights a server runs cannot be known: the fingerprint says so, and names the model and the address
instead.
Status: ours (the paper names no language model and no server).
"""

import asyncio
import json
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, TypeVar

from openai import AsyncOpenAI, OpenAI, OpenAIError, Timeout

from tema_lib.llm.address import server_address, server_key
from tema_lib.llm.messages import about_an_example, as_messages, message_text
from tema_lib.llm.replies import CUT, plain
from tema_lib.llm.server_errors import (
    ITEMS_OWN,
    ODD,
    UNWANTED,
    Refused,
    no_reply,
    server_said,
)

# Ours: as greedy as a server can be, and as long as with `Decoding`.
REQUEST = {"temperature": 0, "seed": 0, "max_tokens": 48}

Client = TypeVar("Client", OpenAI, AsyncOpenAI)


class ServerModel:
    """A language model that answers at a URL.

    A key is read from the environment variable TEMA_API_KEY whenever it is needed, and kept
    nowhere. At OpenAI's own address OPENAI_API_KEY serves as well. An empty TEMA_API_KEY sends
    none.

    Attributes:
        name, fingerprint, settings: what produced a reply, as far as that can be known.
        refused: the prompts that the server refused, and why; they have None for a reply.

    Args:
        url: such as "http://127.0.0.1:8000/v1".
        model: its id there; None takes the only one that the server lists.
        request: fields of the request that replace those of `REQUEST` or join them; None takes one
            away.
        concurrency: requests at a time.
        timeout: seconds without an answer until a request has failed.
        retries: how often a request is repeated, waiting longer each time, after a lost connection,
            a time-out, or status 429 or 5xx.

    Raises:
        ValueError: the URL is none, or the server lists several models.
        ConnectionError: the list of models was asked for and did not come.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        request: Mapping[str, Any] | None = None,
        concurrency: int = 4,
        timeout: float = 120,
        retries: int = 5,
    ) -> None:
        self.url = server_address(url)
        self.concurrency = concurrency
        self.timeout = timeout
        self.retries = retries
        if concurrency < 1:
            raise ValueError(f"concurrency is {concurrency}; give at least 1.")
        self.model = model or self._only_model()
        self.name = _without_folders(self.model)
        self.fingerprint = f"unknown weights: {self.name} at {self.url}"
        self.chosen = frozenset(request or ())
        self.refused: dict[str, str] = {}
        wanted = {**REQUEST, **(request or {})}
        if "max_completion_tokens" in self.chosen and "max_tokens" not in self.chosen:
            del wanted["max_tokens"]
        self.request: dict[str, Any] = {
            field: value for field, value in wanted.items() if value is not None
        }

    @property
    def settings(self) -> str:
        """What is sent beside the prompt, as JSON text.

        It becomes shorter where the server does not take a field of `REQUEST`.
        """
        return json.dumps(
            {"endpoint": "chat/completions", "messages": "examples as turns", **self.request},
            sort_keys=True,
        )

    def generate_batches(
        self, prompts: Sequence[str]
    ) -> Iterator[tuple[list[int], list[str | None]]]:
        """Give replies as they come, so that the caller can keep what is done so far.

        Closing the generator, or Ctrl-C, cancels what is under way.

        Yields:
            (indices into `prompts`, replies); None where the server refuses this one prompt.

        Raises:
            ConnectionError: the server gives up; all that it answered before was yielded.
        """
        # The requests run in a thread of their own: a notebook's own thread has an event loop.
        finished: queue.SimpleQueue[Any] = queue.SimpleQueue()
        loop = asyncio.new_event_loop()
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
            group: list[Any] = []
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
    ) -> Iterator[tuple[list[int], list[str | None]]]:
        """Like `generate_batches`, with a choice between two words for a reply.

        A local model gives log-odds here; not every server shows the probabilities that this would
        take. So a reply is "1.0" where the answer begins with the word `first`, "-1.0" with
        `second`, else "0.0".
        """
        for positions, replies in self.generate_batches(prompts):
            yield positions, [_choice(reply, first, second) for reply in replies]

    async def _ask(
        self, prompts: Sequence[str], done: Callable[[tuple[int, str | None]], None]
    ) -> None:
        """Call `done` with each (index, reply); the first failure cancels the rest."""
        waiting = iter(enumerate(prompts))

        async def keep_asking(client: AsyncOpenAI) -> None:
            for position, prompt in waiting:
                done((position, await self._answer(client, prompt)))

        try:
            async with self._client(AsyncOpenAI) as client, asyncio.TaskGroup() as group:
                for _ in range(self.concurrency):
                    group.create_task(keep_asking(client))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _answer(self, client: AsyncOpenAI, prompt: str) -> str | None:
        """The reply to one prompt; None, with the reason in `refused`, where this one is refused.

        The refusal concerns this prompt where the same question about one of our own example
        products is answered; else every request would fail, and the error is raised.
        """
        try:
            return await self._reply(client, prompt)
        except Refused as refusal:
            try:
                await self._reply(client, about_an_example(prompt))
            except Refused as general:
                raise general.error from None
            if not refusal.lasting:
                return ""
            self.refused[prompt] = refusal.reason
            return None

    async def _reply(self, client: AsyncOpenAI, prompt: str) -> str:
        """Raises Refused for what may be this prompt's fault, ConnectionError for all else."""
        answer: Any = "no JSON"
        messages: Any = as_messages(prompt)
        sent = dict(self.request)
        try:
            answer = await client.chat.completions.create(
                model=self.model, messages=messages, extra_body=sent
            )
            choice = answer.choices[0]
            message = choice.message
            reply = message_text(message.content)
        except OpenAIError as error:
            if self._leave_out(error, sent):
                return await self._reply(client, prompt)
            if getattr(error, "status_code", None) in ITEMS_OWN:
                raise Refused(self._no_reply(error), self._said(error)) from None
            raise self._no_reply(error) from None
        except ODD:
            raise Refused(
                self._no_reply(f"not a chat completion: {answer}"), "no answer in the reply"
            ) from None
        ended = getattr(choice, "finish_reason", None)
        thought = getattr(message, "reasoning", None) or getattr(message, "reasoning_content", None)
        if (not reply and thought) or (reply and ended == "length" and not plain(reply)):
            raise self._only_thought(sent)
        if not reply and (ended == "content_filter" or message.content is None):
            reason = getattr(message, "refusal", None)
            reason = reason or (
                "content filter" if ended == "content_filter" else "an empty message"
            )
            raise Refused(self._no_reply(str(reason)), self._said(str(reason)))
        return reply + CUT if reply and ended in ("length", "content_filter") else reply

    def _only_thought(self, sent: Mapping[str, Any]) -> Refused:
        """The reply is all reasoning, without an answer."""
        limit = "max_completion_tokens" if "max_completion_tokens" in sent else "max_tokens"
        off = """'chat_template_kwargs={"enable_thinking": false}'"""
        error = ValueError(
            f"{self.name} at {self.url} spent all its {limit} on thinking: switch that off (many "
            f"servers take --request {off}), or leave more room with --request {limit}=2000 "
            "(in Python: ServerModel(request={...}))."
        )
        return Refused(error, "spent all its tokens on thinking", lasting=False)

    def _leave_out(self, error: OpenAIError, sent: Mapping[str, Any]) -> bool:
        """True when the error names a field of ours that this server does not take.

        From now on requests go without it. Fields that the caller chose are not touched: for these
        the message says what to do.
        """
        said = str(error)
        if getattr(error, "status_code", None) not in (400, 422) or not UNWANTED.search(said):
            return False
        for field in sent:
            if field not in self.chosen and re.search(rf"\b{field}\b", said):
                # None: another request was told the same just before.
                value = self.request.pop(field, None)
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
                f"{self.url} lists {', '.join(listed) or 'no model'}: name one behind the address: "
                f"{self.url}#{listed[0] if listed else 'name'}"
            )
        return listed[0]

    def _client(self, kind: type[Client]) -> Client:
        # Without a key the package refuses to start, so a server that needs none gets a word that
        # it ignores.
        return kind(
            base_url=self.url,
            api_key=server_key(self.url) or "none",
            max_retries=self.retries,
            timeout=Timeout(self.timeout, connect=min(self.timeout, 10)),
        )

    def _no_reply(self, error: Exception | str) -> ConnectionError:
        # It has no model yet while it asks for the list.
        return no_reply(error, getattr(self, "model", "any model"), self.url, self.timeout)

    def _said(self, error: Exception | str) -> str:
        return server_said(error, self.url)


def _without_folders(model: str) -> str:
    """A model's id; of a path only its last part, since the rest says only where it is."""
    for path in (PurePosixPath(model), PureWindowsPath(model)):
        if path.is_absolute():
            return path.name
    return model


def _choice(reply: str | None, first: str, second: str) -> str | None:
    """Which of two words a reply begins with, as "1.0", "-1.0" or, for neither, "0.0"."""
    if reply is None:
        return None
    said = plain(reply.removesuffix(CUT))
    for word, value in ((first, "1.0"), (second, "-1.0")):
        if re.match(rf"\W*{re.escape(word.strip())}", said, re.IGNORECASE):
            return value
    return "0.0"
