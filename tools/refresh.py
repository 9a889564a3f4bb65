"""Run the numbered notebooks again, in order and in place.

Only what does not change from run to run is kept.

    python tools/refresh.py                     all of them
    python tools/refresh.py 04_multi_attention  one of them
"""

import hashlib
import os
import pathlib
import sys
import tempfile
import time

import nbformat
from nbclient import NotebookClient

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tema_lib.checkpoints import syntax_hash  # noqa: E402  (the checkout is not installed)
from tema_lib.workspace import write_atomically  # noqa: E402

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
LIBRARY = {".py", ".html", ".css", ".js"}  # files of the library that decide outputs
TABLES = {".tsv", ".json", ".jsonl", ".gz"}
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",  # the same numbers, without busy waiting
    "TQDM_DISABLE": "1",
    "PYTHONHASHSEED": "0",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}


def stamp(notebook):
    """Sixteen hex digits that change with anything that decides a notebook's outputs.

    Its code cells, the library and the synthetic tables. Of the library its syntax trees count,
    without docstrings: a comment, a wording or another layout makes no notebook stale.
    """
    digest = hashlib.sha256()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            digest.update(cell.source.encode() + b"\0")
    library = [p for p in (ROOT / "tema_lib").rglob("*") if p.suffix in LIBRARY]
    tables = [p for p in (ROOT / "data" / "synthetic").rglob("*") if p.suffix in TABLES]
    for path in sorted(library) + sorted(tables):
        content = path.read_bytes()
        if path.suffix == ".py":
            content = syntax_hash(content.decode()).encode()
        name = path.relative_to(ROOT).as_posix().encode()
        digest.update(name + b"\0" + content + b"\0")
    return digest.hexdigest()[:16]


def joined(outputs):
    """Neighbouring pieces of one stream as one: where the kernel cuts them is chance."""
    whole = []
    for output in outputs:
        if (
            whole
            and output.output_type == whole[-1].output_type == "stream"
            and output.name == whole[-1].name
        ):
            whole[-1].text += output.text
        else:
            whole.append(output)
    return whole


def refresh(path):
    notebook = nbformat.read(path, 4)
    notebook.cells = [
        c for c in notebook.cells if "injected-parameters" not in c.metadata.get("tags", [])
    ]
    for cell in notebook.cells:
        for noise in ("execution", "papermill"):
            cell.metadata.pop(noise, None)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    before = stamp(notebook)
    NotebookClient(
        notebook,
        timeout=900,
        kernel_name="python3",
        record_timing=False,
        store_widget_state=True,
        extra_arguments=["--IPKernelApp.log_level=40"],
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [
                output
                for output in joined(cell.outputs)
                if "%|" not in output.get("data", {}).get("text/plain", "")  # a progress bar
            ]
    if stamp(notebook) != before:
        raise SystemExit(
            f"{path.name}: the library changed while the notebook ran; run the command again"
        )
    notebook.metadata = {
        "kernelspec": {
            "display_name": "Python 3 (ipykernel)",
            "language": "python",
            "name": "python3",
        },
        "language_info": {"name": "python"},
        "tema": {"stamp": before},
        **({"widgets": notebook.metadata.widgets} if "widgets" in notebook.metadata else {}),
    }
    nbformat.validate(notebook)
    write_atomically(path, nbformat.writes(notebook) + "\n")


def main(wanted):
    wanted = {pathlib.Path(name).stem for name in wanted}
    if unknown := wanted - {path.stem for path in NOTEBOOKS}:
        raise SystemExit(f"no such notebook: {', '.join(sorted(unknown))}")
    os.environ.update(ENVIRONMENT)
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
    )
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="refresh-", dir=ROOT / "build") as fresh:
        os.environ.setdefault("TEMA_ARTIFACTS", fresh)  # nothing left over from an older library
        for path in NOTEBOOKS:
            if wanted and path.stem not in wanted:
                continue
            start = time.time()
            refresh(path)
            print(f"{path.name:42} {time.time() - start:6.1f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
