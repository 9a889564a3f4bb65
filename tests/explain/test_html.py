"""Pages show untrusted text as text, and the numbers of the records."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib import pyplot as plt
from PIL import Image

from tema_lib.explain.attention import (
    record_of,
)
from tema_lib.explain.composition import composition
from tema_lib.explain.counterfactual import CounterfactualModel, Interaction
from tema_lib.explain.display import figures
from tema_lib.explain.display.html import Pages, environment, thumbnail
from tema_lib.explain.display.widgets import (
    AttentionExplorer,
    ItemExplorer,
    WhatIfExplorer,
    item_labels,
)
from tema_lib.explain.explanation import FIRST, NEXT, explain, explanation_of
from tests.helpers.explain import COUNT, EVIL, LONG
from tests.helpers.pages import Page, explanation_and_pages


def test_untrusted_text_stays_text_everywhere(evil):
    explanation, pages = explanation_and_pages(evil)
    record = explanation.record
    edited = record_of(
        evil.counterfactual, [Interaction(2, domain=1, tags=(1, 4)), 9, 3], 0, target=1
    )
    case = Page(pages.case(explanation, page=True))
    item = Page(pages.item(composition(evil.counterfactual, 12)))
    recommended = Page(pages.recommended(record))
    what_if = Page(
        pages.what_if(record, edited, [f"edit {EVIL}"], [(edited.history[0], 12.0)], f"no {EVIL}")
    )
    explorer = Page(pages.explorer(explanation))
    whole = Page(pages.page(explanation, f"model {EVIL}"))
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
            what_if,
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
    for other in range(1, COUNT + 1):  # item 5 has no tag
        assert Page(pages.item(composition(evil.counterfactual, other)))


def test_a_page_is_whole_and_needs_no_network(evil):
    explanation, pages = explanation_and_pages(evil)
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
    explanation, pages = explanation_and_pages(evil, row)
    source = pages.page(explanation, "about")
    block = Page(source).scripts[0]
    assert not re.search("[<>&]", block)
    data = json.loads(block)
    assert data["branch"] == "merged"
    bars = re.findall(r'<td class="attention number">.*?<span class="bar (\w+)"', source)
    assert bars == 2 * [event.domain for event in explanation.record.history]
    assert "Only the attention of the newest event" in Page(data["indirect"]).words
    for branch, weights in explanation.record.weights.items():
        of_branch = data["branches"][branch]
        assert of_branch["positions"] == explanation.record.positions(branch)
        both = np.array(of_branch["weights"]).reshape(2, 3, *weights.shape[2:])
        assert both[:, 1:] == pytest.approx(weights.numpy(), abs=6e-4)
        assert both[:, 0] == pytest.approx(weights.mean(1).numpy(), abs=6e-4)
        for kind in (NEXT, FIRST):
            lost, share = explanation.agreement(kind, branch, 0, 1)
            sentence = of_branch["trust"][kind][0][2]
            expected = (
                [f"<b>{lost:+.2f}</b>", f"<b>{share:+.2f}</b>"]
                if len(of_branch["positions"]) > 5 and lost == lost
                else ["Too few events"]
            )
            assert Page(sentence)
            assert all(words in sentence for words in expected)


def test_a_case_shows_the_chosen_weights_beside_the_effects(evil):
    explanation, pages = explanation_and_pages(evil, 0)
    record, effects = explanation.record, explanation.effects[NEXT]

    def cells(kind, page):
        return [
            re.sub("<[^>]*>", "", cell).strip()
            for cell in re.findall(rf'<td class="{kind}">(.*?)</td>', page, re.DOTALL)
        ]

    for branch, layer, head, query in (("merged", -1, None, -1), ("B", 0, 1, 1), ("A", 1, 0, 2)):
        shown = pages.case(explanation, branch, layer, head, query, of=NEXT)
        positions, row = record.positions(branch), record.weights[branch][layer]
        row = (row.mean(0) if head is None else row[head])[query].tolist()
        expected = ["\u2013"] * 6
        for position, weight in list(zip(positions, row))[: query + 1 or None]:
            expected[position] = f"{weight:.2f}"
        assert cells("attention number", shown) == expected
        bars = cells("bars", shown)[:12]
        assert bars[::2] == [
            f"{effect.lost:+.2f}"
            + (f" rank {effects.rank:g} → {effect.rank:g}" if effect.rank != effects.rank else "")
            for effect in effects.events
        ]
        assert bars[1::2] == [
            f"{share:+.2f} ± {error:.2f}"
            for share, error in zip(effects.shapley.tolist(), effects.shapley_error.tolist())
        ]
        if query not in (-1, len(positions) - 1):
            sentence = "Only the attention of the newest event"
        elif len(positions) > 5:
            sentence = "Does attention agree with occlusion?"
        else:
            sentence = "Too few events"
        assert sentence in shown
        assert f"rank {effects.rank:g}" in shown
    assert (
        "No events in sequence B" in Page(pages.case(explanation_and_pages(evil, 1)[0], "B")).words
    )
    empty = explanation_of(evil.counterfactual, evil.control, [], 0)
    assert "This history is empty" in Page(pages.case(empty)).words
    assert Page(pages.page(empty, "about"))


def test_changes_of_the_recommendations_are_shown(evil):
    pages = Pages(evil.items.image)
    before, after = (
        record_of(evil.counterfactual, history, 1, target=12, seen=LONG)
        for history in (LONG, LONG[::-1])
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


def test_a_missing_or_broken_picture_gives_way_to_the_letter_of_the_domain(evil, tmp_path):
    parts = environment().get_template("parts.html").make_module({"pages": Pages(evil.items.image)})

    def shown(item):
        return Page(str(parts.picture(record_of(evil.counterfactual, [item], 0).history[0])))

    for item in (1, 9):
        (picture,) = shown(item).every("img")
        assert picture["alt"] == f"picture of {evil.items.title[item]}"
    for item, letter in ((2, "A"), (3, "A"), (4, "A"), (10, "B")):
        assert shown(item).words == letter
        assert not shown(item).every("img")
        assert shown(item).every("span")[0]["class"] == f"thumbnail {letter}"
    assert thumbnail(None) == thumbnail(tmp_path) == ""


@pytest.mark.parametrize("kind", ["page", "figure"])
def test_a_picture_with_any_byte_wrong_never_stops_a_page(world, tmp_path, kind):
    Image.new("RGBA", (300, 20), (0, 0, 255, 0)).save(tmp_path / "wide.png")
    content = (tmp_path / "wide.png").read_bytes()
    event = record_of(world.counterfactual, [1], 0).history
    assert thumbnail(tmp_path / "wide.png").startswith("data:image/webp")
    for position in range(0, len(content), 3):
        broken = tmp_path / f"{position}.png"
        broken.write_bytes(
            content[:position] + bytes([content[position] ^ 0x55]) + content[position + 1 :]
        )
        if kind == "page":
            assert isinstance(thumbnail(broken), str)
        else:
            figures.thumbnails(
                plt.gca(), replace(world.items, image=(None, broken)), event, [(0, 0)]
            )
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
    counterfactual, control = (
        CounterfactualModel(one.model, items, world.tags, world.text)
        for one in (world.counterfactual, world.control)
    )
    page = (
        Pages(items.image)
        .page(explanation_of(counterfactual, control, history, 1, target=14), "about")
        .encode()
    )
    assert len(page) < 1_000_000 < sum(photo.stat().st_size for photo in photos[1:])
    assert page.count(b"<img") > 100


def test_a_data_set_without_names_has_domains_and_one_with_names_has_letters_too(world):
    plain, named = Pages([None] * 3, ("domain A", "domain B")), Pages([None] * 3, ("movies", "<b>"))
    assert [plain.domain(domain) for domain in "AB"] == ["domain A", "domain B"]
    assert [named.domain(domain) for domain in "AB"] == ["A (movies)", "B (<b>)"]
    record = record_of(world.counterfactual, [], 0)
    assert "Recommended in B (&lt;b&gt;)</h3>" in Pages(
        world.items.image, named.domains.values()
    ).recommended(record)


def test_titles_of_three_thousand_letters_are_cut_everywhere(world):
    long = [f"{'very ' * 600}{number}" for number in range(COUNT + 1)]
    items = replace(world.items, title=tuple(long), description=tuple(long))
    counterfactual = CounterfactualModel(world.model, items, world.tags, world.text)
    pages = Pages(items.image)
    explorers = [
        AttentionExplorer(counterfactual, counterfactual, world.sequences, [0], pages),
        ItemExplorer(counterfactual, pages),
        WhatIfExplorer(counterfactual, world.sequences, [0], pages),
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
    assert len(item_labels(counterfactual)) == COUNT  # cut titles are alike; the labels differ
    found = explain(counterfactual, counterfactual, world.sequences, 0)
    assert "very " * 400 not in pages.page(found, "about")
