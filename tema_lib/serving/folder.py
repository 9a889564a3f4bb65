"""One folder with all that recommending needs, written by `tema export`.

    export.json           what it is: system, configuration, domains, encoders, a hash of each file
    items.jsonl           an item a line: id, domain, title, its tags with their weights
    tags.txt              the list of tags, one a line
    inputs.safetensors    reduced features of the items, and how to reduce those of new ones
    weights.safetensors   what was learned

Nothing in it is code, and nothing is unpickled.  Status: ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from tema_lib import __version__
from tema_lib.data.dataset import DOMAINS
from tema_lib.models.base import SequenceRecommender
from tema_lib.models.heads import EncoderConfig
from tema_lib.models.inputs import ItemInputs
from tema_lib.models.item_embedding import Projection, fit_projection
from tema_lib.models.sasrec import SASRec, SASRecConfig
from tema_lib.models.tema import Tema, TemaConfig
from tema_lib.workspace import sha256_of, write_atomically

if TYPE_CHECKING:  # names of types only: an export is read without encoders and language models
    from tema_lib.encoders.features import ItemFeatures
    from tema_lib.pipeline import Pipeline
    from tema_lib.tags.item_tags import ItemTags

CARD = "export.json"
FILES = ("items.jsonl", "tags.txt", "inputs.safetensors", "weights.safetensors")
FORMAT = 1
CONFIGS: dict[str, type] = {"Tema": TemaConfig, "SASRec": SASRecConfig}
ENCODED = ("text", "image")


@dataclass(frozen=True)
class Item:
    """One item of the catalogue; its tags with their weights, which sum to 1."""

    item_id: str
    domain: str  # A or B
    title: str
    tags: dict[str, float]


@dataclass(frozen=True)
class Exported:
    """What a folder holds.

    card: the content of export.json.
    items: N items, under the global ids 1 to N.
    tags: the list, G texts, under the numbers 1 to G.
    inputs: reduced features of the items.
    projections: {"text" or "image": how its features were reduced}.
    weights: the learned tensors by name.
    """

    card: dict[str, Any]
    items: tuple[Item, ...]
    tags: tuple[str, ...]
    inputs: ItemInputs
    projections: dict[str, Projection]
    weights: dict[str, Tensor]

    def model(self) -> SequenceRecommender:
        """The trained model.

        Raises:
            ValueError: configuration, features and weights do not fit together.
        """
        kind = self.card["model"]
        try:
            given = {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in self.card["config"].items()
            }
            config = CONFIGS[kind](**given)
            _check_sizes(config, self.weights)
            model: SequenceRecommender
            if isinstance(config, TemaConfig):
                model = Tema(self.inputs, replace(config, feature_width=0))
            else:
                model = SASRec(self.inputs.domain_of_item, config)
            model.load_state_dict(self.weights)
        except (KeyError, TypeError, ValueError, RuntimeError, AssertionError) as error:
            raise ValueError(
                f"{CARD} and the tensors beside it do not fit together ({error}): export again."
            ) from None
        return model.requires_grad_(False).eval()


def _check_sizes(config: EncoderConfig, weights: Mapping[str, Tensor]) -> None:
    """Raise ValueError for sizes that are not the weights', before memory is asked for them."""
    tables = [tensor for name, tensor in weights.items() if name.endswith(".position")]
    blocks = {name.partition(".blocks.")[2].partition(".")[0] for name in weights} - {""}
    wanted = (config.max_length, config.hidden)
    if not tables or any(tensor.shape != wanted for tensor in tables):
        raise ValueError("hidden or max_length is not that of the weights")
    if len(blocks) != config.layers:
        raise ValueError("layers is not the number of the weights' layers")


# --- writing ---


def export_model(run: Pipeline, model: torch.nn.Module, system: str, folder: Path) -> Path:
    """Write a trained model as a folder.

    Args:
        run: what the model was built from.
        model: a trained `Tema` or `SASRec`.
        system: its name.
        folder: made where it is missing; an earlier export there is replaced.

    Raises:
        ValueError: another model, or one whose inputs are a control: what would a new item's be?
    """
    write_exported(exported_of(run, model, system), folder)
    return folder


def exported_of(run: Pipeline, model: torch.nn.Module, system: str) -> Exported:
    """What the folder of a trained model holds; arguments and errors as of `export_model`."""
    if not isinstance(model, Tema | SASRec):
        raise ValueError(
            f"{system} cannot be exported: choose a TEMA-LLM or a SASRec, such as tema or sasrec."
        )
    given: dict[str, Tensor] = {}
    encoders, projections = {}, {}
    tags: ItemTags | None = None
    if isinstance(model, Tema):
        parts = model.items
        for kind in ENCODED:
            if kind in parts.modalities:
                features: ItemFeatures = getattr(run, kind)
                encoders[kind] = {"model": features.model, "fingerprint": features.fingerprint}
                projections[kind] = fit_projection(
                    features.matrix, features.present, model.config.feature_width
                )
                given[kind] = projections[kind](features.matrix, features.present)
                given[f"{kind}_present"] = features.present
                if not torch.equal(given[kind], getattr(parts, f"{kind}_features").cpu()):
                    raise ValueError(
                        f"{system} cannot be exported: its {kind} features are not those of the "
                        "items alone, so that none could be made for a new item."
                    )
        if "tags" in parts.modalities:
            tags = _tags_of(run, parts.tag_ids, system)
            # A learned table of tags alone needs their number only.
            unknown = torch.zeros(len(tags.vectors), 1)
            given["tag_vectors"] = getattr(parts, "tag_features", unknown)
    vocabulary = tags.vocabulary[1:] if tags else ()
    items = _items_of(run, tags)
    if tags:
        given |= tag_tensors(items, vocabulary)
    card = {
        "format": FORMAT,
        "tema_lib": __version__,
        "system": system,
        "model": type(model).__name__,
        "config": card_config(model.config),
        "data": {"name": run.raw.name, "sha256": run.raw.sha256},
        "seed": run.seed,
        "domains": list(run.domains),
        "encoders": encoders,
        "tags": {"model": tags.model, "weights_sha256": tags.fingerprint} if tags else None,
    }
    weights = {name: value.cpu().clone() for name, value in model.state_dict().items()}
    inputs = ItemInputs(run.domain_of_item, **given)
    return Exported(card, items, vocabulary, inputs, projections, weights)


def card_config(config: TemaConfig | SASRecConfig) -> dict[str, Any]:
    """A configuration as JSON gives it back."""
    config_of_json: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return config_of_json


def _tags_of(run: Pipeline, tag_ids: Tensor, system: str) -> ItemTags:
    """The tags that a model was built from."""
    for name in ("tags", "small_tags"):
        tags: ItemTags = getattr(run, name)
        if torch.equal(tags.tag_ids, tag_ids.cpu()):
            return tags
    raise ValueError(
        f"{system} cannot be exported: its tags are a control's, so that a new item has none."
    )


def _items_of(run: Pipeline, tags: ItemTags | None) -> tuple[Item, ...]:
    items = run.items
    return tuple(
        Item(
            items.item_id[row],
            DOMAINS[items.domain_of_item[row]],
            items.title[row],
            {tag: weight for tag, weight, _ in tags.tags_of(row)} if tags else {},
        )
        for row in range(1, items.count + 1)
    )


def write_exported(exported: Exported, folder: Path) -> None:
    """Write the folder; the card comes last, so that one that is torn is none.

    Raises:
        OSError: it cannot be written.
    """
    tensors = {
        name: value
        for name, value in vars(exported.inputs).items()
        if value is not None and name not in ("tag_ids", "tag_weights")  # items.jsonl has them
    }
    for kind, projection in exported.projections.items():
        tensors |= {f"{kind}_{name}": value for name, value in projection._asdict().items()}
    lines = [json.dumps(asdict(item), ensure_ascii=False) + "\n" for item in exported.items]
    contents = {
        "items.jsonl": "".join(lines).encode(),
        "tags.txt": "".join(f"{tag}\n" for tag in exported.tags).encode(),
        "inputs.safetensors": save({name: value.contiguous() for name, value in tensors.items()}),
        # Cloned: three branches may share one encoder, and a file holds no memory twice.
        "weights.safetensors": save(
            {name: value.clone().contiguous() for name, value in exported.weights.items()}
        ),
    }
    for name, content in contents.items():
        write_atomically(folder / name, content)
    files = {name: sha256_of(content) for name, content in contents.items()}
    card = exported.card | {"items": len(exported.items), "files": files}
    write_atomically(folder / CARD, json.dumps(card, indent=1, ensure_ascii=False) + "\n")


# --- reading ---


def read_exported(folder: Path | str) -> Exported:
    """What `export_model` wrote.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged, of another export, or of a later version.
    """
    folder = Path(folder)
    card = _read_card(folder)
    packed = {}
    for name in FILES:  # never a name that the card gives
        path = folder / name
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: copy the whole folder, or export again.")
        packed[name] = path.read_bytes()
        if sha256_of(packed[name]) != card["files"].get(name):
            raise ValueError(
                f"{path} is not the file that {CARD} describes: copy the whole folder again."
            )
    try:
        tags = tuple(packed["tags.txt"].decode().split("\n")[:-1])
        items = tuple(_read_item(line) for line in packed["items.jsonl"].decode().split("\n")[:-1])
        tensors = load(packed["inputs.safetensors"])
        weights = load(packed["weights.safetensors"])
        inputs, projections = _inputs(tensors, items, tags)
    except (ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise ValueError(
            f"{folder} is no export that can be read ({error}): export again."
        ) from None
    return Exported(card, items, tags, inputs, projections, weights)


def _read_card(folder: Path) -> dict[str, Any]:
    path = folder / CARD
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: give a folder that `tema export` wrote.")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        wanted = {"format": int, "model": str, "config": dict, "domains": list, "files": dict}
        wanted |= {"encoders": dict}
        whole = all(isinstance(card[name], kind) for name, kind in wanted.items())
    except (ValueError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise ValueError(f"{path} does not describe an export: export again.")
    if card["format"] != FORMAT:
        raise ValueError(
            f"{path} has format {card['format']}, this version reads {FORMAT}: install the version "
            "of tema-lib that wrote it."
        )
    return dict(card)


def _read_item(line: str) -> Item:
    given = json.loads(line)
    item = Item(**given)
    texts = (item.item_id, item.domain, item.title, *item.tags)
    if item.domain not in DOMAINS or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"an item has no domain, or no text: {line[:60]}")
    return item


def _inputs(
    tensors: Mapping[str, Tensor], items: tuple[Item, ...], tags: tuple[str, ...]
) -> tuple[ItemInputs, dict[str, Projection]]:
    """The inputs of the model, and how features were reduced."""
    rows = len(items) + 1
    given: dict[str, Tensor] = {"domain_of_item": tensors["domain_of_item"]}
    projections = {}
    for kind in ENCODED:
        if kind in tensors:
            given |= {kind: tensors[kind], f"{kind}_present": tensors[f"{kind}_present"]}
            projections[kind] = Projection(
                *(tensors[f"{kind}_{name}"] for name in Projection._fields)
            )
    if any(len(tensor) != rows for tensor in given.values()):
        raise ValueError(f"the tensors have not one row for each of {rows - 1} items")
    if "tag_vectors" in tensors:
        given["tag_vectors"] = tensors["tag_vectors"]
        given |= tag_tensors(items, tags)
    return ItemInputs(**given), projections


def tag_tensors(items: tuple[Item, ...], tags: tuple[str, ...]) -> dict[str, Tensor]:
    """{"tag_ids": int64 [N+1, K], "tag_weights": float [N+1, K]} of items."""
    number = {tag: position for position, tag in enumerate(tags, start=1)}
    width = max([1, *(len(item.tags) for item in items)])
    tag_ids = torch.zeros(len(items) + 1, width, dtype=torch.long)
    weights = torch.zeros(len(items) + 1, width)
    for row, item in enumerate(items, start=1):
        for column, (tag, weight) in enumerate(item.tags.items()):
            tag_ids[row, column], weights[row, column] = number[tag], weight
    return {"tag_ids": tag_ids, "tag_weights": weights}
