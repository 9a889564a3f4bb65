"""An attention explorer for JupyterLab: choose a user, a thread, a head and an event; see what that event looks at.

The picture is plain HTML in one widget, so it also stands in a saved notebook without a kernel.  Titles come from strangers: all are escaped.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

import ipywidgets

from tema_lib.data.interactions import Items
from tema_lib.data.sequences import Sequences
from tema_lib.explain.attention_records import AttentionRecord, attention_record
from tema_lib.explain.plots import COLOURS
from tema_lib.models.tema import Tema


def attention_html(record: AttentionRecord, thread: str = "merged", head: int | None = None, looking: int = -1) -> str:
    """One line an event, a bar as long as the weight that event `looking` of the thread gives it; then threads, target and top items."""
    events, lines = record.events[thread], []
    if events:
        weights = record.weights[thread][-1]
        row = (weights.mean(0) if head is None else weights[head])[looking]
        looking %= len(events)
        for place, (event, weight) in enumerate(zip(events, row.tolist())):
            bar = (f'<span style="display:inline-block;width:{480 * weight:.0f}px;height:.8em;background:{COLOURS[event.domain]}"></span> {weight:.2f}'
                   if place <= looking else "later")
            name = html.escape(event.title)
            lines.append(f'<tr><td style="text-align:right">{event.domain}</td><td>{f"<b>{name}</b> looks" if place == looking else name}</td><td>{bar}</td></tr>')
    body = f'<table style="border-spacing:6px 1px">{"".join(lines)}</table>' if lines else f"<p>No events in thread {html.escape(thread)}.</p>"
    threads = ", ".join(f"{name} {weight:.2f}" for name, weight in record.thread_weights.items())
    target = "" if record.target is None else f"<p>Bought next: <b>{html.escape(record.target.title)}</b></p>"
    top = "".join(f"<li>{html.escape(event.title)} ({score:.2f})</li>" for event, score in record.top)
    return f"<div>{body}<p>Threads: {threads}</p>{target}<p>After the newest event, recommended in {record.domain}:</p><ol>{top}</ol></div>"


def attention_explorer(model: Tema, sequences: Sequences, items: Items, rows: Sequence[int], max_length: int = 50) -> ipywidgets.Widget:
    """The explorer over the given test cases; the first one is shown.  Records are computed when asked for."""
    users = ipywidgets.Dropdown(options=[(sequences.user_id[row], row) for row in rows], description="user")
    thread = ipywidgets.ToggleButtons(options=list(model.config.threads)[::-1], description="thread")
    head = ipywidgets.Dropdown(options=[("mean of all", None), *((str(number + 1), number) for number in range(model.config.heads))], description="head")
    looking = ipywidgets.IntSlider(value=0, min=0, max=max_length - 1, description="events back", tooltip="0 = the newest event of the thread looks")
    picture, records = ipywidgets.HTML(), {}

    def draw(_=None):
        if users.value not in records:
            records[users.value] = attention_record(model, sequences, users.value, items, max_length=max_length)
        record = records[users.value]
        looking.max = max(len(record.events[thread.value]) - 1, 0)               # the widget moves its value back by itself
        picture.value = attention_html(record, thread.value, head.value, -1 - looking.value)

    for control in (users, thread, head, looking):
        control.observe(draw, "value")
    draw()
    return ipywidgets.VBox([ipywidgets.HBox([users, head, looking]), thread, picture])
