"""Every command that a page shows is one that there is."""

import re
from pathlib import Path

import pytest
import typer.main

from cli.main import app
from tests.deploy.checks import parse
from tests.docs.commands import ROOT, commands_of

PAGES = sorted(page.name for page in (ROOT / "docs").glob("*.md") if page.name not in {"cli.md", "architecture.md"})
TARGETS = {
    target
    for file in ("Makefile", "deploy/pipeline.mk")
    for target in re.findall(r"^([a-z-]+):", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
}


@pytest.mark.parametrize("page", PAGES)
def test_the_command_line_accepts_every_command_shown(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = list(commands_of(page))
    monkeypatch.chdir(tmp_path)

    for program, *words in shown:
        if program == "nexova":
            for word in words:  # files of the reader's that must be there to be accepted
                if re.fullmatch(r"[\w./-]+\.(csv|toml|jsonl|txt|ics|json|parquet)", word):
                    Path(word).parent.mkdir(parents=True, exist_ok=True)
                    Path(word).touch()
            parse(typer.main.get_command(app), words)
        elif program == "make":
            assert {word for word in words if "=" not in word} <= TARGETS, words


def test_a_command_with_a_misspelt_option_would_be_noticed() -> None:
    with pytest.raises(Exception, match="No such option"):
        parse(typer.main.get_command(app), ["capacity", "--machine-count", "3"])
