"""The command `tema`: what it can be told, before anything heavy is loaded."""

import os
import subprocess
import sys

import pytest

from tema_lib import cli


def python(code, **given):
    """What a fresh Python prints whose environment says nothing about threads but what is given."""
    silent = ("OMP_", "MKL_", "TEMA_")
    bare = {name: value for name, value in os.environ.items() if not name.startswith(silent)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=bare | given, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_help_lists_every_command_and_loads_nothing():
    code = "import sys\nfrom tema_lib import cli\ntry: cli.main(['--help'])\n"
    code += "except SystemExit: print('torch' in sys.modules, 'numpy' in sys.modules)"
    *said, torch, numpy = python(code)
    for name in ("run", "data", "tags", "train", "compare", "explain", "readme", "book", "slides"):
        assert name in said
    assert (torch, numpy) == ("False", "False")


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main([name, "--help"])
    assert left.value.code == 0
    assert f"usage: tema {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["train"], ["tags"], ["run", "--seed", "one"], ["run", "--fats"]]
)
def test_a_wrong_command_line_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 2
    assert "usage: tema" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "threads", "policy"),
    [
        ({}, "1", "PASSIVE"),
        ({"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "ACTIVE"}, "2", "ACTIVE"),
    ],
)
def test_threads_are_set_before_torch_is_there(given, threads, policy):
    """Without a word one thread; OMP_NUM_THREADS, which `make ... THREADS=n` sets, says another."""
    code = (
        "import os, sys\nfrom tema_lib import cli\n"
        "cli.execute = lambda chosen: print('torch' in sys.modules,"
        " os.environ['OMP_NUM_THREADS'], os.environ['OMP_WAIT_POLICY']) or 0\n"
        "cli.main(['systems'])"
    )
    assert python(code, **given) == ["False", threads, policy]


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "tema_lib", "--version"], capture_output=True, text=True
    )
    assert done.stdout.startswith("tema-lib ")


def test_systems_are_listed_with_file_size_and_status(capsys):
    from tema_lib.models.systems import SYSTEMS

    assert cli.main(["systems"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert set(SYSTEMS) <= set(lines)


def test_an_unknown_system_is_named_before_anything_is_trained():
    with pytest.raises(SystemExit, match="system 'tame' is unknown: choose from popularity"):
        cli.main(["train", "tame"])


def test_training_prints_the_table_of_the_system(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("TEMA_ARTIFACTS", str(tmp_path))
    assert cli.main(["train", "popularity"]) == 0
    said = capsys.readouterr().out
    assert "popularity on synthetic, seed 0" in said
    assert "A (food)" in said
    assert "NDCG@10" in said
