"""The synthetic data set: two domains written by a rule, so that the right answer is known.

A latent *topic* (an occasion such as sushi night) leads a user to interact in both domains: food
(A) and kitchen things (B).  Neither ids nor any single word show it; the meaning of the text and
the picture do.

    python -m tema_lib.datasets.synthetic.generator

writes the folder `data/synthetic` again: tables byte for byte, pictures pixel for pixel.

    write_dataset(folder, seed=0)   items.tsv, interactions.tsv, dataset.json, pictures/, truth/

Status of every choice here: ours.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

from tema_lib.datasets.synthetic.config import DEFAULT, SyntheticConfig
from tema_lib.datasets.synthetic.drawings import draw_picture
from tema_lib.datasets.synthetic.items import TOPICS, SyntheticItem, make_items
from tema_lib.datasets.synthetic.users import SyntheticUser, make_users
from tema_lib.workspace import write_atomically


def write_dataset(folder: Path | str, seed: int = 0, config: SyntheticConfig = DEFAULT) -> None:
    """Write the whole data set; what is there under the same names is replaced.

    Args:
        folder: Where to write it.
        seed: Of all random choices.
        config: How large it is, and how strongly its rule holds.
    """
    folder = Path(folder)
    items = make_items(config, seed)
    users = make_users(items, config, seed)
    write_pictures(folder, items, seed)
    _write_table(
        folder / "items.tsv",
        "item_id domain title description image",
        [(i.item_id, i.domain, i.title, i.description, i.image) for i in items],
    )
    _write_table(
        folder / "interactions.tsv",
        "user_id item_id domain timestamp",
        [(u.user_id, item.item_id, item.domain, time) for u in users for item, time in u.events],
    )
    _write_truth(folder / "truth", items, users)
    write_atomically(folder / "dataset.json", b'{"domains": ["food", "kitchen"]}\n')
    write_atomically(folder / "README.md", _readme(items, users, seed, config).encode())


def write_pictures(folder: Path, items: list[SyntheticItem], seed: int) -> None:
    """Draw the picture of every item that has one."""
    for item in items:
        if item.image:
            kind, random = item.kind, Random(f"{seed} picture {item.item_id}")
            picture = draw_picture(kind.shape, kind.colour, kind.accent, random)
            data = io.BytesIO()
            picture.save(data, "PNG", optimize=True)
            write_atomically(folder / item.image, data.getvalue())


def _write_truth(folder: Path, items: list[SyntheticItem], users: list[SyntheticUser]) -> None:
    """What no model may read: topics, kinds, reasons, right tags."""
    _write_table(
        folder / "items.tsv",
        "item_id domain topic kind stage brand modifier size "
        "uninformative undescribed unpictured arrival",
        [
            (
                i.item_id,
                i.domain,
                TOPICS[i.topic].name,
                i.kind.name,
                i.stage,
                i.brand,
                i.modifier,
                i.size,
                *map(int, (i.uninformative, i.undescribed, i.unpictured, i.arrival)),
            )
            for i in items
        ],
    )
    _write_table(
        folder / "users.tsv",
        "user_id topics reasons",
        [
            (u.user_id, ";".join(TOPICS[topic].name for topic in u.topics), ";".join(u.reasons))
            for u in users
        ],
    )
    _write_table(
        folder / "tags.tsv",
        "item_id tag",
        [(i.item_id, tag) for i in items for tag in (TOPICS[i.topic].name, i.kind.name)],
    )


def _write_table(path: Path, columns: str, rows: Iterable[Iterable[Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(
        text, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None
    )
    writer.writerow(columns.split())
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())


def _readme(
    items: list[SyntheticItem], users: list[SyntheticUser], seed: int, config: SyntheticConfig
) -> str:
    events = sum(len(user.events) for user in users)
    return f"""# The synthetic data set

Synthetic: no user here is a person and no product exists.  This folder was written by
`python -m tema_lib.datasets.synthetic.generator` (seed {seed}); beside it in `tema_lib/datasets/synthetic/`
are the rule (`users.py`), the words (`vocabulary.py`) and the shapes of the pictures (`drawings.py`).

{len(items)} items in two domains (A food, B kitchen), {len(users)} users, {events:,} events, {len(TOPICS)} latent topics.
A latent topic is an occasion such as sushi night.

| file | columns |
|---|---|
| `interactions.tsv` | user_id, item_id, domain, timestamp (seconds since 1970, UTC), sorted by user and time |
| `items.tsv` | item_id, domain, title, description, image (empty = missing) |
| `pictures/` | 96 x 96 pixels, drawn |
| `truth/items.tsv` | item_id, domain, topic, kind, stage of the kind, brand, modifier, size; 0/1: uninformative, undescribed, unpictured, arrival |
| `truth/users.tsv` | user_id; for each event its topic and its reason: start, stay, cross (to the other domain), noise |
| `truth/tags.tsv` | item_id, tag: the right tags |

The rule: a topic that a user meets in one domain goes on in the other with probability {config.cross}, unless it
ends ({config.switch}) or noise comes between ({config.noise}).  Within a domain the kinds of a topic follow a loose order.
{config.uninformative:.0%} of the items have an uninformative title and no description, {config.undescribed:.0%} lack only the description,
{config.unpictured:.0%} lack the picture.  {config.arrivals:.0%} are new arrivals of the last {config.arrival_days:.0f} days.
The truth is for checking.  No model may read it.
"""  # noqa: E501 - a Markdown table


if __name__ == "__main__":
    write_dataset(Path(__file__).resolve().parents[3] / "data" / "synthetic")
