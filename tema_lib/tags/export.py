"""Compact tag files to pass on: item id, tags, weights, and a card that says how they came about; no titles, no raw replies.

A catalogue of tens of thousands of items takes CPU hours to tag; a file of some hundred kilobytes saves others the wait.
Status: ours.
"""

import contextlib
import csv
import datetime
import gzip
import hashlib
import io
import json
import math
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from tema_lib.tags.catalogue import Encoder
from tema_lib.tags.config import TagConfig
from tema_lib.tags.evidence import coverage
from tema_lib.tags.item_tags import MAPPED, NEAREST, OWN, ItemTags
from tema_lib.tags.prompts import INSTRUCTIONS, examples_for, style_text
from tema_lib.workspace import write_atomically

COLUMNS = [
    "item_id",
    "tags",
]  # tag:weight:source, between commas; the numbers keep neighbours from spelling a title


def prompt_version(style: str, names: Sequence[str]) -> str:
    """Sixteen digits that change whenever a word of the prompt does, the names of the domains among them."""
    said = [
        style,
        style_text(style, names),
        INSTRUCTIONS,
        {name: examples_for(name) for name in names},
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def file_name(name: str) -> str:
    """A name of a model or a data set as part of a file name that every system takes, and that no other name shares.

    A name of small letters, digits, dots, dashes and underscores stays; any other ("qwen3:0.6b", "org/Model", "con") gets
    eight digits of its hash behind what is left of it.
    """
    plain = (
        re.sub(r"[^\w.-]+", "-", unicodedata.normalize("NFC", name).lower())[:80].strip("-.")
        or "nameless"
    )
    device = re.fullmatch(
        r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", plain
    )  # on Windows no file, whatever its ending
    if plain == name and not device:
        return name
    return f"{plain.replace('.', '-') if device else plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def export_tags(
    tags: ItemTags,
    items,
    folder: str | Path,
    *,
    data: str,
    sha256: str,
    settings: str,
    config: TagConfig,
) -> Path:
    """Writes <folder>/<data>.<model>.tsv.gz and the card <data>.<model>.json; returns the first path.

    data, sha256: name and hash of the tagged tables; settings: the decoding settings of the model. Equal tags give equal bytes.
    An export of other tables of that name stays: this one then has the beginning of its hash in its name.
    """
    stem = f"{file_name(data)}.{file_name(tags.model)}"
    with contextlib.suppress(OSError, ValueError):  # none there, or a broken one
        if read_card(Path(folder) / f"{stem}.tsv.gz")["tables_sha256"] != sha256:
            stem = f"{file_name(data)}-{sha256[:8]}.{file_name(tags.model)}"
    path, card = Path(folder) / f"{stem}.tsv.gz", Path(folder) / f"{stem}.json"
    text = io.StringIO()
    writer = csv.writer(
        text, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None, lineterminator="\n"
    )
    writer.writerow(COLUMNS)
    for item in range(1, len(items.item_id)):
        writer.writerow(
            [
                items.item_id[item],
                ",".join(
                    f"{tag}:{weight:.3g}:{source}" for tag, weight, source in tags.tags_of(item)
                ),
            ]
        )
    packed = gzip.compress(text.getvalue().encode(), mtime=0)
    about = {
        "data": data,
        "tables_sha256": sha256,
        "file_sha256": hashlib.sha256(packed).hexdigest(),
        "items": len(items.item_id) - 1,
        "tags": len(tags.vocabulary) - 1,
        "coverage": {
            name: round(share, 4)
            for name, share in coverage(tags, config.domain_names, config.style).items()
        },
        "model": tags.model,
        "weights_sha256": tags.fingerprint,
        "decoding": json.loads(settings),
        "prompt_version": prompt_version(config.style, config.domain_names),
        "config": asdict(config),
        "date": datetime.date.today().isoformat(),
        "columns": COLUMNS,
        "sources": "1 the model's own word, 2 that word mapped to the list, 3 the tag of the list nearest to the text by the text encoder",
        "note": "Our own tags, made from the items' titles; the titles themselves are not passed on. The data sets are for research use.",
    }
    write_atomically(path, packed)
    write_atomically(card, (json.dumps(about, indent=1, sort_keys=True) + "\n").encode())
    return path


def read_export(path: str | Path, items, encode: Encoder) -> ItemTags:
    """The tags of an exported file for these items; what only the model's run knew (raw replies) is empty.

    Raises FileNotFoundError for a missing file or card, and ValueError when the file is damaged or speaks of other items.
    """
    path = Path(path)
    card, packed = read_card(path), path.read_bytes()
    if hashlib.sha256(packed).hexdigest() != card["file_sha256"]:
        raise ValueError(
            f"{path} is not the file that {_card_path(path).name} speaks of: fetch both again."
        )
    ids, given = _rows(path, packed)
    if ids != list(items.item_id[1:]):
        raise ValueError(
            f"{path} tags other items than these data hold (it was made from {card['data']}, tables {card['tables_sha256'][:8]}); "
            "write the tags of your data with `make tags`."
        )
    counts = Counter(tag for row in given for tag, _, _ in row)
    vocabulary = sorted(counts, key=lambda tag: (-counts[tag], tag))
    number = {tag: position for position, tag in enumerate(vocabulary, start=1)}
    width = max(card["config"]["tags_per_item"], *map(len, given))
    tag_ids, weights = (
        torch.zeros(len(given) + 1, width, dtype=torch.long),
        torch.zeros(len(given) + 1, width),
    )
    source = torch.zeros(len(given) + 1, width, dtype=torch.int8)
    for item, row in enumerate(given, start=1):
        for position, (tag, share, origin) in enumerate(row):
            tag_ids[item, position], weights[item, position], source[item, position] = (
                number[tag],
                share,
                origin,
            )
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=1e-12)  # three digits were kept
    vectors = encode(vocabulary or ["tag"])[: len(vocabulary)]
    return ItemTags(
        ("", *vocabulary),
        tag_ids,
        weights,
        source,
        torch.cat([torch.zeros(1, vectors.shape[1]), vectors]),
        torch.as_tensor(items.domain_of_item).clone(),
        ((),) * (len(given) + 1),
        card["model"],
        card["weights_sha256"],
    )


def read_card(path: Path) -> dict:
    """The card beside an exported file. Raises FileNotFoundError where one of both is missing, ValueError for what is no card."""
    for file in (path, _card_path(path)):
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing; write the export again with `make tags`.")
    try:
        card = json.loads(_card_path(path).read_text(encoding="utf-8-sig"))
    except ValueError:  # no JSON, or no UTF-8
        card = None
    texts = ("data", "file_sha256", "model", "tables_sha256", "weights_sha256")
    if (
        not isinstance(card, dict)
        or not all(isinstance(card.get(key), str) for key in texts)
        or not (
            isinstance(card.get("config"), dict)
            and isinstance(card["config"].get("tags_per_item"), int)
        )
    ):
        raise ValueError(
            f"{path} is not the file that {_card_path(path).name} speaks of, or that is no card: fetch both again."
        )
    return card


def _card_path(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".tsv.gz") + ".json")


def _rows(path: Path, packed: bytes) -> tuple[list[str], list[list[tuple[str, float, int]]]]:
    """(item ids, their (tag, weight, source)) of an exported file. Raises ValueError naming the line that cannot be read."""
    try:
        lines = gzip.decompress(packed).decode().removesuffix("\n").split("\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        raise ValueError(f"{path} is cut off or no gzip file: fetch it again.") from None
    if lines[0].split("\t") != COLUMNS:
        raise ValueError(
            f"{path}, line 1: the columns must be {', '.join(COLUMNS)}; fetch it again."
        )
    ids, given = [], []
    for number, line in enumerate(lines[1:], start=2):
        try:
            item, cells = line.split("\t")
            row = [
                (tag, float(weight), int(source))
                for tag, weight, source in (cell.split(":") for cell in cells.split(",") if cell)
            ]
        except ValueError:
            row = None
        if row is None or not all(
            tag and 0 < weight < math.inf and source in (OWN, MAPPED, NEAREST)
            for tag, weight, source in row
        ):
            raise ValueError(
                f"{path}, line {number}: not an item with its tags, each as tag:weight:source; fetch it again."
            )
        ids.append(item)
        given.append(row)
    return ids, given


# ---------------------------------------------------------------------------------------------- which export

LIVE = "live"  # tags are asked for, not read


def check_choice(tags: str) -> None:
    """Raises ValueError unless `tags` is a word of `choose_export` or the path of an exported file."""
    if (
        tags != LIVE
        and tags != "export"
        and not tags.startswith("export:")
        and not tags.endswith(".tsv.gz")
    ):
        raise ValueError(
            f'tags "{tags}" are unknown: choose "live", "export", "export:MODEL", or the path of a .tsv.gz file.'
        )


def find_exports(folder: str | Path, sha256: str) -> dict[Path, dict]:
    """The exports in a folder that were made from the tables with this hash, whatever their names: path -> card."""
    found = {}
    for path in sorted(Path(folder).glob("[!.]*.tsv.gz")):
        try:
            card = read_card(path)
        except (OSError, ValueError):  # no export, or half of one: of no data that we could name
            continue
        if card["tables_sha256"] == sha256:
            found[path] = card
    return found


def choose_export(tags: str, folder: str | Path, sha256: str) -> Path | None:
    """The exported file that `tags` means for the tables with this hash; None for "live".

    "export": the only one for these tables; "export:MODEL": that of the model whose name is MODEL, or begins so, by its card
    or by its file; else a path. Raises ValueError, or FileNotFoundError, where there is none or where several fit.
    """
    check_choice(tags)
    if tags == LIVE:
        return None
    if tags != "export" and not tags.startswith("export:"):
        read_card(Path(tags))
        return Path(tags)
    model, exports = tags.partition(":")[2].strip().casefold(), find_exports(folder, sha256)
    by_name = {
        path: {
            card["model"].casefold(),
            path.name.removesuffix(".tsv.gz").partition(".")[2].casefold(),
        }
        for path, card in exports.items()
    }
    fitting = [path for path, names in by_name.items() if model in names] or [
        path for path, names in by_name.items() if any(name.startswith(model) for name in names)
    ]
    if len(fitting) == 1:
        return fitting[0]
    listed = "; ".join(f"export:{card['model']} ({path.name})" for path, card in exports.items())
    if fitting:
        raise ValueError(
            f"Several exports in {folder} fit tags {tags}: say which one, by its model or its path: {listed}."
        )
    if exports:
        raise ValueError(
            f"No export in {folder} for these data is by a model called {tags.partition(':')[2]}; there are {listed}."
        )
    raise ValueError(
        f"No export in {folder} was made from these tables (hash {sha256[:8]}): write one with `make tags`, or take live tags."
    )
