"""Names that look like one of the plant's: another case, spaces, or a unit in brackets."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

_BRACKETS: Final = re.compile(r"\s*[\[({].*?[\])}]")
_GAPS: Final = re.compile(r"[\s_-]+")


def near_misses(given: Iterable[str], known: Sequence[str]) -> dict[str, str]:
    """Return the given names that look like a known one which is not itself given, each with that one."""
    names = list(given)
    plain = {_plain(name): name for name in known if name not in names}
    return {name: plain[_plain(name)] for name in names if name not in known and _plain(name) in plain}


def looks_like(given: Iterable[str], known: Sequence[str]) -> str:
    """Return the near misses in words: `, 'Power' looks like power`; empty where there are none."""
    return "".join(f", {name!r} looks like {near}" for name, near in near_misses(given, known).items())


def _plain(name: str) -> str:
    return _GAPS.sub("_", _BRACKETS.sub("", name).strip().lower())
