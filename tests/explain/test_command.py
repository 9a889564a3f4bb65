"""The command that writes the page of one user."""

import re

import pytest

from tema_lib.experiment import Experiment
from tests.helpers.commands import tema
from tests.helpers.pages import Page


@pytest.fixture
def command(tmp_path, monkeypatch, shipped_replies):
    """`tema explain` of a user, after a short training, with what it makes in the test's folder."""
    monkeypatch.setenv("TEMA_ARTIFACTS", str(tmp_path / "artifacts"))
    monkeypatch.setenv("TEMA_REPLIES", str(shipped_replies))

    def explain(user, *more):
        page = tmp_path / "out" / "page.html"
        return tema("explain", "--user", user, "--html", page, "--epochs", "2", *more)

    return explain


def test_the_command_refuses_an_unknown_user_before_anything_is_trained(tmp_path, command):
    done = command("nobody")
    assert done.returncode == 1
    assert done.stdout == ""
    sentence = (
        r"--user nobody: no test case of this user in synthetic; "
        r"there are \d+, such as \w+, \w+, \w+\.\n"
    )
    assert re.fullmatch(sentence, done.stderr)
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_the_command_explains_the_first_recommendation(tmp_path, command):
    done = command("u0007")
    assert done.returncode == 0, done.stderr
    # Nothing half-written is beside it.
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["page.html"]
    source = (tmp_path / "out" / "page.html").read_text(encoding="utf-8")
    page = Page(source)
    sentence = r"First recommendation in (A|B): (.+) \(P = 0\.\d{3}\)\.\n"
    domain, first = re.match(sentence, done.stdout).groups()
    shown = re.search(rf"<h3>Recommended in {domain} .*?<tbody>\s*<tr.*?</tr>", source, re.S)[0]
    assert Page(shown[shown.index("<tr class") :]).words.startswith(f"1{first} 0.")
    run = Experiment("synthetic")
    *seen, target = run.split.test[run.split.test.user_id.index("u0007")].tolist()
    assert "AB"[run.items.domain_of_item[target]] == domain
    assert "User u0007:" in page.words
    assert "TEMA-LLM on synthetic, seed 0, 2 epochs" in page.words
    assert all(run.items.title[item] in page.words for item in (*seen, target))
    assert len(page.every("img")) > len(seen)
    assert f"{len(source.encode()) / 1024:.0f} KiB" in done.stdout
    assert all(modality in done.stdout for modality in ("Tags, log P", "Modalities, log P"))


def test_the_command_takes_the_names_of_the_domains(command):
    done = command("u0007", "--domains", "movies,movies")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "two different short names" in done.stderr
