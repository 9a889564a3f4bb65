"""The service as a process of its own: right answers, one sentence for a wrong question, limits."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import expect

from tema_lib.serving.predictor import load
from tema_lib.serving.service import BODY
from tema_lib.workspace import ROOT
from tests.helpers.browser import chromium, watched
from tests.helpers.commands import tema

HOSTILE = "<img src=x onerror=alert(1)> & <b>tea</b>"


@pytest.fixture(scope="module")
def folder(run, models, tmp_path_factory):
    """An export in which one title is a script."""
    from tema_lib.serving.folder import export_model

    titles = list(run.items.title)
    titles[1] = HOSTILE
    changed = type(run.items)(**{**vars(run.items), "title": tuple(titles)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(vars(run), "items", changed)
        return export_model(run, models["tema"], "tema", tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def service(folder, tmp_path_factory):
    """(process, port) of `tema serve`."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    said = tmp_path_factory.mktemp("service") / "output.txt"
    command = [sys.executable, "-m", "tema_lib", "serve", str(folder), "--port", str(port)]
    with (
        open(said, "w") as output,
        subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT) as process,
    ):
        try:
            for _ in range(240):
                assert process.poll() is None, said.read_text()
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.5)
            yield process, port
        finally:
            process.terminate()
            process.wait(30)
    assert "Traceback" not in said.read_text()


def asked(service, path, content=None, body=None, headers=None):
    """(status, answer) of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", service[1], timeout=60)
    if content is not None:
        body = json.dumps(content)
    method = "GET" if body is None else "POST"
    try:
        connection.request(method, path, body, headers or {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    return response.status, json.loads(text) if text.startswith(("{", "[")) else text


HISTORY = ["A002", "B002", "A003"]


def test_the_answer_is_the_predictor_s(service, folder):
    predictor = load(folder)
    status, answer = asked(service, "/recommend", {"history": HISTORY, "domain": "kitchen", "k": 7})
    expected = predictor.recommend(HISTORY, "B", 7)
    assert status == 200
    found = pd.DataFrame(answer["items"], index=expected.index)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-4)
    question = {"histories": [HISTORY, ["A005"]], "domain": "A", "exclude_seen": False}
    status, answer = asked(service, "/recommend/batch", question)
    assert status == 200
    for one, history in zip(answer["answers"], question["histories"], strict=True):
        alone = predictor.recommend(history, "A", 10, exclude_seen=False)
        assert [item["item_id"] for item in one["items"]] == alone["item_id"].tolist()


def test_health_items_and_the_description_of_the_questions(service):
    status, health = asked(service, "/health")
    assert (status, health["status"], health["items"]) == (200, "ok", 600)
    assert health["domains"] == {"A": "food", "B": "kitchen"}
    status, found = asked(service, "/items?query=IMG%20tea&limit=3")
    assert (status, [item["title"] for item in found]) == (200, [HOSTILE])
    assert len(asked(service, "/items")[1]) == 20
    status, described = asked(service, "/openapi.json")
    assert status == 200
    assert {"/recommend", "/recommend/batch", "/items", "/health"} == set(described["paths"])
    assert asked(service, "/docs")[0] == 200


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"history": ["nobody"], "domain": "A"}, "history: item 'nobody' is unknown"),
        ({"history": HISTORY, "domain": "C"}, "domain 'C' is unknown"),
        ({"history": [], "domain": "A"}, "history: List should have at least 1 item"),
        ({"history": HISTORY}, "domain: Field required"),
        ({"history": HISTORY, "domain": "A", "k": 0}, "k: Input should be greater"),
        ({"history": HISTORY, "domain": "A", "k": 101}, "k: Input should be less"),
        ({"history": HISTORY, "domain": "A", "k": "5"}, "k: Input should be a valid integer"),
        ({"history": HISTORY, "domain": "A", "user": "mina"}, "user: Extra inputs"),
        ({"history": ["A002"] * 1001, "domain": "A"}, "history: List should have at most 1000"),
        ({"history": ["x" * 1001], "domain": "A"}, "history.0: String should have at most 1000"),
        (["A001"], "Input should be a valid dictionary"),
        (float("nan"), "Input should be a valid dictionary"),
    ],
)
def test_a_wrong_question_gets_one_sentence(question, said, service):
    status, answer = asked(service, "/recommend", question)
    assert status == 422
    assert said in answer["detail"]


def test_a_batch_has_limits_too(service):
    question = {"histories": [["A002"]] * 257, "domain": "A"}
    assert asked(service, "/recommend/batch", question)[0] == 422


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"\xff\xfe", 422),
        (b"[" * 100_000, 400),
        (b'{"history": ["A002"], "domain": "A", "k": ' + b"9" * 5000 + b"}", 400),
        (b" " * (BODY + 1), 413),
    ],
)
def test_malformed_and_oversized_requests_are_refused(body, status, service):
    assert asked(service, "/recommend", body=body)[0] == status
    assert asked(service, "/health")[0] == 200


def test_a_long_body_in_pieces_is_refused_although_no_header_says_how_long_it_is(service):
    def pieces():
        for _ in range(20):
            yield b" " * (BODY // 10)

    status, answer = asked(service, "/recommend", body=pieces(), headers={})
    assert status == 413
    assert "longer than 1,048,576 bytes" in answer["detail"]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
)
# Questions that are nearly right get further than those that are not.
NEARLY = st.fixed_dictionaries(
    {
        "history": st.lists(st.sampled_from([*HISTORY, "nobody", ""]) | ANYTHING, max_size=4),
        "domain": st.sampled_from(["A", "kitchen", "C"]) | ANYTHING,
    },
    optional={"k": st.integers(-1, 400) | ANYTHING, "exclude_seen": st.booleans() | ANYTHING},
)


@settings(
    max_examples=int(os.environ.get("TEMA_FUZZ", "150")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(question=ANYTHING | NEARLY)
def test_whatever_is_asked_gets_an_answer_or_one_sentence(question, service):
    status, answer = asked(service, "/recommend", body=json.dumps(question))
    assert status in (200, 422)
    assert "items" in answer or isinstance(answer["detail"], str)


def test_two_hundred_at_once_lose_nothing(service):
    questions = [{"history": HISTORY[: 1 + i % 3], "domain": "AB"[i % 2], "k": 5} for i in range(6)]
    expected = [asked(service, "/recommend", question) for question in questions]
    with ThreadPoolExecutor(200) as clients:
        found = list(
            clients.map(lambda i: asked(service, "/recommend", questions[i % 6]), range(600))
        )
    assert [status for status, _ in found] == [200] * 600
    for i, (_, answer) in enumerate(found):
        ids = [item["item_id"] for item in answer["items"]]
        assert ids == [item["item_id"] for item in expected[i % 6][1]["items"]]
    status = Path(f"/proc/{service[0].pid}/status")
    if status.is_file():
        (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())
        assert int(peak) < 1 << 20  # GiB


def test_the_page_recommends_and_shows_titles_as_text(service):
    with chromium() as browser:
        page, complaints = watched(browser)
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.goto(f"http://127.0.0.1:{service[1]}/")
        expect(page.locator("#about")).to_contain_text("600 items of food and kitchen")
        page.get_by_label("Items").fill("img tea")
        expect(page.locator("#found li")).to_have_count(1)
        expect(page.locator("#found li")).to_contain_text(HOSTILE)
        page.get_by_role("button", name=f"Add {HOSTILE}").click()
        expect(page.locator("#recommended tr")).to_have_count(10)
        first = page.locator("#recommended tr").first.inner_text()
        page.get_by_label("Next in").select_option("kitchen")
        expect(page.locator("#recommended tr").first).not_to_have_text(first)
        pictures = ROOT / "build" / "screenshots"
        pictures.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=pictures / "service.png")
        page.get_by_role("button", name="Remove").click()
        expect(page.locator("#empty")).to_be_visible()
        expect(page.locator("#recommended tr")).to_have_count(0)
        assert complaints == []


def test_a_folder_that_is_no_export_ends_the_command_with_one_sentence(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        done = tema("serve", folder)
        assert done.returncode == 1
        assert re.fullmatch(r".*export\.json is missing: give a folder .*\n", done.stderr)
