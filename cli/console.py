"""What all commands print alike: times, figures, colours, and text of strangers made harmless."""

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
    """A piece of a line, filled up to `width` characters; `right` puts it at the right edge of them."""

    text: str
    width: int = 0
    style: str = ""
    right: bool = False


def line(cells: Iterable[Cell]) -> Text:
    """Return the cells side by side, two spaces between them, without trailing ones."""
    text = Text()
    for index, cell in enumerate(cells):
        shown = printable(cell.text)
        filled = shown.rjust(cell.width) if cell.right else shown.ljust(cell.width)
        text.append("  " if index else "")
        text.append(filled, cell.style or None)
    text.rstrip()
    return text


def printable(text: str) -> str:
    """`text` without characters that steer a terminal or break a line: a machine's name may come from anywhere."""
    if text.isprintable():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if _steers(character) else character for character in text)


def _steers(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def on_a_terminal() -> bool:
    """Return whether a person watches what goes to stdout."""
    return sys.stdout.isatty()


class Output(Console):
    """A console that lets its caller decide what it means that the reader has left."""

    def on_broken_pipe(self) -> None:
        """Rich would end the process with an error."""
        raise BrokenPipeError


def stdout() -> Output:
    """Where results go: colours on a terminal, nothing but text in a pipe, and lines are never cut or broken."""
    return Output(file=sys.stdout, soft_wrap=True, highlight=False, markup=False, emoji=False)


def local_zone() -> tzinfo:
    """Return the zone that this machine's clock is set to."""
    zone = datetime.now().astimezone().tzinfo
    return UTC if zone is None else zone


def zone_name(zone: tzinfo) -> str:
    """`UTC`, or the zone with its offset now: `CET (UTC+01:00)`."""
    now = datetime.now(zone)
    offset = now.strftime("%z")
    return "UTC" if zone is UTC or not offset else f"{now.tzname()} (UTC{offset[:3]}:{offset[3:]})"


def moment(at: datetime, zone: tzinfo | None) -> str:
    """Return a time of day with its date in `zone`; None: RFC 3339 in UTC, for programs."""
    if zone is None:
        return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def score_style(score: float | None) -> str:
    """Colour of an anomaly score in [0, 1]; high means anomalous."""
    if score is None:
        return "dim"
    if score >= CRITICAL_AT:
        return "bold red"
    return "yellow" if score >= FLAG_AT else "green"


def figure(value: float | None, digits: int = 1) -> str:
    """Return a number for people, and a dash for none."""
    return "-" if value is None else f"{value:,.{digits}f}"
