"""From the data to what models read: each property is one step, computed once and kept.

A notebook works through one stage by hand and takes the stages before it from here, so each
notebook also runs alone.  Frozen features are cached under the hash of what made them.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from tema_lib.data.dataset import Items, RawData, domain_names, encode_ids
from tema_lib.data.files import DataError
from tema_lib.data.sequences import Sequences, build_sequences, event_times
from tema_lib.data.splits import (
    Split,
    leave_one_out,
    published_split,
    split_in_time,
    with_overlap,
)
from tema_lib.data.summary import check_runnable
from tema_lib.datasets.load import SYNTHETIC, read_data
from tema_lib.datasets.synthetic.truth import item_truth, read_truth
from tema_lib.encoders.features import ItemFeatures, remembered
from tema_lib.encoders.image import check_pictures, encode_images
from tema_lib.encoders.text import TitleTokens, encode_text, title_tokens
from tema_lib.encoders.weights import fingerprint, resolve
from tema_lib.llm.local import SMALL, LocalModel
from tema_lib.llm.store import ReplyStore, open_replies
from tema_lib.models.item_embedding import MODALITIES, ItemInputs
from tema_lib.shipped_replies import LIVE_USERS, live_items, profile_replies, tag_replies
from tema_lib.tags.catalogue import Catalogue
from tema_lib.tags.config import TagConfig
from tema_lib.tags.controls import control_tags
from tema_lib.tags.export import read_card, read_export
from tema_lib.tags.export_choice import check_choice, check_replies, choose_export
from tema_lib.tags.item_tags import ItemTags
from tema_lib.tags.profiles import PHRASES, ProfileConfig, Profiles, cluster_items, write_profiles
from tema_lib.tags.write import write_tags
from tema_lib.workspace import cache_folder, data_folder, in_checkout, sha256_of

EXPORTS = data_folder() / "tags"


class Pipeline:
    """Data, features and tags, up to the frozen inputs of the models.

    Args:
        data: "synthetic", a folder, or what `load_dataset` gave.
        seed: of the controls and of the draw of `overlap`.
        domains: what A and B are called ("movies,books"); "" leaves it to the data set.
        tags: whose tags TEMA-LLM is trained on (`choose_export`). "": an export by a large language
            model where there is one for these tables, else those of the small model that runs here.
            "small": the latter. "export:MODEL" or a path: an exported file.
        replies: where the small model's words come from. "live": it is asked about every item.
            "shipped": about 24 items of each domain of the synthetic data, for the others its
            replies are shipped; on other data the same as "live". "export": nobody is asked, its
            exported tags are read. None: "shipped", but "export" for the synthetic data of an
            installed package.
        tag_options: fields of `TagConfig`, in place of their defaults, for the small model's tags.
        overlap: share of the training sequences of both domains that are trained on
            (`data.splits.with_overlap`).

    Raises:
        DataError: `domains` cannot be used; a folder that cannot be read fails when it is needed.
        ValueError: `tags` or `replies` is another word.
    """

    def __init__(
        self,
        data: str | Path | RawData = "synthetic",
        seed: int = 0,
        domains: str = "",
        tags: str = "",
        replies: str | None = None,
        tag_options: Mapping[str, Any] = MappingProxyType({}),
        overlap: float = 1.0,
    ) -> None:
        self.data, self.seed = data, seed
        self.named = domain_names(domains.split(",")) if domains else None
        if isinstance(data, RawData):
            self.folder, self.synthetic = data.folder, data.folder == SYNTHETIC
        else:
            self.synthetic = data == "synthetic"
            self.folder = SYNTHETIC if self.synthetic else Path(data)
        if replies is None:
            replies = "export" if self.synthetic and not in_checkout() else "shipped"
        check_choice(tags)
        check_replies(replies)
        self.whose_tags = tags
        self.replies_from = "live" if replies == "shipped" and not self.synthetic else replies
        self.tag_options, self.overlap = tag_options, overlap
        self.seconds: dict[str, float] = {}

    # --- data (notebook 01) ---

    @cached_property
    def raw(self) -> RawData:
        """The data as they are: a k-core would delete the very items that ids cannot learn."""
        raw = self.data if isinstance(self.data, RawData) else read_data(self.folder)
        check_runnable(raw)
        return replace(raw, domains=self.named) if self.named else raw

    def check(self) -> None:
        """Say now, in one sentence, what would stop the run later.

        Raises:
            ValueError: nothing can be learned from the data, a picture is bad, no export fits.
            FileNotFoundError: the export is missing.
        """
        check_runnable(self.raw)
        check_pictures(self.items.image, progress=True)
        for export in (self.export, self.small_export):
            if export:
                read_card(export)

    @property
    def name(self) -> str:
        """ "synthetic", or the data's name with the beginning of their tables' hash.

        Two folders of one name never share a file, nor do two treatments of repeated interactions.
        """
        if self.synthetic:
            return "synthetic"
        kept = "-repeats" if self.raw.repeats == "keep" else ""
        return f"{self.raw.name}-{self.raw.sha256[:8]}{kept}"

    @property
    def domains(self) -> tuple[str, str]:
        """What domains A and B are called, in prompts and in pictures."""
        return self.raw.domains

    @property
    def tag_config(self) -> TagConfig:
        """How tags are written for these domains."""
        return TagConfig(domain_names=self.domains, **self.tag_options)

    @cached_property
    def items(self) -> Items:
        """The items under global ids."""
        return encode_ids(self.raw)

    @cached_property
    def sequences(self) -> Sequences:
        """One merged sequence per user."""
        return build_sequences(self.raw, self.items)

    def times(self, user: str) -> list[int]:
        """Seconds since 1970 of a user's events, in the order of their sequence."""
        events = self.raw.interactions
        return sorted(events.loc[events["user_id"].astype(str) == user, "timestamp"].tolist())

    @cached_property
    def split(self) -> Split:
        """The published split, else leave-one-out."""
        if self.raw.published:
            split = published_split(self.raw, self.sequences)
        else:
            split = leave_one_out(self.sequences)
        if self.overlap == 1:
            return split
        return with_overlap(split, self.domain_of_item, self.overlap, self.seed)

    def split_in_time(self, valid_from: float = 0.8, test_from: float = 0.9) -> Split | None:
        """Train before a moment, test on what each user did next (`data.splits.split_in_time`).

        None, with a sentence, where the data have no times, or too few events between the moments.

        Args:
            valid_from, test_from: the moments, as shares of all events.
        """
        if self.raw.published:
            print("a published split brings the order of events and no times: no split in time")
            return None
        times = event_times(self.raw)
        moments = np.quantile(times.numpy(), [valid_from, test_from]).astype(int).tolist()
        try:
            return split_in_time(self.sequences, times, *moments)
        except DataError as error:
            print(f"no split in time: {error}")
            return None

    @cached_property
    def domain_of_item(self) -> Tensor:
        """int64 [N + 1]: -1 padding, 0 A, 1 B."""
        return torch.from_numpy(self.items.domain_of_item)

    @cached_property
    def truth(self) -> tuple[pd.DataFrame, pd.DataFrame] | None:
        """(items, users) of the synthetic data set with their topics; None where none is known."""
        return read_truth(SYNTHETIC) if self.synthetic else None

    @cached_property
    def item_truth(self) -> pd.DataFrame:
        """The truth about items 1 to N, in the order of global ids; no rows where none is known."""
        return item_truth(self.items, self.truth)

    @property
    def topics(self) -> np.ndarray:
        """str [N + 1]: the latent topic of each item; "" for padding, and where none is known."""
        known = self.item_truth["topic"].tolist()
        return np.array(["", *(known or [""] * self.items.count)])

    # --- features (notebook 03) ---

    @cached_property
    def text(self) -> ItemFeatures:
        """Frozen features of the items' texts."""
        texts = [self.items.text(item) if item else "" for item in range(self.items.count + 1)]
        return self._encoded("text", "minilm-l6-v2", texts, lambda: encode_text(texts))

    @cached_property
    def image(self) -> ItemFeatures | None:
        """None when no item of the data has a picture."""
        if not any(self.items.image):
            return None
        fingerprints = [sha256_of(path) if path else "" for path in self.items.image]
        return self._encoded(
            "image", "efficientnet-lite0", fingerprints, lambda: encode_images(self.items.image)
        )

    def _encoded(
        self, kind: str, model: str, content: list[str], make: Callable[[], ItemFeatures]
    ) -> ItemFeatures:
        """Encode once per content and weights: the hash of both is part of the file's name."""
        key = sha256_of(json.dumps([fingerprint(resolve(model)), content]))[:16]
        with timed(self.seconds, kind):
            return remembered(cache_folder() / f"{kind}-{key}.safetensors", make)

    # --- tags (notebook 02) ---

    @cached_property
    def export(self) -> Path | None:
        """The exported file whose tags TEMA-LLM is trained on; None for the small model's tags."""
        small = self.whose_tags == "small"  # the data need not be read to know
        return None if small else choose_export(self.whose_tags, EXPORTS, self.raw.sha256)

    @cached_property
    def tags(self) -> ItemTags:
        """The tags that TEMA-LLM is trained on: an export's, or those of the small model."""
        if self.export:
            return read_export(self.export, self.items, self._tag_vectors)
        return self.small_tags

    @cached_property
    def small_export(self) -> Path | None:
        """The exported file of the small model's tags; None where it is asked."""
        if self.export and read_card(self.export)["model"] == SMALL:
            return self.export
        if self.replies_from != "export":
            return None
        return choose_export(f"export:{SMALL}", EXPORTS, self.raw.sha256)

    @cached_property
    def small_tags(self) -> ItemTags:
        """The tags of the small language model, which runs here."""
        if self.export and self.export == self.small_export:
            return self.tags
        with timed(self.seconds, "tags"):
            if self.small_export:
                return read_export(self.small_export, self.items, self._tag_vectors)
            with self.replies() as store:
                return write_tags(self.catalogue, LocalModel(), store, self.tag_config)

    def tags_source(self, small: bool = False) -> dict[str, str | None]:
        """Whose tags these are, for the run record: model, tables, and the file, if any.

        Args:
            small: of the small model's tags, whatever TEMA-LLM is trained on.
        """
        small = small or not self.export
        tags, export = (self.small_tags, self.small_export) if small else (self.tags, self.export)
        card = read_card(export) if export else None
        return {
            "source": "export" if card else self.replies_from,
            "model": tags.model,
            "weights_sha256": tags.fingerprint,
            "tables_sha256": card["tables_sha256"] if card else self.raw.sha256,
            "export": export.name if export else None,
            "export_sha256": card["file_sha256"] if card else None,
        }

    def replies(self) -> ReplyStore:
        """The store of all replies, with the shipped ones behind it where they are asked for."""
        store = open_replies()
        if self.replies_from == "shipped":
            store.shipped = tag_replies(self.items, self.tag_config)
        return store

    @cached_property
    def catalogue(self) -> Catalogue:
        """What tagging knows of the items: texts, their vectors, and the encoder for tags."""
        return Catalogue(self.items, self.text, self._tag_vectors)

    def _tag_vectors(self, tags: list[str]) -> Tensor:
        return self._encoded(
            "tags", "minilm-l6-v2", tags, lambda: encode_text(tags, progress=False)
        ).matrix

    def live_items(self) -> list[int]:
        """The items that the model is asked about although replies are shipped, drawn once."""
        return live_items(self.items)

    @property
    def enriched(self) -> ItemFeatures:
        """Vectors of an item's texts and what the language model said about it (for LLM-EMF).

        The replies are those the tags come from. An export holds none: there the item's tags stand
        in their place, as words of the language model that wrote them.
        """
        texts = [""]
        for item in range(1, self.items.count + 1):
            if self.export or self.small_export:
                said: Sequence[str] = [", ".join(tag for tag, _, _ in self.tags.tags_of(item))]
            else:
                said = self.tags.raw_replies[item]
            texts.append(" ".join([self.items.text(item), *said]))
        return self._encoded("enriched", "minilm-l6-v2", texts, lambda: encode_text(texts))

    # --- what other systems read (notebook 07) ---

    @cached_property
    def titles(self) -> TitleTokens:
        """Titles as word pieces, for a system that reads nothing else."""
        with torch.random.fork_rng(devices=[]):
            return title_tokens(self.items.title)

    @cached_property
    def profiles(self) -> Profiles:
        """Who the users are, from their training events alone."""
        return self.profiles_of(self.split.train)

    def profiles_of(self, sequences: Sequences, config: ProfileConfig | None = None) -> Profiles:
        """The language model's profile of each sequence.

        On the synthetic data set most replies are the shipped ones; all, where nobody is asked.
        """
        config = config or ProfileConfig()
        with timed(self.seconds, "profiles"), torch.random.fork_rng(devices=[]):
            llm = LocalModel(decoding=PHRASES)
            cluster = cluster_items(self.text.matrix, self.text.present, config)
            titles = self.items.title
            with open_replies() as store:
                if self.synthetic:
                    live_users = 0 if self.small_export else LIVE_USERS
                    store.shipped = profile_replies(sequences, titles, cluster, config, live_users)
                return write_profiles(
                    sequences, titles, cluster, self._profile_vectors, llm, store, config
                )

    def _profile_vectors(self, texts: list[str]) -> Tensor:
        return self._encoded("profiles", "minilm-l6-v2", texts, lambda: encode_text(texts)).matrix

    # --- models (notebooks 03, 04) ---

    @cached_property
    def modalities(self) -> tuple[str, ...]:
        """The modalities these data can fill: no pictures, no image modality."""
        if any(self.items.image):
            return MODALITIES
        return tuple(modality for modality in MODALITIES if modality != "image")

    def inputs(
        self, tags: str = "", shuffle: tuple[str, ...] = (), text: str = "plain"
    ) -> ItemInputs:
        """The frozen inputs of the fusion.

        Args:
            tags: a control in place of the tags (`tags.controls`), or "small" for those of the
                small model; "" for the tags themselves.
            shuffle: which of "text" and "image" are exchanged among the items of a domain.
            text: "plain", or "enriched" by what the language model said.

        Raises:
            ValueError: another word.
        """
        if text not in ("plain", "enriched"):
            raise ValueError(f"text is {text!r}: choose plain or enriched.")
        if isinstance(shuffle, str):
            raise ValueError(f"shuffle is {shuffle!r}: give a tuple of text and image.")
        if unknown := set(shuffle) - {"text", "image"}:
            raise ValueError(
                f"shuffle names {', '.join(sorted(unknown))}: only text and image can be exchanged."
            )
        # Loading an encoder draws random numbers; whether one was needed must not change a model.
        with torch.random.fork_rng(devices=[]):
            given = self.small_tags if tags == "small" else self.tags
            if tags not in ("", "small"):
                given = control_tags(given, tags, self.catalogue, self.tag_config, self.seed)
            features, image = self.enriched if text == "enriched" else self.text, self.image
        position = torch.arange(self.items.count + 1)
        generator = torch.Generator().manual_seed(self.seed)
        for domain in (0, 1):
            own = torch.from_numpy(self.items.of_domain(domain))
            position[own] = own[torch.randperm(len(own), generator=generator)]

        def rows(modality: str, tensor: Tensor) -> Tensor:
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


@contextlib.contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Add the wall time of a block to `seconds[name]`."""
    start = time.perf_counter()
    yield
    seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start
