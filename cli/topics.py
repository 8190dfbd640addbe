"""`nexova topics create | list | acl`: the topics of the catalogue on the broker, and the rights they need."""

import json
import shlex
import sys
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from runtime.errors import FailureError, UsageError
from runtime.kafka import TopicState, create_topics, list_topics, readers_of, wait_for_broker
from runtime.logging import configure_logging
from runtime.rights import RIGHTS, acls_of
from runtime.settings import Settings, load_settings
from schemas.topics import CATALOGUE

app = typer.Typer(
    name="topics",
    help="Create or list the topics on the broker, or print the rights that they need.",
    no_args_is_help=True,
)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]


@app.command()
def create(*, as_json: AsJson = False) -> None:
    """Create missing topics; existing ones are checked but never changed."""
    settings = _connected()
    states = create_topics(settings.kafka)
    _print(states, as_json=as_json)
    problems = [state.problem for state in states if state.problem]
    if problems:
        raise FailureError("; ".join(problems))


@app.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """List the topics with their policies and problems."""
    _print(list_topics(_connected().kafka), as_json=as_json)


@app.command()
def acl(
    process: Annotated[str, typer.Argument(help="producer, processor, trainer, api or forwarder.", show_default=False)],
    *,
    principal: Annotated[str, typer.Option(help="User of Kafka; {process} is replaced.")] = "User:nexova-{process}",
) -> None:
    """Print the least rights of a process as commands for kafka-acls; asks no broker."""
    if process not in RIGHTS:
        raise UsageError(f"PROCESS = {process!r:.80}: must be one of {', '.join(RIGHTS)}")
    kafka = load_settings().kafka
    options = {"topic": "--topic", "group": "--group", "transactionalId": "--transactional-id"}
    for one in acls_of(process, group=kafka.group, readers=readers_of(kafka)):
        words = ["kafka-acls.sh", "--bootstrap-server", kafka.bootstrap_servers, "--add"]
        words += ["--allow-principal", principal.replace("{process}", process)]
        words += [word for operation in one.operations for word in ("--operation", operation)]
        words += [options[one.kind], one.name, *(["--resource-pattern-type", "prefixed"] if one.prefixed else [])]
        typer.echo(shlex.join(words))


def _connected() -> Settings:
    settings = load_settings()
    configure_logging(settings)
    wait_for_broker(settings.kafka, max_retries=settings.max_retries, on_retry=_report_retry)
    return settings


def _report_retry(number: int, reason: str) -> None:
    if sys.stderr.isatty():
        typer.echo(f"no broker yet ({reason}); trying again ({number})", err=True)


def _print(states: tuple[TopicState, ...], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([asdict(state) | {"problem": state.problem} for state in states], indent=2))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("topic", "partitions", "policy", "kept", "key", "state"):
        table.add_column(column, no_wrap=True)
    catalogue = {topic.name: topic for topic in CATALOGUE}
    for state in states:
        topic = catalogue[state.name]
        hours = topic.retention_hours
        table.add_row(
            state.name,
            str(state.partitions or ""),
            topic.cleanup,
            "for good" if hours is None else f"{hours / 24:g} d",
            topic.key,
            _word(state),
        )
    # a pipe has no width, and its reader needs whole names
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _word(state: TopicState) -> str:
    if state.partitions == 0:
        return "missing"
    if state.problem:
        return f"should have {state.wanted_partitions}"
    return "created" if state.created else "there"
