"""tema_lib.workspace"""

import os
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """The whole file or nothing: written beside its place and moved there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
