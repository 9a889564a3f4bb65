"""Explanations say what the model did: records match histories, occlusion equals running the model again, titles stay text."""

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt

from tema_lib.data.interactions import Items
from tema_lib.data.sequences import Batch, Sequences
from tema_lib.explain import plots
from tema_lib.explain.attention_records import attention_record, case_batch, event_attention, record_of
from tema_lib.explain.occlusion import agreement, log_probabilities, occlusion
from tema_lib.explain.widgets import attention_explorer, attention_html
from tema_lib.models.counting import Popularity
from tema_lib.models.item_representation import ItemInputs
from tema_lib.models.tema import Tema, TemaConfig
from tema_lib.training import TrainingHistory

ROOM_A, ROOM_B = 8, 7
NASTY = '$5 or $6 <script>alert("x")</script> & tea'             # the signs stand where a label is not cut


@pytest.fixture(scope="module")
def items():
    count = ROOM_A + ROOM_B
    titles = ["", *(f"Good number {item}" for item in range(1, count + 1))]
    titles[2], titles[3] = NASTY, ""
    domain = np.array([-1] + [0] * ROOM_A + [1] * ROOM_B)
    ids = ("", *(f"i{item}" for item in range(1, count + 1)))
    return Items(ids, tuple(titles), ("",) * (count + 1), (None,) * (count + 1), domain, {name: item for item, name in enumerate(ids) if item})


@pytest.fixture(scope="module")
def sequences():
    """u0 shops in both, u1 only in A with a target in B, u2 has one event, u3 buys the item with the nasty title twice."""
    rows = [[1, 9, 4, 10, 11, 5, 12], [1, 4, 6, 9], [13, 2], [2, 9, 2, 3, 1]]
    return Sequences(("u0", "u1", "u2", "u3"), torch.tensor(sum(rows, [])), torch.tensor([0, *map(len, rows)]).cumsum(0))


@pytest.fixture(scope="module")
def model(items):
    torch.manual_seed(1)
    inputs = ItemInputs(torch.from_numpy(items.domain_of_item), torch.randn(len(items.title), 12), torch.arange(len(items.title)) > 0)
    model = Tema(inputs, TemaConfig(views=("id", "text"), hidden=16, heads=2, layers=2))
    torch.nn.init.normal_(model.across.query)                # zero at the start: all threads alike, which would hide mistakes
    return model.eval()


# ---- attention records

@pytest.mark.parametrize("row", range(4))
def test_record_holds_the_history_as_titles_and_its_threads(model, sequences, items, row):
    record = attention_record(model, sequences, row, items)
    history, target = sequences[row][:-1].tolist(), int(sequences[row][-1])
    assert [event.item for event in record.history] == history and record.target.item == target
    assert record.user == f"u{row}" and record.domain == "AB"[items.domain_of_item[target]]
    assert [event.title for event in record.history] == [items.title[item] or f"item i{item}" for item in history]
    for thread, number in (("A", 0), ("B", 1)):
        assert [event.item for event in record.events[thread]] == [item for item in history if items.domain_of_item[item] == number]
    assert record.events["merged"] == record.history


@pytest.mark.parametrize("row", range(4))
def test_every_row_of_weights_sums_to_one_and_never_looks_ahead(model, sequences, items, row):
    record = attention_record(model, sequences, row, items)
    for thread, weights in record.weights.items():
        length = len(record.events[thread])
        assert weights.shape == (2, 2, length, length)
        assert torch.allclose(weights.sum(-1), torch.ones(2, 2, length), atol=1e-5)
        assert float(weights.triu(1).abs().sum()) == 0
    assert sum(record.thread_weights.values()) == pytest.approx(1, abs=1e-5)
    assert all(record.thread_weights[thread] == 0 for thread in "AB" if not record.events[thread])
    assert float(record.event_weights.sum()) == pytest.approx(1, abs=1e-5)


def test_an_empty_history_has_no_weights(model, items):
    record = record_of(model, [], 0, items)
    assert record.history == () and len(record.event_weights) == 0 and sum(record.thread_weights.values()) == 0
    assert np.isfinite([score for _, score in record.top]).all()


def test_event_attention_puts_thread_weights_back_into_merged_time(model, sequences, items):
    """u0 by hand: each thread's last row, mean over the heads of the last layer, times the thread's weight."""
    record = attention_record(model, sequences, 0, items)
    by_hand = torch.zeros(len(record.history))
    for thread, share in record.thread_weights.items():
        places = [place for place, event in enumerate(record.history) if thread in ("merged", event.domain)]
        by_hand[places] += share * record.weights[thread][-1].mean(0)[-1]
    assert torch.allclose(record.event_weights, by_hand, atol=1e-6)


def test_event_attention_does_not_depend_on_company(model, sequences, items):
    """Padding and other cases of the batch change nothing."""
    together = event_attention(model, case_batch(sequences, [0, 1, 2, 3], torch.from_numpy(items.domain_of_item)))
    for row in range(4):
        alone = attention_record(model, sequences, row, items).event_weights
        assert torch.allclose(together[row, :len(alone)], alone, atol=1e-5) and float(together[row, len(alone):].abs().sum()) == 0


def test_top_items_are_new_in_the_right_shop_and_sorted(model, sequences, items):
    record = attention_record(model, sequences, 0, items, top=3)
    scores = [score for _, score in record.top]
    assert scores == sorted(scores, reverse=True) and len(scores) == 3
    assert all(event.domain == "B" and event.item not in {9, 10, 11} for event, _ in record.top)


def test_an_unknown_item_is_refused(model, items):
    with pytest.raises(ValueError, match="99 is no item: global ids run from 1 to 15"):
        record_of(model, [1, 99], 0, items)


# ---- occlusion

def test_occlusion_equals_brute_force(model, items):
    history, target = [1, 9, 4, 10, 11, 5], 12

    def answer(events):                                     # one sequence at a time, no padding, softmax written out
        batch = Batch(torch.tensor([events]), None, torch.tensor([1]), torch.tensor([0]))
        with torch.no_grad():
            odds = model.score(batch, torch.arange(ROOM_A + 1, ROOM_A + ROOM_B + 1))[0].exp()
        return float(torch.log(odds[target - ROOM_A - 1] / odds.sum()))

    brute = [answer(history) - answer(history[:place] + history[place + 1:]) for place in range(len(history))]
    assert occlusion(model, history, target, items).tolist() == pytest.approx(brute, abs=1e-5)
    assert max(map(abs, brute)) > 1e-3                       # something is being compared


def test_no_older_event_slips_in_for_a_removed_one(model, items):
    long, window = [6, 7, 1, 9, 4], [1, 9, 4]
    assert torch.equal(occlusion(model, long, 12, items, max_length=3), occlusion(model, window, 12, items))


def test_occlusion_of_a_model_that_ignores_history_is_zero(items, sequences):
    popularity = Popularity(torch.from_numpy(items.domain_of_item))
    popularity.prepare(sequences)
    assert occlusion(popularity, [1, 9, 4], 12, items).abs().max() == 0
    assert log_probabilities(popularity, [[1], [9, 4]], 12, items).exp().max() < 1


def test_occlusion_of_a_single_event_and_of_none_is_finite(model, items):
    assert torch.isfinite(occlusion(model, [13], 2, items)).all() and len(occlusion(model, [], 2, items)) == 0


def test_agreement_is_a_rank_correlation():
    assert agreement([0.1, 0.2, 0.7], [1, 2, 50]) == pytest.approx(1) and agreement([0.1, 0.2, 0.7], [3, 2, 1]) == pytest.approx(-1)
    assert np.isnan(agreement([0.4, 0.5], [1, 2])) and np.isnan(agreement([1, 2, 3], [0, 0, 0]))
    with pytest.raises(ValueError, match="2 weights beside 3 effects"):
        agreement([1, 2], [1, 2, 3])


# ---- figures and explorer

def test_the_heatmap_shows_the_weights_under_the_titles(model, sequences, items):
    record = attention_record(model, sequences, 0, items)
    fig = plots.attention_heatmap(record, "merged", head=1)
    shown = fig.axes[0].collections[0].get_array().reshape(6, 6)
    assert np.allclose(shown.filled(0), record.weights["merged"][-1, 1], atol=1e-6)
    labels = fig.axes[0].get_yticklabels()
    assert [text.get_text() for text in labels] == [event.title for event in record.history]
    assert [text.get_color() for text in labels] == [plots.READABLE[event.domain] for event in record.history]
    plt.close(fig)


def test_all_figures_draw_titles_with_signs_that_mean_something_to_matplotlib(model, sequences, items):
    """An unescaped pair of dollar signs would be read as a formula."""
    record = attention_record(model, sequences, 3, items)
    assert any(event.title == NASTY for event in record.history)
    figures = [plots.attention_heatmap(record), plots.head_grid(record), plots.thread_bars({NASTY.replace("$", ""): record}),
               plots.attention_beside_effect(record, occlusion(model, [2, 9, 2, 3], 1, items))]
    for fig in figures:
        fig.canvas.draw()
    beside = [text.get_text() for text in figures[-1].axes[0].get_yticklabels()]
    assert len(beside) == 4 and "$" not in beside[0].replace(r"\$", "")
    plt.close("all")


def test_curves_and_intervals_draw_what_they_are_given():
    history = TrainingHistory({"next item": [3.0, 2.0]}, [{"A": 0.1, "B": 0.2, "mean": 0.15}, {"A": 0.2, "B": 0.3, "mean": 0.25}], [1.0, 1.0], 1)
    left, right = plots.training_curves(history).axes
    assert left.lines[0].get_ydata().tolist() == [3.0, 2.0] and right.lines[1].get_ydata().tolist() == [0.2, 0.3]
    with pytest.raises(ValueError, match="not trained"):
        plots.training_curves(TrainingHistory())
    fig = plots.intervals({"one": {"A": (0.2, 0.1, 0.4)}, "two": {"A": (0.3, 0.3, 0.3), "B": (0.5, 0.4, 0.6)}}, "NDCG@10")
    assert [text.get_text() for text in fig.axes[0].get_yticklabels()] == ["one", "two"]
    assert fig.axes[0].containers[0].lines[0].get_xdata().tolist() == [0.2, 0.3]
    plt.close("all")


@pytest.mark.parametrize("thread", ["A", "B", "merged"])
def test_html_escapes_titles(model, items, thread):
    page = attention_html(record_of(model, [2, 9], 0, items, target=2, user="<b>"), thread)
    assert "<script" not in page and ("&lt;script&gt;" in page)


def test_the_explorer_follows_its_controls(model, sequences, items):
    explorer = attention_explorer(model, sequences, items, [0, 1, 2, 3])
    (row, thread, picture) = explorer.children
    users, head, looking = row.children
    pages = [picture.value]
    for control, value in ((head, 1), (looking, 2), (thread, "A"), (users, 2), (users, 3)):
        control.value = value
        pages.append(picture.value)
    assert all(before != after for before, after in zip(pages, pages[1:])) and not any("<script" in page for page in pages)
    assert "No events in thread A" in pages[4]
