"""Pages and figures: what strangers wrote stays text, the numbers are those of the records; the command that writes a page."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from PIL import Image
from test_reading import COUNT, LONG, small_world

from tema_lib.experiment import Experiment
from tema_lib.explain.attention import attention_record, record_of
from tema_lib.explain.composition import composition
from tema_lib.explain.counterfactual import CounterfactualModel, Interaction
from tema_lib.explain.display import figures as plots
from tema_lib.explain.display.html import Pages, thumbnail
from tema_lib.explain.display.widgets import (
    AttentionExplorer,
    ItemExplorer,
    WhatIfExplorer,
    item_labels,
)
from tema_lib.explain.occlusion import FIRST, NEXT, explain, explanation_of

EVIL = '$\\x$ </script></p><!-- <x-evil onclick="a()"> \' " &amp; $ $'
ROOT = Path(__file__).resolve().parents[1]
PARTS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "main",
    "script",
    "div",
    "span",
    "p",
    "h1",
    "h2",
    "h3",
    "b",
    "bdi",
    "br",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "pre",
    "ul",
    "li",
}
PARTS |= {"button", "select", "option", "label", "img"}
NAMES = {
    "lang",
    "charset",
    "name",
    "content",
    "class",
    "style",
    "title",
    "alt",
    "src",
    "type",
    "id",
    "value",
    "role",
    "aria-label",
    "aria-live",
    "data-place",
    "data-of",
    "data-branch",
    "selected",
}


@pytest.fixture(scope="module")
def world():
    return small_world()


def evil_world(folder):
    """The same world, but every word in it is an attack; items 1 and 9 have a picture, 2 a broken one, 3 a lost one."""
    world = small_world()
    for name in ("1.png", "9.jpg"):
        Image.new("RGB", (60, 30), "red").save(folder / name)
    (folder / "2.jpg").write_bytes((folder / "9.jpg").read_bytes()[:200])
    pictures = {
        1: folder / "1.png",
        9: folder / "9.jpg",
        2: folder / "2.jpg",
        3: folder / "lost.jpg",
    }

    def words(kind):
        return ("", *(f"{kind} {number} {EVIL}" for number in range(1, COUNT + 1)))

    items = replace(
        world.items,
        title=words("title"),
        description=words("about"),
        image=tuple(map(pictures.get, range(COUNT + 1))),
    )
    tags = replace(
        world.tags,
        vocabulary=words("tag")[:6],
        raw_replies=tuple((reply,) for reply in words("reply")),
    )
    sequences = replace(
        world.sequences, user_id=tuple(f"user {number} {EVIL}" for number in range(4))
    )
    reader, control = (
        CounterfactualModel(one.model, items, tags, world.text)
        for one in (world.reader, world.control)
    )
    return world._replace(
        items=items, tags=tags, sequences=sequences, reader=reader, control=control
    )


@pytest.fixture(scope="module")
def evil(tmp_path_factory):
    return evil_world(tmp_path_factory.mktemp("pictures"))


class Page(HTMLParser):
    """Reads a page as a browser would; raises AssertionError for what is not closed, and for elements and attributes that we do not write."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.open, self.text, self.found, self.scripts = [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []
        self.words = "".join(self.text)

    def handle_starttag(self, tag, attributes):
        assert tag in PARTS and {name for name, _ in attributes} <= NAMES, (tag, attributes)
        self.found.append((tag, dict(attributes)))
        if tag not in ("meta", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_comment(self, data):
        raise AssertionError(f"a comment slipped in: {data}")

    def handle_data(self, data):
        (self.scripts if self.open and self.open[-1] == "script" else self.text).append(data)

    def every(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


def page_of(evil, row=3, domains=(f"domain A {EVIL}", f"domain B {EVIL}")):
    explanation = explain(
        evil.reader,
        evil.control,
        evil.sequences,
        row,
        times=[86_400 * day for day in range(len(evil.sequences[row]))],
    )
    return explanation, Pages(evil.items.image, domains)


# ---- pages


def test_what_strangers_wrote_stays_text_everywhere(evil):
    explanation, pages = page_of(evil)
    record = explanation.record
    edited = record_of(evil.reader, [Interaction(2, domain=1, tags=(1, 4)), 9, 3], 0, target=1)
    case, item = (
        Page(pages.case(explanation, page=True)),
        Page(pages.item(composition(evil.reader, 12))),
    )
    recommended = Page(pages.recommended(record))
    told = Page(
        pages.what_if(record, edited, [f"edit {EVIL}"], [(edited.history[0], 12.0)], f"no {EVIL}")
    )
    explorer, whole = (
        Page(pages.explorer(explanation)),
        Page(pages.page(explanation, f"model {EVIL}")),
    )
    titles = [evil.items.title[item] for item in (2, 9, 3)]
    tags = [tag for event in record.history for tag in event.tags]
    for page, expected in (
        (case, [*titles, *tags, explanation.effects[FIRST].target.title]),
        (explorer, [*titles, *tags]),
        (
            whole,
            [
                *titles,
                *tags,
                record.user,
                f"model {EVIL}",
                f"domain A {EVIL}",
                f"domain B {EVIL}",
                record.target.title,
            ],
        ),
        (
            recommended,
            [
                record.target.title,
                f"domain A {EVIL}",
                *(event.title for event, _ in record.top["B"]),
            ],
        ),
        (
            item,
            [
                evil.items.title[12],
                evil.items.description[12],
                *evil.tags.raw_replies[12],
                f"domain B {EVIL}",
                *(name for name, _, _ in evil.tags.tags_of(12)),
            ],
        ),
        (
            told,
            [
                *titles,
                f"edit {EVIL}",
                f"no {EVIL}",
                evil.tags.vocabulary[1],
                evil.tags.vocabulary[4],
                record.target.title,
            ],
        ),
    ):
        for words in expected:
            assert words in page.words
        assert (
            any(
                value == evil.items.title[9]
                for attributes in page.every("span")
                for value in attributes.values()
            )
            or page is recommended
        )
    assert {attributes["alt"] for attributes in whole.every("img")} <= {
        f"picture of {title}" for title in evil.items.title
    }
    assert "x-evil" not in "".join(whole.scripts)
    assert all(
        Page(pages.item(composition(evil.reader, item))) for item in range(1, COUNT + 1)
    )  # also where there is no tag


def test_a_page_is_whole_and_needs_no_network(evil):
    explanation, pages = page_of(evil)
    source = pages.page(explanation, "about")
    page = Page(source)
    assert source.startswith("<!DOCTYPE html>")
    assert page.found[0] == ("html", {"lang": "en"})
    assert page.words.count(explanation.record.user) == 2
    assert not re.search(r"https?://|//[a-z]|@import|url\(", source.replace("</", ""))
    assert not page.every("link")
    assert not page.every("a")
    assert all(
        attributes["src"].startswith("data:image/webp;base64,") and attributes["alt"]
        for attributes in page.every("img")
    )
    assert len(page.every("img")) > 2
    assert all("src" not in attributes for attributes in page.every("script"))
    assert len(page.scripts) == 2
    assert [
        option["value"] for option in page.every("option") if option["value"] in (FIRST, NEXT)
    ] == [FIRST, NEXT]
    assert [
        button["data-branch"] for button in page.every("button") if "data-branch" in button
    ] == ["A", "B", "merged"]


@pytest.mark.parametrize("row", range(4))
def test_the_data_of_a_page_are_those_of_the_record(evil, row):
    explanation, pages = page_of(evil, row)
    block = Page(pages.page(explanation, "about")).scripts[0]
    assert not re.search("[<>&]", block)
    data = json.loads(block)
    assert data["domain"] == [event.domain for event in explanation.record.history]
    assert data["branch"] == "merged"
    for branch, weights in explanation.record.weights.items():
        told = data["branches"][branch]
        assert told["places"] == explanation.record.positions(branch)
        both = np.array(told["weights"]).reshape(2, 3, *weights.shape[2:])
        assert both[:, 1:] == pytest.approx(weights.numpy(), abs=6e-4)
        assert both[:, 0] == pytest.approx(weights.mean(1).numpy(), abs=6e-4)
        for kind in (NEXT, FIRST):
            lost, share = explanation.agreement(kind, branch, 0, 1)
            sentence = told["trust"][kind][0][2]
            expected = (
                [f"<b>{lost:+.2f}</b>", f"<b>{share:+.2f}</b>"]
                if len(told["places"]) > 5 and lost == lost
                else ["Too few events"]
            )
            assert Page(sentence)
            assert all(words in sentence for words in expected)


def test_a_case_shows_the_chosen_weights_beside_the_removals(evil):
    explanation, pages = page_of(evil, 0)
    record = explanation.record

    def cells(kind, page):
        return [
            re.sub("<[^>]*>", "", cell).strip()
            for cell in re.findall(rf'<td class="{kind}">(.*?)</td>', page)
        ]

    for branch, layer, head, looking in (("merged", -1, None, -1), ("B", 0, 1, 1), ("A", 1, 0, 2)):
        shown = pages.case(explanation, branch, layer, head, looking, of=NEXT)
        positions, row = record.positions(branch), record.weights[branch][layer]
        row = (row.mean(0) if head is None else row[head])[looking].tolist()
        expected = ["–"] * 6
        for position, weight in list(zip(positions, row))[: looking + 1 or None]:
            expected[position] = f"{weight:.2f}"
        assert cells("look number", shown) == expected
        bars, effects = cells("bars", shown)[:12], explanation.effects[NEXT]

        def moved(effect):
            return (
                f" rank {effects.rank:g} → {effect.rank:g}" if effect.rank != effects.rank else ""
            )

        assert bars[::2] == [f"{effect.lost:+.2f}{moved(effect)}" for effect in effects.events]
        assert bars[1::2] == [
            f"{share:+.2f} ± {error:.2f}"
            for share, error in zip(effects.shares.tolist(), effects.shares_error.tolist())
        ]
        told = (
            "Only what the newest"
            if looking not in (-1, len(positions) - 1)
            else "Is the picture true?"
            if len(positions) > 5
            else "Too few events"
        )
        assert told in shown
        assert f"rank {effects.rank:g}" in shown
    assert "No events in sequence B" in pages.case(page_of(evil, 1)[0], "B")
    empty = explanation_of(evil.reader, evil.control, [], 0)
    assert "This history is empty" in Page(pages.case(empty)).words
    assert Page(pages.page(empty, "about"))


def test_moves_of_recommendations_are_told(evil):
    pages = Pages(evil.items.image)
    before, after = (
        record_of(evil.reader, history, 1, target=12, seen=LONG) for history in (LONG, LONG[::-1])
    )
    rows = re.findall(r'<td class="quiet[^"]*">(.*?)</td>', pages.what_if(before, after, []))
    expected = []
    for domain in "AB":
        old = [event.item for event, _ in before.top[domain]]
        for position, (event, _) in enumerate(after.top[domain]):
            was = old.index(event.item) if event.item in old else None
            expected.append(
                "new"
                if was is None
                else ""
                if was == position
                else f"{'▲' if was > position else '▼'} from {was + 1}"
            )
    assert rows == expected
    assert any(rows)


def test_a_missing_or_broken_picture_gives_way_to_the_shops_letter(evil, tmp_path):
    pages, event = (
        Pages(evil.items.image),
        lambda item: record_of(evil.reader, [item], 0).history[0],
    )
    for item in (1, 9):
        (picture,) = Page(pages.picture(event(item))).every("img")
        assert picture["alt"] == f"picture of {evil.items.title[item]}"
    for item, letter in ((2, "A"), (3, "A"), (4, "A"), (10, "B")):
        shown = Page(pages.picture(event(item)))
        assert shown.words == letter
        assert not shown.every("img")
        assert shown.every("span")[0]["class"] == f"shot {letter}"
    assert thumbnail(None) == thumbnail(tmp_path) == ""


@pytest.mark.parametrize("kind", ["page", "figure"])
def test_a_picture_with_any_byte_wrong_never_stops_a_page(world, tmp_path, kind):
    Image.new("RGBA", (300, 20), (0, 0, 255, 0)).save(tmp_path / "wide.png")
    content, event = (tmp_path / "wide.png").read_bytes(), record_of(world.reader, [1], 0).history
    assert thumbnail(tmp_path / "wide.png").startswith("data:image/webp")
    for position in range(0, len(content), 3):
        broken = tmp_path / f"{position}.png"
        broken.write_bytes(
            content[:position] + bytes([content[position] ^ 0x55]) + content[position + 1 :]
        )
        if kind == "page":
            assert isinstance(thumbnail(broken), str)
        else:
            plots.thumbnails(plt.gca(), replace(world.items, image=(None, broken)), event, [(0, 0)])
    plt.close("all")


def test_a_page_of_a_long_history_of_photos_stays_small(world, tmp_path):
    generator, photos = np.random.default_rng(0), [None]
    for item in range(1, COUNT + 1):
        rough = Image.fromarray(generator.integers(0, 255, (60, 60, 3), dtype=np.uint8)).resize(
            (1000, 1000)
        )
        rough.save(tmp_path / f"{item}.jpg", quality=95)
        photos.append(tmp_path / f"{item}.jpg")
    history = generator.choice([*range(1, 7), *range(9, 14)], 50).tolist()
    items = replace(world.items, image=tuple(photos))
    reader, control = (
        CounterfactualModel(one.model, items, world.tags, world.text)
        for one in (world.reader, world.control)
    )
    page = (
        Pages(items.image)
        .page(explanation_of(reader, control, history, 1, target=14), "about")
        .encode()
    )
    assert len(page) < 1_000_000 < sum(photo.stat().st_size for photo in photos[1:])
    assert page.count(b"<img") > 100


# ---- figures


def widths(ax):
    return [patch.get_width() for patch in ax.patches]


def pictures_in(ax):
    return [
        isinstance(box.offsetbox, OffsetImage)
        for box in ax.artists
        if isinstance(box, AnnotationBbox)
    ]


def test_the_heatmap_shows_the_weights_under_the_titles(world):
    record = attention_record(world.reader, world.sequences, 0)
    fig = plots.attention_heatmap(record, "merged", head=1)
    shown = fig.axes[0].collections[0].get_array().reshape(6, 6)
    assert np.allclose(shown.filled(0), record.weights["merged"][-1, 1], atol=1e-6)
    labels = fig.axes[0].get_yticklabels()
    assert [text.get_text() for text in labels] == [event.title for event in record.history]
    assert [text.get_color() for text in labels] == [
        plots.READABLE[event.domain] for event in record.history
    ]
    with pytest.raises(ValueError, match="no events in branch B: choose another branch"):
        plots.attention_heatmap(attention_record(world.reader, world.sequences, 1), "B")
    plt.close(fig)


def test_all_figures_draw_titles_with_signs_that_mean_something_to_matplotlib(world, evil):
    """An unescaped pair of dollar signs would be read as a formula; r"$\\x$" is not even one."""
    for case in (world, evil):
        found = explain(case.reader, case.control, case.sequences, 3)
        figures = [
            plots.attention_heatmap(found.record),
            plots.head_grid(found.record),
            plots.branch_bars({"a user": found.record}),
            plots.time_line(found, case.items, NEXT, last=3),
            plots.recommendations(found.record, case.items),
            plots.ingredients(composition(case.reader, 4)),
            plots.ingredients(composition(case.reader, 5)),
            plots.time_line(explanation_of(case.reader, case.control, [], 0), case.items),
        ]
        for fig in figures:
            fig.canvas.draw()
        plt.close("all")
    assert "$" not in plots.label(found.record.history[0]).replace(r"\$", "")
    assert len(plots.label(found.record.history[0], 20)) <= 22


def test_a_time_line_shows_the_record_beside_what_decided(evil):
    found = explain(evil.reader, evil.control, evil.sequences, 0)
    fig = plots.time_line(found, evil.items, NEXT, last=5)
    rails, titles, attention, lost, shares = fig.axes
    effects = found.effects[NEXT]
    assert widths(attention) == pytest.approx(found.record.event_weights[1:].tolist())
    assert shares.get_ylim()[0] > shares.get_ylim()[1]
    assert widths(lost) == pytest.approx([effect.lost for effect in effects.events[1:]])
    assert widths(shares) == pytest.approx(effects.shares[1:].tolist())
    segments = np.array([line[:, 0] for line in shares.containers[0].lines[2][0].get_segments()])
    assert (segments[:, 1] - segments[:, 0]) / 4 == pytest.approx(
        effects.shares_error[1:].numpy(), abs=1e-6
    )
    for ax in (lost, shares):
        assert [to_hex(patch.get_facecolor()).upper() for patch in ax.patches] == [
            plots.FOR if value >= 0 else plots.AGAINST for value in widths(ax)
        ]
    assert pictures_in(rails) == [True, False, False, False, False]
    assert len(titles.texts) == 10
    assert [box.xy for box in rails.artists] == [(1, 0), (0, 1), (1, 2), (1, 3), (0, 4)]
    plt.close(fig)


def test_recommendations_and_ingredients_show_their_numbers(evil):
    record, item = (
        record_of(evil.reader, [2, 9, 2, 3], 0, target=1, top=8),
        composition(evil.reader, 12),
    )
    fig = plots.recommendations(record, evil.items)
    for ax, best in zip(fig.axes, record.top.values()):
        assert widths(ax) == pytest.approx([chance for _, chance in best])
        assert ["(bought next)" in text.get_text() for text in ax.get_yticklabels()] == [
            event.item == 1 for event, _ in best
        ]
        assert pictures_in(ax) == [event.item == 1 for event, _ in best]
    modalities, tags = plots.ingredients(item).axes
    assert widths(modalities) == pytest.approx([modality.turn for modality in item.modalities])
    assert widths(tags) == pytest.approx([tag.turn for tag in item.tags])
    plt.close("all")


def test_item_maps_show_each_point_in_its_shop_and_name_the_groups():
    points, domain, groups = (
        np.random.default_rng(0).normal(size=(12, 2)),
        np.arange(12) % 2,
        np.array(["tea", "<b>", ""] * 4),
    )
    fig = plots.item_maps({"one": points, "<two>": -points}, domain, groups)
    fig.canvas.draw()
    for sign, ax in zip((1, -1), fig.axes):
        for index, dots in enumerate(ax.collections):
            assert np.allclose(dots.get_offsets(), sign * points[domain == index])
        assert {text.get_text(): pytest.approx(text.get_position()) for text in ax.texts} == {
            name: tuple(np.median(sign * points[groups == name], axis=0)) for name in set(groups)
        }
    assert len(plots.item_maps({"plain": points}, domain).axes[0].texts) == 0
    plt.close("all")


@pytest.mark.parametrize(
    "groups", [[f"group {number}" for number in range(20)], [r"$\x$", "tea"] * 10]
)
def test_item_maps_draw_any_groups(groups):
    try:
        plots.item_maps(
            {"one": np.random.default_rng(0).normal(size=(20, 2))},
            np.arange(20) % 2,
            np.array(groups),
        ).canvas.draw()
    finally:
        plt.close("all")


def test_a_title_of_one_long_word_is_cut_and_not_lost(world):
    event = replace(
        record_of(world.reader, [1], 0).history[0], title="Donaudampfschifffahrtsgesellschaft"
    )
    assert plots.label(event, 20).startswith("Donaudampf")
    assert len(plots.label(event, 20)) <= 22


def test_intervals_draw_what_they_are_given():
    fig = plots.intervals(
        {"one": {"A": (0.2, 0.1, 0.4)}, "two": {"A": (0.3, 0.3, 0.3), "B": (0.5, 0.4, 0.6)}},
        "NDCG@10",
    )
    assert [text.get_text() for text in fig.axes[0].get_yticklabels()] == ["one", "two"]
    assert fig.axes[0].containers[0].lines[0].get_xdata().tolist() == [0.2, 0.3]
    plt.close("all")


# ---- the command


def command(tmp_path, user, *more):
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "tema_lib.explain",
            "--user",
            user,
            "--html",
            tmp_path / "out" / "page.html",
            "--fast",
            *more,
        ],
        cwd=ROOT,
        env={**os.environ, "TEMA_ARTIFACTS": str(tmp_path / "artifacts")},
        capture_output=True,
        text=True,
    )


def test_the_command_refuses_an_unknown_user_before_anything_is_trained(tmp_path):
    done = command(tmp_path, "nobody")
    assert done.returncode == 1
    assert done.stdout == ""
    assert re.fullmatch(
        r"--user nobody: no test case of this user in synthetic; there are \d+, such as \w+, \w+, \w+\.\n",
        done.stderr,
    )
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_the_command_explains_the_first_recommendation(tmp_path):
    done = command(tmp_path, "u0007")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == [
        "page.html"
    ]  # and nothing half-written beside it
    source = (tmp_path / "out" / "page.html").read_text(encoding="utf-8")
    page, domain, first = (
        Page(source),
        *re.match(
            r"First recommendation in (A|B): (.+) \(P = 0\.\d{3}\)\.\n", done.stdout
        ).groups(),
    )
    shown = re.search(rf"<h3>Recommended in {domain} .*?<tbody><tr.*?</tr>", source)[0]
    assert Page(shown[shown.index("<tr class") :]).words.startswith(f"1{first} 0.")
    run = Experiment("synthetic", True, 0)
    *seen, target = run.split.test[run.split.test.user_id.index("u0007")].tolist()
    assert "AB"[run.items.domain_of_item[target]] == domain
    assert "User u0007:" in page.words
    assert "short training, seed 0" in page.words
    assert all(run.items.title[item] in page.words for item in (*seen, target))
    assert len(page.every("img")) > len(seen)
    assert f"{len(source.encode()) / 1024:.0f} KiB" in done.stdout
    assert all(modality in done.stdout for modality in ("Tags, log P", "Modalities, log P"))


def test_a_data_set_without_names_has_domains_and_one_with_names_has_letters_too():
    plain, named = Pages([None] * 3, ("domain A", "domain B")), Pages([None] * 3, ("movies", "<b>"))
    assert [plain.domain(domain) for domain in "AB"] == ["domain A", "domain B"]
    assert [named.domain(domain) for domain in "AB"] == ["A (movies)", "B (&lt;b&gt;)"]


def test_titles_of_three_thousand_letters_are_cut_wherever_they_are_shown(world):
    long = [f"{'very ' * 600}{number}" for number in range(COUNT + 1)]
    items = replace(world.items, title=tuple(long), description=tuple(long))
    reader, pages = (
        CounterfactualModel(world.model, items, world.tags, world.text),
        Pages(items.image),
    )
    explorers = [
        AttentionExplorer(reader, reader, world.sequences, [0], pages),
        ItemExplorer(reader, pages),
        WhatIfExplorer(reader, world.sequences, [0], pages),
    ]
    explorers[2].earlier.click()
    for explorer in explorers:
        assert "very very" in explorer.picture.value
        assert "very " * 400 not in explorer.picture.value
        for control in (
            getattr(explorer, name, None) for name in ("user", "event", "item", "swap")
        ):
            assert control is None or all(
                len(option if isinstance(option, str) else option[0]) < 200
                for option in control.options
            )
    assert len(item_labels(reader)) == COUNT  # cut titles are alike; the items are still told apart
    found = explain(reader, reader, world.sequences, 0)
    assert "very " * 400 not in pages.page(found, "about")


def test_the_command_calls_the_domains_as_it_is_told(tmp_path):
    done = command(tmp_path, "u0007", "--domains", "movies,movies")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "two different short names" in done.stderr
