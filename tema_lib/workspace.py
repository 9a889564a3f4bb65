"""Where everything is: what the project ships, and what a run makes.

What is made goes below one folder, the *home*: the folder given as an argument, else $TEMA_HOME,
else `build/` of the checkout, else (the package is installed) `tema-lib` in the user's cache
folder. Single parts can be put elsewhere: $TEMA_CACHE (model weights), $TEMA_ARTIFACTS (what one
notebook leaves for the next), $TEMA_RESULTS (run records), $TEMA_REPLIES (a language model's
replies). Status: ours.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE.parent  # the checkout, where there is one


def in_checkout() -> bool:
    """Whether the library is in its checkout, beside the notebooks and the data."""
    return (ROOT / "pyproject.toml").is_file() and (ROOT / "data" / "synthetic").is_dir()


def data_folder() -> Path:
    """The shipped data: `data/` of the checkout, else its copy inside the installed package."""
    return ROOT / "data" if in_checkout() else PACKAGE / "shipped"


def home(folder: str | Path | None = None) -> Path:
    """The folder below which everything is made; it need not exist yet.

    Args:
        folder: taken where it is given, before $TEMA_HOME and the defaults.
    """
    if chosen := folder or os.environ.get("TEMA_HOME"):
        return Path(chosen).expanduser().resolve()
    if in_checkout():
        return ROOT / "build"
    cache = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a relative path is invalid and is ignored.
    return (Path(cache) if os.path.isabs(cache) else Path.home() / ".cache") / "tema-lib"


def weights_folder() -> Path:
    """Where model weights are kept: $TEMA_CACHE, else `pretrained/` in the home."""
    chosen = os.environ.get("TEMA_CACHE")
    return Path(chosen).expanduser() if chosen else home() / "pretrained"


def cache_folder() -> Path:
    """Where encoded features are kept, each file under the hash of what made it."""
    return home() / "cache"


def artifacts() -> Path:
    """Where trained models and intermediate results are; the folder is made where it is missing.

    $TEMA_ARTIFACTS, else `artifacts/` in the home.
    """
    folder = Path(os.environ.get("TEMA_ARTIFACTS") or home() / "artifacts")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def results_folder() -> Path:
    """Where run records are: $TEMA_RESULTS, else `results/` in the home."""
    return Path(os.environ.get("TEMA_RESULTS") or home() / "results")


def replies_path() -> Path:
    """The store of a language model's replies: $TEMA_REPLIES, else `replies.sqlite` in the home.

    One store serves every data set and every command, since the key of a reply names all that
    determines it. Artefacts that are elsewhere (a test's $TEMA_ARTIFACTS, outside of the home's
    `artifacts/`) have a store of their own beside them.
    """
    if chosen := os.environ.get("TEMA_REPLIES"):
        return Path(chosen)
    usual = (home() / "artifacts").resolve()
    folder = Path(os.environ.get("TEMA_ARTIFACTS") or usual).resolve()
    return (home() if folder.is_relative_to(usual) else folder) / "replies.sqlite"


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write the whole file or nothing: it is written beside its place and moved there.

    Args:
        path: the file; its folder is made where it is missing.
        content: bytes, or text that is written as UTF-8 without changing its line ends.

    Raises:
        OSError: the file cannot be written; an earlier file of that name is then untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    try:
        unfinished.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def sha256_of(content: bytes | str | Path) -> str:
    """SHA-256, as 64 hex digits, of bytes, of a text in UTF-8, or of the file at a path."""
    if isinstance(content, Path):
        with content.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()
