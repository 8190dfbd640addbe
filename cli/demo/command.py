"""`nexova demo`: the whole system on one machine, without any setup."""

import os
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from cli.console import on_a_terminal
from cli.demo.processes import Options, Stopped, stopping
from cli.demo.report import Report, summary
from cli.demo.run import run_demo
from cli.demo.show import PlainShow, Show, TerminalShow
from runtime.errors import FailureError, UsageError
from runtime.logging import configure_logging
from runtime.settings import load_settings

DAYS: Final = 7.0
"""A whole week of history, so that a machine's baseline covers every shift."""


def demo(
    *,
    broker: Annotated[
        Literal["tansu", "kafka"],
        typer.Option(help="tansu: embedded, in memory; kafka: a real Apache Kafka, needs Java 17 and Maven."),
    ] = "tansu",
    duration: Annotated[
        float | None,
        typer.Option(min=5, max=86_400, help="Duration of the live phase in seconds; default: until Ctrl-C."),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="JSON file for the figures of the run.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Random seed of the simulated plant.")] = 42,
    machines: Annotated[int, typer.Option(min=1, max=200, help="Number of machines.")] = 8,
    days: Annotated[float, typer.Option(min=1, max=14, help="Days of history before the live phase.")] = DAYS,
) -> None:
    """Start a broker, train models, simulate machines with faults, and show how they are detected.

    It needs no setup, listens on 127.0.0.1 only, and stops everything it started.
    """
    settings = load_settings()
    configure_logging(settings)
    _demand_folder(report)
    options = Options(broker=broker, duration=duration, seed=seed, machines=machines, days=days)
    show: Show = TerminalShow(options.title) if on_a_terminal() else PlainShow()
    with stopping() as stops:
        try:
            figures = run_demo(options, settings, show=show, stops=stops)
        except Stopped as stopped:
            raise typer.Exit(stopped.exit_code) from None
        finally:
            show.close()
    show.finish(summary(figures))
    if report is not None:
        _write(report, figures)
    _demand_sums(figures)


def _demand_folder(report: Path | None) -> None:
    """Raise a UsageError if the report cannot be written, before minutes of work."""
    if report is None:
        return
    if report.is_dir():
        raise UsageError(f"--report {report}: is a folder; name a file in it")
    if not os.access(report.resolve().parent, os.W_OK):
        raise UsageError(f"--report {report}: {report.parent} is no folder to write to; name another file")


def _write(report: Path, figures: Report) -> None:
    """Write the report atomically, so that a program that waits for the file never reads a part of it."""
    unfinished = report.with_name(f"{report.name}.part")
    unfinished.write_text(figures.model_dump_json(indent=2) + "\n", encoding="utf-8")
    unfinished.replace(report)


def _demand_sums(figures: Report) -> None:
    accounted = figures.readings_scored + figures.dead_letters
    if accounted != figures.readings_produced:
        raise FailureError(
            f"{figures.readings_produced:,} readings were produced, {accounted:,} scored or refused: the sums do not "
            "match; please report that, with the file of --report"
        )
