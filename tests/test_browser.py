"""A real browser drives a copy of notebook 05, in JupyterLab and in Notebook 7.

And the self-contained page that the notebook leaves. Screenshots are in build/screenshots/. Skipped
aloud where there is no browser: `apt install chromium`, or
`python -m playwright install chromium`.
"""

import contextlib
import itertools
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest
from playwright.sync_api import TimeoutError, expect

from tema_lib.explain.display.html import Pages
from tema_lib.explain.explanation import explain, explanation_of
from tema_lib.workspace import ROOT
from tests.helpers.browser import LAPTOP, chromium, watched
from tests.helpers.explain import hostile_world

NOTEBOOK = "05_attention_visualisation.ipynb"
EXAMPLES = ROOT / "build" / "screenshots"
ERROR = "[data-mime-type='application/vnd.jupyter.error']"
ADDRESSES = {"lab": "/lab/tree/{}?reset&token={}", "notebook": "/notebooks/{}?token={}"}
SETTINGS = {
    # Every cell stays in the page, so it can be found.
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


@pytest.fixture(scope="module")
def browser():
    with chromium() as window:
        EXAMPLES.mkdir(parents=True, exist_ok=True)
        yield window


@pytest.fixture(scope="module")
def server(browser, tmp_path_factory, trained_systems, shipped_replies):
    """JupyterLab with our settings only, on copies of the notebook: (address, token)."""
    folder, home = tmp_path_factory.mktemp("lab"), tmp_path_factory.mktemp("home")
    notebook = nbformat.read(ROOT / "notebooks" / NOTEBOOK, 4)
    notebook.metadata.pop("widgets", None)  # pictures of another run
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    for name in ADDRESSES:
        nbformat.write(notebook, folder / f"{name}.ipynb")
    for name, value in SETTINGS.items():
        file = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(value), encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token, address = secrets.token_hex(8), f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "TEMA_ARTIFACTS": str(trained_systems),
        "TEMA_REPLIES": str(shipped_replies),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }
    log = open(home / "log", "w", encoding="utf-8")  # noqa: SIM115  (closed with the server)
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "jupyter",
            "lab",
            "--no-browser",
            "--allow-root",
            "--ip=127.0.0.1",
            f"--port={port}",
            "--ServerApp.port_retries=0",
            f"--IdentityProvider.token={token}",
            f"--ServerApp.root_dir={folder}",
            "--ServerApp.terminals_enabled=False",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ],
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        for _ in range(120):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/api?token={token}", timeout=5).read()
                break
            assert process.poll() is None, (home / "log").read_text()[-2000:]
            time.sleep(0.5)
        yield address, token
    finally:
        process.terminate()
        process.wait(30)
        log.close()


@pytest.fixture(scope="module", params=ADDRESSES)
def opened(request, browser, server):
    """The notebook, run from top to bottom by the menu: (page, complaints, where)."""
    address, token = server
    page, complaints = watched(browser)
    page.goto(
        address + ADDRESSES[request.param].format(f"{request.param}.ipynb", token),
        wait_until="domcontentloaded",
    )
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=120_000)
    idle(page)
    complaints.clear()  # what the application says while it starts (Notebook 7: two lines)
    if request.param == "lab":
        page.keyboard.press("Control+b")  # the file browser away, as on a small screen
    run_all(page)
    # The last of the three explorers.
    page.wait_for_selector(f".tema-attention .tema table, {ERROR}", timeout=300_000)
    idle(page, 300_000)
    assert not page.locator(ERROR).count(), page.locator(ERROR).first.inner_text()[-1500:]
    yield page, complaints, request.param
    page.context.close()


def run_all(page):
    """Run all cells by the menu.

    On a busy machine the menu can close under the pointer: whoever sees that no cell has a star
    clicks again.
    """
    for _ in range(3):
        page.locator(".lm-MenuBar-item:has-text('Run')").first.click()
        page.locator("li.lm-Menu-item[data-command='runmenu:run-all']").click()
        with contextlib.suppress(TimeoutError):
            page.wait_for_selector(".jp-InputPrompt:has-text('*')", timeout=20_000)
            return
    raise AssertionError("no cell has begun to run")


def idle(page, timeout=120_000):
    """Until the kernel is connected and has nothing to do.

    Notebook 7 has no status bar, but the same sign in the tool bar.
    """
    sign = ".jp-Notebook-ExecutionIndicator[data-status=idle]"
    page.wait_for_selector(sign, state="attached", timeout=timeout)
    page.wait_for_timeout(500)
    page.wait_for_selector(sign, state="attached", timeout=timeout)


class Explorer:
    """One explorer in the page: what it shows, and a way to act and wait for another picture."""

    def __init__(self, page, name):
        self.page, self.root, self.seconds = page, page.locator(f".{name}").last, []
        self.root.scroll_into_view_if_needed()

    @property
    def shown(self):
        """Titles and numbers, without the pictures."""
        return self.root.locator(".tema").inner_text()

    def after(self, act):
        """What is shown once `act` has changed it; `seconds` keeps how long this took."""
        before, start = self.root.locator(".tema").inner_html(), time.perf_counter()
        act()
        self.page.wait_for_function(
            "([root, before]) => root.querySelector('.tema')"
            " && root.querySelector('.tema').innerHTML !== before",
            arg=[self.root.element_handle(), before],
            timeout=20_000,
        )
        self.seconds.append(time.perf_counter() - start)
        idle(self.page)
        return self.shown

    def by_keyboard(self, label):
        """Choose the next entry of a drop-down list without a mouse: open it, go down, choose."""
        control = self.root.get_by_label(label, exact=True)
        assert control.evaluate("list => list.selectedIndex") >= 0, f"{label} shows nothing"
        control.focus()
        for key in ("Space", "ArrowDown", "Enter"):
            self.page.keyboard.press(key)
            self.page.wait_for_timeout(100)

    def type_in(self, label, value):
        field = self.root.get_by_label(label, exact=True)
        field.fill(value)
        field.press("Enter")

    def press(self, name):
        """Press a button with the space bar."""
        self.root.get_by_role("button", name=name, exact=True).focus()
        self.page.keyboard.press("Space")

    def photograph(self, name):
        """At the width of a laptop, as high as it is."""
        self.page.set_viewport_size({**LAPTOP, "height": 2200})
        self.page.mouse.move(5, 5)
        self.root.scroll_into_view_if_needed()
        self.page.wait_for_timeout(500)
        self.root.screenshot(path=EXAMPLES / f"{name}.png")
        self.page.set_viewport_size(LAPTOP)


def test_the_attention_explorer_follows_every_control(opened):
    page, _, where = opened
    explorer = Explorer(page, "tema-attention")
    assert "Does attention agree with occlusion?" in explorer.shown
    explorer.photograph(f"{where}-attention")
    seen = [explorer.shown]
    seen.append(
        explorer.after(lambda: explorer.by_keyboard("query event"))
    )  # one event further back
    assert "choose it to compare" in seen[-1]
    seen.append(explorer.after(lambda: explorer.press("A")))
    assert "ATTENTION\nA" in seen[-1].upper()
    seen.append(explorer.after(lambda: explorer.by_keyboard("head")))
    seen.append(explorer.after(lambda: explorer.by_keyboard("explain")))
    assert "Explained: the true next item" in seen[-1]
    seen.append(explorer.after(lambda: explorer.by_keyboard("user")))
    assert all(one != other for one, other in itertools.pairwise(seen))
    numbers = [re.findall(r"[-+]?\d+\.\d+", text) for text in seen]
    assert all(one != other for one, other in itertools.pairwise(numbers)), (
        "words changed, numbers did not"
    )
    expect(explorer.root.get_by_label("layer", exact=True)).to_be_visible()


def test_the_item_explorer_finds_an_item_by_its_title(opened):
    page, _, where = opened
    explorer = Explorer(page, "tema-item")
    explorer.photograph(f"{where}-item")
    first = explorer.shown
    other = explorer.after(
        lambda: explorer.type_in("item", "Corn tortillas, traditional, 2 x 250 g")
    )
    assert "Corn tortillas" in other
    assert "Corn tortillas, traditional" not in first.splitlines()[0]
    assert "without tags" in other
    for tag in ("mexican cuisine", "tortilla making", "taco night"):  # the large model's
        assert tag in other


def test_what_if_answers_every_edit(opened):
    page, _, where = opened
    explorer = Explorer(page, "tema-what-if")
    edits = (
        ("remove", lambda: explorer.press("remove"), "without"),
        ("earlier", lambda: explorer.press("earlier"), "earlier"),
        ("other domain", lambda: explorer.press("other domain"), "counts in the other domain"),
        (
            "swap",
            lambda: explorer.type_in("swap for", "Powdered milk"),
            "Powdered milk in place of",
        ),
        (
            "add tag",
            lambda: explorer.type_in("add tag", "home canning"),
            "also tagged home canning",
        ),
        ("delete tag", lambda: explorer.by_keyboard("delete tag"), "not tagged"),
        ("later", lambda: explorer.press("later"), "later"),
    )
    assert "nothing yet" in explorer.shown
    for name, act, said in edits:
        assert said in explorer.after(act), f"{name}: {explorer.shown[:300]}"
    explorer.photograph(f"{where}-what-if")
    median = sorted(explorer.seconds)[len(edits) // 2]
    print(f"{where}: from key to new picture, median {1000 * median:.0f} ms")
    assert "later" not in explorer.after(lambda: explorer.press("undo")).splitlines()[0]
    assert "nothing yet" in explorer.after(lambda: explorer.press("reset"))


def test_the_console_stayed_clean(opened):
    """After everything above; another test order would check less, not more."""
    _, complaints, where = opened
    assert not complaints, f"{where}: {complaints}"


@pytest.mark.parametrize("opened", ["lab"], indirect=True)
def test_the_page_of_a_user_works_without_a_kernel_and_without_a_network(
    opened, trained_systems, browser
):
    """The file that the notebook left, offline: every control redraws, and it can be printed."""
    page, complaints = watched(browser, offline=True)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((trained_systems / "explained.html").as_uri())

    def body():
        return page.locator("main").inner_text()

    seen = [body()]
    page.screenshot(path=EXAMPLES / "page.png", full_page=True)
    for act in (
        lambda: page.get_by_role("button", name="B", exact=True).press("Enter"),
        lambda: page.get_by_label("head").select_option(index=1),
        lambda: page.locator("button.ask:visible").nth(4).press("Enter"),
        lambda: page.get_by_label("explain").select_option(index=1),
    ):
        act()
        seen.append(body())
    assert all(one != other for one, other in itertools.pairwise(seen))
    assert "Explained: the true next item" in seen[-1]
    # The fifth interaction is not in B.
    assert page.locator("button[aria-pressed=true]").inner_text() == "merged"
    assert page.locator("img").count()
    assert not page.locator("img:not([alt]), img[alt='']").count()
    assert not complaints
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    page.emulate_media(media="print")
    assert not page.locator(".controls").is_visible()
    page.pdf(path=EXAMPLES / "page.pdf", format="A4", landscape=True)
    page.context.close()


def test_attacking_titles_and_an_empty_history_do_no_harm(browser, tmp_path):
    """Every title, tag and user id tries to break out of the page.

    A model with two layers shows the last one first.
    """
    world = hostile_world(tmp_path)
    explanations = {
        "attack": explain(world.counterfactual, world.control, world.sequences, 3),
        "empty": explanation_of(world.counterfactual, world.control, [], 0),
    }
    for name, explanation in explanations.items():
        file = tmp_path / f"{name}.html"
        file.write_text(Pages(world.items.image).page(explanation, "about"), encoding="utf-8")
        page, complaints = watched(browser, offline=True)
        page.on("dialog", lambda _, said=complaints: said.append("a dialog"))
        page.goto(file.as_uri())
        page.get_by_role("button", name="A", exact=True).press("Enter")
        for ask in page.locator("button.ask:visible").all():
            ask.press("Enter")
        assert not complaints
        assert page.get_by_label("layer").input_value() == "1"
        assert not page.locator("x-evil").count()
        page.context.close()
