"""`nexova tail`: messages of an output topic as readable lines."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, tzinfo
from itertools import islice
from typing import Annotated, Any, Literal

import typer
from pydantic import ValidationError

from cli import console
from cli.errors import discard_stdout, print_error
from cli.tail.lines import KINDS, Kind
from cli.tail.merge import read_in_order
from runtime.kafka import wait_for_broker
from runtime.logging import configure_logging
from runtime.settings import load_settings
from runtime.topic_reader import Record

What = Literal["alerts", "recommendations", "energy", "scores", "dead-letters"]
Shown = tuple[Record, Any]


@dataclass(slots=True)
class Reader:
    """Decoder of the requested records of one kind; counts those that cannot be read."""

    kind: Kind
    machine: str | None = None
    unreadable: int = 0

    def __call__(self, record: Record) -> tuple[float, Shown] | None:
        """Return the event time, epoch seconds, and the record with its message; None if it is not shown."""
        if record.value is None:
            return None
        try:
            message = self.kind.message.model_validate_json(record.value)
        except ValidationError:
            self.unreadable += 1
            return None
        if self.machine is not None and self.kind.machine(message) != self.machine:
            return None
        return self.kind.at(message).timestamp(), (record, message)


def tail(
    what: Annotated[What, typer.Argument(help="Kind of messages.")],
    *,
    machine: Annotated[str | None, typer.Option(help="Show only this machine.")] = None,
    from_start: Annotated[
        bool, typer.Option("--from-start/--new", help="Start with the oldest message, or with new ones only.")
    ] = True,
    follow: Annotated[
        bool | None,
        typer.Option("--follow/--no-follow", help="Continue after the end of the topic; default: on a terminal only."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after this number of messages.")] = None,
    utc: Annotated[bool, typer.Option("--utc", help="Show times in UTC instead of the local time zone.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the unchanged messages, one per line.")] = False,
) -> None:
    """Read alerts, recommendations, energy windows, scores or dead letters, in order of time.

    Without a terminal, it stops at the end of the topic and shows times in UTC.
    """
    settings = load_settings()
    configure_logging(settings)
    watched = console.on_a_terminal()
    wait_for_broker(settings.kafka, max_retries=settings.max_retries, on_retry=_report_retry)
    reader = Reader(KINDS[what], machine)
    zone = None if not watched else UTC if utc else console.local_zone()
    show = _printer(reader.kind, zone, as_json=as_json)
    following = watched if follow is None else follow
    if zone is not None and not as_json:
        ending = "; Ctrl-C ends" if following else ""
        print_error(f"{reader.kind.topic.name}, times in {console.zone_name(zone)}{ending}")
    found = read_in_order(
        settings.kafka, reader.kind.topic.name, decode=reader, from_start=from_start, follow=following
    )
    try:
        for record, message in islice(found, limit):
            show(record, message)
    except BrokenPipeError:
        discard_stdout()
    if reader.unreadable:
        print_error(f"{reader.unreadable} messages of {reader.kind.topic.name} could not be read and were omitted")


def _printer(kind: Kind, zone: tzinfo | None, *, as_json: bool) -> Callable[[Record, Any], None]:
    out = console.stdout()

    def show_json(record: Record, _: Any) -> None:
        # the bytes in Kafka, as a program would receive them
        out.file.write((record.value or b"").decode("utf-8", "replace").replace("\n", " ") + "\n")
        out.file.flush()

    def show_line(_: Record, message: Any) -> None:
        out.print(console.line(kind.line(message, zone)))
        out.file.flush()

    return show_json if as_json else show_line


def _report_retry(number: int, reason: str) -> None:
    if sys.stderr.isatty():
        print_error(f"no broker yet ({reason}); try {number}")
