"""A real browser for tests: the machine's own Chromium, driven by Playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

from tests.brokers import unavailable

ARTEFACTS = "NEXOVA_TEST_SCREENSHOTS"
"""A folder in which screenshots of every page are kept, where this is set."""
WIDE, PHONE = (1400, 900), (390, 800)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Chromium without a window; where there is none, the test is skipped."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        unavailable("no Chromium; install it (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, url: str, *, size: tuple[int, int] = WIDE, scheme: str = "light") -> Iterator[Page]:
    """A page of its own that may ask only `url`'s host, and whose script must not fail."""
    host = urlsplit(url).netloc
    elsewhere: list[str] = []
    failures: list[str] = []
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if scheme == "dark" else "light",
        is_mobile=size == PHONE,
        has_touch=size == PHONE,
        base_url=url,
        locale="en-GB",
    )
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.on("request", lambda request: elsewhere.append(request.url) if urlsplit(request.url).netloc != host else None)
    page.on("pageerror", lambda error: failures.append(str(error)))
    try:
        yield page
        assert not elsewhere, "a request left the host"
        assert not failures, failures
    finally:
        context.close()


def keep_screenshot(page: Page, name: str) -> None:
    """Keep what the page looks like, where somebody wants to see it."""
    folder = os.environ.get(ARTEFACTS)
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
