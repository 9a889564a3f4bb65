"""Where everything lies, and how files are written."""

import hashlib

import pytest

from tema_lib import workspace


@pytest.fixture
def bare(monkeypatch):
    """No variable of the environment says anything about places."""
    for name in ("HOME", "CACHE", "ARTIFACTS", "RESULTS", "REPLIES"):
        monkeypatch.delenv(f"TEMA_{name}", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    return monkeypatch


@pytest.fixture
def installed(bare, tmp_path):
    """The library as if it lay in site-packages, away from its checkout."""
    bare.setattr(workspace, "ROOT", tmp_path / "site-packages")
    bare.setattr(workspace, "PACKAGE", tmp_path / "site-packages" / "tema_lib")
    bare.setenv("HOME", str(tmp_path / "user"))
    return bare


def test_in_a_checkout_everything_lies_in_build(bare):
    build = workspace.ROOT / "build"
    assert workspace.in_checkout()
    assert workspace.home() == build
    assert workspace.weights_folder() == build / "pretrained"
    assert workspace.cache_folder() == build / "cache"
    assert workspace.artifacts() == build / "artifacts"
    assert workspace.results_folder() == build / "results"
    assert workspace.replies_path() == build / "replies.sqlite"
    assert workspace.data_folder() == workspace.ROOT / "data"


def test_an_installed_package_uses_the_users_cache_folder(installed, tmp_path):
    assert not workspace.in_checkout()
    assert workspace.home() == tmp_path / "user" / ".cache" / "tema-lib"
    assert workspace.data_folder() == tmp_path / "site-packages" / "tema_lib" / "shipped"
    installed.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert workspace.home() == tmp_path / "caches" / "tema-lib"
    installed.setenv("XDG_CACHE_HOME", "relative")  # invalid by the specification
    assert workspace.home() == tmp_path / "user" / ".cache" / "tema-lib"


def test_an_argument_comes_before_the_variable_and_that_before_the_default(bare, tmp_path):
    bare.setenv("TEMA_HOME", str(tmp_path / "variable"))
    assert workspace.home(tmp_path / "argument") == tmp_path / "argument"
    assert workspace.home() == tmp_path / "variable"
    assert workspace.artifacts() == tmp_path / "variable" / "artifacts"
    assert workspace.artifacts().is_dir()


def test_single_parts_can_lie_elsewhere(bare, tmp_path):
    for name in ("CACHE", "ARTIFACTS", "RESULTS", "REPLIES"):
        bare.setenv(f"TEMA_{name}", str(tmp_path / name))
    assert workspace.weights_folder() == tmp_path / "CACHE"
    assert workspace.artifacts() == tmp_path / "ARTIFACTS"
    assert workspace.results_folder() == tmp_path / "RESULTS"
    assert workspace.replies_path() == tmp_path / "REPLIES"
    bare.setenv("TEMA_CACHE", "~/models")
    assert "~" not in str(workspace.weights_folder())


def test_artefacts_of_a_test_have_replies_of_their_own(bare, tmp_path):
    bare.setenv("TEMA_ARTIFACTS", str(tmp_path))
    assert workspace.replies_path() == tmp_path / "replies.sqlite"
    bare.setenv("TEMA_ARTIFACTS", str(workspace.ROOT / "build" / "artifacts" / "a data set"))
    assert workspace.replies_path() == workspace.ROOT / "build" / "replies.sqlite"


@pytest.mark.parametrize("content", [b"\x00bytes", "text, ¼ with\na line end"])
def test_a_file_is_written_whole_or_not_at_all(tmp_path, content, monkeypatch):
    path = tmp_path / "new folder" / "file"
    workspace.write_atomically(path, content)
    expected = content if isinstance(content, bytes) else content.encode()
    assert path.read_bytes() == expected
    assert workspace.sha256_of(content) == hashlib.sha256(expected).hexdigest()
    assert workspace.sha256_of(path) == workspace.sha256_of(content)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(workspace.os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        workspace.write_atomically(path, b"other")
    assert path.read_bytes() == expected
    assert [file.name for file in path.parent.iterdir()] == ["file"]
