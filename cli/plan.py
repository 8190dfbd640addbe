"""`nexova plan import`: known-future inputs of a machine, such as its production plan, for the forecasts."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import numpy as np
import typer

from cli.shared_options import DecimalOption, EncodingOption, PlantOption, SeparatorOption
from core.forecasting.engine import HourlySeries
from core.forecasting.input_table import AHEAD_HOURS
from runtime.errors import UsageError
from runtime.forecasting.inputs_file import input_columns
from runtime.forecasting.series_csv import parts_of, read_hours
from runtime.kafka import wait_for_broker
from runtime.plants import load_plant
from runtime.send import demand_topic, send_all
from runtime.settings import load_settings
from runtime.tables.recognise import TextForm
from schemas.known_inputs import MOST_NAME, MOST_VALUE, KnownInput
from schemas.topics import KNOWN_INPUTS

app = typer.Typer(no_args_is_help=True, help="Import production plans, shifts and weather for the forecasts.")

_HOURS_A_MESSAGE: Final = 1_000
_NO_NAME: Final = re.compile(r"[^\w.-]+")


@app.callback()
def _root() -> None:
    """Keep the command's name: typer omits it when a group has a single command."""


@app.command("import")
def import_(
    plan: Annotated[
        Path, typer.Argument(help="CSV or Parquet file with a column of times and one for each input, by the hour.")
    ],
    machine: Annotated[str, typer.Option("--machine", help="Machine id of the inputs.")],
    plant_file: PlantOption = None,
    separator: SeparatorOption = None,
    decimal: DecimalOption = None,
    encoding: EncodingOption = None,
) -> None:
    """Send known inputs, such as planned production, of past and future hours; a later import replaces its hours.

    Forecasts use them as far as they helped on the past ones. Times without a zone are in the plant's time zone.
    """
    settings = load_settings()
    plant = load_plant(plant_file or settings.plant_file)
    form = TextForm(encoding=encoding, separator=separator, decimal=decimal)
    names = input_columns(plan, form=form)
    zone = ZoneInfo(plant.csv.timezone or plant.timezone)
    latest = datetime.now(UTC) + timedelta(hours=AHEAD_HOURS)
    note = partial(typer.echo, err=True)
    inputs = {name: read_hours(plan, zone, column=name, form=form, latest=latest, note=note) for name in names}
    for name, hours in inputs.items():
        largest = float(np.nanmax(np.abs(hours.values), initial=0.0))
        if largest > MOST_VALUE:
            raise UsageError(f"{plan}: {name} reaches {largest:g}, an input at most {MOST_VALUE:g}; use a larger unit")
    wait_for_broker(settings.kafka, max_retries=settings.max_retries)
    demand_topic(settings.kafka, KNOWN_INPUTS)
    messages = [(machine, one) for name, hours in inputs.items() for one in messages_of(machine, name, hours)]
    send_all(settings.kafka, KNOWN_INPUTS, messages)
    known = sum(int(np.isfinite(hours.values).sum()) for hours in inputs.values())
    typer.echo(f"{known:,} hours of {', '.join(names)} sent for {machine}")


def messages_of(machine_id: str, name: str, hours: HourlySeries) -> Iterator[KnownInput]:
    """Return an input as messages, in order of time; parts without a known hour are omitted."""
    named = _NO_NAME.sub("_", name)[:MOST_NAME]
    for start, values in parts_of(hours, _HOURS_A_MESSAGE):
        yield KnownInput(machine_id=machine_id, name=named, start=start, values=values)
