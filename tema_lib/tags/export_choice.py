"""Which tags a run takes: an exported file, found by its tables' hash, or those of the small model.

Status: ours.
"""

from pathlib import Path
from typing import Any

from tema_lib.llm.local import SMALL
from tema_lib.tags.export import read_card

REPLIES = ("live", "shipped", "export")  # where its words come from


def check_choice(tags: str) -> None:
    """Check what a user asked for, before anything that takes long.

    Raises:
        ValueError: `tags` is neither a word of `choose_export` nor the path of an exported file.
    """
    if not (tags in ("", "small") or tags.startswith("export:") or tags.endswith(".tsv.gz")):
        raise ValueError(
            f'tags "{tags}" are unknown: choose "small", "export:MODEL", or the path of a .tsv.gz '
            "file; leave it out for those of a large model, where there are any."
        )


def check_replies(replies: str) -> None:
    """Check where the small model's words shall come from.

    Raises:
        ValueError: `replies` is none of `REPLIES`.
    """
    if replies not in REPLIES:
        raise ValueError(f'replies "{replies}" are unknown: choose {", ".join(REPLIES)}.')


def find_exports(folder: str | Path, sha256: str) -> dict[Path, dict[str, Any]]:
    """The exports in a folder made from the tables with this hash: path -> card.

    They may have any name.
    """
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
    """The exported file that `tags` means for these tables; None for the small model's own tags.

    Args:
        tags: "": that of a large model, None if there is none; "small": None; "export:MODEL": that
            of the model whose name is MODEL, or begins so, by its card or by its file; else a path.
        folder: where exports lie.
        sha256: the hash of the tables.

    Raises:
        ValueError, FileNotFoundError: there is none, or several fit.
    """
    check_choice(tags)
    if tags == "small":
        return None
    if tags and not tags.startswith("export:"):
        read_card(Path(tags))
        return Path(tags)
    asked = tags.partition(":")[2]
    model = asked.strip().casefold()
    exports = find_exports(folder, sha256)
    names_of = {path: _names(path, card) for path, card in exports.items()}
    if not tags:
        fitting = [path for path, names in names_of.items() if SMALL not in names]
    else:
        fitting = [path for path, names in names_of.items() if model in names] or [
            path
            for path, names in names_of.items()
            if any(name.startswith(model) for name in names)
        ]
    if len(fitting) == 1:
        return fitting[0]
    if not tags and not fitting:
        return None
    listed = "; ".join(f"export:{card['model']} ({path.name})" for path, card in exports.items())
    if fitting:
        raise ValueError(
            f"Several exports in {folder} fit {tags or 'a large model'}: say which one, by its "
            f"model or its path: {listed}."
        )
    if exports:
        raise ValueError(
            f"No export in {folder} for these data is by a model called {asked}; there are "
            f"{listed}."
        )
    raise ValueError(
        f"No export in {folder} was made from these tables (hash {sha256[:8]}): write one with "
        "`make tags`, or take the small model's tags."
    )


def _names(path: Path, card: dict[str, Any]) -> set[str]:
    """What the model of an export is called, by its card and by its file."""
    in_file = path.name.removesuffix(".tsv.gz").partition(".")[2]
    return {card["model"].casefold(), in_file.casefold()}
