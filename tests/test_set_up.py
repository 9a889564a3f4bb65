"""The set-up: the real pip and uv, real environments, and package indexes of our own."""

import ast
import contextlib
import functools
import hashlib
import http.server
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[1] / "tools" / "environment.py"
UV = shutil.which("uv") or shutil.which("uv", path=os.path.dirname(sys.executable))
linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux has two builds of torch to choose from"
)


@pytest.fixture
def tool():
    """The program as a module; no GPU of this machine shows."""
    spec = importlib.util.spec_from_file_location("environment", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.GPU_SIGNS, module.PATIENCE = (), 1
    return module


def test_an_old_python_can_read_the_program_and_hears_that_it_is_too_old():
    ast.parse(PROGRAM.read_text(encoding="utf-8"), feature_version=(3, 6))


# --- when something goes wrong ---


@pytest.fixture
def set_up(tmp_path):
    """A copy of the program, beside an environment whose Python is a script of ours."""
    (tmp_path / "tools").mkdir()
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(PROGRAM, tmp_path / "tools")

    def run(script, *arguments):
        first, _, rest = script.partition("\n")
        there = '[ "$1" = -c ] && exec echo 2.13.0\n'  # pip and torch
        (tmp_path / ".venv" / "bin" / "python").write_text(f"{first}\n{there}{rest}")
        (tmp_path / ".venv" / "bin" / "python").chmod(0o755)
        return subprocess.run(
            [sys.executable, tmp_path / "tools" / "environment.py", *arguments],
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            # A job in a shell's background ignores Ctrl-C, and so would the program.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    return run


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("#!/bin/sh\nkill -INT $PPID\nsleep 1\n", "Interrupted. What is installed stays"),
        ("#!/nowhere/python\n", "No such file or directory). Make room"),
        ('#!/bin/sh\nmkdir -p "$(dirname "$0")/../ready"\n', "Is a directory). Make room"),
        ("#!/bin/sh\nexit 1\n", "what is installed stays"),
    ],
)
def test_a_set_up_that_breaks_off_says_so_in_one_sentence(set_up, script, words):
    done = set_up(script)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "Errno" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_unknown_extra_is_refused(set_up):
    done = set_up("#!/bin/sh\n", "notebooks", "labs")
    assert done.returncode == 2
    assert (
        "no extra is called 'labs'; there are notebooks, lab, llm, course, book, serve, portable, "
        "test" in done.stderr
    )


# --- where torch comes from ---


@contextlib.contextmanager
def serving(folder):
    """A web server for a folder; gives its address and the list of paths that were asked for."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_request(self, *_):
            asked.append(self.path)

        def log_error(self, *_):  # quiet
            pass

    handler = functools.partial(Handler, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def badly_served(how):
    """The address of an index that says nothing, says it slowly, says nonsense, or is not there."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk():
            with contextlib.suppress(OSError):
                line, _ = server.accept()
                with line:
                    for byte in {"drips": b"HTTP/1.1 200 OK\r\n" * 99, "nonsense": b"\0\0\n"}[how]:
                        line.sendall(bytes([byte]))
                        over.wait(0.1 if how == "drips" else 0)

        thread = threading.Thread(target=talk, daemon=True)
        if how in ("drips", "nonsense"):
            thread.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        if how == "is not there":
            server.close()
        yield address
        over.set()


@linux
def test_an_index_of_cpu_builds_that_answers_is_taken_without_a_gpu(tool, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    (tmp_path / "cpu" / "torch").mkdir(parents=True)
    with serving(tmp_path) as (address, asked):
        tool.CPU_INDEX = address + "/cpu"
        index, why = tool.torch_index("")
        assert index == tool.CPU_INDEX
        assert why == f"for CPUs from {index}, since no GPU was found"
        tool.CPU_INDEX = address + "/wrong"
        assert tool.torch_index("")[0] is None
        assert asked == ["/cpu/torch/", "/wrong/torch/"]


@linux
@pytest.mark.parametrize("how", ["hangs", "drips", "nonsense", "is not there"])
def test_an_index_that_does_not_answer_is_left_in_time(tool, how, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with badly_served(how) as tool.CPU_INDEX:
        start = time.monotonic()
        index, why = tool.torch_index("")
        assert time.monotonic() - start < tool.PATIENCE + 2
    assert index is None
    assert why == f"from the default index, since {tool.CPU_INDEX} does not answer"


def test_with_a_gpu_or_on_another_system_nobody_is_asked(tool, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with serving(tmp_path) as (tool.CPU_INDEX, asked):
        monkeypatch.setattr(sys, "platform", "darwin")
        assert tool.torch_index("") == (None, "from the default index")
        monkeypatch.setattr(sys, "platform", "linux")
        (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
        why = "from the default index, since there is a GPU ({})"
        assert tool.torch_index("") == (None, why.format(tmp_path / "nvidia-smi"))
        tool.GPU_SIGNS = ("/nowhere", str(tmp_path))
        assert tool.torch_index("") == (None, why.format(tmp_path))
        index = "https://me:secret@mirror.example/whl"
        assert tool.torch_index(index) == (index, "from https://mirror.example/whl")
        assert asked == []


# --- from nothing to a finished environment ---

EXTRAS = ("notebooks", "lab", "llm", "course", "book", "serve", "portable", "test")
# Builds our small project with the standard library alone.
BACKEND = """
import pathlib, zipfile

def build_editable(folder, settings=None, metadata=None):
    about = ["Metadata-Version: 2.1", "Name: small", "Version: 1", "Requires-Dist: torch"]
    for extra in EXTRAS:
        about += [f"Provides-Extra: {extra}", f"Requires-Dist: for-{extra}; extra == '{extra}'"]
    with zipfile.ZipFile(pathlib.Path(folder) / "small-1-py3-none-any.whl", "w") as archive:
        archive.writestr("small-1.dist-info/METADATA", "\\n".join(about))
        archive.writestr("small-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        archive.writestr("small-1.dist-info/RECORD", "")
    return "small-1-py3-none-any.whl"
"""


def add_package(index, name, version):
    """A package of one empty module, in an index that is a folder."""
    (index / name).mkdir(parents=True, exist_ok=True)
    stem = f"{name.replace('-', '_')}-{version}"
    wheel = index / name / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name.replace('-', '_')}.py", "")
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        archive.writestr(f"{stem}.dist-info/METADATA", about)
        archive.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{stem}.dist-info/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    with open(index / name / "index.html", "a") as page:
        page.write(f'<a href="{wheel.name}#sha256={digest}">{wheel.name}</a>\n')


class Checkout:
    """A small project with our program, two indexes, and what is installed of them."""

    def __init__(self, folder, tool):
        self.folder, self.home, self.pages = folder / "project", folder / "home", folder / "pages"
        self.python = self.folder / ".venv" / "bin" / "python"
        for name in ("tools", "backend"):
            (self.folder / name).mkdir(parents=True)
        self.home.mkdir()
        shutil.copy(PROGRAM, self.folder / "tools")
        (self.folder / "backend" / "small_backend.py").write_text(f"EXTRAS = {EXTRAS}\n{BACKEND}")
        (self.folder / "pyproject.toml").write_text(
            "[build-system]\nrequires = []\n"
            'build-backend = "small_backend"\nbackend-path = ["backend"]\n'
        )
        torch, version = tool.TORCH.split("==")
        add_package(self.pages / "cpu", torch, version + "+cpu")
        add_package(self.pages / "default", torch, version)
        for extra in EXTRAS:
            add_package(self.pages / "default", "for-" + extra, "1.0")
            add_package(self.pages / "default", "for-" + extra, "2.0")
        add_package(self.pages / "extra", "for-test", "3.0")
        pins = [tool.TORCH, *(f"for-{extra}==1.0" for extra in EXTRAS)]
        (self.folder / "constraints.txt").write_text("\n".join(pins) + "\n")

    def set_up(self, address, *arguments, cpu="/cpu", uv=None, **environment):
        """Run the program; its CPU index is one of ours, and no GPU of this machine shows."""
        code = (
            "import sys; sys.path.insert(0, 'tools'); import environment\n"
            "environment.CPU_INDEX, environment.GPU_SIGNS = sys.argv.pop(1), ()\n"
            "environment.PATIENCE = 2\n"
            "environment.main()"
        )
        return subprocess.run(
            [sys.executable, "-c", code, address + cpu, *arguments],
            cwd=self.folder,
            env={
                "PATH": os.path.dirname(uv) if uv else "",
                "HOME": str(self.home),
                "PIP_CONFIG_FILE": os.devnull,
                "PIP_INDEX_URL": address + "/default",
                # One has another version, of the other pip warns that it is not there.
                "PIP_EXTRA_INDEX_URL": f"{address}/extra file:///nowhere",
                "UV_NO_CONFIG": "1",
                **environment,
            },
            capture_output=True,
            text=True,
        )

    def installed(self):
        command = [self.python, "-m", "pip", "list", "--format=json", "--no-index"]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env={"PIP_CONFIG_FILE": os.devnull}
        )
        packages = {one["name"]: one["version"] for one in json.loads(done.stdout)}
        return {name: packages[name] for name in packages if name.startswith(("torch", "for-"))}

    def compiled(self):
        names = {path.name.split(".")[0] for path in (self.folder / ".venv").rglob("*.pyc")}
        return sorted(name for name in names if name.startswith(("torch", "for_")))

    def stamps(self):
        return sorted(path.name for path in (self.folder / ".venv").glob("ready*"))


@pytest.fixture
def checkout(tmp_path, tool):
    return Checkout(tmp_path, tool)


def said(done):
    """What a set-up without a terminal printed: a few lines of its own, and nothing of pip's."""
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) <= 6
    assert all(line.startswith("[set-up] ") for line in lines)
    return done.stdout


@linux
def test_each_set_up_adds_what_is_missing_and_shows_errors_only(checkout, tool):
    # As an interrupted set-up may leave it: Python is there, pip is not.
    command = [sys.executable, "-m", "venv", "--without-pip", checkout.folder / ".venv"]
    subprocess.run(command, check=True)
    cpu = tool.TORCH.split("==")[1] + "+cpu"
    with serving(checkout.pages) as (address, asked):
        text = said(checkout.set_up(address, "notebooks"))
        assert f"{tool.TORCH} for CPUs from {address}/cpu, since no GPU was found" in text
        assert "the other packages (notebooks), by pip" in text
        assert checkout.installed() == {"torch": cpu, "for-notebooks": "1.0"}
        assert checkout.stamps() == ["ready"]

        pages = checkout.pages / "default" / "for-lab"
        pages.rename(checkout.pages / "away")
        failed = checkout.set_up(address, "notebooks", "lab")
        assert failed.returncode == 1
        assert "ERROR: Cannot install small[lab" in failed.stderr
        assert "Look at pip's message above" in failed.stderr.splitlines()[-1]
        assert checkout.stamps() == ["ready"]

        (checkout.pages / "away").rename(pages)
        del asked[:]
        assert "torch" not in said(checkout.set_up(address, "notebooks", "lab"))
        assert [path for path in asked if path.endswith(".whl")] == [
            "/default/for-lab/for_lab-1.0-py3-none-any.whl"
        ]
        assert checkout.installed() == {"torch": cpu, "for-notebooks": "1.0", "for-lab": "1.0"}
        assert checkout.stamps() == ["ready", "ready-lab"]
        assert checkout.compiled() == []


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """An environment with pip and nothing else."""
    folder = tmp_path_factory.mktemp("bare") / ".venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return folder


@linux
@pytest.mark.parametrize(
    ("program", "given", "build", "why"),
    [
        ("pip", "", "", "from the default index, since {}/not/there does not answer"),
        ("uv", "/cpu", "+cpu", "from {}/cpu"),
    ],
)
def test_all_at_once_by_pip_and_by_uv(checkout, tool, bare, program, given, build, why):
    if program == "uv" and not UV:
        pytest.skip("uv is not installed")
    shutil.copytree(bare, checkout.folder / ".venv", symlinks=True)
    with serving(checkout.pages) as (address, _):
        done = checkout.set_up(
            address,
            f"--torch-index={address + given if given else ''}",
            cpu="/not/there",
            uv=UV if program == "uv" else None,
            PYTHONDONTWRITEBYTECODE="1",
        )
    text = said(done)
    assert f"{tool.TORCH} {why.format(address)}\n" in text
    assert f"the other packages ({','.join(EXTRAS)}), by {program}" in text
    torch = tool.TORCH.split("==")[1] + build
    assert checkout.installed() == {"torch": torch, **{f"for-{one}": "1.0" for one in EXTRAS}}
    assert checkout.stamps() == sorted(["ready", *(f"ready-{extra}" for extra in EXTRAS[1:])])
    # Python may not keep what it compiles here, so that was done at once.
    extras = sorted(f"for_{extra}" for extra in EXTRAS)
    assert checkout.compiled() == [*extras, "torch"]
