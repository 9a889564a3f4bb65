"""Compact tag files to pass on: item ids, tags, weights, and a card that says how they were made.

No titles and no raw replies are in them. A catalogue of tens of thousands of items takes CPU hours
to tag; a file of some hundred kilobytes saves others the wait.
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
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tema_lib.data.dataset import Items
from tema_lib.tags.catalogue import Encoder
from tema_lib.tags.config import TagConfig
from tema_lib.tags.evidence import coverage
from tema_lib.tags.item_tags import MAPPED, NEAREST, OWN, ItemTags
from tema_lib.tags.large import LargeTagConfig
from tema_lib.tags.prompts import INSTRUCTIONS, examples_for, style_text
from tema_lib.workspace import write_atomically

# The second column holds tag:weight:source between commas; the numbers keep neighbouring tags from
# spelling out a title.
COLUMNS = ["item_id", "tags"]

SOURCES = (
    "1 the model's own word, 2 that word mapped to the list, 3 the tag of the list nearest to the "
    "text by the text encoder"
)
NOTE = (
    "Our own tags, made from the items' titles; the titles themselves are not passed on. The data "
    "sets are for research use."
)


def prompt_version(style: str, names: Sequence[str]) -> str:
    """Sixteen digits that change whenever a word of the prompt does.

    The names of the domains are such words.
    """
    examples = {name: examples_for(name) for name in names}
    said = [style, style_text(style, names), INSTRUCTIONS, examples]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def file_name(name: str) -> str:
    """A name of a model or a data set as part of a file name that every system takes.

    No other name shares it. A name of small letters, digits, dots, dashes and underscores stays;
    any other ("qwen3:0.6b", "org/Model", "con") gets eight digits of its hash behind what is left
    of it.
    """
    normal = unicodedata.normalize("NFC", name).lower()
    plain = re.sub(r"[^\w.-]+", "-", normal)[:80].strip("-.") or "nameless"
    # On Windows no file may be called so, whatever its ending.
    device = re.fullmatch(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", plain)
    if plain == name and not device:
        return name
    if device:
        plain = plain.replace(".", "-")
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def export_tags(
    tags: ItemTags,
    items: Items,
    folder: str | Path,
    *,
    data: str,
    sha256: str,
    settings: str,
    config: TagConfig | LargeTagConfig,
) -> Path:
    """Write <folder>/<data>.<model>.tsv.gz and the card <data>.<model>.json.

    Equal tags give equal bytes. An export of other tables of that name stays: this one then has the
    beginning of its hash in its name.

    Args:
        tags, items: the tags, and the items they belong to.
        folder: made where it is missing.
        data, sha256: name and hash of the tagged tables.
        settings: the decoding settings of the model, as JSON text.
        config: how the tags were written.

    Returns:
        The path of the first file.
    """
    stem = f"{file_name(data)}.{file_name(tags.model)}"
    with contextlib.suppress(OSError, ValueError):  # none there, or a broken one
        if read_card(Path(folder) / f"{stem}.tsv.gz")["tables_sha256"] != sha256:
            stem = f"{file_name(data)}-{sha256[:8]}.{file_name(tags.model)}"
    path = Path(folder) / f"{stem}.tsv.gz"
    packed = _packed(tags, items)
    if isinstance(config, LargeTagConfig):
        shares, version = coverage(tags, config.domain_names), config.prompt_version
    else:
        shares = coverage(tags, config.domain_names, config.style)
        version = prompt_version(config.style, config.domain_names)
    card = {
        "data": data,
        "tables_sha256": sha256,
        "file_sha256": hashlib.sha256(packed).hexdigest(),
        "items": len(items.item_id) - 1,
        "tags": len(tags.vocabulary) - 1,
        "coverage": {name: round(share, 4) for name, share in shares.items()},
        "model": tags.model,
        "weights_sha256": tags.fingerprint,
        "decoding": json.loads(settings),
        "prompt_version": version,
        "config": asdict(config),
        "date": datetime.date.today().isoformat(),
        "columns": COLUMNS,
        "sources": SOURCES,
        "note": NOTE,
    }
    write_atomically(path, packed)
    text = json.dumps(card, indent=1, sort_keys=True) + "\n"
    write_atomically(_card_path(path), text.encode())
    return path


def _packed(tags: ItemTags, items: Items) -> bytes:
    """The table, as gzip without a time in it."""
    text = io.StringIO()
    writer = csv.writer(
        text, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None, lineterminator="\n"
    )
    writer.writerow(COLUMNS)
    for item in range(1, len(items.item_id)):
        cells = [f"{tag}:{weight:.3g}:{source}" for tag, weight, source in tags.tags_of(item)]
        writer.writerow([items.item_id[item], ",".join(cells)])
    return gzip.compress(text.getvalue().encode(), mtime=0)


def read_export(path: str | Path, items: Items, encode: Encoder) -> ItemTags:
    """The tags of an exported file for these items.

    What only the model's run knew (raw replies) is empty.

    Args:
        path: the .tsv.gz file; its card is beside it.
        items: those of your copy of the data.
        encode: texts -> unit vectors, for the meaning of the tags.

    Raises:
        FileNotFoundError: the file or its card is missing.
        ValueError: the file is damaged, or its tags belong to other items.
    """
    path = Path(path)
    card = read_card(path)
    packed = path.read_bytes()
    if hashlib.sha256(packed).hexdigest() != card["file_sha256"]:
        raise ValueError(
            f"{path} is not the file that {_card_path(path).name} describes: fetch both again."
        )
    ids, given = _rows(path, packed)
    if ids != list(items.item_id[1:]):
        raise ValueError(
            f"{path} tags other items than these data hold (it was made from {card['data']}, "
            f"tables {card['tables_sha256'][:8]}); write the tags of your data with `make tags`."
        )
    return ItemTags.of_rows(
        given,
        items.domain_of_item,
        encode,
        width=card["config"]["tags_per_item"],
        raw_replies=((),) * (len(given) + 1),
        model=card["model"],
        fingerprint=card["weights_sha256"],
    )


def read_card(path: Path) -> dict[str, Any]:
    """The card beside an exported file.

    Raises:
        FileNotFoundError: one of the two is missing.
        ValueError: this is not a card.
    """
    for file in (path, _card_path(path)):
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing; write the export again with `make tags`.")
    try:
        card = json.loads(_card_path(path).read_text(encoding="utf-8-sig"))
    except ValueError:  # no JSON, or no UTF-8
        card = None
    if not _is_card(card):
        raise ValueError(
            f"{path} is not the file that {_card_path(path).name} describes, or that is not a "
            "card: fetch both again."
        )
    return card


def _is_card(card: Any) -> bool:
    """Whether a JSON value says what a reader needs; other keys are free."""
    texts = ("data", "file_sha256", "model", "tables_sha256", "weights_sha256")
    return (
        isinstance(card, dict)
        and all(isinstance(card.get(key), str) for key in texts)
        and isinstance(card.get("config"), dict)
        and isinstance(card["config"].get("tags_per_item"), int)
    )


def _card_path(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".tsv.gz") + ".json")


def _rows(path: Path, packed: bytes) -> tuple[list[str], list[list[tuple[str, float, int]]]]:
    """(item ids, their (tag, weight, source)); a ValueError names a line that cannot be read."""
    try:
        lines = gzip.decompress(packed).decode().removesuffix("\n").split("\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        raise ValueError(f"{path} is cut off or no gzip file: fetch it again.") from None
    if lines[0].split("\t") != COLUMNS:
        raise ValueError(
            f"{path}, line 1: the columns must be {', '.join(COLUMNS)}; fetch it again."
        )
    ids: list[str] = []
    given: list[list[tuple[str, float, int]]] = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            item, row = _row(line)
        except ValueError:
            raise ValueError(
                f"{path}, line {number}: not an item with its tags, each as tag:weight:source; "
                "fetch it again."
            ) from None
        ids.append(item)
        given.append(row)
    return ids, given


def _row(line: str) -> tuple[str, list[tuple[str, float, int]]]:
    """One item and its tags; ValueError where the line holds something else."""
    item, cells = line.split("\t")
    row = []
    for cell in filter(None, cells.split(",")):
        tag, weight, source = cell.split(":")
        row.append((tag, float(weight), int(source)))
    if not all(
        tag and 0 < weight < math.inf and source in (OWN, MAPPED, NEAREST)
        for tag, weight, source in row
    ):
        raise ValueError(line)
    return item, row
