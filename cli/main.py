"""`nexova`: the command line. Each command is loaded when it is called, so that asking for help takes no time.

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

HELP: Final = """Watches machines: streaming anomalies, maintenance advice and energy windows over Kafka.

Start with `nexova demo`: it brings all it needs.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Where a command is found, and the line that the overview shows; a group has commands of its own."""

    module: str
    attribute: str
    help: str
    group: bool = False
    hidden: bool = False


COMMANDS: Final[dict[str, Entry]] = {
    "demo": Entry(
        module="cli.demo.command",
        attribute="demo",
        help="Show everything at work on this machine, with nothing set up before.",
    ),
    "tail": Entry(
        module="cli.tail.command", attribute="tail", help="Read alerts and other results as they are published."
    ),
    "process": Entry(
        module="cli.process", attribute="process", help="Score readings, open alerts, advise, and roll up energy."
    ),
    "serve": Entry(
        module="cli.serve", attribute="serve", help="Serve forecasts, scores, advice and the live view over HTTP."
    ),
    "token": Entry(module="cli.token", attribute="token", help="Make a token for callers of the API."),
    "topics": Entry(
        module="cli.topics", attribute="app", help="Create the topics, and show what the broker has.", group=True
    ),
    "produce": Entry(
        module="cli.produce", attribute="app", help="Send readings: simulated, or replayed from CSV.", group=True
    ),
    "history": Entry(
        module="cli.history", attribute="app", help="Bring hourly energy of before into the state.", group=True
    ),
    "data": Entry(module="cli.data", attribute="app", help="Generate labelled data for training.", group=True),
    "train": Entry(module="cli.train", attribute="train", help="Train models and publish them to the repository."),
    "models": Entry(module="cli.models", attribute="app", help="List, show, promote and roll back models.", group=True),
    "backtest": Entry(
        module="cli.backtest.command",
        attribute="app",
        help="Measure what would have been said of the past.",
        group=True,
    ),
    "doctor": Entry(
        module="cli.doctor.command",
        attribute="doctor",
        help="Check settings, broker, topics and models, and say what to mend.",
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
    """The real command of that name, ready to be called."""
    entry = COMMANDS[name]
    found = getattr(importlib.import_module(entry.module), entry.attribute)
    if not isinstance(found, typer.Typer):
        single = typer.Typer(add_completion=False)
        single.command(name)(found)
        found = single
    found.info.name = name
    command = typer.main.get_group(found) if entry.group else typer.main.get_command(found)
    command.name = name
    return command


class LazyGroup(TyperGroup):
    """Shows each command by its line in the table above, and loads the one that is called."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        for name, entry in COMMANDS.items():
            self.add_command(TyperCommand(name, help=entry.help, hidden=entry.hidden))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that `args` begin with, and what is left of them."""
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
    """The entry point of the `nexova` program."""
    # ONNX Runtime would report its use to its makers over the internet; what runs in a plant tells nobody
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    sys.exit(run())


if __name__ == "__main__":
    main()
