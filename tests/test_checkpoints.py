"""Weights are never taken for another training's, and no file of a training is lost."""

import importlib.util
import sys
import types
from dataclasses import replace

import numpy as np
import pytest
import torch

from tema_lib.checkpoints import (
    OtherCheckpoint,
    checkpoint_for,
    code_behind,
    differences,
    identity,
    read_checkpoint,
    syntax_hash,
    write_checkpoint,
)
from tema_lib.data.splits import Split
from tema_lib.experiment import Experiment
from tema_lib.models.sasrec import SASRec, SASRecConfig
from tema_lib.training import train
from tests.helpers.models import DOMAIN, LITTLE, same_weights, small_run, small_split

SIZES = SASRecConfig(hidden=16, max_length=20)
SOURCE = '''
"""A student's model."""
import torch.nn.functional as F
from tema_lib.models.sasrec import SASRec

def twice(x):
    return 2 * x

class Mine(SASRec):
    """Reads ids."""
    def encode(self, batch, inputs):
        state, _ = self.encoders[0](F.embedding(batch.sequence, inputs), batch.length)
        return twice(self.head.states(state))   # scaled
'''


def module_of(source, folder, monkeypatch, name="students_model"):
    """The source as an imported module, as after a restart of the kernel."""
    path = folder / f"{name}.py"
    path.write_text(source)
    specification = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, name, module)
    specification.loader.exec_module(module)
    return module


def identity_of(kind, split=None):
    torch.manual_seed(0)
    return identity(kind(DOMAIN, SIZES), split or small_split(), LITTLE)


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ("2 * x", "3 * x", True),
        ("twice(self.head.states(state))", "self.head.states(state)", True),
        ("[0]", "[-1]", True),
        ("# scaled", "# twice as long", False),
        ('"""Reads ids."""', '"""Reads ids of items."""', False),
        ("return 2 * x", "return (2\n            * x)", False),
    ],
)
def test_an_edit_of_the_model_changes_its_identity_and_a_comment_does_not(
    old, new, changes, tmp_path, monkeypatch
):
    before = identity_of(module_of(SOURCE, tmp_path, monkeypatch).Mine)
    after = identity_of(module_of(SOURCE.replace(old, new), tmp_path, monkeypatch).Mine)
    assert differences(before, after) == ("code of students_model" if changes else "")


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [("2 * x", "3 * x", True), ("[0]", "[-1]", True), ('"""Reads ids."""', '"""Reads."""', False)],
)
def test_a_model_of_a_notebook_counts_function_by_function(old, new, changes, monkeypatch):
    def cell(source):
        notebook = types.ModuleType("__main__")  # a kernel's own module has no file
        monkeypatch.setitem(sys.modules, "__main__", notebook)
        exec(compile(source, "<ipython-input-1>", "exec"), vars(notebook))
        return identity_of(notebook.Mine)

    assert bool(differences(cell(SOURCE), cell(SOURCE.replace(old, new)))) == changes


def test_the_code_behind_a_model_is_what_it_and_the_loop_use_and_no_installed_package():
    known = code_behind([SASRec])
    assert {
        "tema_lib.models.sasrec",
        "tema_lib.models.layers",
        "tema_lib.models.losses",
        "tema_lib.models.base",
        "tema_lib.data.sequences",
    } <= set(known)
    assert all(name.startswith("tema_lib.") for name in known)
    assert "code of tema_lib.training" in identity_of(SASRec)
    assert "code of tema_lib.evaluation.ranking" in identity_of(SASRec)
    assert (
        syntax_hash('"""one"""\nx = 1  # a\n')
        == syntax_hash('"""two"""\nx = (1)\n')
        != syntax_hash("x = 2\n")
    )


def test_data_options_and_offsets_are_part_of_the_identity():
    split = small_split()
    one = identity_of(SASRec, split)
    assert (
        differences(
            one, identity_of(SASRec, Split(split.name, split.train, split.valid, split.test))
        )
        == ""
    )

    # the same items one after the other, but another user's
    def shifted(part):
        return replace(
            part, offsets=torch.cat([part.offsets[:1], part.offsets[1:-1] + 1, part.offsets[-1:]])
        )

    for train_part, valid_part in (
        (shifted(split.train), split.valid),
        (split.train, shifted(split.valid)),
    ):
        assert (
            differences(
                one, identity_of(SASRec, Split(split.name, train_part, valid_part, split.test))
            )
            == "data"
        )
    torch.manual_seed(0)
    assert (
        differences(
            one,
            identity(
                SASRec(DOMAIN, SASRecConfig(hidden=16, max_length=20, dropout=0.5)), split, LITTLE
            ),
        )
        == "option dropout"
    )


@pytest.fixture
def run(tmp_path, monkeypatch):
    return small_run(tmp_path, monkeypatch)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.pt")}


def test_an_edited_model_is_trained_anew_and_the_run_says_why(run, tmp_path, monkeypatch, capsys):
    """As a student does it: change a line of `encode`, restart the kernel, run the cell again."""
    from tema_lib.models.systems import SYSTEMS, System

    def mine(source):
        model = module_of(source, tmp_path, monkeypatch).Mine
        monkeypatch.setitem(
            SYSTEMS,
            "mine",
            System(lambda run: model(run.domain_of_item, SIZES), "a student", "ours"),
        )
        return Experiment(run.data).train("mine")

    first = mine(SOURCE)
    kept = files(tmp_path / "artifacts")
    same = mine(SOURCE.replace("# scaled", "# another comment"))
    assert same_weights(first, same)
    assert files(tmp_path / "artifacts") == kept
    assert "trained anew" not in capsys.readouterr().out
    other = mine(SOURCE.replace("2 * x", "0.5 * x"))
    said = capsys.readouterr().out
    assert (
        "mine-0: trained anew, since there is a change in code of students_model; "
        "the earlier weights stay in " in said
    )
    assert not same_weights(first, other)
    assert kept.items() < files(tmp_path / "artifacts").items()  # and the old file is still whole


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[: len(whole) // 2],
        lambda whole: b"",
        lambda whole: b"PK\x03\x04 not a checkpoint",
        lambda whole: whole[:-1],
        lambda whole: b"\x80\x05K\x01.",
    ],
    ids=["half", "empty", "other zip", "last byte", "plain pickle"],
)
def test_a_damaged_checkpoint_is_named_kept_and_trained_anew(damage, run, tmp_path, capsys):
    weights = run.train("sasrec")
    (path,) = (tmp_path / "artifacts").glob("*sasrec-0-*.pt")
    path.write_bytes(damaged := damage(path.read_bytes()))
    again = Experiment(run.data).train("sasrec")
    assert same_weights(weights, again)
    assert path.read_bytes() == damaged
    said = capsys.readouterr().out
    assert (
        f"{path} is cut off or no checkpoint of this version, so its training starts anew. "
        "It stays where it is." in said
    )
    assert "Error" not in said
    with pytest.raises(OtherCheckpoint, match="is cut off or no checkpoint"):
        read_checkpoint(path)


def test_a_pickle_that_would_run_something_is_not_run(tmp_path):
    class Malicious:
        def __reduce__(self):
            return (open, (str(tmp_path / "was_run"), "w"))

    torch.save({"identity": {}, "model": Malicious()}, tmp_path / "bad.pt")
    with pytest.raises(OtherCheckpoint):
        read_checkpoint(tmp_path / "bad.pt")
    assert not (tmp_path / "was_run").exists()


def test_weights_from_a_gpu_are_used_on_a_laptop(run, tmp_path):
    """A finished training is not repeated for its device; what it ran on stays in the history."""
    weights = run.train("sasrec")
    (path,) = (tmp_path / "artifacts").glob("*sasrec-0-*.pt")
    saved = torch.load(path, weights_only=True)
    saved["history"]["trained_on"] = "cuda bfloat16"
    saved["random"] = [saved["random"][0], saved["random"][0]]
    torch.save(saved, path)
    fresh = Experiment(run.data)
    again, history = fresh.train("sasrec"), fresh.history("sasrec")
    assert history.trained_on == "cuda bfloat16"
    assert same_weights(weights, again)
    assert torch.load(path, weights_only=True)["history"]["trained_on"] == "cuda bfloat16"


def test_an_unfinished_training_from_a_gpu_goes_on_here_and_says_so(tmp_path, monkeypatch):
    import tema_lib.training as training
    from tema_lib.evaluation.ranking import evaluate

    ranked = []

    def power_cut(*arguments, **options):
        ranked.append(1)
        if len(ranked) == 2:
            raise KeyboardInterrupt
        return evaluate(*arguments, **options)

    monkeypatch.setattr(training, "evaluate", power_cut)
    with pytest.raises(KeyboardInterrupt):
        train(SASRec(DOMAIN, SIZES), small_split(), DOMAIN, LITTLE, checkpoint=tmp_path / "one.pt")
    saved = torch.load(tmp_path / "one.pt", weights_only=True)
    saved["history"]["trained_on"] = "cuda bfloat16"
    torch.save(saved, tmp_path / "one.pt")
    history = train(
        SASRec(DOMAIN, SIZES), small_split(), DOMAIN, LITTLE, checkpoint=tmp_path / "one.pt"
    )
    assert history.trained_on == "cuda bfloat16, then cpu float32"
    assert history.epochs > 1


def test_two_folders_of_one_name_share_no_file(run, tmp_path, capsys):
    """x/small and z/small: other data give other files, the same data elsewhere the same."""
    run.train("sasrec")
    kept = files(tmp_path / "artifacts")
    for position in ("x", "z"):
        (tmp_path / position / "small").mkdir(parents=True)
        for name in ("items.tsv", "interactions.tsv"):
            text = (tmp_path / "small" / name).read_text()
            (tmp_path / position / "small" / name).write_text(
                text if position == "x" else text.replace("1600000000", "1600000009")
            )
    same, other = (Experiment(str(tmp_path / position / "small")) for position in ("x", "z"))
    assert same.name == run.name != other.name
    assert other.name.startswith("small-")
    same.train("sasrec")
    assert files(tmp_path / "artifacts") == kept
    other.train("sasrec")
    assert kept.items() < files(tmp_path / "artifacts").items()
    assert len(files(tmp_path / "artifacts")) == 2
    assert "trained anew" not in capsys.readouterr().out  # another data set changes nothing here


def test_a_file_that_cannot_be_written_is_one_sentence_and_nothing_half_written(tmp_path):
    (tmp_path / "taken.pt").mkdir()
    with pytest.raises(OSError, match=r"taken\.pt"):
        write_checkpoint(tmp_path / "taken.pt", {"identity": {}})
    assert [path.name for path in tmp_path.iterdir()] == ["taken.pt"]
    path, said = checkpoint_for(tmp_path, "taken", {"a": "1"})
    assert path.parent == tmp_path
    assert not said


def test_text_and_shuffle_are_checked(run):
    """A typo must not silently mean the plain text."""
    for wrong, sentence in (
        ({"text": "enrichd"}, "text is 'enrichd': choose plain or enriched."),
        ({"shuffle": ("txt",)}, "shuffle names txt"),
        ({"shuffle": "text"}, "give a tuple of text and image"),
        ({"tags": "shufled"}, "shufled"),
    ):
        with pytest.raises(ValueError, match=sentence):
            run.inputs(**wrong)
    assert np.array_equal(run.inputs(shuffle=("text", "image")).domain_of_item, run.domain_of_item)
