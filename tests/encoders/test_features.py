"""Item features on disk: whole, remembered, and made again when damaged."""

import pytest
import torch
from safetensors.torch import save_file

from tema_lib.data.dataset import DataError
from tema_lib.encoders.features import ItemFeatures, remembered
from tests.helpers.full_disk import full_disk


def test_features_survive_the_disk_and_other_files_are_refused(tmp_path):
    features = ItemFeatures(
        torch.randn(3, 4), torch.tensor([False, True, True]), "some model", "f" * 64
    )
    features.save(tmp_path / "deep" / "text.safetensors")
    again = ItemFeatures.load(tmp_path / "deep" / "text.safetensors")
    assert torch.equal(again.matrix, features.matrix)
    assert torch.equal(again.present, features.present)
    assert (again.model, again.fingerprint) == (features.model, features.fingerprint)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["text.safetensors"]
    (tmp_path / "other.safetensors").write_text("not a tensor")
    with pytest.raises(ValueError, match=r"other.safetensors does not hold item features"):
        ItemFeatures.load(tmp_path / "other.safetensors")
    with pytest.raises(FileNotFoundError):
        ItemFeatures.load(tmp_path / "nowhere.safetensors")
    with pytest.raises(ValueError, match="matrix"):
        ItemFeatures(torch.randn(3, 4), torch.ones(2, dtype=torch.bool), "m", "f")


FEATURES = ItemFeatures(
    torch.arange(12.0).view(3, 4), torch.tensor([False, True, True]), "some model", "f" * 64
)


def flip(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "damage", ["none", "cut", "empty", "zeros", "flipped", "a text", "other tensors"]
)
def test_remembered_features_are_made_once_and_again_when_their_file_is_damaged(
    tmp_path, capsys, damage
):
    path = tmp_path / "cache" / "text.safetensors"
    made = []

    def make():
        made.append(1)
        return FEATURES

    remembered(path, make)
    size = path.stat().st_size
    if damage == "cut":
        path.write_bytes(path.read_bytes()[: size // 2])
    elif damage in ("empty", "zeros"):
        path.write_bytes(b"\0" * (size if damage == "zeros" else 0))
    elif damage == "flipped":
        flip(path)
    elif damage == "a text":
        path.write_text("no features")
    elif damage == "other tensors":
        save_file({"weight": torch.zeros(1)}, path)
    for _ in range(2):
        assert torch.equal(remembered(path, make).matrix, FEATURES.matrix)
    assert len(made) == (1 if damage == "none" else 2)
    assert ("is damaged: its items are encoded again" in capsys.readouterr().err) == (
        damage != "none"
    )
    assert torch.equal(ItemFeatures.load(path).matrix, FEATURES.matrix)


def test_features_of_an_earlier_version_are_read(tmp_path):
    about = {"model": "some model", "fingerprint": "f" * 64}  # without a checksum
    save_file(
        {"matrix": FEATURES.matrix, "present": FEATURES.present},
        tmp_path / "old.safetensors",
        metadata=about,
    )
    assert torch.equal(ItemFeatures.load(tmp_path / "old.safetensors").matrix, FEATURES.matrix)


def test_a_full_disk_costs_the_memory_and_not_the_run(tmp_path, capsys):
    with full_disk():
        found = remembered(tmp_path / "text.safetensors", lambda: FEATURES)
    assert torch.equal(found.matrix, FEATURES.matrix)
    assert list(tmp_path.iterdir()) == []
    assert "text.safetensors cannot be written" in capsys.readouterr().err
    with (
        full_disk(),
        pytest.raises(DataError, match=r"text.safetensors cannot be written \(.*\): make room"),
    ):
        FEATURES.save(tmp_path / "text.safetensors")


def test_a_folder_that_cannot_be_written_costs_the_memory_and_not_the_run(tmp_path, capsys):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert torch.equal(
        remembered(tmp_path / "cache" / "text.safetensors", lambda: FEATURES).matrix,
        FEATURES.matrix,
    )
    said = capsys.readouterr().err
    assert "text.safetensors cannot be written (" in said
    assert "This run goes on" in said
    assert "Errno" not in said
