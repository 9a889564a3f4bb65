"""The exported folder: whole, checked, and nothing in it is believed that is not."""

import json
import os
import re
import shutil

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from tema_lib.serving.folder import CARD, FILES, export_model, read_exported
from tema_lib.workspace import sha256_of


@pytest.fixture
def folder(exported, tmp_path):
    """A copy of the export of TEMA-LLM, to be damaged."""
    return shutil.copytree(exported["tema"], tmp_path / "export")


def rewrite(folder, name, content):
    """Put other content into a file, and its hash into the card."""
    (folder / name).write_bytes(content)
    card = json.loads((folder / CARD).read_text())
    card["files"][name] = sha256_of(content)
    (folder / CARD).write_text(json.dumps(card))


@pytest.mark.parametrize("system", ["tema", "tema-no-tags", "sasrec"])
def test_the_model_in_the_folder_is_the_trained_one(system, models, exported):
    model, read = models[system].eval(), read_exported(exported[system])
    for one, other in zip(model.item_embeddings(), read.model().item_embeddings()):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    assert read.card["config"]["hidden"] == 16
    assert read.card["system"] == system


def test_the_table_of_items_says_what_the_data_say(run, exported):
    read = read_exported(exported["tema"])
    assert read.tags == run.tags.vocabulary[1:]
    for row in (1, 100, 600):
        item = read.items[row - 1]
        assert (item.item_id, item.title) == (run.items.item_id[row], run.items.title[row])
        assert item.domain == "AB"[run.items.domain_of_item[row]]
        assert list(item.tags) == [tag for tag, _, _ in run.tags.tags_of(row)]
    assert torch.equal(read.inputs.tag_weights, run.tags.weights)
    assert torch.equal(read.inputs.tag_ids, run.tags.tag_ids)


def test_any_text_survives(run, models, tmp_path, monkeypatch):
    odd = 'two\nlines\t<b>\u2028\x85 \\ " 🍜'
    monkeypatch.setattr(run, "items", run.items)  # put back afterwards
    titles = ("", odd, *run.items.title[2:])
    monkeypatch.setattr(run, "items", type(run.items)(**{**vars(run.items), "title": titles}))
    assert read_exported(export_model(run, models["tema"], "tema", tmp_path)).items[0].title == odd


@pytest.mark.parametrize(
    ("build", "said"),
    [
        ("popularity", "choose a TEMA-LLM or a SASRec"),
        ("llm-emf", "text features are not those"),
        ("tema-shuffled-tags", "tags are a control's"),
    ],
)
def test_a_system_whose_new_items_would_have_no_inputs_is_refused(build, said, run, tmp_path):
    with pytest.raises(ValueError, match=said):
        export_model(run, run.build(build), build, tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- damage ---


@pytest.mark.parametrize("name", [CARD, *FILES])
def test_a_missing_file_is_named(name, folder):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name} is missing"):
        read_exported(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_the_one_described_is_refused(name, folder):
    with (folder / name).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(ValueError, match=f"{name} is not the file that export.json describes"):
        read_exported(folder)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"format": 1}', "[" * 100_000, '{"format": "1", "model": "Tema"}'],
)
def test_a_card_that_describes_nothing_is_refused(text, folder):
    (folder / CARD).write_text(text)
    with pytest.raises(ValueError, match=r"export\.json does not describe an export"):
        read_exported(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 2}, "has format 2, this version reads 1"),
        ({"model": "Popularity"}, "do not fit together"),
        ({"config": {"hidden": 32}}, "do not fit together"),
        ({"config": {"width": 16}}, "do not fit together"),
    ],
)
def test_a_card_of_something_else_is_refused(change, said, folder):
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps(card | change))
    with pytest.raises(ValueError, match=said):
        read_exported(folder).model()


@pytest.mark.parametrize("size", ["hidden", "layers", "max_length"])
def test_a_size_that_is_not_the_weights_is_refused_before_memory_is_asked_for(size, folder):
    card = json.loads((folder / CARD).read_text())
    card["config"][size] = 2 * 10**12
    (folder / CARD).write_text(json.dumps(card))
    with pytest.raises(ValueError, match=f"{size}.* is not .*the weights"):
        read_exported(folder).model()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("weights.safetensors", b"\x80\x04cos\nsystem\n(S'true'\ntR."),  # a pickle
        ("weights.safetensors", b"\xff" * 64),  # a header longer than any file
        ("inputs.safetensors", b""),
        ("items.jsonl", b'{"item_id": "A001"}\n'),
        ("items.jsonl", b"no JSON\n"),
        ("items.jsonl", b'["A001", "A", "tea", {}]\n'),
        ("tags.txt", b"\xff\xfe\n"),
        ("tags.txt", b"one tag alone\n"),  # the items have others
    ],
)
def test_content_that_cannot_be_read_is_refused_in_one_sentence(name, content, folder):
    rewrite(folder, name, content)
    with pytest.raises(ValueError, match=r"is no export that can be read .*: export again\."):
        read_exported(folder)


def test_tensors_of_other_items_are_refused(folder):
    tensors = load_file(folder / "inputs.safetensors")
    tensors["text"] = tensors["text"][:-1]
    save_file(tensors, folder / "inputs.safetensors")
    rewrite(folder, "inputs.safetensors", (folder / "inputs.safetensors").read_bytes())
    with pytest.raises(ValueError, match="not one row for each of 600 items"):
        read_exported(folder)


@settings(
    max_examples=int(os.environ.get("TEMA_FUZZ", "60")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data(), name=st.sampled_from([CARD, *FILES]))
def test_damage_that_the_hashes_miss_gives_a_model_or_one_sentence(data, name, exported, tmp_path):
    """Whoever changes a file may change its hash, too."""
    folder = shutil.copytree(exported["tema"], tmp_path / "export", dirs_exist_ok=True)
    content = bytearray((folder / name).read_bytes())
    # Headers and the first lines matter most.
    place = st.integers(0, min(2000, len(content) - 1)) | st.integers(0, len(content) - 1)
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(place)] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        content = content[: data.draw(place)]
    if name == CARD:
        (folder / name).write_bytes(content)
    else:
        rewrite(folder, name, bytes(content))
    said = ""
    try:
        read_exported(folder).model()
    except ValueError as error:
        said = str(error)
    assert re.fullmatch(r"(?s)(.*(export|version).*)?", said)
