"""Figures show the numbers of the records, and any title as text."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from tema_lib.explain.attention import (
    attention_record,
    record_of,
)
from tema_lib.explain.composition import composition
from tema_lib.explain.display import figures
from tema_lib.explain.explanation import NEXT, explain, explanation_of


def widths(ax):
    return [patch.get_width() for patch in ax.patches]


def pictures_in(ax):
    return [
        isinstance(box.offsetbox, OffsetImage)
        for box in ax.artists
        if isinstance(box, AnnotationBbox)
    ]


def test_the_heatmap_shows_the_weights_under_the_titles(world):
    record = attention_record(world.counterfactual, world.sequences, 0)
    fig = figures.attention_heatmap(record, "merged", head=1)
    shown = fig.axes[0].collections[0].get_array().reshape(6, 6)
    assert np.allclose(shown.filled(0), record.weights["merged"][-1, 1], atol=1e-6)
    labels = fig.axes[0].get_yticklabels()
    assert [text.get_text() for text in labels] == [event.title for event in record.history]
    assert [text.get_color() for text in labels] == [
        figures.READABLE[event.domain] for event in record.history
    ]
    with pytest.raises(ValueError, match="no events in branch B: choose another branch"):
        figures.attention_heatmap(attention_record(world.counterfactual, world.sequences, 1), "B")
    plt.close(fig)


def test_all_figures_draw_titles_with_characters_that_matplotlib_interprets(world, evil):
    """An unescaped pair of dollar signs would be read as a formula; r"$\\x$" is not even one."""
    for case in (world, evil):
        found = explain(case.counterfactual, case.control, case.sequences, 3)
        drawn = [
            figures.attention_heatmap(found.record),
            figures.head_grid(found.record),
            figures.branch_bars({"a user": found.record}),
            figures.time_line(found, case.items, NEXT, last=3),
            figures.recommendations(found.record, case.items),
            figures.ingredients(composition(case.counterfactual, 4)),
            figures.ingredients(composition(case.counterfactual, 5)),
            figures.time_line(explanation_of(case.counterfactual, case.control, [], 0), case.items),
        ]
        for fig in drawn:
            fig.canvas.draw()
        plt.close("all")
    assert "$" not in figures.label(found.record.history[0]).replace(r"\$", "")
    assert len(figures.label(found.record.history[0], 20)) <= 22


def test_a_time_line_shows_the_record_beside_the_effects(evil):
    found = explain(evil.counterfactual, evil.control, evil.sequences, 0)
    fig = figures.time_line(found, evil.items, NEXT, last=5)
    rails, titles, attention, lost, shares = fig.axes
    effects = found.effects[NEXT]
    assert widths(attention) == pytest.approx(found.record.event_weights[1:].tolist())
    assert shares.get_ylim()[0] > shares.get_ylim()[1]
    assert widths(lost) == pytest.approx([effect.lost for effect in effects.events[1:]])
    assert widths(shares) == pytest.approx(effects.shapley[1:].tolist())
    segments = np.array([line[:, 0] for line in shares.containers[0].lines[2][0].get_segments()])
    assert (segments[:, 1] - segments[:, 0]) / 4 == pytest.approx(
        effects.shapley_error[1:].numpy(), abs=1e-6
    )
    for ax in (lost, shares):
        assert [to_hex(patch.get_facecolor()).upper() for patch in ax.patches] == [
            figures.FOR if value >= 0 else figures.AGAINST for value in widths(ax)
        ]
    assert pictures_in(rails) == [True, False, False, False, False]
    assert len(titles.texts) == 10
    assert [box.xy for box in rails.artists] == [(1, 0), (0, 1), (1, 2), (1, 3), (0, 4)]
    plt.close(fig)


def test_an_event_without_effect_has_the_colour_of_one_that_helps(evil):
    found = explain(evil.counterfactual, evil.control, evil.sequences, 0)
    effects = found.effects[NEXT]
    nothing = replace(effects, shapley=torch.zeros_like(effects.shapley))
    fig = figures.time_line(replace(found, effects={NEXT: nothing}), evil.items, NEXT, last=5)
    colours = {to_hex(patch.get_facecolor()).upper() for patch in fig.axes[-1].patches}
    assert colours == {figures.FOR}
    plt.close(fig)


def test_a_text_is_cut_to_thirty_characters_unless_told_otherwise():
    assert figures.written("a" * 30) == "a" * 30
    assert figures.written("a" * 31) == "a" * 29 + "…"
    assert figures.written("two words", 5) == "two …"


def test_recommendations_and_ingredients_show_their_numbers(evil):
    record = record_of(evil.counterfactual, [2, 9, 2, 3], 0, target=1, top=8)
    item = composition(evil.counterfactual, 12)
    fig = figures.recommendations(record, evil.items)
    for ax, best in zip(fig.axes, record.top.values()):
        assert widths(ax) == pytest.approx([chance for _, chance in best])
        assert ["(true next item)" in text.get_text() for text in ax.get_yticklabels()] == [
            event.item == 1 for event, _ in best
        ]
        assert pictures_in(ax) == [event.item == 1 for event, _ in best]
    modalities, tags = figures.ingredients(item).axes
    assert widths(modalities) == pytest.approx([modality.turn for modality in item.modalities])
    assert widths(tags) == pytest.approx([tag.turn for tag in item.tags])
    plt.close("all")


def test_item_maps_show_each_point_in_its_domain_and_name_the_groups():
    points = np.random.default_rng(0).normal(size=(12, 2))
    domain = np.arange(12) % 2
    groups = np.array(["tea", "<b>", ""] * 4)
    fig = figures.item_maps({"one": points, "<two>": -points}, domain, groups)
    fig.canvas.draw()
    for sign, ax in zip((1, -1), fig.axes):
        for index, dots in enumerate(ax.collections):
            assert np.allclose(dots.get_offsets(), sign * points[domain == index])
        assert {text.get_text(): pytest.approx(text.get_position()) for text in ax.texts} == {
            name: tuple(np.median(sign * points[groups == name], axis=0)) for name in set(groups)
        }
    assert len(figures.item_maps({"plain": points}, domain).axes[0].texts) == 0
    plt.close("all")


@pytest.mark.parametrize(
    "groups", [[f"group {number}" for number in range(20)], [r"$\x$", "tea"] * 10]
)
def test_item_maps_draw_any_groups(groups):
    try:
        figures.item_maps(
            {"one": np.random.default_rng(0).normal(size=(20, 2))},
            np.arange(20) % 2,
            np.array(groups),
        ).canvas.draw()
    finally:
        plt.close("all")


def test_a_title_of_one_long_word_is_cut(world):
    event = replace(
        record_of(world.counterfactual, [1], 0).history[0],
        title="Donaudampfschifffahrtsgesellschaft",
    )
    assert figures.label(event, 20).startswith("Donaudampf")
    assert len(figures.label(event, 20)) <= 22


def test_intervals_draw_what_they_are_given():
    fig = figures.intervals(
        {"one": {"A": (0.2, 0.1, 0.4)}, "two": {"A": (0.3, 0.3, 0.3), "B": (0.5, 0.4, 0.6)}},
        "NDCG@10",
    )
    assert [text.get_text() for text in fig.axes[0].get_yticklabels()] == ["one", "two"]
    assert fig.axes[0].containers[0].lines[0].get_xdata().tolist() == [0.2, 0.3]
    plt.close("all")
