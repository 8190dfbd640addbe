"""The newcomer's path from a clean clone: nothing but what is committed, and the commands of the README.

`make setup` would install the locked packages; here the environment of the tests stands for it, with programs that
take Nexova's own code from the clone.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.brokers import unavailable
from tests.cli.command import ROOT, environment

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

SECONDS = 10


def run(*command: str, folder: Path, seconds: float = 60) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(PYTHONPATH=str(folder)),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    if not (ROOT / ".git").exists():
        unavailable("this is no Git checkout")
    folder = tmp_path / "nexova"
    run("git", "clone", "--quiet", str(ROOT), str(folder), folder=tmp_path)
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, arguments in (("python", ""), ("nexova", "-m nexova")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}" exec "{sys.executable}" {arguments} "$@"\n')
        program.chmod(0o755)
    for mark in (".ready-to-run", ".ready-to-test"):
        (folder / ".venv" / mark).touch()
    return folder


def test_the_demo_of_a_clean_clone_finds_what_it_broke(clone: Path) -> None:
    where = run(".venv/bin/python", "-c", "import core; print(core.__file__)", folder=clone)
    assert Path(where.strip()).is_relative_to(clone)
    assert "make demo" in run("make", "help", folder=clone)

    run("make", "demo", f"DURATION={SECONDS}", "REPORT=report.json", folder=clone, seconds=240)

    report = json.loads((clone / "report.json").read_text(encoding="utf-8"))
    assert report["readings_scored"] > 0, report
    assert run("git", "status", "--porcelain", "--untracked-files=no", folder=clone) == ""
