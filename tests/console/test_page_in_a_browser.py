"""The page at `/` in a real browser: what a person sees, not what the server sent."""

import shutil
import subprocess
from pathlib import Path

from tests.api.servers import running_server
from tests.brokers import unavailable


def dom_of(url: str, profile: Path) -> str:
    """What Chromium made of the page, its scripts and styles applied."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        unavailable("no Chromium; install it (Debian: apt-get install chromium)")
    done = subprocess.run(
        [str(chromium), "--headless", "--no-sandbox", f"--user-data-dir={profile}", "--dump-dom", url],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_page_opens_in_a_browser_and_says_how_the_service_is(tmp_path: Path) -> None:
    with running_server(model_path=str(tmp_path / "none")) as server:
        dom = dom_of(server.url + "/", tmp_path / "profile")

    assert "<title>Nexova</title>" in dom
    assert "Live view" in dom
    assert "Newest alerts" in dom
