"""Output helpers of all commands: times, figures, colours, and escaping of untrusted text."""

import sys
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

from rich.console import Console
from rich.text import Text

from schemas.scores import FLAG_AT

SEVERITY_STYLES: Final = {"critical": "bold red", "warning": "yellow", "info": "cyan"}
STATE_STYLES: Final = {"opened": "bold", "updated": "", "resolved": "green"}
BAND_STYLES: Final = {"urgent": "bold red", "plan": "yellow", "watch": "cyan", "none": "green"}
CONDITION_STYLES: Final = {"running": "dim", "idle": "cyan", "off": "dim", "silent": "bold red", "unknown": "dim"}
CRITICAL_AT: Final = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of a line, padded to `width` characters; `right` aligns it to the right."""

    text: str
    width: int = 0
    style: str = ""
    right: bool = False


def line(cells: Iterable[Cell]) -> Text:
    """Return the cells as one line, separated by two spaces, without trailing spaces."""
    text = Text()
    for index, cell in enumerate(cells):
        shown = printable(cell.text)
        filled = shown.rjust(cell.width) if cell.right else shown.ljust(cell.width)
        text.append("  " if index else "")
        text.append(filled, cell.style or None)
    text.rstrip()
    return text


def printable(text: str) -> str:
    """Return `text` without control characters and line breaks; machine names are untrusted input."""
    if text.isprintable():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if _steers(character) else character for character in text)


def _steers(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def on_a_terminal() -> bool:
    """Return whether stdout is a terminal."""
    return sys.stdout.isatty()


class Output(Console):
    """A console that leaves the handling of a broken pipe to its caller."""

    def on_broken_pipe(self) -> None:
        """Raise the error to the caller; Rich would end the process."""
        raise BrokenPipeError


def stdout() -> Output:
    """Return the console for results: colours on a terminal, plain text in a pipe, lines never wrapped or cut."""
    return Output(file=sys.stdout, soft_wrap=True, highlight=False, markup=False, emoji=False)


def local_zone() -> tzinfo:
    """Return the local time zone."""
    zone = datetime.now().astimezone().tzinfo
    return UTC if zone is None else zone


def zone_name(zone: tzinfo) -> str:
    """Return `UTC`, or the zone's name with its current offset, such as `CET (UTC+01:00)`."""
    now = datetime.now(zone)
    offset = now.strftime("%z")
    return "UTC" if zone is UTC or not offset else f"{now.tzname()} (UTC{offset[:3]}:{offset[3:]})"


def moment(at: datetime, zone: tzinfo | None) -> str:
    """Return date and time in `zone`; with None, RFC 3339 in UTC, for programs."""
    if zone is None:
        return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def score_style(score: float | None) -> str:
    """Return the colour of an anomaly score in [0, 1]; high means anomalous."""
    if score is None:
        return "dim"
    if score >= CRITICAL_AT:
        return "bold red"
    return "yellow" if score >= FLAG_AT else "green"


def figure(value: float | None, digits: int = 1) -> str:
    """Return a formatted number, or a dash for None."""
    return "-" if value is None else f"{value:,.{digits}f}"
