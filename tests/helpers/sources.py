"""The project's own source files, and what they import."""

import ast
import functools
import gzip
import subprocess

from tema_lib.workspace import ROOT

LIBRARY = sorted((ROOT / "tema_lib").rglob("*.py"))
MADE = {
    "build",
    ".venv",
    "__pycache__",
    ".git",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
    ".ipynb_checkpoints",
}


def imported(path):
    """Full names of the modules a file imports, also inside functions; relative ones resolved."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module
            if node.level:
                above = package[: len(package) - node.level + 1]
                base = ".".join([*above, *filter(None, [node.module])])
            yield base
            if base.startswith("tema_lib"):
                yield from (f"{base}.{alias.name}" for alias in node.names)


@functools.cache
def tracked_files():
    """Files that are committed or would be: git's own list, else the tree without what is made."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        every = (path for path in sorted(ROOT.rglob("*")) if path.is_file())
        return [path for path in every if not MADE & set(path.relative_to(ROOT).parts)]
    names = filter(None, done.stdout.decode().split("\0"))
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def text_of(path):
    """A file's text, unpacked if need be; None for pictures and other binary files."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None
