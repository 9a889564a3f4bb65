"""Explanations as HTML: what the explorers show, and one self-contained page for a chosen user.

The markup is in `templates/` (Jinja2), the style in `page.css`, the script of a page in `page.js`;
all three are written into the page, so nothing is loaded from a network. Titles, tags and replies
are untrusted: Jinja2 escapes every value.
"""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from tema_lib.data.dataset import UNNAMED
from tema_lib.encoders.image import read_picture
from tema_lib.explain.attention import AttentionRecord, Event, shortened
from tema_lib.explain.composition import Composition
from tema_lib.explain.display.case import case_values, trust_values
from tema_lib.explain.display.style import AGAINST, COLOURS, FOR
from tema_lib.explain.explanation import FIRST, Explanation

PICTURE = 40  # pixels, as in page.css
LONGEST = 160  # characters of a title that are shown
DIGITS = 3  # of the attention weights in a page


def _source(name: str) -> str:
    return files("tema_lib.explain.display").joinpath(name).read_text("utf-8")


@functools.cache
def environment() -> jinja2.Environment:
    """The templates; every value they print is escaped, except our own CSS, script and JSON."""
    environment = jinja2.Environment(
        autoescape=True,
        loader=jinja2.FunctionLoader(lambda name: _source(f"templates/{name}")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cut"] = lambda text, width=LONGEST: shortened(text, width)
    environment.globals.update(
        css=_source("page.css"),
        script=_source("page.js"),
        colours={**COLOURS, "for": FOR, "against": AGAINST},
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return environment


@functools.lru_cache(maxsize=4096)
def thumbnail(path: Path | None, size: int = 2 * PICTURE) -> str:
    """A small copy of a picture as a data URL; "" where there is none or it cannot be read."""
    if path is None:
        return ""
    try:
        small = read_picture(path)
    except (OSError, ValueError):
        return ""
    small.thumbnail((size, size))
    store = io.BytesIO()
    small.save(store, "WEBP", quality=80)
    return "data:image/webp;base64," + base64.b64encode(store.getvalue()).decode()


class Pages:
    """HTML about items.

    Args:
        pictures: the picture files of the items, [N+1] (`Items.image`).
        domains: the names of A and B.
    """

    def __init__(self, pictures: Sequence[Path | None], domains: tuple[str, str] = ("A", "B")):
        self.pictures, self.domains = pictures, dict(zip("AB", domains))

    def domain(self, letter: str) -> str:
        """The name of a domain, with its letter; unescaped text."""
        name = self.domains[letter]
        return name if name in (letter, *UNNAMED) else f"{letter} ({name})"

    def thumbnail(self, event: Event) -> str:
        """The picture of an event as a data URL, or ""."""
        return thumbnail(self.pictures[event.item])

    def case(
        self,
        explanation: Explanation,
        branch: str = "merged",
        layer: int = -1,
        head: int | None = None,
        query: int = -1,
        of: str = FIRST,
        page: bool = False,
    ) -> str:
        """The history with attention, occlusion and Shapley values side by side.

        Args:
            head: None averages all heads.
            query: which event's attention is shown; counts the events of the branch.
            of: what is explained, NEXT or FIRST.
            page: titles become buttons, for the script of a page.
        """
        case = case_values(explanation, branch, layer, head, query, of)
        return self._render("case.html", case=case, page=page)

    def recommended(self, record: AttentionRecord) -> str:
        """The first items of both domains, and the rank of the true next item."""
        return self._render("recommended.html", record=record)

    def explorer(
        self,
        explanation: Explanation,
        branch: str = "merged",
        layer: int = -1,
        head: int | None = None,
        query: int = -1,
        of: str = FIRST,
    ) -> str:
        """`case` and `recommended` with their style: the picture of the attention explorer."""
        return self._render(
            "explorer.html",
            case=case_values(explanation, branch, layer, head, query, of),
            record=explanation.record,
            page=False,
        )

    def item(self, found: Composition) -> str:
        """What an item vector is made of, the raw replies behind its tags, and its neighbours."""
        return self._render("item.html", found=found, description_length=10 * LONGEST)

    def what_if(
        self,
        before: AttentionRecord,
        after: AttentionRecord,
        edits: Sequence[str],
        turned: Sequence[tuple[Event, float]] = (),
        refused: str = "",
    ) -> str:
        """Two records of one user side by side: what the edits changed.

        Args:
            edits: what was edited, in words.
            turned: the edited events, and the angle in degrees by which each vector turned.
            refused: why the last edit was not possible.
        """
        weights = after.event_weights.tolist()
        return self._render(
            "what_if.html",
            before=before,
            after=after,
            edits=edits,
            turned=turned,
            refused=refused,
            history=list(zip(after.history, weights)),
            widest=max([0.25, *weights]),
            recommended={
                domain: _changes(before.top[domain], best) for domain, best in after.top.items()
            },
        )

    def page(self, explanation: Explanation, about: str) -> str:
        """A whole HTML document about one case; `about` says which model made it."""
        record = explanation.record
        branch = "merged" if "merged" in record.events else list(record.events)[-1]
        weights = next(iter(record.weights.values()))
        cases = [
            case_values(explanation, branch, -1, None, -1, of)
            for of in reversed(list(explanation.effects))
        ]
        return self._render(
            "page.html",
            heading=f"User {record.user}: what the model attended to, and what decided",
            about=about,
            record=record,
            layers=len(weights),
            heads=weights.size(1),
            cases=cases,
            page=True,
            data=self._data(explanation, branch),
        )

    def _render(self, template: str, **values: Any) -> str:
        return environment().get_template(template).render(pages=self, **values)

    def _data(self, explanation: Explanation, branch: str) -> dict[str, Any]:
        """What page.js needs: weights[layer][head][query], where head 0 is the mean of all."""
        record = explanation.record
        branches = {}
        for name, weights in record.weights.items():
            heads = [[layer.mean(0), *layer] for layer in weights]
            tables = [
                [
                    [[round(value, DIGITS) for value in row] for row in head.tolist()]
                    for head in layer
                ]
                for layer in heads
            ]
            trust = {
                of: [
                    [
                        self._trust_text(explanation, of, name, layer, head)
                        for head in (None, *range(weights.size(1)))
                    ]
                    for layer in range(len(weights))
                ]
                for of in explanation.effects
            }
            branches[name] = {
                "positions": record.positions(name),
                "weights": tables,
                "trust": trust,
            }
        return {
            "branch": branch,
            "branches": branches,
            "indirect": self._render("trust.html", trust={"direct": False}).strip(),
        }

    def _trust_text(
        self, explanation: Explanation, of: str, branch: str, layer: int, head: int | None
    ) -> str:
        trust = trust_values(explanation, of, branch, layer, head, -1)
        return self._render("trust.html", trust=trust).strip()


def _changes(
    before: Sequence[tuple[Event, float]], after: Sequence[tuple[Event, float]]
) -> list[tuple[Event, float, str]]:
    """The recommended items with their probability and their move since `before`, in words."""
    old = {event.item: rank for rank, (event, _) in enumerate(before, start=1)}
    rows = []
    for rank, (event, probability) in enumerate(after, start=1):
        was = old.get(event.item)
        if was is None:
            change = "new"
        elif was == rank:
            change = ""
        else:
            change = f"{'▲' if was > rank else '▼'} from {was}"
        rows.append((event, probability, change))
    return rows
