"""A real browser, and pages that tell what they complain about."""

import contextlib
import shutil

import pytest
from playwright.sync_api import Error, sync_playwright

LAPTOP = {"width": 1366, "height": 860}


@contextlib.contextmanager
def chromium():
    """Playwright's own browser where it is installed, else Debian's; skipped aloud without one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    with sync_playwright() as playwright:
        for path in (None, found):
            with contextlib.suppress(Error):
                window = playwright.chromium.launch(
                    executable_path=path, args=["--no-sandbox", "--disable-gpu"]
                )
                break
        else:
            pytest.skip(
                "no browser: install one with `apt install chromium` or `python -m playwright "
                "install chromium`"
            )
        yield window
        window.close()


def watched(browser, **options):
    """A page and the list of everything it complained about."""
    page, complaints = browser.new_context(viewport=LAPTOP, **options).new_page(), []

    def said(message):
        if message.type == "error":
            complaints.append(message.text)

    page.on("console", said)
    page.on("pageerror", lambda error: complaints.append(str(error)))

    def failed(request):
        if request.failure != "net::ERR_ABORTED":
            complaints.append(f"failed: {request.url}")

    page.on("requestfailed", failed)
    return page, complaints
