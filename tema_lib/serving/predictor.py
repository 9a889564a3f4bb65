"""Recommending with an exported model.

    predictor = tema_lib.load("build/export/synthetic-tema-0")
    predictor.recommend(["A001", "B002"], domain="B", k=5)

Status: ours.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from tema_lib.data.batches import Batch
from tema_lib.data.dataset import DOMAINS
from tema_lib.models.base import SequenceRecommender
from tema_lib.models.inputs import ItemInputs
from tema_lib.serving.folder import Exported, Item, read_exported, tag_tensors, write_exported

if TYPE_CHECKING:  # encoders are loaded when an item is added
    from tema_lib.encoders.features import ItemFeatures

ROWS = 256  # histories that are scored at a time
COLUMNS = ("item_id", "title", "score")


def load(folder: Path | str) -> Predictor:
    """The predictor of a folder that `tema export` wrote.

    Raises:
        FileNotFoundError: the folder, or a file in it, is missing.
        ValueError: a file is damaged, of another export, or of a later version.
    """
    return Predictor(read_exported(folder))


@dataclass(frozen=True)
class Tables:
    """What ranking reads, replaced as a whole when the catalogue changes."""

    exported: Exported
    model: SequenceRecommender
    index: dict[str, int]  # item_id -> global id
    inputs: Tensor  # [N+1, D]
    pools: tuple[Tensor, Tensor]  # global ids of A and of B, ascending
    places: Tensor  # int64 [N+1]: where in its pool an item is
    outputs: tuple[Tensor, Tensor]  # their output embeddings, [E, items of the domain]
    indexes: tuple[Any, ...] = ()  # approximate ones of A and of B (faiss), where they are wanted

    @classmethod
    @torch.no_grad()
    def of(cls, exported: Exported) -> Tables:
        """Compute the item embeddings once."""
        model = exported.model()
        inputs, outputs = model.item_embeddings()
        domains = exported.inputs.domain_of_item
        pools = [(domains == number).nonzero().flatten() for number in (0, 1)]
        places = torch.zeros_like(domains)
        for pool in pools:
            places[pool] = torch.arange(len(pool))
        return cls(
            exported,
            model,
            {item.item_id: row for row, item in enumerate(exported.items, start=1)},
            inputs,
            (pools[0], pools[1]),
            places,
            (outputs[pools[0]].T.contiguous(), outputs[pools[1]].T.contiguous()),
        )

    def states(self, histories: Sequence[list[int]], number: int) -> Tensor:
        """What the model makes of histories of global ids for a domain, [B, E]."""
        newest = [torch.tensor(ids[-self.model.max_length :]) for ids in histories]
        batch = Batch(
            torch.nn.utils.rnn.pad_sequence(newest, batch_first=True),
            None,
            torch.full((len(histories),), number),
            torch.arange(len(histories)),
        )
        return self.model.last_hidden_states(batch, self.inputs)

    def nearly_best(
        self, states: Tensor, left_out: Sequence[set[int]], number: int, k: int
    ) -> tuple[Tensor, Tensor]:
        """Global ids [B, k] and scores [B, k] by the approximate index.

        An item that it does not find has the score -inf.
        """
        wanted = min(k + max(map(len, left_out)), len(self.pools[number]))
        scores, places = map(torch.from_numpy, self.indexes[number].search(states.numpy(), wanted))
        items = self.pools[number][places.clamp(min=0)]
        gone = [[item in out for item in row] for row, out in zip(items.tolist(), left_out)]
        scores[torch.tensor(gone) | (places < 0)] = -torch.inf
        best = scores.topk(k)
        return items.gather(1, best.indices), best.values


class Predictor:
    """Recommends the next items after a history, among all items of a domain.

    It needs neither training data nor a language model.  A new user is a history; a new item is
    added by what is known of it (`add_items`).  Several threads may ask at once.

    Args:
        exported: what `read_exported` returns.
    """

    def __init__(self, exported: Exported) -> None:
        self._tables = Tables.of(exported)

    def __repr__(self) -> str:
        card = self._tables.exported.card
        sizes = " and ".join(
            f"{len(pool):,} items of {name}" for pool, name in zip(self._tables.pools, self.domains)
        )
        return f"Predictor({card['system']} of {card['data']['name']}: {sizes})"

    @property
    def card(self) -> dict[str, Any]:
        """What export.json says."""
        return self._tables.exported.card

    @property
    def domains(self) -> tuple[str, str]:
        """What domains A and B are called."""
        first, second = self.card["domains"]
        return first, second

    @property
    def model(self) -> SequenceRecommender:
        """The trained model, of the catalogue as it is now."""
        return self._tables.model

    @property
    def catalogue(self) -> tuple[Item, ...]:
        """The items, one by one."""
        return self._tables.exported.items

    @property
    def items(self) -> pd.DataFrame:
        """The catalogue: item_id, domain (A or B), title, tags (a dict of weights)."""
        return pd.DataFrame([vars(item) for item in self.catalogue])

    # --- recommending ---

    def recommend(
        self, history: Sequence[str], domain: str, k: int = 10, exclude_seen: bool = True
    ) -> pd.DataFrame:
        """The k items of a domain that the model ranks highest after a history.

        Args:
            history: item ids of both domains, oldest first; the newest `max_length` are read.
            domain: A, B, or what the domain is called.
            k: how many items.
            exclude_seen: leave out the items of the history.

        Returns:
            One row per item, best first, numbered from 1: item_id, title, score.  Scores compare
            items of one call only.

        Raises:
            ValueError: an item or the domain is unknown, the history is empty, or k is more than
                there are items left.
        """
        return self.recommend_batch([history], domain, k, exclude_seen)[0]

    def recommend_batch(
        self,
        histories: Sequence[Sequence[str]],
        domain: str,
        k: int = 10,
        exclude_seen: bool = True,
    ) -> list[pd.DataFrame]:
        """As `recommend`, for many histories at once."""
        tables = self._tables
        number = self._domain(domain)
        seen = [self._ids(tables, history) for history in histories]
        self._check_k(tables, number, k, seen if exclude_seen else [])
        found = []
        for rows in (seen[start : start + ROWS] for start in range(0, len(seen), ROWS)):
            ids, scores = self._ranked(tables, rows, number, k, exclude_seen)
            found += [
                self._table(tables, one, of_one)
                for one, of_one in zip(ids.tolist(), scores.numpy())
            ]
        return found

    def recommend_users(
        self, interactions: pd.DataFrame, domain: str, k: int = 10, exclude_seen: bool = True
    ) -> pd.DataFrame:
        """The k items of a domain for every user of a table.

        Args:
            interactions: user_id, item_id, and timestamp where the rows are not in time order.
            domain, k, exclude_seen: as of `recommend`.

        Returns:
            user_id, rank, item_id, title, score; users in the order of their first row.  An event
            with an item that is not in the catalogue is skipped, a user without any other gets no
            row, and a warning says so.

        Raises:
            ValueError: a column is missing, the domain is unknown, or k is too large.
        """
        for column in ("user_id", "item_id"):
            if column not in interactions:
                raise ValueError(f"the table has no column {column}: it needs user_id and item_id.")
        tables = self._tables
        order = interactions["user_id"].drop_duplicates()
        if "timestamp" in interactions:
            interactions = interactions.sort_values("timestamp", kind="stable")
        known = interactions[interactions["item_id"].isin(list(tables.index))]
        histories = known.groupby("user_id", sort=False)["item_id"].agg(list)
        histories = histories.reindex(order[order.isin(histories.index)])
        if len(known) < len(interactions):
            warnings.warn(
                f"{len(interactions) - len(known)} events are with items that are not in the "
                f"catalogue, and are skipped; {len(order) - len(histories)} users have no other.",
                stacklevel=2,
            )
        found = self.recommend_batch(histories.tolist(), domain, k, exclude_seen)
        if not found:
            return pd.DataFrame(columns=["user_id", "rank", *COLUMNS])
        return (
            pd.concat(found, keys=histories.index, names=["user_id", "rank"])
            .reset_index()
            .loc[:, ["user_id", "rank", *COLUMNS]]
        )

    def approximate(self, probes: int = 32, seed: int = 0) -> float:
        """Rank by an approximate index from now on, until the catalogue changes.

        For catalogues beyond a quarter of a million items; below, the exact product is fast enough
        (docs/serving.md).  The index (faiss, extra `serve`) has about 4 sqrt(items) cells and looks
        into those nearest to a state.

        Args:
            probes: how many cells; more find more, and take longer.
            seed: of the histories that the recall is measured with.

        Returns:
            Recall: the share of the exact ten best items that the index finds, over 200 histories
            of ten items drawn at random; it is printed, too.

        Raises:
            ImportError: faiss is not installed.
        """
        try:
            import faiss
        except ImportError:
            raise ImportError(
                "The approximate index needs faiss: pip install 'tema-lib[serve]'."
            ) from None

        tables = replace(self._tables, indexes=())
        indexes = []
        for outputs in tables.outputs:
            vectors = outputs.T.contiguous().numpy()
            cells = max(1, min(int(4 * len(vectors) ** 0.5), len(vectors) // 40))
            index = faiss.index_factory(
                vectors.shape[1], f"IVF{cells},Flat", faiss.METRIC_INNER_PRODUCT
            )
            index.train(vectors)
            index.add(vectors)
            faiss.ParameterSpace().set_index_parameter(index, "nprobe", probes)
            indexes.append(index)
        both = replace(tables, indexes=tuple(indexes))
        generator = torch.Generator().manual_seed(seed)
        histories = torch.randint(1, len(self.catalogue) + 1, (200, 10), generator=generator)
        shares = []
        for number, pool in enumerate(tables.pools):
            best, found = (
                self._ranked(one, histories.tolist(), number, min(10, len(pool)), False)[0]
                for one in (tables, both)
            )
            shares.append((best[:, :, None] == found[:, None]).any(2).float().mean())
        recall = float(torch.stack(shares).mean())
        print(f"approximate index: {recall:.1%} of the exact ten best are found")
        self._tables = both
        return recall

    def _domain(self, domain: str) -> int:
        letter = dict(zip(self.domains, DOMAINS)).get(domain, domain)
        if letter not in DOMAINS:
            choice = " or ".join(dict.fromkeys([*DOMAINS, *self.domains]))
            raise ValueError(f"domain {domain!r} is unknown: choose {choice}.")
        return DOMAINS.index(letter)

    @staticmethod
    def _ids(tables: Tables, history: Sequence[str]) -> list[int]:
        """The global ids of a history."""
        if isinstance(history, str) or not len(history):
            raise ValueError('history holds no items: give a list of item ids, such as ["A001"].')
        unknown = [item for item in dict.fromkeys(history) if item not in tables.index]
        if unknown:
            named = ", ".join(map(repr, unknown[:5]))
            raise ValueError(
                f"history: item {named} is unknown: give ids of the catalogue, such as "
                f"{tables.exported.items[0].item_id}, or add it with its title."
            )
        return [tables.index[item] for item in history]

    @staticmethod
    def _check_k(tables: Tables, number: int, k: int, seen: list[list[int]]) -> None:
        """Whether k items are left for every history."""
        domains = tables.exported.inputs.domain_of_item
        most = max([int((domains[list(set(ids))] == number).sum()) for ids in seen], default=0)
        left = len(tables.pools[number]) - most
        if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= left:
            raise ValueError(
                f"k is {k!r}: give a whole number from 1 to {left}, the items of domain "
                f"{DOMAINS[number]} that the history does not hold."
            )

    @staticmethod
    @torch.inference_mode()
    def _ranked(
        tables: Tables, seen: list[list[int]], number: int, k: int, exclude_seen: bool
    ) -> tuple[Tensor, Tensor]:
        """Global ids [B, k] and scores [B, k], best first; of equal scores the smaller id first."""
        states = tables.states(seen, number)
        left_out = [set(ids) if exclude_seen else set() for ids in seen]
        if tables.indexes:
            return tables.nearly_best(states, left_out, number, k)
        scores = states @ tables.outputs[number]
        rows = torch.tensor(
            [row for row, ids in enumerate(left_out) for _ in ids], dtype=torch.long
        )
        items = torch.tensor([item for ids in left_out for item in ids], dtype=torch.long)
        own = tables.exported.inputs.domain_of_item[items] == number
        scores[rows[own], tables.places[items[own]]] = -torch.inf
        columns = scores.topk(k).indices.sort().values
        best = scores.gather(1, columns).sort(descending=True, stable=True)
        return tables.pools[number][columns.gather(1, best.indices)], best.values

    @staticmethod
    def _table(tables: Tables, ids: list[int], scores: np.ndarray) -> pd.DataFrame:
        items = [tables.exported.items[row - 1] for row in ids]
        return pd.DataFrame(
            {
                "item_id": [item.item_id for item in items],
                "title": [item.title for item in items],
                "score": scores,
            },
            index=pd.RangeIndex(1, len(ids) + 1, name="rank"),
        )

    # --- the catalogue ---

    def remove_items(self, item_ids: Sequence[str]) -> None:
        """Take items out of the catalogue: they are neither recommended nor known in a history.

        Raises:
            ValueError: an item is unknown, or a domain would be left without any.
        """
        exported = self._tables.exported
        gone = set(self._ids(self._tables, item_ids))
        kept = torch.tensor([row for row in range(len(exported.items) + 1) if row not in gone])
        if len(exported.inputs.domain_of_item[kept].unique()) < 3:
            raise ValueError("a domain would be left without items.")
        self._tables = Tables.of(
            replace(
                exported,
                items=tuple(exported.items[row - 1] for row in kept.tolist() if row),
                inputs=_inputs_by_item(exported, lambda tensor: tensor[kept]),
                weights=_weights_by_item(exported, lambda tensor: tensor[kept]),
            )
        )

    def add_items(self, items: pd.DataFrame, folder: Path | str = ".") -> None:
        """Let new items be recommended, by what is known of them; nothing is trained.

        The text encoder reads title and description, and the image encoder the picture, each with
        the very weights that encoded the training items.  An item whose tags are not given gets
        those of the list that are nearest to its text (`tags.assign.nearest_tags`).  Its id says
        nothing, as that of an item that training has not seen.

        Args:
            items: item_id, domain (A, B, or what the domain is called), title; where they are
                known description, image (a path), and tags: {tag: weight}, or a list of tags that
                weigh the same.  Tags are of the list (`tags`).
            folder: what paths of pictures begin at.

        Raises:
            ValueError: a column is missing, an id is there already, a domain or a tag is unknown,
                the encoder's weights are others, or the model knows items by their ids alone.
            DataError: a picture cannot be used.
        """
        tables = self._tables
        exported = tables.exported
        if not exported.projections and exported.inputs.tag_vectors is None:
            raise ValueError(
                f"{self.card['system']} knows items by their ids alone, so that a new one cannot "
                "be told from another: export a system that reads texts, such as tema."
            )
        given = _checked(items, exported, lambda name: DOMAINS[self._domain(name)])
        texts = [". ".join(filter(None, (item.title, said))) for item, said, _ in given]
        pictures = [Path(folder) / path if path else None for _, _, path in given]
        new = [item for item, _, _ in given]
        if exported.inputs.tag_vectors is not None:
            lacking = [row for row, item in enumerate(new) if texts[row] and not item.tags]
            for row, own in zip(lacking, self._nearest([texts[row] for row in lacking])):
                new[row] = replace(new[row], tags=own)
        rows = {"domain_of_item": torch.tensor([DOMAINS.index(item.domain) for item in new])}
        for kind, projection in exported.projections.items():
            found = self._encoded(kind, texts if kind == "text" else pictures)
            rows |= {
                kind: projection(found.matrix, found.present),
                f"{kind}_present": found.present,
            }
        items_now = (*exported.items, *new)
        grown = {name: torch.cat([getattr(exported.inputs, name), rows[name]]) for name in rows}
        if exported.inputs.tag_vectors is not None:
            grown |= tag_tensors(items_now, exported.tags)

        def longer(tensor: Tensor) -> Tensor:
            return torch.cat([tensor, tensor.new_zeros(len(new), *tensor.shape[1:])])

        self._tables = Tables.of(
            replace(
                exported,
                items=items_now,
                inputs=replace(exported.inputs, **grown),
                weights=_weights_by_item(exported, longer),
            )
        )

    def save(self, folder: Path | str) -> None:
        """Write the catalogue as it is now, with the model, for `load`.

        Raises:
            OSError: the folder cannot be written.
        """
        write_exported(self._tables.exported, Path(folder))

    @property
    def tags(self) -> tuple[str, ...]:
        """The list of tags."""
        return self._tables.exported.tags

    def _encoded(self, kind: str, content: Sequence[Any]) -> ItemFeatures:
        """Features of texts or pictures, by the encoder of the training items."""
        from tema_lib.encoders.image import encode_images
        from tema_lib.encoders.text import encode_text

        encoder = self.card["encoders"][kind]
        encode: Callable[..., ItemFeatures] = encode_text if kind == "text" else encode_images
        found = encode(content, encoder["model"], progress=False)
        if found.fingerprint != encoder["fingerprint"]:
            raise ValueError(
                f"{encoder['model']} has other weights here ({found.fingerprint[:8]}) than those "
                f"that encoded the items ({encoder['fingerprint'][:8]}): bring the same ones."
            )
        return found

    def _nearest(self, texts: list[str]) -> list[dict[str, float]]:
        """Tags of the list near to each text, with weights by nearness."""
        from tema_lib.tags.assign import nearest_tags
        from tema_lib.tags.config import TagConfig
        from tema_lib.tags.weigh import weigh

        config = TagConfig()
        listed = ["", *self.tags]
        meaning = self._encoded("text", listed).matrix
        found = self._encoded("text", ["", *texts])
        tag_ids = torch.zeros(len(texts) + 1, config.tags_per_item, dtype=torch.long)
        for row in range(1, len(texts) + 1):
            near = nearest_tags(found, row, meaning[1:], config)[: config.tags_per_item]
            tag_ids[row, : len(near)] = torch.tensor(near, dtype=torch.long)
        weights = weigh(tag_ids, meaning, found, config)
        return [
            {listed[tag]: weight for tag, weight in zip(ids, own) if tag}
            for ids, own in zip(tag_ids[1:].tolist(), weights[1:].tolist())
        ]


# What a model learned about each item alone, a row of it: 0 for a new one.
OF_ITEMS = ("id", "items.id", "sasrec.id", "seen")


def _weights_by_item(exported: Exported, change: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    return {
        name: change(tensor) if name in OF_ITEMS else tensor
        for name, tensor in exported.weights.items()
    }


def _inputs_by_item(exported: Exported, change: Callable[[Tensor], Tensor]) -> ItemInputs:
    own = {
        name: change(tensor)
        for name, tensor in vars(exported.inputs).items()
        if name != "tag_vectors" and tensor is not None
    }
    return replace(exported.inputs, **own)


def _checked(
    items: pd.DataFrame, exported: Exported, domain_of: Callable[[str], str]
) -> list[tuple[Item, str, str]]:
    """(item, its description, the path of its picture) of each row, all of them checked."""
    for column in ("item_id", "domain", "title"):
        if column not in items:
            raise ValueError(f"the table has no column {column}: it needs item_id, domain, title.")
    known = {item.item_id for item in exported.items}
    found = []
    for row in items.to_dict("records"):
        texts = {
            name: "" if _missing(row.get(name)) else str(row[name])
            for name in ("item_id", "title", "description", "image")
        }
        name = texts["item_id"]
        if not name or name in known:
            raise ValueError(
                f"item_id {name!r} is empty or there already: give every new item an id of its own."
            )
        known.add(name)
        tags = _weights_of(row.get("tags"), name, exported.tags)
        item = Item(name, domain_of(row["domain"]), texts["title"], tags)
        found.append((item, texts["description"], texts["image"]))
    return found


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def _weights_of(given: Any, item: str, listed: Sequence[str]) -> dict[str, float]:
    """{tag: weight} of an item, which sum to 1."""
    if _missing(given) or not len(given):
        return {}
    if isinstance(given, str):
        given = [tag.strip() for tag in given.split(",") if tag.strip()]
    weights = dict(given) if isinstance(given, Mapping) else dict.fromkeys(given, 1.0)
    if unknown := set(weights) - set(listed):
        raise ValueError(
            f"item {item}: tag {min(map(str, unknown))!r} is not in the list: give tags of "
            "`predictor.tags`, or none, and the nearest ones are taken."
        )
    if not all(0 < weight < np.inf for weight in weights.values()):
        raise ValueError(f"item {item}: the weights of its tags must be above 0.")
    return {tag: weight / sum(weights.values()) for tag, weight in weights.items()}
