"""The whole road, composed once: a pipeline, the systems trained on it, and their ranks.

Trained models are in the artefacts folder (`tema_lib.workspace`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
import torch

from tema_lib import records
from tema_lib.checkpoints import checkpoint_for, identity
from tema_lib.data.dataset import DOMAINS, RawData
from tema_lib.encoders.device import best_device
from tema_lib.evaluation.protocols import PROTOCOLS
from tema_lib.evaluation.ranking import Ranks, evaluate
from tema_lib.evaluation.report import Evaluation
from tema_lib.evaluation.slices import slices
from tema_lib.models.base import Recommender
from tema_lib.models.systems import (
    CONFIGS,
    SMALL_TAGS,
    SYSTEMS,
    chosen_systems,
    system_named,
)
from tema_lib.pipeline import Pipeline, timed
from tema_lib.recommendation import recommend
from tema_lib.tags.export import read_card
from tema_lib.training import TrainConfig, TrainingHistory, train
from tema_lib.workspace import artifacts


class Experiment(Pipeline):
    """From data to ranks: what is asked for is made once, from its file where there is one.

    Args:
        data, domains, tags, replies, tag_options, overlap: as of a `Pipeline`.
        seed: of initial weights and batch order, too.
        epochs: how long a system is trained at most; None: the length chosen on validation targets.
        options: fields of the systems' configurations and of `TrainConfig`, in place of their
            defaults, such as {"dropout": 0.3}; a system takes those that it has.
        protocol: the rules of the ranking among sampled items, a name in `PROTOCOLS`.

    Raises:
        DataError: `domains` cannot be used; a folder that cannot be read fails when it is needed.
        ValueError: `tags`, `replies` or `protocol` is another word, or no configuration has an
            option.
    """

    def __init__(
        self,
        data: str | Path | RawData = "synthetic",
        seed: int = 0,
        domains: str = "",
        tags: str = "",
        replies: str | None = None,
        epochs: int | None = None,
        options: Mapping[str, Any] = MappingProxyType({}),
        protocol: str = "ours",
        tag_options: Mapping[str, Any] = MappingProxyType({}),
        overlap: float = 1.0,
    ) -> None:
        super().__init__(data, seed, domains, tags, replies, tag_options, overlap)
        # Width, dropout and epochs were chosen on validation targets.
        self.hidden, self.dropout = (64, 0.5) if self.synthetic else (128, 0.3)
        self.epochs = epochs or 20
        self.options = known_options(options)
        if protocol not in PROTOCOLS:
            raise ValueError(f"protocol is {protocol!r}: choose from {', '.join(PROTOCOLS)}.")
        self.protocol = protocol
        self._trained: dict[str, tuple[Recommender, TrainingHistory]] = {}
        self._ranks: dict[str, Ranks] = {}

    def with_seed(self, seed: int) -> Experiment:
        """The same experiment with another seed; it shares data, features and tags made so far."""
        other = copy.copy(self)
        other.seed, other.seconds, other._trained, other._ranks = seed, {}, {}, {}
        return other

    def with_options(self, options: Mapping[str, Any]) -> Experiment:
        """The same experiment with other options; it shares data, features and tags made so far."""
        other = self.with_seed(self.seed)
        other.options = known_options(options)
        return other

    # --- training (notebook 04) ---

    @property
    def training(self) -> TrainConfig:
        """How this experiment trains."""
        names = {known.name for known in fields(TrainConfig)}
        given = {name: value for name, value in self.options.items() if name in names}
        return TrainConfig(**{"epochs": self.epochs, "seed": self.seed} | given)

    def systems(self, names: str = "") -> list[str]:
        """The systems of a list (`chosen_systems`); "" means those of the lesson.

        Where TEMA-LLM is trained on the small model's tags anyway, no second system is. Of your own
        data the lesson's LLM4CDSR has no written profiles, unless it is named: they cost thousands
        of answers, and of the synthetic data most of these are shipped.
        """
        chosen = chosen_systems(names)
        if names.strip():
            return chosen
        if self.export in (None, self.small_export):
            chosen.remove(SMALL_TAGS)
        if self.synthetic:
            return chosen
        return ["llm4cdsr-no-profiles" if name == "llm4cdsr" else name for name in chosen]

    def build(self, system: str) -> Recommender:
        """A fresh, seeded model. Raises ValueError for an unknown name."""
        system = system_named(system)
        torch.manual_seed(self.seed)
        return SYSTEMS[system].build(self)

    def train(self, system: str) -> Recommender:
        """The trained system, from its checkpoint where there is one.

        It is trained where that is quickest, and given back on the processor. An earlier checkpoint
        that is damaged, or of other data, options or code, is kept; a line says why it is not used.

        Raises:
            ValueError: the system is unknown.
        """
        return self._fit(system)[0]

    def history(self, system: str) -> TrainingHistory:
        """How the training of a system went; it is trained where it is not yet."""
        return self._fit(system)[1]

    def _fit(self, system: str) -> tuple[Recommender, TrainingHistory]:
        system = system_named(system)
        if system not in self._trained:
            with timed(self.seconds, f"train {system}"):
                model = self.build(system)
                self._trained[system] = model, self.fit(model, system)
        return self._trained[system]

    def fit(self, model: Recommender, name: str) -> TrainingHistory:
        """Train any model in place, as the systems are trained (`train`).

        Args:
            model: a fresh model; a variant of a system, or one of your own.
            name: what to call it in its progress bar and the name of its checkpoint.
        """
        model.to(best_device())
        checkpoint, remark = checkpoint_for(
            artifacts(),
            f"{self.name}-{name}-{self.seed}",
            identity(model, self.split, self.training),
        )
        if remark:
            print(remark)
        history = train(
            model,
            self.split,
            self.domain_of_item,
            self.training,
            checkpoint=checkpoint,
            progress=name,
        )
        model.cpu()
        return history

    # --- evaluation (notebook 06) ---

    def ranks(self, system: str) -> Ranks:
        """The ranks of a system's test cases; it is trained where it is not yet."""
        system = system_named(system)
        if system not in self._ranks:
            model = self.train(system)
            with timed(self.seconds, f"rank {system}"):
                self._ranks[system] = self._rank(model)
        return self._ranks[system]

    def _rank(self, model: Recommender) -> Ranks:
        """Where the data keep repeated interactions, items of the history compete as well."""
        protocol = PROTOCOLS[self.protocol]
        if self.raw.repeats == "keep":
            protocol = replace(protocol, history="candidates", without="target")
        model.to(best_device())
        ranks = evaluate(model, self.split.test, self.domain_of_item, protocol=protocol)
        model.cpu()
        return ranks

    def evaluate(self, model: Recommender) -> Evaluation:
        """How well a model ranks the test cases; printed, it is a small table with intervals."""
        known = [name for name, (trained, _) in self._trained.items() if trained is model]
        return Evaluation(self.ranks(known[0]) if known else self._rank(model), self.domains)

    def recommend(
        self, model: Recommender, history: Sequence[str], domain: str, k: int = 10
    ) -> pd.DataFrame:
        """The k items of a domain that a model ranks highest after a history.

        Args:
            domain: A, B, or what the domain is called.

        For all else see `tema_lib.recommendation.recommend`.
        """
        letter = dict(zip(self.domains, DOMAINS)).get(domain, domain)
        return recommend(model, self.items, history, letter, k)

    def slices(self, ranks: Ranks) -> dict[str, Ranks]:
        """Parts of the test cases: long-tail targets, and cross-domain transitions where known."""
        truth = None if self.truth is None else self.truth[0]
        return slices(ranks, self.split, self.items, truth)

    def command(self, systems: str = "") -> str:
        """What to type to run it again, without a path; `systems` as one names them."""
        words = [
            "make run",
            "" if self.synthetic else f"DATA={self.raw.name}",
            f"SEED={self.seed}",
            f"TAGS={Path(self.whose_tags).name}" if self.whose_tags else "",
            "" if self.replies_from == "live" else f"REPLIES={self.replies_from}",
            f'SYSTEMS="{systems}"' if systems else "",
        ]
        return " ".join(filter(None, words))

    def record(self, system: str, command: str) -> dict:
        """The run record of one system (`results/README.md`); `command`: what made it."""
        system = system_named(system)
        model, history, ranks = self.train(system), self.history(system), self.ranks(system)
        options: Any = getattr(model, "config", None)  # a counting system has none
        small = system == SMALL_TAGS
        source = self.tags_source(small)
        export = self.small_export if small or not self.export else self.export
        config = {
            "model": asdict(options) if options else {},
            "training": asdict(self.training),
            "epochs_run": history.epochs,
            "best_epoch": history.best,
            "trained_on": history.trained_on,
            "language_model": source["model"],
            "tags": read_card(export)["config"] if export else asdict(self.tag_config),
            "tags_source": source,
            "repeats": self.raw.repeats,
            "protocol": self.protocol,
        }
        spent = {"train": sum(history.seconds), "rank": self.seconds[f"rank {system}"]}
        return records.evaluation_record(
            system,
            ranks,
            data={"name": self.raw.name, "sha256": self.raw.sha256},
            split=self.split.name,
            seed=self.seed,
            config=config,
            seconds=spent,
            command=command,
            slices=self.slices(ranks),
            sampled_ranks=self.protocol != "ours",
        )


def known_options(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options, each of which some configuration has; raises ValueError for any other."""
    known = {field.name for config in (TrainConfig, *CONFIGS) for field in fields(config)}
    if unknown := set(options) - known:
        raise ValueError(f"no configuration has an option {min(unknown)!r}.")
    return options
