"""Where the real data sets are that some tests read; none of them is part of the repository."""

import os
from pathlib import Path

from tests.brokers import unavailable

VARIABLE = "NEXOVA_TEST_DATA"


def shared_data(*parts: str) -> Path:
    """Path of a shared data file or folder; skips the test where there is none, and fails it when CI=true."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get(VARIABLE) or beside).joinpath(*parts)
    if not path.exists():
        unavailable(f"{path} is not there; set {VARIABLE} to the folder of the shared data")
    return path
