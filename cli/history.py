"""`nexova history import`: past hourly energy for the processor, used by its next forecast."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import numpy as np
import typer

from cli.shared_options import DecimalOption, EncodingOption, PlantOption, SeparatorOption
from core.forecasting.engine import HourlySeries
from runtime.forecasting.series_csv import parts_of, read_hours
from runtime.kafka import wait_for_broker
from runtime.plants import load_plant
from runtime.send import demand_topic, send_all
from runtime.settings import load_settings
from runtime.tables.recognise import TextForm
from schemas.history import EnergyHistory
from schemas.topics import HISTORY

app = typer.Typer(no_args_is_help=True, help="Import past hourly energy into the processor's state.")

_HOURS_A_MESSAGE: Final = 1_000


@app.callback()
def _root() -> None:
    """Keep the command's name: typer omits it when a group has a single command."""


@app.command("import")
def import_(
    series: Annotated[
        Path, typer.Argument(help="CSV or Parquet file with a column of times and one of the energy of each hour, kWh.")
    ],
    machine: Annotated[str, typer.Option("--machine", help="Machine id of the series.")],
    plant_file: PlantOption = None,
    column: Annotated[str | None, typer.Option(help="Column of values, where several columns are numeric.")] = None,
    separator: SeparatorOption = None,
    decimal: DecimalOption = None,
    encoding: EncodingOption = None,
) -> None:
    """Send the past hourly energy of a machine. Measured hours are never replaced; a repeated import changes nothing.

    Times without a zone are in the plant's time zone.
    """
    settings = load_settings()
    plant = load_plant(plant_file or settings.plant_file)
    hours = read_hours(
        series,
        ZoneInfo(plant.csv.timezone or plant.timezone),
        column=column,
        form=TextForm(encoding=encoding, separator=separator, decimal=decimal),
        latest=datetime.now(UTC),
        note=partial(typer.echo, err=True),
    )
    wait_for_broker(settings.kafka, max_retries=settings.max_retries)
    demand_topic(settings.kafka, HISTORY)
    send_all(settings.kafka, HISTORY, ((machine, message) for message in messages_of(machine, hours)))
    known = int(np.isfinite(hours.values).sum())
    weeks = settings.forecasts.history_weeks
    typer.echo(f"{known:,} hours of {machine} sent; the processor keeps the newest {weeks} weeks")


def messages_of(machine_id: str, hours: HourlySeries) -> Iterator[EnergyHistory]:
    """Return a series as messages, in order of time; parts without a known hour are omitted."""
    for start, values in parts_of(hours, _HOURS_A_MESSAGE):
        yield EnergyHistory(machine_id=machine_id, start=start, energy_kwh=values)
