"""`nexova plant`: drafts and checks of plant files."""

from pathlib import Path
from typing import Annotated, Final

import pandas as pd
import typer

from cli.shared_options import DecimalOption, EncodingOption, SeparatorOption
from core.plant import Plant, parse_plant
from runtime.errors import UsageError
from runtime.kafka import wait_for_broker
from runtime.plants import load_plant
from runtime.settings import load_settings
from runtime.tables.plant_draft import draft_plant
from runtime.tables.recognise import TextForm
from runtime.tables.table import Table, read_table
from runtime.topic_reader import Start, TopicReader

app = typer.Typer(no_args_is_help=True, help="Draft and check plant files.")

_SAMPLE: Final = 5_000  # newest messages of a topic
_READ_SECONDS: Final = 1.0


@app.command()
def init(
    file: Annotated[Path | None, typer.Argument(help="CSV or Parquet file of readings.")] = None,
    topic: Annotated[str | None, typer.Option(help="Kafka topic of JSON readings, instead of a file.")] = None,
    out: Annotated[Path, typer.Option(help="Plant file to write.")] = Path("plant.toml"),
    name: Annotated[str, typer.Option(help="Name of the plant.")] = "plant",
    timezone: Annotated[str, typer.Option(help="IANA time zone of the plant, and of times without one.")] = "UTC",
    separator: SeparatorOption = None,
    decimal: DecimalOption = None,
    encoding: EncodingOption = None,
    *,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Write a plant file from a sample of readings: sensors, units, ranges, interval and roles.

    Guesses are marked as guesses in the file; edit them, then run `nexova plant check`.
    """
    if (file is None) == (topic is None):
        raise UsageError("nexova plant init: give either a FILE or --topic, one of the two")
    if out.exists() and not overwrite:
        raise UsageError(f"--out {out}: exists already; name another file, or give --overwrite")
    if file is not None:
        table = read_table(file, TextForm(encoding=encoding, separator=separator, decimal=decimal))
    else:
        table = _of_topic(str(topic))
    draft = draft_plant(table, name=name, zone=timezone)
    parse_plant(draft.text, source=str(out))
    try:
        out.write_text(draft.text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be written ({error.strerror}); name another file") from None
    typer.echo(f"{out}: {'; '.join(draft.notes)}")
    typer.echo(f"next: edit it, then nexova plant check {out}")


@app.command()
def check(file: Annotated[Path, typer.Argument(help="Plant file, or the name of a shipped plant.")]) -> None:
    """Check a plant file and print what it describes; exit code 2 if a rule is broken."""
    plant = load_plant(file)
    for sensor in plant.sensors:
        role = f", role {sensor.role}" if sensor.role else ""
        typer.echo(f"sensor {sensor.name}: {sensor.minimum:g} to {sensor.maximum:g} {sensor.unit}{role}")
    for kind in plant.machine_types:
        typer.echo(f"machine type {kind.name}: {', '.join(kind.machines)}")
    typer.echo(f"a reading every {plant.interval_seconds:g} s; silent after {plant.silent_after_seconds:g} s")
    for hint in _hints(plant):
        typer.echo(f"note: {hint}")
    typer.echo(f"{file}: no rule is broken")


def _hints(plant: Plant) -> list[str]:
    hints = []
    if plant.index_of_role("power") is None and plant.index_of_role("energy_counter") is None:
        hints.append("no sensor has the role power or energy_counter, so there are no energy windows and forecasts")
    if not plant.machine_types:
        hints.append("no machine types, so a new machine cannot borrow the baseline of its type")
    if not any(sensor.critical_high is not None or sensor.warning_high is not None for sensor in plant.sensors):
        hints.append("no sensor has a limit, so there are no limit alerts")
    return hints


def _of_topic(topic: str) -> Table:
    """Return the newest readings of a topic as a table of text."""
    import msgspec  # noqa: PLC0415  a file needs none of it

    settings = load_settings()
    wait_for_broker(settings.kafka, max_retries=settings.max_retries)
    rows: list[dict[str, str]] = []
    refused = 0
    with TopicReader(settings.kafka, {topic: Start(newest=_SAMPLE)}) as reader:
        while not reader.caught_up and len(rows) < _SAMPLE:
            for record in reader.read(_READ_SECONDS):
                try:
                    found = msgspec.json.decode(record.value or b"null")
                except msgspec.DecodeError:
                    refused += 1
                    continue
                some = found if isinstance(found, list) else [found]
                rows += [
                    {str(key): "" if value is None else str(value) for key, value in one.items()}
                    for one in some
                    if isinstance(one, dict)
                ]
    if not rows:
        raise UsageError(f"--topic {topic}: its newest messages hold no JSON objects; give a topic of readings")
    frame = pd.DataFrame(rows, dtype=str).fillna("")
    frame.index = pd.RangeIndex(1, len(frame) + 1)
    if refused:
        typer.echo(f"{refused:,} messages are no JSON and were omitted", err=True)
    return Table(path=Path(topic), frame=frame, form=None)
