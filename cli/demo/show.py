"""Display of a demo run: steps and a live view on a terminal, or single lines in a pipe."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from cli.console import line, local_zone, stdout
from cli.demo.view import Snapshot, render
from cli.tail.lines import alert_line
from schemas.alerts import Alert

_SPINNER: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_REFRESH_SECONDS: Final = 0.25
_LINE_SECONDS: Final = 5.0
_LINE_SECONDS_LATER: Final = 10.0
_A_WHILE: Final = 60.0
_NAME_WIDTH: Final = 20
_HEADING_WIDTH: Final = 10
_WRONG: Final = frozenset({"missed", "false"})


@dataclass(slots=True)
class Step:
    """One step of the start-up; `note` is its progress or result."""

    name: str
    started_at: float
    ended_at: float | None = None
    note: str = ""

    @property
    def seconds(self) -> float:
        """Duration of the step, up to now while it runs."""
        return (time.monotonic() if self.ended_at is None else self.ended_at) - self.started_at


class Show(Protocol):
    """Interface of a display."""

    def begin(self, name: str) -> Step:
        """Show that a step of the start-up has begun."""

    def end(self, step: Step, note: str = "") -> None:
        """Show that a step is done."""

    @contextmanager
    def live(self) -> Iterator[None]:
        """Display the live phase while the block runs."""

    def update(self, snapshot: Callable[[], Snapshot], *, at_once: bool = False) -> None:
        """Refresh the display if due, from a new snapshot; called often in the live phase."""

    def alert(self, alert: Alert) -> None:
        """Show that an alert was opened or resolved in the live phase."""

    def close(self) -> None:
        """Restore the terminal."""

    def finish(self, lines: Sequence[tuple[str, str]]) -> None:
        """Show the summary of the run, pairs of heading and text."""


@dataclass(slots=True)
class PlainShow:
    """A display for pipes and log files: a line for each step and alert, and a status line every few seconds."""

    out: Console = field(default_factory=stdout)
    _live_since: float = 0.0
    _shown_at: float = 0.0

    def begin(self, name: str) -> Step:
        """Print nothing: a step gets its line when it is done."""
        return Step(name, time.monotonic())

    def end(self, step: Step, note: str = "") -> None:
        """Print one line with the step's duration and note."""
        step.ended_at, step.note = time.monotonic(), note
        self._print(_step_line(step).plain)

    @contextmanager
    def live(self) -> Iterator[None]:
        """Schedule the first status line."""
        self._live_since = self._shown_at = time.monotonic()
        yield

    def update(self, snapshot: Callable[[], Snapshot], *, at_once: bool = False) -> None:  # noqa: ARG002  no picture
        """Print a status line if one is due."""
        now = time.monotonic()
        every = _LINE_SECONDS if now - self._live_since < _A_WHILE else _LINE_SECONDS_LATER
        if now - self._shown_at >= every:
            self._shown_at = now
            seen = snapshot()
            self._print(f"live {seen.seconds_live:.0f} s: {_figures(seen)}")

    def alert(self, alert: Alert) -> None:
        """Print the alert as `nexova tail alerts` does."""
        self._print(line(alert_line(alert, None)).plain)

    def close(self) -> None:
        """Do nothing: there is no terminal to restore."""

    def finish(self, lines: Sequence[tuple[str, str]]) -> None:
        """Print one line for each pair."""
        for heading, sentence in lines:
            self._print(f"{heading:<{_HEADING_WIDTH}}{sentence}")

    def _print(self, words: str) -> None:
        self.out.print(words)
        self.out.file.flush()


@dataclass(slots=True)
class TerminalShow:
    """A display for terminals: a tick for each step, and a live view on the alternate screen."""

    title: str
    out: Console = field(default_factory=lambda: Console(highlight=False, emoji=False))
    steps: list[Step] = field(default_factory=list)
    _live: Live | None = None
    _shown_at: float = 0.0

    def begin(self, name: str) -> Step:
        """Show the step with a spinner."""
        step = Step(name, time.monotonic())
        self.steps.append(step)
        if self._live is None:
            self.out.print(Text.assemble((" Nexova ", "bold reverse"), "  ", (self.title, "dim")), "")
            # drawn by a thread of its own, because a step may block
            self._live = Live(_Steps(self.steps), console=self.out, refresh_per_second=10)
            self._live.start()
        return step

    def end(self, step: Step, note: str = "") -> None:
        """Turn the spinner into a tick."""
        step.ended_at, step.note = time.monotonic(), note

    @contextmanager
    def live(self) -> Iterator[None]:
        """Draw on the alternate screen while the block runs."""
        self.close()
        with Live(console=self.out, screen=True, auto_refresh=False) as self._live:
            yield
        self._live = None
        self.steps = []

    def update(self, snapshot: Callable[[], Snapshot], *, at_once: bool = False) -> None:
        """Redraw the view a few times a second."""
        now = time.monotonic()
        if self._live is None or (not at_once and now - self._shown_at < _REFRESH_SECONDS):
            return
        self._shown_at = now
        width, height = self.out.size
        self._live.update(render(snapshot(), width=width, height=height, zone=local_zone()), refresh=True)

    def alert(self, alert: Alert) -> None:
        """Do nothing: the view itself shows alerts."""

    def close(self) -> None:
        """Stop drawing and restore the terminal; finished steps stay visible."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def finish(self, lines: Sequence[tuple[str, str]]) -> None:
        """Print the headings in a column, and failures in colour."""
        self.out.print()
        for heading, sentence in lines:
            style = "yellow" if heading in _WRONG else "dim"
            text = Text.assemble(" ", (f"{heading:<{_HEADING_WIDTH}}", style), sentence)
            self.out.print(text, soft_wrap=True)


@dataclass(slots=True)
class _Steps:
    steps: list[Step]

    def __rich__(self) -> RenderableType:
        return Group(*(_step_line(step) for step in self.steps))


def _step_line(step: Step) -> Text:
    spinner = _SPINNER[int(time.monotonic() * 10) % len(_SPINNER)]
    mark = (spinner, "cyan") if step.ended_at is None else ("✓", "green")
    name = f"{step.name:<{_NAME_WIDTH}}"
    text = Text.assemble(" ", mark, " ", name, (f"{step.seconds:5.1f} s", "dim"))
    if step.note:
        text.append(f"   {step.note}", "dim")
    return text


def _figures(seen: Snapshot) -> str:
    left = "" if seen.seconds_left is None else f", {seen.seconds_left:.0f} s left"
    latency = "" if seen.latency_p50_ms is None else f", latency {seen.latency_p50_ms:.0f} ms"
    return (
        f"{seen.scored:,} readings scored, {seen.per_second:,.0f}/s{latency}, {seen.alerts_open} alerts open, "
        f"{seen.faults_alerted} of {seen.faults_begun} faults alerted, {seen.dead_letters} dead letters{left}"
    )
