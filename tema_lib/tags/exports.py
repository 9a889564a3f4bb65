"""Compact tag files to pass on: item id, tags, weights, and a card that says how they came about; no titles, no raw replies.

A catalogue of tens of thousands of items takes CPU hours to tag; a file of some hundred kilobytes saves others the wait.
Status: ours.
"""

import csv
import datetime
import gzip
import hashlib
import io
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import torch

from . import ItemTags, write_atomically
from .evidence import coverage
from .prompts import FORMS, INSTRUCTIONS, SHOTS
from .writing import Encoder, TagConfig

COLUMNS = ["item_id", "tags"]          # tag:weight:source, between commas; the numbers keep neighbours from spelling a title


def prompt_version(form: str) -> str:
    """Sixteen digits that change whenever a word of the prompt does."""
    return hashlib.sha256(json.dumps([form, FORMS[form], INSTRUCTIONS, SHOTS]).encode()).hexdigest()[:16]


def export_tags(tags: ItemTags, items, folder: str | Path, *, data: str, sha256: str, settings: str, config: TagConfig) -> Path:
    """Writes <folder>/<data>.<model>.tsv.gz and the card <data>.<model>.json; returns the first path.

    data, sha256: name and hash of the tagged tables; settings: the decoding settings of the model. Equal tags give equal bytes.
    """
    stem = f"{data}.{Path(tags.model).name}"
    path, card = Path(folder) / f"{stem}.tsv.gz", Path(folder) / f"{stem}.json"
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None, lineterminator="\n")
    writer.writerow(COLUMNS)
    for item in range(1, len(items.item_id)):
        writer.writerow([items.item_id[item], ",".join(f"{tag}:{weight:.3g}:{source}" for tag, weight, source in tags.tags_of(item))])
    packed = gzip.compress(text.getvalue().encode(), mtime=0)
    about = {
        "data": data, "tables_sha256": sha256, "file_sha256": hashlib.sha256(packed).hexdigest(), "items": len(items.item_id) - 1,
        "tags": len(tags.vocabulary) - 1, "coverage": {name: round(share, 4) for name, share in coverage(tags, config.domain_names, config.form).items()},
        "model": tags.model, "weights_sha256": tags.fingerprint, "decoding": json.loads(settings), "prompt_version": prompt_version(config.form),
        "config": asdict(config), "date": datetime.date.today().isoformat(), "columns": COLUMNS,
        "sources": "1 the model's own word, 2 that word snapped to the list, 3 the tag of the list nearest to the text by the text encoder",
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
    card_path = path.with_name(path.name.removesuffix(".tsv.gz") + ".json")
    for file in (path, card_path):
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing; write the export again with `make tags`.")
    card, packed = json.loads(card_path.read_text(encoding="utf-8")), path.read_bytes()
    if hashlib.sha256(packed).hexdigest() != card.get("file_sha256") or not {"config", "data", "tables_sha256", "model", "weights_sha256"} <= set(card):
        raise ValueError(f"{path} is not the file that {card_path.name} speaks of: fetch both again.")
    rows = list(csv.reader(io.StringIO(gzip.decompress(packed).decode()), delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    if [row[0] for row in rows] != list(items.item_id[1:]):
        raise ValueError(f"{path} tags other items than these data hold (it was made from {card['data']}, tables {card['tables_sha256'][:8]}); "
                         "write the tags of your data with `make tags`.")
    given = [[cell.split(":") for cell in row[1].split(",") if cell] for row in rows]
    counts = Counter(tag for row in given for tag, _, _ in row)
    vocabulary = sorted(counts, key=lambda tag: (-counts[tag], tag))
    number = {tag: place for place, tag in enumerate(vocabulary, start=1)}
    width = card["config"]["tags_per_item"]
    tag_ids, weights = torch.zeros(len(rows) + 1, width, dtype=torch.long), torch.zeros(len(rows) + 1, width)
    source = torch.zeros(len(rows) + 1, width, dtype=torch.int8)
    for item, row in enumerate(given, start=1):
        for place, (tag, share, origin) in enumerate(row):
            tag_ids[item, place], weights[item, place], source[item, place] = number[tag], float(share), int(origin)
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=1e-12)                  # three digits were kept
    vectors = encode(vocabulary or ["tag"])[:len(vocabulary)]
    return ItemTags(("", *vocabulary), tag_ids, weights, source, torch.cat([torch.zeros(1, vectors.shape[1]), vectors]),
                    torch.as_tensor(items.domain_of_item).clone(), ((),) * (len(rows) + 1), card["model"], card["weights_sha256"])
