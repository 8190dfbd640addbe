"""The `nexova` command line; each command is loaded when it is called, so that help is fast.

Errors that people can act on are one line on stderr: exit code 2 for the user's mistakes, 1 for failures, 130 after
Ctrl-C. A traceback is printed with LOG_LEVEL=DEBUG only.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from cli.errors import reported

HELP: Final = """Machine monitoring over Kafka: anomalies, maintenance advice and energy forecasts.

Start with `nexova demo`, which needs no setup.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Module, attribute and help line of a command; a group has subcommands."""

    module: str
    attribute: str
    help: str
    group: bool = False
    hidden: bool = False


COMMANDS: Final[dict[str, Entry]] = {
    "demo": Entry(
        module="cli.demo.command",
        attribute="demo",
        help="Run the whole system on this machine, without any setup.",
    ),
    "tail": Entry(
        module="cli.tail.command", attribute="tail", help="Print alerts and other results as they are published."
    ),
    "process": Entry(
        module="cli.process",
        attribute="process",
        help="Process readings: scores, alerts, maintenance advice and hourly energy.",
    ),
    "serve": Entry(
        module="cli.serve", attribute="serve", help="Serve forecasts, scores, advice and the live console over HTTP."
    ),
    "token": Entry(module="cli.token", attribute="token", help="Create a token for the API."),
    "forward": Entry(
        module="cli.forward",
        attribute="forward",
        help="Forward alerts to Alertmanager, a webhook, mail or a maintenance system.",
    ),
    "export": Entry(module="cli.export", attribute="export", help="Export a topic to Parquet files."),
    "topics": Entry(module="cli.topics", attribute="app", help="Create or list the topics.", group=True),
    "produce": Entry(
        module="cli.produce", attribute="app", help="Send simulated readings, or replay them from files.", group=True
    ),
    "feedback": Entry(module="cli.feedback", attribute="feedback", help="Give feedback on an alert."),
    "history": Entry(module="cli.history", attribute="app", help="Import past hourly energy.", group=True),
    "plan": Entry(
        module="cli.plan", attribute="app", help="Import production plans and weather for the forecasts.", group=True
    ),
    "data": Entry(module="cli.data", attribute="app", help="Generate labelled data for training.", group=True),
    "plant": Entry(module="cli.plant", attribute="app", help="Draft and check plant files.", group=True),
    "bridge": Entry(
        module="cli.bridge",
        attribute="app",
        help="Convert messages of other Kafka or MQTT topics to readings.",
        group=True,
    ),
    "source": Entry(
        module="cli.source", attribute="app", help="Test the sources of the plant file on samples.", group=True
    ),
    "train": Entry(module="cli.train", attribute="train", help="Train models and publish them to the repository."),
    "models": Entry(module="cli.models", attribute="app", help="List, show, promote and roll back models.", group=True),
    "backtest": Entry(
        module="cli.backtest.command",
        attribute="app",
        help="Measure detection or forecasts on past data.",
        group=True,
    ),
    "capacity": Entry(
        module="cli.capacity", attribute="capacity", help="Estimate workers, partitions, memory and disk of a plant."
    ),
    "doctor": Entry(
        module="cli.doctor.command",
        attribute="doctor",
        help="Check settings, broker, topics and models, and name the remedy.",
    ),
    "docs": Entry(
        module="cli.docs.command",
        attribute="app",
        help="Write or check generated documentation.",
        group=True,
        hidden=True,
    ),
}


def load(name: str) -> Any:
    """Import and return the command of that name."""
    entry = COMMANDS[name]
    found = getattr(importlib.import_module(entry.module), entry.attribute)
    if not isinstance(found, typer.Typer):
        single = typer.Typer(add_completion=False)
        single.command(name)(found)
        found = single
    found.info.name = name
    command = typer.main.get_group(found) if entry.group else typer.main.get_command(found)
    command.name = name
    _keep_brackets(command)
    return command


def _keep_brackets(command: Any) -> None:
    """Escape brackets that Rich takes for markup in help texts, as in `nexova[dask]`."""
    from rich.markup import escape  # noqa: PLC0415  an error's traceback needs no Rich

    for described in (command, *command.params):
        text = getattr(described, "help", None)
        if text:
            described.help = escape(text)
    for subcommand in getattr(command, "commands", {}).values():
        _keep_brackets(subcommand)


class LazyGroup(TyperGroup):
    """A group that lists commands from the table above and loads only the one that runs."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        for name, entry in COMMANDS.items():
            self.add_command(TyperCommand(name, help=entry.help, hidden=entry.hidden))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that `args` begin with, and the remaining arguments."""
        if args and args[0] in COMMANDS:
            self.add_command(load(args[0]))
        return super().resolve_command(ctx, args)


app = typer.Typer(cls=LazyGroup, name="nexova", help=HELP, no_args_is_help=True, add_completion=True)


def _show_version(wanted: bool) -> None:  # noqa: FBT001  typer calls it with the option's value
    if wanted:
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  seldom needed

        try:
            typer.echo(f"nexova {version('nexova')}")
        except PackageNotFoundError:
            typer.echo("nexova (not installed; run from a checkout)")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (None: that of this process) and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    command = typer.main.get_command(app)
    return reported(lambda: command.main(given, prog_name="nexova", standalone_mode=False))


def main() -> None:
    """Run the `nexova` program."""
    # ONNX Runtime would send usage data over the internet, which a plant's network must not do
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    sys.exit(run())
