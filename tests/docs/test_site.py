"""The site is built of the pages, with every link and anchor checked by MkDocs itself."""

import sys
from pathlib import Path

from tests.deploy.checks import ROOT, run

MKDOCS = Path(sys.executable).with_name("mkdocs")


def test_the_site_is_built_and_no_link_leads_nowhere(tmp_path: Path) -> None:
    built = run(MKDOCS, "build", "--strict", "--config-file", ROOT / "mkdocs.yml", "--site-dir", tmp_path / "site")

    assert built.returncode == 0, built.stderr
    assert "Nexova" in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    page = (tmp_path / "site" / "runbook" / "index.html").read_text(encoding="utf-8")
    assert "https://fonts." not in page, "nothing is fetched from elsewhere"


def test_a_link_that_leads_nowhere_would_fail(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("[gone](nowhere.md) [away](#nothing)\n")
    (tmp_path / "mkdocs.yml").write_text("site_name: x\nstrict: true\nvalidation: {links: {anchors: warn}}\n")

    refused = run(MKDOCS, "build", "--config-file", tmp_path / "mkdocs.yml", "--site-dir", tmp_path / "site")

    assert refused.returncode != 0
    assert "nowhere.md" in refused.stderr
