"""Figures show the numbers of the records, and any title as text."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from tema_lib.data.sequences import domain_view
from tema_lib.evaluation.intervals import interval
from tema_lib.explain.attention import (
    attention_record,
    record_of,
)
from tema_lib.explain.composition import composition
from tema_lib.explain.display import figures
from tema_lib.explain.explanation import NEXT, explain, explanation_of
from tema_lib.training import TrainingHistory


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
            figures.candidate_attention(torch.eye(4), [1, 2, 3, 4], [4, 3, 2, 1], case.items),
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
    first, last = fig.axes
    assert len(first.texts) == 0
    assert {text.get_text(): pytest.approx(text.get_position()) for text in last.texts} == {
        name: tuple(np.median(-points[groups == name], axis=0)) for name in set(groups)
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


def test_a_card_of_an_item_shows_its_words_and_its_picture_if_there_is_one(evil):
    pictured = next(item for item, path in enumerate(evil.items.image) if path)
    without = next(item for item, path in enumerate(evil.items.image) if item and not path)
    for item, pictures in ((pictured, 1), (without, 0)):
        fig = figures.item_card(evil.items, item, ["$x$", "tea"])
        fig.canvas.draw()
        left, right = fig.axes
        assert len(left.images) == pictures
        assert r"tags: \$x\$, tea" in [text.get_text() for text in right.texts]
        assert f"id: {item} of {evil.items.count}" in [text.get_text() for text in right.texts]
    plt.close("all")


def test_a_map_of_clusters_leads_each_item_to_the_middle_of_its_group():
    points = np.random.default_rng(0).normal(size=(12, 2))
    domain, groups = np.arange(12) % 2, ["tea", "<b>", "$x$"] * 4
    fig = figures.cluster_map(points, domain, groups)
    fig.canvas.draw()
    (ax,) = fig.axes
    for index, dots in enumerate(ax.collections):
        assert np.allclose(dots.get_offsets(), points[domain == index])
    drawn = {tuple(line.get_xydata().round(6).flatten()) for line in ax.lines}
    assert drawn == {
        tuple(np.stack([np.median(points[group::3], axis=0), point]).round(6).flatten())
        for group in range(3)
        for point in points[group::3]
    }
    assert sorted(text.get_text() for text in ax.texts) == ["<b>", r"\$x\$", "tea"]
    plain = figures.cluster_map(points, domain).axes[0]
    assert len(plain.lines) == len(plain.texts) == 0
    plt.close("all")


def test_grouped_bars_are_the_table_and_nothing_without_rows(capsys):
    table = pd.DataFrame({"all": [0.2, 0.4], "some": [0.1, 0.9]}, index=["text", "tags"])
    fig = figures.grouped_bars(table, "precision", line=0.06, line_label="chance")
    (ax,) = fig.axes
    assert [patch.get_height() for patch in ax.patches] == [0.2, 0.4, 0.1, 0.9]
    assert ax.lines[0].get_ydata()[0] == 0.06
    assert figures.grouped_bars(table[:0], "precision") is None
    assert "nothing to draw" in capsys.readouterr().out
    plt.close("all")


def test_factors_start_at_one_and_have_the_colour_of_their_kind():
    fig = figures.factors(
        {"big": 4.0, "none": 1.0, "less": 0.5}, {"big": "x", "none": "y", "less": "x"}, "times"
    )
    (ax,) = fig.axes
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert names == ["less", "none", "big"]
    shown = {names[round(bar.get_y() + bar.get_height() / 2)]: bar for bar in ax.patches}
    assert {name: bar.get_width() for name, bar in shown.items()} == {
        "big": 3,
        "none": 0,
        "less": -0.5,
    }
    assert shown["big"].get_facecolor() == shown["less"].get_facecolor()
    assert shown["big"].get_facecolor() != shown["none"].get_facecolor()
    plt.close("all")


def test_variance_is_drawn_where_vectors_differ(capsys):
    share, none = np.array([0.5, 1.0]), np.array([np.nan])
    fig = figures.variance_kept({"text": share, "image": none}, kept=1)
    assert fig.axes[0].lines[0].get_ydata().tolist() == [0.5, 1.0]
    assert len(fig.axes[0].get_legend().texts) == 1
    assert figures.variance_kept({"image": none, "text": share[:0]}, kept=1) is None
    assert "do not differ" in capsys.readouterr().out
    plt.close("all")


def test_weight_maps_show_each_matrix():
    weights = torch.tensor([[1.0, 0.0], [0.25, 0.75]])
    fig = figures.weight_maps({"one": weights, "two": weights.flip(0)}, ["tea", "jam"])
    for ax, matrix in zip(fig.axes, (weights, weights.flip(0))):
        assert ax.collections[0].get_array().flatten().tolist() == matrix.flatten().tolist()
        assert [text.get_text() for text in ax.get_xticklabels()] == ["tea", "jam"]
    plt.close("all")


def test_arrows_lead_from_the_latest_own_event_and_from_nowhere_before_the_first():
    sequence, domain_of_item = torch.tensor([[1, 3, 2]]), torch.tensor([-1, 0, 0, 1])  # A, B, A
    views = {name: domain_view(sequence, domain_of_item, d) for d, name in enumerate("AB")}
    fig = figures.read_states(["A", "B", "A"], views)
    arrows = [(text.xyann[0], text.xyann[1], text.xy[0]) for text in fig.axes[0].texts]
    assert arrows == [(0, 2, 0), (0, 2, 1), (2, 2, 2), (1, 0, 1), (1, 0, 2)]
    plt.close("all")


def test_padding_shows_the_batch_of_median_width():
    batches = [torch.ones(2, width, dtype=torch.long) for width in (9, 1, 4)]
    batches[2][1, 2:] = 0
    fig = figures.padding({"some": batches})
    assert fig.axes[0].images[0].get_array().tolist() == [[True] * 4, [True, True, False, False]]
    plt.close("all")


def test_learning_curves_are_those_of_the_history(capsys):
    mrr = [{"A": 0.1, "B": 0.3, "mean": 0.2}, {"A": 0.2, "B": 0.4, "mean": 0.3}]
    history = TrainingHistory({"next item": [5.0, 4.0]}, mrr, [1.0, 1.0], best=1)
    left, right = figures.learning_curves(history, uniform=5.7).axes
    assert left.lines[0].get_ydata().tolist() == [5.0, 4.0]
    assert left.lines[1].get_ydata()[0] == 5.7
    assert [line.get_ydata().tolist() for line in right.lines[:3]] == [
        [0.1, 0.2],
        [0.3, 0.4],
        [0.2, 0.3],
    ]
    assert right.lines[3].get_xdata()[0] == 2  # epochs count from 1
    assert figures.learning_curves(TrainingHistory(), uniform=5.7) is None
    assert "nothing was learned" in capsys.readouterr().out
    plt.close("all")


def test_rank_curves_are_medians_of_the_chosen_cases(capsys):
    ranks = np.array([[9.0, 7, 50], [3, 1, 40]])
    chosen = {"new": np.array([True, True, False]), "others": np.array([False, False, True])}
    fig = figures.rank_curves({"all": ranks, "seen": ranks / 2}, chosen, at_random=30)
    new, others = fig.axes
    assert new.lines[0].get_ydata().tolist() == [8, 2]
    assert new.lines[1].get_ydata().tolist() == [4, 1]
    assert others.lines[0].get_ydata().tolist() == [50, 40]
    assert new.lines[2].get_ydata()[0] == 30
    assert new.get_ylim()[0] > new.get_ylim()[1]  # the first rank is on top
    assert figures.rank_curves({}, chosen, at_random=30) is None
    assert "nothing to watch" in capsys.readouterr().out
    plt.close("all")


def test_intervals_of_nothing_say_so_and_draw_nothing(capsys):
    assert figures.intervals({}, "NDCG@10", missing="no system was trained") is None
    assert figures.intervals({"one": {}}, "NDCG@10", missing="no case") is None
    assert capsys.readouterr().out == "no system was trained\nno case\n"


def test_an_axis_of_intervals_starts_at_zero_unless_told_otherwise():
    rows = {"one": {"A": (0.2, 0.1, 0.4)}}
    (from_zero,) = figures.intervals(rows, "NDCG@10", title="a title").axes
    (told,) = figures.intervals(rows, "NDCG@10", xlim=(0.05, 0.5)).axes
    (both_sides,) = figures.intervals(rows, "NDCG@10", zero=True).axes
    assert from_zero.get_xlim()[0] == 0
    assert from_zero.get_title() == "a title"
    assert told.get_xlim() == (0.05, 0.5)
    assert both_sides.get_xlim()[0] < 0
    plt.close("all")


def test_means_come_with_their_bootstrap_intervals_and_leave_out_what_has_no_value(capsys):
    values, none = np.array([0.0, 0.0, 1.0, 0.5]), np.array([])
    (ax,) = figures.means({"one": values, "two": none, "three": {"A": none, "B": values}}, "x").axes
    assert [text.get_text() for text in ax.get_yticklabels()] == ["one", "three"]
    for container in ax.containers:
        (low, high) = container.lines[2][0].get_segments()[0][:, 0]
        assert container.lines[0].get_xdata().tolist() == [0.375]
        assert (low, high) == pytest.approx(interval(values))
    plt.close("all")
    assert figures.means({"one": none}, "x", missing="no value") is None
    assert capsys.readouterr().out == "no value\n"


def test_the_last_curve_is_the_one_in_colour():
    (ax,) = figures.curves([1, 2], {"a": [3, 4], "b": [5, 6]}, mark=1.5, xlabel="epoch").axes
    first, last, mark = ax.lines
    assert [list(line.get_ydata()) for line in (first, last)] == [[3, 4], [5, 6]]
    assert (first.get_color(), last.get_color()) == ("#999999", figures.COLOURS["merged"])
    assert list(mark.get_xdata()) == [1.5, 1.5]
    assert ax.get_xlabel() == "epoch"
    assert figures.curves([], {}) is None
    plt.close("all")


def test_losses_are_drawn_by_epoch_beside_the_loss_of_guessing(capsys):
    fig = figures.losses({"next item": [3.0, 2.0], "contrastive": [1.0, 0.5]}, {"contrastive": 1.1})
    plain, guessed = fig.axes
    assert list(plain.lines[0].get_ydata()) == [3.0, 2.0]
    assert [len(plain.lines), len(guessed.lines)] == [1, 2]
    assert list(guessed.lines[1].get_ydata()) == [1.1, 1.1]
    plt.close("all")
    assert figures.losses({}, {}) is None
    assert figures.losses({"next item": []}, {}) is None
    assert (
        capsys.readouterr().out == "no training loss was recorded: there is no curve to show\n" * 2
    )


def test_a_table_of_differences_has_each_number_and_the_same_colours_whatever_its_size():
    table = pd.DataFrame({"A": [0.1, 0.0], "long-tail target": [-0.05, 0.02]}, ["one", "two"])
    (ax,) = figures.differences(table, "a title", limit=0.1).axes
    assert [text.get_text() for text in ax.texts] == ["+0.100", "-0.050", "+0.000", "+0.020"]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["A", "long-\ntail\ntarget"]
    assert ax.collections[0].get_clim() == (-0.1, 0.1)
    plt.close("all")


def test_each_candidate_has_a_row_of_its_attention(world):
    weights = torch.tensor([[0.2, 0.8, 0.0], [0.5, 0.25, 0.25]])
    ax, _ = figures.candidate_attention(weights, [1, 2], [3, 4, 5], world.items).axes
    assert np.allclose(ax.collections[0].get_array().reshape(2, 3), weights)
    rows, columns = ax.get_yticklabels(), ax.get_xticklabels()
    assert [text.get_text() for text in rows] == [figures.title(world.items, i, 24) for i in (1, 2)]
    assert [text.get_text() for text in columns] == [
        figures.title(world.items, i, 24) for i in (3, 4, 5)
    ]
    plt.close("all")


def test_a_map_of_items_without_groups_has_no_names():
    points, domain = np.random.default_rng(0).normal(size=(4, 2)), np.array([0, 0, 1, 1])
    for groups, names in ((np.full(4, ""), 0), (None, 0), (np.array(["a", "b", "a", "b"]), 2)):
        (ax,) = figures.item_maps({"a map": points}, domain, groups).axes
        assert len(ax.texts) == names
    plt.close("all")


def test_a_map_of_items_that_are_all_alike_is_left_out(capsys):
    points, domain = np.random.default_rng(0).normal(size=(4, 2)), np.array([0, 0, 1, 1])
    (ax,) = figures.item_maps({"before": np.zeros((4, 1)), "after": points}, domain).axes
    assert ax.get_title() == "after"
    assert capsys.readouterr().out == 'no map "before": nothing there distinguishes the items\n'
    assert figures.item_maps({"before": np.zeros((4, 1))}, domain) is None
    plt.close("all")
