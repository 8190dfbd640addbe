"""`nexova data`: files of labelled readings of a simulated plant."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli.shared_options import PlantOption
from producer.datasets import FileFormat, SplitSummary, write_dataset
from runtime.plants import load_plant
from runtime.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="Generate labelled data for training.")


@app.callback()
def _group() -> None:
    """Labelled data of a simulated plant, for training and back-tests."""


@app.command()
def generate(
    out: Annotated[Path, typer.Option("--out", help="Output folder; must be new or empty.")],
    days: Annotated[int, typer.Option(min=1, help="Length of the history in days.")] = 180,
    machines: Annotated[int, typer.Option(min=1, help="Number of machines, taking the machine types in turn.")] = 8,
    frequency: Annotated[
        str, typer.Option(help="Time between two readings of a machine, such as 5min, 30s or 1h.")
    ] = "5min",
    seed: Annotated[int, typer.Option(help="Random seed; the same seed gives identical files.")] = 42,
    ratio: Annotated[
        str, typer.Option(help="Shares of training, validation and test data, in order of time.")
    ] = "80/10/10",
    file_format: Annotated[FileFormat, typer.Option("--format", help="Format of the files.")] = "csv",
    plant_file: PlantOption = None,
    *,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing data set.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")] = False,
) -> None:
    """Write train_data, val_data, test_data (in order of time) and anomaly_binary (balanced, from training only)."""
    plant = load_plant(plant_file or load_settings().plant_file)
    # on stderr, and on a terminal only: stdout holds nothing but the result
    with Console(stderr=True).status(f"generating {days} days of {machines} machines"):
        summaries = write_dataset(
            out,
            plant=plant,
            days=days,
            machines=machines,
            frequency=frequency,
            seed=seed,
            ratio=ratio,
            file_format=file_format,
            overwrite=overwrite,
        )
    if as_json:
        typer.echo(json.dumps([asdict(summary) for summary in summaries]))
        return
    typer.echo(
        f"{out}: {sum(summary.rows for summary in summaries[:-1]):,} readings of {machines} machines, seed {seed}"
    )
    for summary in summaries:
        typer.echo(_line(summary))


def _line(summary: SplitSummary) -> str:
    return (
        f"  {summary.file:<24}{summary.rows:>10,} rows  {summary.anomalous_share:>6.1%} anomalous  "
        f"{summary.first} to {summary.last}"
    )
