"""The commands that pages show, as lists of words."""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
_SHOWN = re.compile(r"^ {4}((?:nexova|make|docker|kubectl|python) .+)$", re.MULTILINE)


def commands_of(page: str, *headings: str) -> Iterator[list[str]]:
    """The commands of a page of docs, or of its sections with these headings, in order and without comments."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    parts = [_section(text, heading) for heading in headings] if headings else [text]
    for part in parts:
        yield from (shlex.split(line, comments=True) for line in _SHOWN.findall(part))


def replaced(command: list[str], words: Mapping[str, str]) -> list[str]:
    """`command` with what stands for a reader's own (VERSION, SERIES.csv) replaced."""
    return [words.get(word, word) for word in command]


def _section(text: str, heading: str) -> str:
    found = re.search(rf"^(#+) {re.escape(heading)}\n", text, re.MULTILINE)
    assert found is not None, heading
    after = text[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", after, re.MULTILINE)
    return after[: end.start()] if end else after
