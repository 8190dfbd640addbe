"""Models for the demos of all tests: trained once, whichever of the test processes comes first."""

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import environment


@pytest.fixture(scope="session")
def trained_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository as the demo itself makes it on a fresh machine."""
    # the parent of the base folder is shared by the processes of pytest-xdist
    shared = tmp_path_factory.getbasetemp().parent
    folder = shared / "demo-models"
    with (shared / "demo-models.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            [sys.executable, "-m", "cli.demo.work", "models", "42"],
            env=environment(MODEL_PATH=str(folder)),
            cwd=shared,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return folder
