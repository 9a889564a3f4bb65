"""Where control groups are, in both versions, and what the sandbox's file system holds."""

from pathlib import Path

import pytest

from tema_lib.course import isolation
from tema_lib.course.isolation import control_groups, folders, usable
from tema_lib.workspace import PACKAGE, ROOT


@pytest.mark.parametrize(
    ("line", "marker", "groups"),
    [
        ("8:pids:/user/one", None, ["pids/user/one", "pids/user", "pids"]),
        ("0::/user.slice", "cgroup.controllers", ["user.slice", "."]),
        ("0::/user.slice", None, []),
        ("7:memory:/a", "cgroup.controllers", []),
    ],
)
def test_groups_are_looked_for_from_ours_upwards(tmp_path, monkeypatch, line, marker, groups):
    """Version 1 has a folder for each controller, version 2 one for all."""
    root, own = tmp_path / "cgroup", tmp_path / "own"
    for folder in ("pids/user/one", "user.slice"):
        (root / folder).mkdir(parents=True)
    if marker:
        (root / marker).touch()
    own.write_text(f"{line}\n")
    monkeypatch.setattr(isolation, "ALL_GROUPS", root)
    monkeypatch.setattr(isolation, "OWN_GROUPS", own)
    assert control_groups("pids") == [root / group for group in groups]


def test_a_folder_without_the_controller_is_of_no_use(tmp_path, monkeypatch):
    monkeypatch.setattr(isolation, "control_groups", lambda controller: [tmp_path, Path("/proc")])
    assert usable("pids", "pids.max") == []
    assert list(tmp_path.iterdir()) == []


def test_python_the_library_and_its_data_are_shown_and_nothing_else_of_the_checkout():
    inside = [path for path in folders() if path.is_relative_to(ROOT)]
    data = [ROOT / "pyproject.toml", ROOT / "data" / "synthetic", ROOT / "data" / "tags"]
    assert set(inside) - {ROOT / ".venv"} == {PACKAGE, *data}


def test_no_folder_is_shown_twice():
    shown = folders()
    assert not [a for a in shown for b in shown if a != b and a.is_relative_to(b)]
