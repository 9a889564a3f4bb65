"""The same pictures as plain HTML: what the explorers show, and one self-contained page for a chosen user.

No network, no library: inline style, one inline script.  Titles, tags and replies come from strangers: everything is escaped.
"""

from __future__ import annotations

import base64
import functools
import html
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path

from tema_lib.data.dataset import UNNAMED
from tema_lib.encoders.image import read_picture
from tema_lib.explain.attention import AttentionRecord, Event, shortened
from tema_lib.explain.composition import Composition
from tema_lib.explain.display.figures import AGAINST, COLOURS, FOR
from tema_lib.explain.occlusion import FIRST, Effect, Effects, Explanation

PICTURE = 40  # pixels
LONGEST = 160  # letters of a title that are shown
STYLE = f"""
.tema {{ font: 14px/1.35 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 1180px; padding: 4px 8px;
        -webkit-print-color-adjust: exact; print-color-adjust: exact }}
.tema h2 {{ font-size: 17px; margin: 14px 0 4px }} .tema h3 {{ font-size: 14px; margin: 10px 0 2px }} .tema p {{ margin: 4px 0; max-width: 75em }}
.tema table {{ border-collapse: collapse; border: 0; font: inherit; color: inherit; margin: 0 }} .tema th, .tema td {{ text-align: left; padding: 2px 8px; vertical-align: middle; border: 0; background: none }}
.tema th {{ font-weight: 600; border-bottom: 1px solid #888; vertical-align: bottom }} .tema tbody tr:hover {{ background: #f4f4f4 }}
.tema td.number, .tema th.number {{ text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }}
.tema td.bars {{ white-space: nowrap; font-variant-numeric: tabular-nums }} .tema td.rail {{ width: 48px; padding: 0; text-align: center; height: 46px }}
.tema td.rail.A {{ background: linear-gradient({COLOURS["A"]}, {COLOURS["A"]}) center / 3px 100% no-repeat }}
.tema td.rail.B {{ background: linear-gradient({COLOURS["B"]}, {COLOURS["B"]}) center / 3px 100% no-repeat }}
.tema .shot {{ display: inline-block; width: {PICTURE}px; height: {PICTURE}px; line-height: {PICTURE}px; border: 2px solid; border-radius: 6px; background: #fff;
              text-align: center; font-weight: 700; vertical-align: middle; overflow: hidden; box-sizing: border-box }}
.tema .shot.A {{ border-color: {COLOURS["A"]} }} .tema .shot.B {{ border-color: {COLOURS["B"]} }}
.tema .shot img {{ width: 100%; height: 100%; object-fit: contain; display: block; margin: 0 }}
.tema .tag {{ display: inline-block; border: 1px solid #bbb; border-radius: 9px; padding: 0 6px; margin: 1px 3px 1px 0; font-size: 12px; white-space: nowrap }}
.tema .tag.for {{ border-color: {FOR}; box-shadow: inset 0 0 0 1px {FOR} }} .tema .tag.against {{ border-color: {AGAINST}; box-shadow: inset 0 0 0 1px {AGAINST} }}
.tema .track {{ display: inline-block; position: relative; height: 12px; background: #eee; vertical-align: middle }}
.tema .track span {{ position: absolute; top: 0; height: 100%; min-width: 1px }}
.tema tr.looking td.what {{ outline: 2px solid #1a1a1a; outline-offset: -1px }} .tema .asks {{ font-size: 12px; color: #555 }}
.tema .side {{ display: flex; flex-wrap: wrap; gap: 8px 40px; align-items: flex-start }} .tema .two {{ flex-wrap: nowrap }} .tema tr.truth td {{ font-weight: 700 }}
.tema .quiet {{ color: #555; font-size: 12.5px }} .tema pre {{ white-space: pre-wrap; background: #f4f4f4; padding: 6px; margin: 4px 0; max-width: 70em; font-size: 12.5px }}
.tema .controls label, .tema .controls button, .tema .controls select {{ margin-right: 10px; font: inherit }}
.tema button.ask {{ font: inherit; font-weight: 700; text-align: left; border: 0; background: none; padding: 0; cursor: pointer }}
.tema button[data-branch] {{ border: 1px solid #888; border-radius: 4px; background: #fff; padding: 1px 10px; margin: 0 2px }}
.tema button[aria-pressed=true] {{ background: #1a1a1a; color: #fff }}
.tema :focus-visible {{ outline: 3px solid {COLOURS["B"]} }}
@media print {{ .tema .controls {{ display: none }} .tema tr {{ break-inside: avoid }} .tema {{ max-width: none; font-size: 11px }} }}
"""


def text(value: str) -> str:
    return html.escape(value, quote=True)


@functools.lru_cache(maxsize=4096)
def thumbnail(path: Path | None, size: int = 2 * PICTURE) -> str:
    """A small copy of a picture as a data address; "" where there is none or it cannot be read."""
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
    """Writes HTML about items; `pictures` [N+1] are their files (`Items.image`), `domains` what A and B are called."""

    def __init__(self, pictures: Sequence[Path | None], domains: tuple[str, str] = ("A", "B")):
        self.pictures, self.domains = pictures, dict(zip("AB", domains))

    # ------------------------------------------------------------------------------------------ small parts

    def domain(self, domain: str) -> str:
        name = self.domains[domain]
        return text(name) if name in (domain, *UNNAMED) else f"{domain} ({text(name)})"

    def title(self, event: Event) -> str:
        """The title of an event as HTML: long ones cut, and each in its own direction of writing."""
        return f"<bdi>{text(shortened(event.title, LONGEST))}</bdi>"

    def picture(self, event: Event) -> str:
        address = thumbnail(self.pictures[event.item])
        said = text(shortened(event.title, LONGEST))
        inside = f'<img src="{address}" alt="picture of {said}">' if address else event.domain
        return f'<span class="shot {event.domain}" title="{said}">{inside}</span>'

    def rails(self, event: Event) -> str:
        """The event's picture on the rail of the domain in which it counts."""
        return "".join(
            f'<td class="rail {domain}">{self.picture(event) if event.domain == domain else ""}</td>'
            for domain in "AB"
        )

    def bar(self, share: float, colour: str, width: int = 110) -> str:
        """A bar from the left, `share` of the width."""
        return f'<span class="track" style="width:{width}px"><span style="left:0;width:{width * min(max(share, 0), 1):.0f}px;background:{colour}"></span></span>'

    def signed(self, value: float, scale: float, width: int = 90) -> str:
        """A bar to the right (speaks for) or to the left (speaks against), with the number."""
        half = width / 2
        long = half * min(abs(value) / scale, 1)
        position = f"left:{half if value >= 0 else half - long:.0f}px;width:{long:.0f}px;background:{FOR if value >= 0 else AGAINST}"
        return f'<span class="track" style="width:{width}px"><span style="{position}"></span></span> {value:+.2f}'

    def lost(self, effect: Effect, scale: float, rank: float) -> str:
        """The same for a removal, with the rank that the target would have."""
        return self.signed(effect.lost, scale) + (
            f" rank {rank:g} → {effect.rank:g}" if effect.rank != rank else ""
        )

    def tags(self, event: Event, found: Sequence[tuple[str, Effect]], scale: float) -> str:
        """Tags as small labels; with their effect where it is worth a tenth of the scale."""
        lines = []
        known = dict(found)
        for tag in event.tags:
            effect = known.get(tag)
            mark = (
                ""
                if effect is None or abs(effect.lost) < 0.1 * scale
                else "for"
                if effect.lost > 0
                else "against"
            )
            said = f" {effect.lost:+.2f}" if mark else ""
            hint = (
                f' title="without this tag: {effect.lost:+.3f}, rank {effect.rank:g}"'
                if effect
                else ""
            )
            lines.append(f'<span class="tag {mark}"{hint}>{text(tag)}{said}</span>')
        return "".join(lines)

    # ------------------------------------------------------------------------------------------ one case

    def case(
        self,
        explanation: Explanation,
        branch: str = "merged",
        layer: int = -1,
        head: int | None = None,
        looking: int = -1,
        of: str = FIRST,
        page: bool = False,
    ) -> str:
        """History as a time line with attention and occlusion side by side, what was recommended, and how far to trust it.

        `looking` counts the events of the branch; `page` adds what the script of a page of its own needs.
        """
        record, effects = explanation.record, explanation.about(of)
        of = next(kind for kind, found in explanation.effects.items() if found is effects)
        weights, positions = record.spread(branch, layer, head, looking), record.positions(branch)
        asks = positions[looking] if positions else None
        widest = max(
            [0.25, *weights.tolist()]
        )  # the bars' full width; the numbers stand beside them
        scale = max([abs(effect.lost) for effect in effects.events] + [0.1])
        shares, errors = effects.shares.tolist(), effects.shares_error.tolist()
        largest = max([abs(share) for share in shares] + [0.1])
        lines = []
        for position, event in enumerate(record.history):
            when = (
                ""
                if record.days is None
                else f"{record.days[position]:.0f} days"
                if record.days[position] >= 0.5
                else "newest day"
            )
            name = (
                f'<button class="ask" type="button" data-place="{position}">{self.title(event)}</button>'
                if page
                else f"<b>{self.title(event)}</b>"
            )
            note = ' <span class="asks">looks</span>' if position == asks else ""
            look = self._look(
                float(weights[position]),
                widest,
                event.domain,
                None if asks is None else position <= asks and position in positions,
            )
            lines.append(
                f'<tr data-place="{position}" class="{"looking" if position == asks else ""}"><td class="number quiet">{when}</td>{self.rails(event)}'
                f'<td class="what">{name}{note}<br>{self.tags(event, effects.tags[position], scale)}</td><td class="look number">{look}</td>'
                f'<td class="bars">{self.lost(effects.events[position], scale, effects.rank)}</td>'
                f'<td class="bars">{self.signed(shares[position], largest)} ± {errors[position]:.2f}</td></tr>'
            )
        empty = "" if positions else f"<p>No events in sequence {text(branch)}.</p>"
        wanted = f"the {of}, <b>{self.title(effects.target)}</b>"
        table = (
            f'<table><thead><tr><th class="number">before the<br>newest</th><th>A</th><th>B</th><th>bought, with its tags</th>'
            f'<th class="number">attention<br>{text(branch)}</th><th>lost without it<br>alone</th><th>Shapley value, ± its<br>standard error</th></tr></thead><tbody>{"".join(lines)}</tbody></table>'
            if lines
            else "<p>This history is empty.</p>"
        )
        branches = ", ".join(
            f"{name} {weight:.2f}" for name, weight in record.branch_weights.items()
        )
        return (
            f'<div class="explained" data-of="{text(of)}">{empty}{table}'
            f'<p class="quiet">Explained: {wanted}, P = {math.exp(effects.log_probability):.3f}, rank {effects.rank:g}. Green and +: speaks for it. Vermilion and −: speaks against it. '
            f"Losses and shares are in log P of it. "
            f"Removal alone hides what other events say too; a Shapley value averages over many orders of putting the history together. Tags show what is lost without them where it is much. "
            f"The answer listens to the sequences by {branches}.</p>"
            f"{self.trust(explanation, of, branch, layer, head, positions, looking)}{self.ingredients(effects, of)}</div>"
        )

    def _look(self, weight: float, widest: float, domain: str, seen: bool | None) -> str:
        return (
            f"{self.bar(weight / widest, COLOURS[domain], 90)} {weight:.2f}"
            if seen
            else '<span class="quiet">–</span>'
        )

    def trust(
        self,
        explanation: Explanation,
        of: str,
        branch: str,
        layer: int,
        head: int | None,
        positions: Sequence[int],
        looking: int,
    ) -> str:
        """Does attention order the events as their removal does?  Beside it the same question to random weights, and what chance alone would do."""
        if looking not in (-1, len(positions) - 1):
            return '<p class="trust">Only what the newest event looks at reaches the answer directly; choose it to compare attention with removal.</p>'
        (lost, share), (random_lost, random_share) = (
            explanation.agreement(of, branch, layer, head, control=control)
            for control in (False, True)
        )
        if len(positions) < 6 or any(map(math.isnan, (lost, share, random_lost, random_share))):
            return '<p class="trust">Too few events in this sequence to tell whether attention agrees with anything.</p>'
        return (
            f'<p class="trust"><b>Is the picture true?</b> Rank correlation of attention over {len(positions)} events: with removal <b>{lost:+.2f}</b> (random weights {random_lost:+.2f}), '
            f"with Shapley values <b>{share:+.2f}</b> (random weights {random_share:+.2f}). By chance alone it lies within ±{1.96 / math.sqrt(len(positions) - 1):.2f} in 19 of 20 such histories.</p>"
        )

    def ingredients(self, effects: Effects, of: str) -> str:
        """What each modality, and each tag of the explained item itself, is worth."""
        rows = [(f"{view}, of all items", effect) for view, effect in effects.modalities.items()]
        rows += [(f"its own tag “{tag}”", effect) for tag, effect in effects.own_tags]
        if not rows:
            return ""
        scale = max([abs(effect.lost) for _, effect in rows] + [0.1])
        lines = "".join(
            f'<tr><td>{text(name)}</td><td class="bars">{self.lost(effect, scale, effects.rank)}</td></tr>'
            for name, effect in rows
        )
        return f"<h3>What of the items counts for the {text(of)}</h3><table><thead><tr><th>left out</th><th>lost, log P</th></tr></thead><tbody>{lines}</tbody></table>"

    def recommended(self, record: AttentionRecord) -> str:
        """The first items of both domains; the true next one is marked, or its rank is told."""
        columns = []
        for domain, best in record.top.items():
            scale = max([chance for _, chance in best] + [1e-9])
            lines = "".join(
                f'<tr class="{"truth" if record.target and event.item == record.target.item else ""}"><td class="number">{position}</td><td>{self.picture(event)}</td>'
                f"<td>{self.title(event)}{' ✓ bought next' if record.target and event.item == record.target.item else ''}</td>"
                f'<td class="number">{self.bar(chance / scale, COLOURS[domain], 60)} {chance:.3f}</td></tr>'
                for position, (event, chance) in enumerate(best, start=1)
            )
            columns.append(
                f'<div><h3>Recommended in {self.domain(domain)}</h3><table><thead><tr><th></th><th></th><th>item</th><th class="number">probability</th></tr></thead>'
                f"<tbody>{lines}</tbody></table></div>"
            )
        truth = ""
        if record.target is not None:
            truth = (
                f"<p>Bought next, in {self.domain(record.target.domain)}: {self.picture(record.target)} <b>{self.title(record.target)}</b>, "
                f"rank {record.target_rank:g}, probability {record.target_probability:.4f}.</p>"
            )
        return f'{truth}<div class="side">{"".join(columns)}</div>'

    def explorer(self, explanation: Explanation, **chosen) -> str:
        """One case, with style: the picture of the attention explorer."""
        return f'<style>{STYLE}</style><div class="tema">{self.case(explanation, **chosen)}{self.recommended(explanation.record)}</div>'

    # ------------------------------------------------------------------------------------------ one item

    def item(self, found: Composition) -> str:
        """What an item vector is made of, the raw replies behind its tags, and its neighbours with and without tags."""
        widest = max([view.turn for view in found.modalities] + [1e-9])
        modalities = "".join(
            f"<tr><td>{view.name}</td><td>{self.bar(view.turn / widest, COLOURS['merged'])} {view.turn:.0f}°</td>"
            f'<td class="number quiet">{view.length:.2f}</td></tr>'
            for view in found.modalities
        )
        whole = max([tag.turn for tag in found.tags] + [1e-9])
        tags = "".join(
            f'<tr><td><span class="tag">{text(tag.name)}</span></td><td>{self.bar(tag.turn / whole, COLOURS["merged"], 70)} {tag.turn:.1f}°</td>'
            f'<td class="number">{tag.weight:.2f}</td><td class="quiet">{tag.origin}</td></tr>'
            for tag in found.tags
        )
        replies = "".join(f"<pre>{text(reply)}</pre>" for reply in found.replies)
        parts = [
            f'<h2>{self.picture(found.item)} {self.title(found.item)}</h2><p class="quiet">{self.domain(found.item.domain)}. {text(shortened(found.description, 10 * LONGEST)) or "No description."}</p>'
        ]
        if modalities:
            parts.append(
                f'<div class="side"><div><h3>Left out, the vector turns</h3><table><thead><tr><th>modality</th><th>turn</th>'
                f'<th class="number">length</th></tr></thead><tbody>{modalities}</tbody></table></div>'
            )
            parts.append(
                f'<div><h3>Tag by tag</h3><table><thead><tr><th>tag</th><th>turn</th><th class="number">weight</th><th>where it comes from</th></tr></thead>'
                f"<tbody>{tags}</tbody></table></div></div>"
                if tags
                else "</div>"
            )
        if replies:
            parts.append(f"<h3>What the language model wrote, unedited</h3>{replies}")
        columns = []
        for name, near in (
            ("with tags", found.neighbours),
            ("without tags", found.neighbours_without),
        ):
            for domain, rows in near.items():
                lines = "".join(
                    f'<tr><td>{self.picture(event)}</td><td>{self.title(event)}</td><td class="number">{cosine:.2f}</td></tr>'
                    for event, cosine in rows
                )
                columns.append(
                    f"<div><h3>Nearest in {self.domain(domain)}, {name}</h3><table><tbody>{lines}</tbody></table></div>"
                )
        return f'<style>{STYLE}</style><div class="tema">{"".join(parts)}<div class="side">{"".join(columns)}</div></div>'

    # ------------------------------------------------------------------------------------------ what if

    def what_if(
        self,
        before: AttentionRecord,
        after: AttentionRecord,
        edits: Sequence[str],
        turned: Sequence[tuple[Event, float]] = (),
        refused: str = "",
    ) -> str:
        """Two records of one user side by side: how ranking, attention and the edited events' vectors followed the edits; why one was refused."""
        said = "; ".join(map(text, edits)) or "nothing yet: this is the history as it was"
        vectors = "".join(
            f"<li>{self.title(event)}: its fused vector turned by {turn:.0f}°</li>"
            for event, turn in turned
        )
        lines, widest = [], max([0.25, *after.event_weights.tolist()])
        for event, weight in zip(after.history, after.event_weights.tolist()):
            lines.append(
                f'<tr>{self.rails(event)}<td class="what"><b>{self.title(event)}</b><br>{self.tags(event, (), 1)}</td>'
                f'<td class="number">{self.bar(weight / widest, COLOURS[event.domain], 90)} {weight:.2f}</td></tr>'
            )
        columns = []
        for domain, best in after.top.items():
            old = {
                event.item: position
                for position, (event, _) in enumerate(before.top[domain], start=1)
            }

            def move(event, position):
                return (
                    "new"
                    if event.item not in old
                    else ""
                    if old[event.item] == position
                    else f"{'▲' if old[event.item] > position else '▼'} from {old[event.item]}"
                )

            rows = "".join(
                f'<tr><td class="number">{position}</td><td>{self.picture(event)}</td><td>{self.title(event)}</td><td class="number">{chance:.3f}</td>'
                f'<td class="quiet bars">{move(event, position)}</td></tr>'
                for position, (event, chance) in enumerate(best, start=1)
            )
            columns.append(
                f"<div><h3>Now recommended in {self.domain(domain)}</h3><table><tbody>{rows}</tbody></table></div>"
            )
        truth = ""
        if after.target is not None:
            truth = (
                f"<p>Bought next: <b>{self.title(after.target)}</b>, rank {before.target_rank:g} → <b>{after.target_rank:g}</b>, "
                f"probability {before.target_probability:.4f} → {after.target_probability:.4f}.</p>"
            )
        history = f"<div><h3>History, with attention of all sequences together</h3><table><tbody>{''.join(lines)}</tbody></table></div>"
        return (
            f'<style>{STYLE}</style><div class="tema">{f"<p><b>Not possible:</b> {text(refused)}</p>" if refused else ""}<p><b>Edited:</b> {said}</p>{f"<ul>{vectors}</ul>" if vectors else ""}{truth}'
            f'<div class="side two">{history}<div>{"".join(columns)}</div></div></div>'
        )

    # ------------------------------------------------------------------------------------------ a page of its own

    def page(self, explanation: Explanation, about: str) -> str:
        """A whole HTML document about one case; `about` says which model was asked."""
        record = explanation.record
        kinds = list(explanation.effects)
        control = "".join(
            f'<button type="button" data-branch="{branch}">{branch}</button>'
            for branch in record.events
        )
        weights = next(iter(record.weights.values()))
        layers = "".join(
            f'<option value="{layer}"{" selected" if layer == len(weights) - 1 else ""}>{layer + 1}</option>'
            for layer in range(len(weights))
        )
        heads = '<option value="0">mean of all</option>' + "".join(
            f'<option value="{head + 1}">{head + 1}</option>' for head in range(weights.size(1))
        )
        shown = "".join(
            f'<option value="{text(kind)}">{text(kind)}</option>' for kind in kinds[::-1]
        )
        branch = "merged" if "merged" in record.events else list(record.events)[-1]
        cases = "".join(self.case(explanation, branch, of=kind, page=True) for kind in kinds[::-1])
        title = f"User {text(record.user)}: where the model looked, and what decided"
        return (
            f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>'
            f'<style>body {{ margin: 12px auto; max-width: 1200px }} {STYLE}</style></head><body><main class="tema"><h1 style="font-size:20px">{title}</h1>'
            f'<p class="quiet">{text(about)}</p>{self.recommended(record)}<h2>History: oldest first</h2>'
            f'<div class="controls" role="group" aria-label="what is shown"><span role="group" aria-label="sequence">sequence {control}</span>'
            f'<label>layer <select id="layer">{layers}</select></label><label>head <select id="head">{heads}</select></label>'
            f'<label>explain <select id="of">{shown}</select></label>'
            f'<span class="quiet">Press a title: what does this event look at?</span></div><div aria-live="polite">{cases}</div></main>'
            f'<script type="application/json" id="data">{self._data(explanation, branch)}</script><script>{SCRIPT}</script></body></html>\n'
        )

    def _data(self, explanation: Explanation, branch: str) -> str:
        """What the script needs, as JSON in which no end of a script can stand."""
        record, digits = explanation.record, 3
        data = {
            "branch": branch,
            "domain": [event.domain for event in record.history],
            "colours": COLOURS,
            "branches": {},
        }
        for name, weights in record.weights.items():
            every = [[layer.mean(0), *layer] for layer in weights]  # head 0 = mean of all
            tables = [
                [
                    [[round(value, digits) for value in row] for row in head.tolist()]
                    for head in layer
                ]
                for layer in every
            ]
            positions = record.positions(name)
            said = {
                kind: [
                    [
                        self.trust(
                            explanation,
                            kind,
                            name,
                            layer,
                            head - 1 if head else None,
                            positions,
                            -1,
                        )
                        for head in range(len(every[0]))
                    ]
                    for layer in range(len(every))
                ]
                for kind in explanation.effects
            }
            data["branches"][name] = {"places": positions, "weights": tables, "trust": said}
        return (
            json.dumps(data, separators=(",", ":"))
            .replace("<", "\\u003c")
            .replace(">", "\\u003e")
            .replace("&", "\\u0026")
        )


SCRIPT = """
'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const chosen = { branch: data.branch, place: null };
const buttons = document.querySelectorAll('button[data-branch]'), asks = document.querySelectorAll('button.ask');
function draw() {
  const layer = +document.getElementById('layer').value, head = +document.getElementById('head').value, of = document.getElementById('of').value;
  const branch = data.branches[chosen.branch], newest = branch.places.length - 1;
  const looking = branch.places.includes(chosen.place) ? branch.places.indexOf(chosen.place) : newest;
  const row = newest < 0 ? [] : branch.weights[layer][head][looking], widest = Math.max(0.25, ...row);
  for (const button of buttons) button.setAttribute('aria-pressed', button.dataset.branch === chosen.branch);
  for (const modality of document.querySelectorAll('.explained')) {
    modality.hidden = modality.dataset.of !== of;
    const title = modality.querySelector('th:nth-child(5)');                                   // an empty history has no table
    if (title) title.innerHTML = 'attention<br>' + chosen.branch;
    for (const line of modality.querySelectorAll('tr[data-place]')) {
      const place = +line.dataset.place, at = branch.places.indexOf(place), seen = at >= 0 && at <= looking, cell = line.querySelector('.look');
      line.classList.toggle('looking', at === looking && at >= 0);
      cell.textContent = seen ? '' : '\\u2013';
      if (seen) {
        const track = document.createElement('span'), bar = document.createElement('span');
        track.className = 'track'; track.style.width = '90px';
        bar.style.cssText = 'left:0;width:' + Math.round(90 * row[at] / widest) + 'px;background:' + data.colours[data.domain[place]];
        track.append(bar); cell.append(track, ' ' + row[at].toFixed(2));
      }
      const note = line.querySelector('.asks');
      if (note) note.remove();
      if (at === looking && at >= 0) line.querySelector('.ask').insertAdjacentHTML('afterend', ' <span class="asks">looks</span>');
    }
    const trust = modality.querySelector('.trust');
    trust.outerHTML = looking === newest ? branch.trust[modality.dataset.of][layer][head]
      : '<p class="trust">Only what the newest event looks at reaches the answer directly; choose it to compare attention with removal.</p>';
  }
}
for (const button of buttons) button.addEventListener('click', () => { chosen.branch = button.dataset.branch; chosen.place = null; draw(); });
for (const ask of asks) ask.addEventListener('click', () => {
  chosen.place = +ask.dataset.place;
  if (!data.branches[chosen.branch].places.includes(chosen.place))                          // it is not in that sequence: take one that has it
    chosen.branch = Object.keys(data.branches).reverse().find(name => data.branches[name].places.includes(chosen.place)) ?? chosen.branch;
  draw();
});
for (const id of ['layer', 'head', 'of']) document.getElementById(id).addEventListener('change', draw);
draw();
"""
