"""All exhibits: where each bug has been seen, what it does, and what of this project it replaces.

Sources are public code or issues as we read them in 2026; they may have been mended since.

Status: ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tema_lib.data.batches import ranking_batches
from tema_lib.data.sequences import domain_view
from tema_lib.evaluation.ranking import draw_negatives
from tema_lib.models.layers import positions_of, scaled_dot_product_attention
from tema_lib.models.llm4cdsr import soft_contrastive_loss
from tema_lib.models.losses import seen_in
from tema_lib.museum import histories, networks, ranks
from tema_lib.training import train

Function = Callable[..., Any]


@dataclass(frozen=True)
class Exhibit:
    """One bug.

    Args:
        source: where it has been seen.
        effect: what it does to a number.
        right: the right function.
        broken: functions of the same signature with the bug; the first is the exhibit, the others
            are relatives of it that a good test catches, too.
        place: what of the project the bug replaces, "module:name" or "module:Class.method".
        in_place: the broken function as it fits there; None: the first of `broken` does.
    """

    source: str
    effect: str
    right: Function
    broken: tuple[Function, ...]
    place: str
    in_place: Function | None = None

    @property
    def placed(self) -> Function:
        """What is put in the place of the project's own function."""
        return self.in_place or self.broken[0]


RANKS = "tema_lib.evaluation.ranking:_ranks"
EXHIBITS: dict[str, Exhibit] = {
    "stable sort": Exhibit(
        "recommenders, `models/sasrec/model.py`: the target at index 0, ranked by two argsorts",
        "a model that gives every item the same score has HR@10 1.0",
        ranks.rank_in_the_middle,
        (ranks.rank_in_a_stable_sort, ranks.rank_after_all_ties),
        RANKS,
        ranks.in_evaluator(ranks.rank_in_a_stable_sort),
    ),
    "strictly higher": Exhibit(
        "the released evaluations of C2DSR (with a margin) and of ABXI",
        "the same, by counting: nothing is higher than the target of a constant model",
        ranks.rank_in_the_middle,
        (ranks.rank_by_higher_scores, ranks.rank_by_clearly_higher_scores),
        RANKS,
        ranks.in_evaluator(ranks.rank_by_higher_scores),
    ),
    "NaN": Exhibit(
        "a classic: every rule that compares scores and does not check them",
        "a model that has diverged has HR@10 1.0",
        ranks.rank_in_the_middle,
        (ranks.rank_without_a_check, ranks.rank_unless_all_are_nan),
        RANKS,
        ranks.in_evaluator(ranks.rank_without_a_check),
    ),
    "negatives anew": Exhibit(
        "recommenders, `models/sasrec/model.py` (no seed); RecBole, issue 2077 (for each model)",
        "one model has another number each time, and a system can be lucky",
        draw_negatives,
        (ranks.draw_negatives_anew, ranks.draw_negatives_by_batch),
        "tema_lib.evaluation.ranking:draw_negatives",
    ),
    "two lists": Exhibit(
        "the released evaluation of LLM4CDSR, inherited by that of LLM-EDT",
        "a negative is one item for the first branch and another for the second",
        ranks.added,
        (ranks.added_from_two_lists,),
        "tema_lib.models.base:SequenceRecommender.score",
        ranks.score_from_two_lists,
    ),
    "future of the other domain": Exhibit(
        "DASL's sampler pairs the windows of both domains by row number, not by time",
        "events after the target are read, and the number rises",
        domain_view,
        (histories.domain_view_with_the_future, histories.domain_view_one_event_late),
        "tema_lib.data.sequences:domain_view",
    ),
    "target in the history": Exhibit(
        "DASL's sampler: an inclusive slice whose last row is the target's",
        "a model that repeats what it reads is perfect",
        ranking_batches,
        (histories.ranking_batches_with_the_target,),
        "tema_lib.data.batches:ranking_batches",
    ),
    "validation as test": Exhibit(
        "`run_test` of the ABXI port in the code of Taesar",
        "the final number is that of the cases that chose the epoch",
        histories.ranks_on_test,
        (histories.ranks_on_validation, histories.ranks_one_event_early),
        "tema_lib.experiment:Experiment._rank",
        histories.experiment_ranks_on_validation,
    ),
    "nothing to attend to": Exhibit(
        "a classic: softmax over a row of which everything is masked",
        "NaN; or, once that is mended the obvious way, an average of padding",
        scaled_dot_product_attention,
        (networks.attention_that_is_nan, networks.attention_over_padding),
        "tema_lib.models.layers:scaled_dot_product_attention",
    ),
    "swapped masks": Exhibit(
        "the released evaluation of MERIT (2025): zero for 2,048 of 2,048 test users",
        "the state of the target's own domain is exactly zero, and the number hardly falls",
        domain_view,
        (histories.domain_view_with_swapped_masks, histories.domain_view_of_the_other_domain),
        "tema_lib.data.sequences:domain_view",
    ),
    "wrong end": Exhibit(
        "a classic, where padding moves from the left to the right; we name no source",
        "the newest event counts as the oldest; what that costs depends on the model",
        positions_of,
        (networks.positions_from_the_other_end, networks.positions_from_the_padding),
        "tema_lib.models.layers:positions_of",
    ),
    "loss without effect": Exhibit(
        "LLM-EDT: the backbone runs without gradients, and a contrastive loss reads its output",
        "its weight can be tuned for weeks without any effect on a score",
        soft_contrastive_loss,
        (networks.contrastive_loss_of_fixed_states, networks.contrastive_loss_for_show),
        "tema_lib.models.llm4cdsr:soft_contrastive_loss",
    ),
    "impossible negatives": Exhibit(
        "this project itself, until its settings were chosen on validation targets (CHANGELOG)",
        "new items are pushed to the end of every list and never come back",
        seen_in,
        (networks.seen_in_the_catalogue,),
        "tema_lib.models.losses:seen_in",
    ),
    "selection on test": Exhibit(
        "HorizonRec (the best test epoch for each K), IM-VAE, Tri-CDR; DASL has no validation set",
        "the best of many numbers is reported, and part of it is luck",
        train,
        (networks.train_selected_on_test,),
        "tema_lib.training:train",
    ),
    "one tolerance": Exhibit(
        "recommenders, a test of notebooks: ±.05 around an expected value of .0255",
        "a test that passes for a model that finds nothing",
        networks.within_a_tenth,
        (networks.expect_within_one_tolerance,),
        "tema_lib.notebook:expect",
    ),
}
