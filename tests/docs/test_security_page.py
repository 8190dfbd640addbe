"""The security page names a test for its claims, and each of them is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_named_test_exists() -> None:
    named = set(re.findall(r"`(tests/[\w/.]+)`", (ROOT / "docs" / "security.md").read_text()))

    assert len(named) > 10
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
