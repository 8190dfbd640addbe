"""Where the real data sets are that some tests read; none of them is part of the repository."""

import os
from pathlib import Path

from tests.brokers import unavailable

VARIABLE = "NEXOVA_TEST_DATA"


def shared_data(*parts: str) -> Path:
    """Return the path of a shared data file or folder; without it, the test is skipped (see `unavailable`)."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get(VARIABLE) or beside).joinpath(*parts)
    if not path.exists():
        unavailable(f"{path} is not there; set {VARIABLE} to the folder of the shared data")
    return path
