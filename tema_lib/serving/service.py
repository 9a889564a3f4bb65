"""Recommending over HTTP, with a page to try it (`tema serve`).

    POST /recommend         {"history": ["A001", "B002"], "domain": "B", "k": 5}
    POST /recommend/batch   {"histories": [["A001"], ["B002", "A001"]], "domain": "B"}
    GET  /items             ?query=tea&limit=10: items by the words of their titles
    GET  /health            what is served
    GET  /docs              the OpenAPI page; /openapi.json is its content
    GET  /                  the page

A wrong question gets the status 422 and one sentence.  Questions have limits, so that none keeps
the others waiting for long.  Nothing is written, and no history is kept.  Status: ours.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import anyio.to_thread
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from tema_lib import __version__
from tema_lib.serving.predictor import Predictor

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

BODY = 1 << 20  # bytes of a request
HISTORY = 1000  # events of one history
HISTORIES = 256  # of one batch
MOST = 100  # recommendations of one answer
PAGE = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")

ItemId = Annotated[str, Field(max_length=1000)]
History = Annotated[list[ItemId], Field(min_length=1, max_length=HISTORY)]


class Options(BaseModel):
    """What both kinds of question have in common."""

    model_config = ConfigDict(extra="forbid", strict=True)

    domain: str = Field(max_length=1000, description="A, B, or what the domain is called")
    k: int = Field(10, ge=1, le=MOST, description="how many items")
    exclude_seen: bool = Field(True, description="leave out the items of the history")


class Question(Options):
    """One history, oldest event first."""

    history: History


class Questions(Options):
    """Several histories, each oldest event first."""

    histories: list[History] = Field(min_length=1, max_length=HISTORIES)


class Recommendation(BaseModel):
    """One recommended item; scores compare items of one answer only."""

    item_id: str
    title: str
    score: float


class Answer(BaseModel):
    """Recommended items, best first."""

    items: list[Recommendation]


class Answers(BaseModel):
    """An answer to each history, in their order."""

    answers: list[Answer]


class Known(BaseModel):
    """An item of the catalogue."""

    item_id: str
    domain: str
    title: str


class Health(BaseModel):
    """What is served."""

    status: str
    system: str
    data: str
    domains: dict[str, str]
    items: int


def application(predictor: Predictor) -> FastAPI:
    """The service of a predictor."""

    @asynccontextmanager
    async def started(_: FastAPI) -> AsyncIterator[None]:
        # More threads than cores would only wait for each other.
        anyio.to_thread.current_default_thread_limiter().total_tokens = os.cpu_count() or 1
        yield

    app = FastAPI(
        title="TEMA-LLM",
        version=__version__,
        description="The next items of a domain, after a history in two domains.",
        lifespan=started,
    )
    app.add_middleware(LimitedBody, most=BODY)

    @app.exception_handler(ValueError)
    async def wrong(_: Request, error: ValueError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 422)

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> JSONResponse:
        """The first thing that is wrong; what was sent is not repeated."""
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        return JSONResponse({"detail": f"{where}: {first['msg']}" if where else first["msg"]}, 422)

    @app.post("/recommend")
    def recommend(question: Question) -> Answer:
        """The next items after one history."""
        return answers([question.history], question)[0]

    @app.post("/recommend/batch")
    def recommend_batch(questions: Questions) -> Answers:
        """The next items after each of several histories."""
        return Answers(answers=answers(questions.histories, questions))

    def answers(histories: list[list[str]], options: Options) -> list[Answer]:
        found = predictor.recommend_batch(
            histories, options.domain, options.k, options.exclude_seen
        )
        return [
            Answer(items=[Recommendation(**row) for row in one.to_dict("records")]) for one in found
        ]

    @app.get("/items")
    def items(
        query: Annotated[str, Query(max_length=200)] = "",
        limit: Annotated[int, Query(ge=1, le=MOST)] = 20,
    ) -> list[Known]:
        """Items whose titles hold every word of the query."""
        words = query.casefold().split()
        found = []
        for item in predictor.catalogue:
            if all(word in item.title.casefold() for word in words):
                found.append(Known(item_id=item.item_id, domain=item.domain, title=item.title))
                if len(found) == limit:
                    break
        return found

    @app.get("/health")
    def health() -> Health:
        """What is served; an answer means that it works."""
        return Health(
            status="ok",
            system=predictor.card["system"],
            data=predictor.card["data"]["name"],
            domains=dict(zip("AB", predictor.domains)),
            items=len(predictor.catalogue),
        )

    @app.get("/", include_in_schema=False)
    def page() -> HTMLResponse:
        return HTMLResponse(PAGE, headers=page_headers(PAGE))

    return app


def page_headers(page: str) -> dict[str, str]:
    """Headers with which a page runs its own script and style, and no other."""

    def allowed(element: str) -> str:
        (content,) = re.findall(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        return f"{element}-src 'sha256-{digest}'"

    policy = ["default-src 'none'", "connect-src 'self'", allowed("script"), allowed("style")]
    policy += ["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]
    return {
        "Content-Security-Policy": "; ".join(policy),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }


@dataclass
class LimitedBody:
    """ASGI middleware: a request with a longer body gets the status 413, and is not read on.

    A body may come in pieces of unknown number, so they are counted and the header is not believed.
    """

    app: Callable[[Message, Receive, Send], Awaitable[None]]
    most: int

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self.most:
                told = {"detail": f"the request is longer than {self.most:,} bytes: send less."}
                return await JSONResponse(told, 413)(scope, receive, send)
        whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return whole.pop() if whole else await receive()

        return await self.app(scope, again, send)
