"""Runs `nexova` as a user would: a process of its own, in a folder of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-m", "nexova"]


def environment(**variables: str) -> dict[str, str]:
    """This process's environment with `variables` on top, and the checkout importable from anywhere."""
    return dict(os.environ) | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"} | variables


def nexova(
    *arguments: str, folder: Path, variables: Mapping[str, str] | None = None, seconds: float = 60.0
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments],
        cwd=folder,
        env=environment(**(variables or {})),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
