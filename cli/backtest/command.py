"""`nexova backtest`: accuracy of detection, alerts and forecasts on recorded data."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli.backtest.alerts import alerts
from cli.backtest.detect import detect
from cli.backtest.report import as_document, print_report, write_forecasts
from cli.backtest.run import ALL_MODELS, SLOW, Plan, run
from cli.errors import print_error
from cli.shared_options import DecimalOption, EncodingOption, SeparatorOption
from core.forecasting.engine.backtest import LEAST_HISTORY, daily_origins
from core.forecasting.names import CANDIDATES, WITH_INPUTS
from runtime.errors import UsageError
from runtime.forecasting.calendars import AUTO
from runtime.forecasting.candidates import candidates_of
from runtime.forecasting.inputs_file import read_inputs
from runtime.forecasting.series_file import read_series
from runtime.tables.recognise import TextForm

app = typer.Typer(no_args_is_help=True, help="Measure detection or forecasts on past data.")


class Aggregate(StrEnum):
    """Ways to combine several values within an hour."""

    MEAN = "mean"
    SUM = "sum"


@app.callback()
def _group() -> None:
    """Measure detection or forecasts on past data."""


app.command()(detect)
app.command()(alerts)


@app.command()
def forecast(
    series: Annotated[
        Path, typer.Argument(help="CSV or Parquet file with a column of times and one of values, hourly or finer.")
    ],
    *,
    column: Annotated[str | None, typer.Option(help="Column of values, where several columns are numeric.")] = None,
    horizon: Annotated[int, typer.Option(min=1, max=336, help="Horizon in hours.")] = 72,
    origins: Annotated[int, typer.Option(min=1, help="Number of origins: the latest ones with a full horizon.")] = 91,
    step: Annotated[str, typer.Option(help="Time between two origins, in whole hours.")] = "24h",
    models: Annotated[
        str | None,
        typer.Option(
            help=f"Models compared with the selection, separated by commas, from {', '.join(ALL_MODELS)}; "
            f"default: all but {' and '.join(CANDIDATES)}."
        ),
    ] = None,
    sparse: Annotated[
        int, typer.Option(min=1, help=f"Number of origins, evenly spaced, for the slow models {', '.join(SLOW)}.")
    ] = 24,
    holidays: Annotated[
        str, typer.Option(help="Holidays: a country (US, DE-BY), none, or auto (recognised in the past data).")
    ] = AUTO,
    aggregate: Annotated[
        Aggregate, typer.Option(help="How several values within an hour are combined.")
    ] = Aggregate.MEAN,
    lower_bound: Annotated[
        float | None,
        typer.Option(help="Lower limit of the values; default: 0 if no value before the first origin is negative."),
    ] = None,
    known: Annotated[
        Path | None,
        typer.Option(
            help="CSV of inputs known in advance (planned production, shifts, temperature): a column of times and one "
            "or more of numbers, over the past and the horizon."
        ),
    ] = None,
    separator: SeparatorOption = None,
    decimal: DecimalOption = None,
    encoding: EncodingOption = None,
    out: Annotated[Path | None, typer.Option(help="Write every forecast to this CSV file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Forecast a series at many past origins, each with only the data before it, and measure the errors."""
    names = _names(models)
    if known is not None:
        names = (*names, *(name for name in WITH_INPUTS if models is None))
    if out is not None and not out.resolve().parent.is_dir():
        raise UsageError(f"--out {out}: its folder does not exist; create it, or name another")
    form = TextForm(encoding=encoding, separator=separator, decimal=decimal)
    found = read_series(series, column=column, aggregate=aggregate.value, form=form)
    inputs = None if known is None else read_inputs(known, form=form)
    hours = _whole_hours(step)
    chosen = daily_origins(found.series, horizon=horizon, count=origins, step=hours)
    if not len(chosen):
        raise UsageError(
            f"{series}: {len(found.series.values)} hours are too few for {LEAST_HISTORY} h of history and a horizon "
            f"of {horizon} h; give a longer series or ask for a shorter horizon"
        )
    for note in found.notes:
        print_error(f"note: {note}")
    if len(chosen) < origins:
        print_error(f"note: the series has room for {len(chosen)} origins, not {origins}")
    plan = Plan(
        series=found.series,
        origins=chosen,
        horizon=horizon,
        names=names,
        sparse=sparse,
        holidays=holidays,
        lower_bound=lower_bound,
        inputs=inputs,
    )
    with _progress(len(chosen) * (1 if inputs is None else 2)) as advance:
        results = run(plan, advance=advance)
    if out is not None:
        write_forecasts(out, plan, results)
    document = as_document(plan, results, file=str(series), column=found.column, step=hours)
    if as_json:
        typer.echo(json.dumps(document))
    else:
        print_report(document)


def _names(models: str | None) -> tuple[str, ...]:
    if models is None:
        return tuple(name for name in ALL_MODELS if name not in CANDIDATES)
    names = tuple(dict.fromkeys(name.strip() for name in models.split(",") if name.strip() not in {"", "selected"}))
    unknown = [name for name in names if name not in ALL_MODELS]
    if unknown:
        raise UsageError(f"--models: {', '.join(unknown)} is none; there are {', '.join(ALL_MODELS)}")
    candidates_of([name for name in names if name in CANDIDATES], asked_by="--models")
    return names


def _whole_hours(step: str) -> int:
    try:
        hours = pd.Timedelta(step) / pd.Timedelta(hours=1)
    except ValueError:
        hours = 0.5
    if hours < 1 or hours != int(hours):
        raise UsageError(f"--step {step!r}: must be whole hours, at least one; write for example 24h")
    return int(hours)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], Any]]:
    """Show the number of finished origins on stderr if it is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("origins", total=total)
        yield lambda: bar.update(task, advance=1)
