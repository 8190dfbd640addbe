"""`nexova export`: a topic as Parquet files, for notebooks, SQL and archives."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from runtime.errors import UsageError
from runtime.kafka import wait_for_broker
from runtime.settings import load_settings


class Format(StrEnum):
    """Format of the files."""

    PARQUET = "parquet"


def export(
    topic: Annotated[str, typer.Argument(help="Topic of the catalogue: alerts, or nexova.alerts.")],
    *,
    to: Annotated[str, typer.Option("--to", help="Folder or bucket: DIR, s3://bucket/prefix, gs://…")],
    format_: Annotated[Format, typer.Option("--format", help="Format of the files.")] = Format.PARQUET,
    since: Annotated[
        str | None, typer.Option(help="Only messages written to Kafka since then, such as 2026-03-01T00:00:00Z.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write the current messages of a topic as one table: a file for each partition, replaced at the next export."""
    from runtime.topic_export import export_topic  # noqa: PLC0415  help should not wait for pyarrow

    del format_  # there is only one
    settings = load_settings()
    begin = None if since is None else _moment(since)
    wait_for_broker(settings.kafka, max_retries=settings.max_retries)
    found = export_topic(settings.kafka, _name(topic), to, since=begin)
    if as_json:
        typer.echo(json.dumps(asdict(found)))
        return
    unread = f", {found.unreadable} messages were no JSON objects and are omitted" if found.unreadable else ""
    typer.echo(f"{found.topic}: {found.rows:,} rows in {len(found.files)} files in {to}{unread}")


def _name(topic: str) -> str:
    from schemas.topics import CATALOGUE  # noqa: PLC0415

    known = [one.name for one in CATALOGUE]
    for name in known:
        if topic in {name, name.removeprefix("nexova.")}:
            return name
    short_names = ", ".join(name.removeprefix("nexova.") for name in known)
    raise UsageError(f"topic {topic}: is not in the catalogue; use one of {short_names}")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--since {text}: is no time; write it as 2026-03-01T00:00:00Z") from error
    if moment.tzinfo is None:
        raise UsageError(f"--since {text}: has no zone; add Z, or an offset such as +01:00")
    return moment.astimezone(UTC)
