"""The whole road, composed once: each property is one arrow of the pipeline and remembers what it made.

A notebook walks one stretch by hand and takes what lies before it from here, so each notebook also runs alone.
Frozen features lie in `build/cache` under the hash of what made them; trained models in the artefacts folder.
"""

from __future__ import annotations

import copy
import gzip
import hashlib
import json
import os
import random
import tempfile
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from tema_lib import records as results
from tema_lib.checkpoints import checkpoint_for, identity
from tema_lib.data.dataset import Items, RawData, domain_names, encode_ids
from tema_lib.data.sequences import Sequences, build_sequences
from tema_lib.data.splits import Split, leave_one_out, published_split
from tema_lib.data.summary import check_runnable
from tema_lib.datasets.load import read_data
from tema_lib.datasets.synthetic import generator as synthetic
from tema_lib.encoders.features import ItemFeatures, remembered
from tema_lib.encoders.image import check_pictures, encode_images
from tema_lib.encoders.text import TitleTokens, encode_text, title_tokens
from tema_lib.encoders.weights import fingerprint, resolve
from tema_lib.evaluation.protocols import Protocol
from tema_lib.evaluation.ranking import Ranks, evaluate
from tema_lib.llm.local import LocalModel
from tema_lib.llm.store import ReplyStore, open_replies
from tema_lib.models.base import Recommender
from tema_lib.models.item_embedding import MODALITIES, ItemInputs
from tema_lib.models.systems import SYSTEMS, system_named
from tema_lib.notebook import ROOT, artifacts, timed
from tema_lib.tags.catalogue import Catalogue
from tema_lib.tags.config import TagConfig
from tema_lib.tags.controls import control_tags
from tema_lib.tags.draft import prompt_for
from tema_lib.tags.export import read_card, read_export
from tema_lib.tags.export_choice import check_choice, choose_export
from tema_lib.tags.item_tags import ItemTags
from tema_lib.tags.profiles import (
    PHRASES,
    ProfileConfig,
    Profiles,
    analyse_prompt,
    cluster_items,
    interests,
    write_profiles,
)
from tema_lib.tags.write import write_tags
from tema_lib.training import TrainConfig, TrainingHistory, best_device, train

SYNTHETIC = ROOT / "data" / "synthetic"
EXPORTS = ROOT / "data" / "tags"
LIVE_ITEMS = 24  # fast runs: items of each domain that the language model reads live
LIVE_USERS = 24  # on the synthetic data set: users whom it profiles live, full or fast; for the others its replies are shipped
LONG_TAIL = 2  # an item seen at most this often in training is rare: a slice of its own


class Experiment:
    """From a data folder to ranks.

    data: "synthetic" or a folder; domains: what A and B are called ("movies,books"), else the data set says; fast: short training, and on the synthetic data set shipped replies for all but 24 items a domain;
    seed: initial weights, batch order, controls; tags: "live", or which exported tags are read instead ("export", "export:MODEL",
    or a path, see `choose_export`).  Raises `DataError` for a folder that cannot be read, ValueError for another word.
    """

    def __init__(
        self,
        data: str = "synthetic",
        fast: bool = True,
        seed: int = 0,
        domains: str = "",
        tags: str = "live",
    ):
        check_choice(tags)
        self.data, self.fast, self.seed, self.tags_from = data, fast, seed, tags
        self.named = domain_names(domains.split(",")) if domains else None
        self.synthetic = data == "synthetic"
        self.folder = SYNTHETIC if self.synthetic else Path(data)
        self.hidden = (
            64 if fast or self.synthetic else 128
        )  # width and epochs: chosen on validation targets
        self.seconds: dict[str, float] = {}
        self._trained: dict[str, tuple[Recommender, TrainingHistory]] = {}
        self._ranks: dict[str, Ranks] = {}

    def with_seed(self, seed: int) -> Experiment:
        """The same road with another seed; data, features and tags are those that were made already."""
        other = copy.copy(self)
        other.seed, other.seconds, other._trained, other._ranks = seed, {}, {}, {}
        return other

    # ------------------------------------------------------------------------------------------ data (notebook 01)

    @cached_property
    def raw(self) -> RawData:
        """The folder as it is: a k-core would delete the very items that ids cannot learn (notebook 01)."""
        raw = read_data(self.folder)
        check_runnable(raw)
        return replace(raw, domains=self.named) if self.named else raw

    def check(self) -> None:
        """Say now, in one sentence, what would stop the run later: data that nothing can be learned from, bad pictures, no such export.

        Raises `DataError` or another ValueError, FileNotFoundError for a missing export.
        """
        check_runnable(self.raw)
        check_pictures(self.items.image, progress=True)
        if self.export:
            read_card(self.export)

    @property
    def name(self) -> str:
        """ "synthetic", or the folder's name and the beginning of its tables' hash: two folders of one name never share a file."""
        kept = "-repeats" if self.raw.repeats == "keep" else ""  # the same tables, other sequences
        return "synthetic" if self.synthetic else f"{self.raw.name}-{self.raw.sha256[:8]}{kept}"

    @property
    def domains(self) -> tuple[str, str]:
        """What domains A and B are called, in prompts and in pictures."""
        return self.raw.domains

    @property
    def tag_config(self) -> TagConfig:
        return TagConfig(domain_names=self.domains)

    @cached_property
    def items(self) -> Items:
        return encode_ids(self.raw)

    @cached_property
    def sequences(self) -> Sequences:
        return build_sequences(self.raw, self.items)

    def times(self, user: str) -> list[int]:
        """Seconds since 1970 of a user's events, in the order of their sequence."""
        return sorted(
            self.raw.interactions.loc[
                self.raw.interactions["user_id"].astype(str) == user, "timestamp"
            ].tolist()
        )

    @cached_property
    def split(self) -> Split:
        return (
            published_split(self.raw, self.sequences)
            if self.raw.published
            else leave_one_out(self.sequences)
        )

    @cached_property
    def domain_of_item(self) -> Tensor:
        return torch.from_numpy(self.items.domain_of_item)

    @cached_property
    def truth(self):
        """(items, users) of the synthetic data set: which topic each item serves; None on data without truth."""
        return synthetic.read_truth(SYNTHETIC) if self.synthetic else None

    # ------------------------------------------------------------------------------------------ features (notebook 03)

    @cached_property
    def text(self) -> ItemFeatures:
        texts = [self.items.text(item) if item else "" for item in range(self.items.count + 1)]
        return self._encoded("text", "minilm-l6-v2", texts, lambda: encode_text(texts))

    @cached_property
    def image(self) -> ItemFeatures | None:
        """None when no item of the data has a picture."""
        if not any(self.items.image):
            return None
        marks = [
            hashlib.sha256(path.read_bytes()).hexdigest() if path else ""
            for path in self.items.image
        ]
        return self._encoded(
            "image", "efficientnet-lite0", marks, lambda: encode_images(self.items.image)
        )

    def _encoded(self, kind: str, model: str, content: list[str], make) -> ItemFeatures:
        """Encode once per content and weights; the file name is the hash of both, so a stale one cannot be read."""
        key = hashlib.sha256(
            json.dumps([fingerprint(resolve(model)), content]).encode()
        ).hexdigest()[:16]
        path = ROOT / "build" / "cache" / f"{kind}-{key}.safetensors"
        with timed(self.seconds, kind):
            return remembered(path, make)

    # ------------------------------------------------------------------------------------------ tags (notebook 02)

    @cached_property
    def export(self) -> Path | None:
        """The exported file whose tags are read; None where the language model is asked."""
        return choose_export(self.tags_from, EXPORTS, self.raw.sha256)

    @cached_property
    def tags(self) -> ItemTags:
        """An export's tags, or those of the language model: in a fast run of the synthetic data set most come from its shipped replies."""
        with timed(self.seconds, "tags"):
            if self.export:
                return read_export(
                    self.export, self.items, lambda texts: encode_text(texts, progress=False).matrix
                )
            llm = LocalModel()
            with self.replies(llm) as store:
                return write_tags(self.catalogue, llm, store, self.tag_config)

    @property
    def tags_source(self) -> dict:
        """Whose tags these are, for the run record: which model, from which tables, and the file if they were read from one."""
        card = read_card(self.export) if self.export else None
        return {
            "source": "export" if card else "live",
            "model": self.tags.model,
            "weights_sha256": self.tags.fingerprint,
            "tables_sha256": card["tables_sha256"] if card else self.raw.sha256,
            "export": self.export.name if card else None,
            "export_sha256": card["file_sha256"] if card else None,
        }

    def replies(self, llm: LocalModel) -> ReplyStore:
        """The store of all replies; a fast run of the synthetic data set finds the shipped ones in it."""
        store = open_replies()
        if self.fast and self.synthetic:
            self._replay(store, llm)
        return store

    @cached_property
    def catalogue(self) -> Catalogue:
        """What tagging knows of the items: their texts, the vectors of these, and the encoder for tags."""
        return Catalogue(
            self.items, self.text, lambda texts: encode_text(texts, progress=False).matrix
        )

    def live_items(self) -> list[int]:
        """The items that a fast run reads live, drawn once."""
        draw = random.Random(0)
        return sorted(
            item
            for domain in (0, 1)
            for item in draw.sample(
                self.items.of_domain(domain).tolist(),
                min(LIVE_ITEMS, len(self.items.of_domain(domain))),
            )
        )

    @property
    def enriched(self) -> ItemFeatures:
        """Vectors of title, description and what the language model said about the item: the text of LLM-EMF.

        The replies are those the tags come from. An export holds none: there the item's tags stand in their place.
        """

        def said(item):
            return (
                [", ".join(tag for tag, _, _ in self.tags.tags_of(item))]
                if self.export
                else self.tags.raw_replies[item]
            )

        texts = [
            " ".join([self.items.text(item), *said(item)]) if item else ""
            for item in range(self.items.count + 1)
        ]
        return self._encoded("enriched", "minilm-l6-v2", texts, lambda: encode_text(texts))

    # ------------------------------------------------------------------------------------------ what other systems read (notebook 07)

    @cached_property
    def titles(self) -> TitleTokens:
        """Titles as word pieces, for a system that reads nothing else."""
        with torch.random.fork_rng(devices=[]):
            return title_tokens(self.items.title)

    @cached_property
    def profiles(self) -> Profiles:
        """Who the users are, from their training events alone."""
        return self.profiles_of(self.split.train)

    def profiles_of(
        self, sequences: Sequences, config: ProfileConfig = ProfileConfig()
    ) -> Profiles:
        """The language model's profile of each sequence; on the synthetic data set most come from its shipped replies."""
        with timed(self.seconds, "profiles"), torch.random.fork_rng(devices=[]):
            llm, cluster = (
                LocalModel(decoding=PHRASES),
                cluster_items(self.text.matrix, self.text.present, config),
            )
            with open_replies() as store:
                if self.synthetic:
                    rows = random.Random(0).sample(range(len(sequences)), LIVE_USERS)
                    self._import(
                        store,
                        SYNTHETIC / "profile_replies.jsonl.gz",
                        {
                            analyse_prompt([self.items.title[item] for item in group], config)
                            for row in rows
                            for group in interests(sequences[row].tolist(), cluster, config)
                        },
                    )

                def encode(texts):
                    return self._encoded(
                        "profiles", "minilm-l6-v2", texts, lambda: encode_text(texts)
                    ).matrix

                return write_profiles(
                    sequences, self.items.title, cluster, encode, llm, store, config
                )

    def _replay(self, store: ReplyStore, llm: LocalModel) -> None:
        """Put the shipped replies into the store, but for those of the live items."""
        self._import(
            store,
            SYNTHETIC / "replies.jsonl",
            {
                prompt_for(self.items, item, self.tag_config, attempt)
                for item in self.live_items()
                for attempt in (1, 2)
            },
        )

    def _import(self, store: ReplyStore, path: Path, live: set[str]) -> None:
        """Put the replies of a shipped file into the store, but for those to `live` prompts."""
        shipped = (
            (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
            .decode()
            .splitlines(keepends=True)
        )
        with tempfile.NamedTemporaryFile(
            "w", suffix=".jsonl", encoding="utf-8", delete=False
        ) as file:
            file.writelines(line for line in shipped if json.loads(line)["prompt"] not in live)
        store.import_jsonl(file.name)
        os.unlink(file.name)

    # ------------------------------------------------------------------------------------------ models (notebooks 03, 04)

    @cached_property
    def modalities(self) -> tuple[str, ...]:
        """The modalities these data can fill: no pictures, no image modality."""
        return (
            MODALITIES
            if self.image is not None
            else tuple(modality for modality in MODALITIES if modality != "image")
        )

    def inputs(
        self, tags: str = "", shuffle: tuple[str, ...] = (), text: str = "plain"
    ) -> ItemInputs:
        """The frozen inputs of the fusion.  `tags`: a control in place of the tags (`tags.controls`), "" for the tags themselves;
        `shuffle`: which of "text" and "image" change places inside each domain; `text`: "plain" or "enriched".
        Raises ValueError for another word."""
        if text not in ("plain", "enriched"):
            raise ValueError(f"text is {text!r}: choose plain or enriched.")
        if isinstance(shuffle, str) or (unknown := set(shuffle) - {"text", "image"}):
            raise ValueError(
                f"shuffle is {shuffle!r}: give a tuple of text and image."
                if isinstance(shuffle, str)
                else f"shuffle names {', '.join(sorted(unknown))}: only text and image can change places."
            )
        with torch.random.fork_rng(
            devices=[]
        ):  # loading an encoder draws random numbers; whether it was needed must not change a model's seed
            given = (
                control_tags(self.tags, tags, self.catalogue, self.tag_config, self.seed)
                if tags
                else self.tags
            )
            features, image = self.enriched if text == "enriched" else self.text, self.image
        position = torch.arange(self.items.count + 1)
        generator = torch.Generator().manual_seed(self.seed)
        for domain in (0, 1):
            own = torch.from_numpy(self.items.of_domain(domain))
            position[own] = own[torch.randperm(len(own), generator=generator)]

        def rows(modality, tensor):
            return tensor[position] if modality in shuffle else tensor

        return ItemInputs(
            self.domain_of_item,
            rows("text", features.matrix),
            rows("text", features.present),
            None if image is None else rows("image", image.matrix),
            None if image is None else rows("image", image.present),
            given.tag_ids,
            given.weights,
            given.vectors,
        )

    @property
    def training(self) -> TrainConfig:
        return TrainConfig(epochs=4 if self.fast else 8 if self.synthetic else 20, seed=self.seed)

    def build(self, system: str) -> Recommender:
        """A fresh, seeded model.  Raises ValueError for an unknown name."""
        system = system_named(system)
        torch.manual_seed(self.seed)
        return SYSTEMS[system].build(self)

    def train(self, system: str) -> tuple[Recommender, TrainingHistory]:
        """The trained system, from its checkpoint when there is one; trained where that is quickest, given back on the processor.

        An earlier checkpoint that is damaged, or of other data, options or code, stays where it is; a line says why it is not used.
        """
        system = system_named(system)
        if system not in self._trained:
            with timed(self.seconds, f"train {system}"):
                model = self.build(system).to(best_device())
                stem = f"{self.name}-{system}-{'fast' if self.fast else 'full'}-{self.seed}"
                checkpoint, remark = checkpoint_for(
                    artifacts(), stem, identity(model, self.split, self.training)
                )
                if remark:
                    print(remark)
                history = train(
                    model,
                    self.split,
                    self.domain_of_item,
                    self.training,
                    checkpoint=checkpoint,
                    progress=system,
                )
            self._trained[system] = model.cpu(), history
        return self._trained[system]

    # ------------------------------------------------------------------------------------------ evaluation (notebook 06)

    def ranks(self, system: str) -> Ranks:
        """Ranks of all test cases; where the data keep repeated interactions, items of the history compete as well."""
        system = system_named(system)
        if system not in self._ranks:
            model, _ = self.train(system)
            protocol = (
                Protocol(history="candidates", without="target")
                if self.raw.repeats == "keep"
                else Protocol()
            )
            with timed(self.seconds, f"rank {system}"):
                self._ranks[system] = evaluate(
                    model.to(best_device()), self.split.test, self.domain_of_item, protocol=protocol
                )
            model.cpu()
        return self._ranks[system]

    def slices(self, ranks: Ranks) -> dict[str, Ranks]:
        """Parts of the test cases that matter: long-tail targets; on the synthetic data set those whose topic crosses the domains."""
        seen = torch.bincount(self.split.train.items, minlength=self.items.count + 1).numpy()
        parts = {
            f"target seen at most {LONG_TAIL} times": ranks.select(seen[ranks.target] <= LONG_TAIL)
        }
        if self.truth is not None:
            parts["topic crosses domains"] = ranks.select(self.cross_domain(ranks))
        return parts

    def cross_domain(self, ranks: Ranks):
        """bool per case: the event before the target lies in the other domain and serves the same topic."""
        truth_items, _ = self.truth
        topic = dict(zip(truth_items["item_id"], truth_items["topic"]))
        previous = self.split.test.items[self.split.test.offsets[1:] - 2].numpy()[ranks.row]
        domain = self.items.domain_of_item

        def name(item):
            return topic[self.items.item_id[item]]

        return (domain[previous] != domain[ranks.target]) & [
            name(before) == name(after) for before, after in zip(previous, ranks.target)
        ]

    def record(self, system: str, command: str) -> dict:
        """The run record of one system (`results/README.md`)."""
        system = system_named(system)
        model, history = self.train(system)
        ranks = self.ranks(system)
        config = {
            "model": asdict(model.config) if hasattr(model, "config") else {},
            "training": asdict(self.training),
            "fast": self.fast,
            "epochs_run": history.epochs,
            "best_epoch": history.best,
            "trained_on": history.trained_on,
            "language_model": self.tags.model,
            "tags": read_card(self.export)["config"] if self.export else asdict(self.tag_config),
            "tags_source": self.tags_source,
            "repeats": self.raw.repeats,
        }
        spent = {"train": sum(history.seconds), "rank": self.seconds[f"rank {system}"]}
        return results.evaluation_record(
            system,
            ranks,
            data={"name": self.raw.name, "sha256": self.raw.sha256},
            split=self.split.name,
            seed=self.seed,
            config=config,
            seconds=spent,
            command=command,
            slices=self.slices(ranks),
        )
