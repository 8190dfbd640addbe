"""`nexova train`: training of models on labelled readings, and the quick training of the demo."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cli.errors import print_error
from cli.lifetimes import LifetimeReport, Unit, holds_run_to_failure, train_lifetimes
from core.plant import Plant
from runtime.errors import UsageError
from runtime.kafka import wait_for_broker
from runtime.models.announce import announcement
from runtime.models.manifest import Manifest
from runtime.models.repository import ModelRepository
from runtime.plants import load_plant
from runtime.settings import Settings, load_settings

if TYPE_CHECKING:
    from trainer.candidate import Progress as Report
    from trainer.families import Family
    from trainer.trainer import TrainingReport

DEMO_DAYS: Final = 30
DEMO_MACHINES: Final = 8
_MOST_CAP: Final = 1e6


class Backend(StrEnum):
    """Back ends that run the fits of many machines."""

    LOKY = "loky"
    DASK = "dask"
    RAY = "ray"


def train(
    *,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder with train_data, val_data and test_data (.csv or .parquet); for maintenance also a table, or "
            "a folder of tables, in which each machine runs to its failure."
        ),
    ] = None,
    from_kafka: Annotated[
        bool, typer.Option("--from-kafka", help="Train on the readings, alerts and feedback in Kafka.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(help="With --from-kafka: time of the oldest reading, as 2026-03-01T00:00:00Z; default: all."),
    ] = None,
    what: Annotated[
        str, typer.Argument(help="anomaly, maintenance, forecast, the name of an installed model family, or all.")
    ] = "all",
    models: Annotated[
        str | None, typer.Option(help="Model repository: a folder or a URL; default: MODEL_PATH.")
    ] = None,
    plant: Annotated[Path | None, typer.Option(help="Plant file, or the name of a shipped plant.")] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Random seed; the same seed and data give the same forests.")
    ] = 42,
    backend: Annotated[
        Backend,
        typer.Option(help="Where fits of many machines run; dask and ray need the extra nexova[dask] or nexova[ray]."),
    ] = Backend.LOKY,
    cap: Annotated[
        float | None,
        typer.Option(help="Cap of the time to failure, in --unit; default: 125 rows of a machine."),
    ] = None,
    unit: Annotated[
        Unit | None, typer.Option(help="Unit of --cap, --truth and the printed errors; default: that of the table.")
    ] = None,
    test: Annotated[Path | None, typer.Option(help="Table of machines that are used for the evaluation only.")] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Text file with the time left after the last row of each machine of --test.")
    ] = None,
    announce: Annotated[
        bool, typer.Option("--announce/--no-announce", help="Notify running workers of promotions.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Train models on labelled readings, evaluate them on the test split, and publish them.

    From Kafka, the labels come from feedback on alerts and machines; without any, faults are injected into the test
    split for the evaluation.
    """
    # scikit-learn takes a second to load, which other commands do not need
    from trainer.families import installed_families  # noqa: PLC0415
    from trainer.fanout import Backend as Workers  # noqa: PLC0415
    from trainer.fanout import working_on  # noqa: PLC0415
    from trainer.trainer import MLModelTrainer  # noqa: PLC0415

    begin = _moment(data, since, from_kafka=from_kafka)
    lives = _of_lives(what, data, {"--cap": cap, "--unit": unit, "--test": test, "--truth": truth})
    settings = load_settings()
    known = load_plant(plant or settings.plant_file)
    where = models or settings.model_path
    repository = ModelRepository.of(settings, where)
    families = installed_families()
    workers = Workers(backend.value)
    chosen = None if what == "all" else (what,)
    found: LifetimeReport | None = None
    with progress_bar() as progress:
        if data is not None and lives:
            found = train_lifetimes(
                data,
                plant=known,
                chosen=plant is not None,
                repository=repository,
                seed=seed,
                cap=cap,
                unit=unit,
                test=test,
                truth=truth,
                progress=progress,
            )
            report = found.report
        elif data is None:
            # before the history is read, so that a missing cluster is reported at once
            with working_on(workers):
                report = _train_from_kafka(
                    settings, chosen, families, known, repository, since=begin, seed=seed, progress=progress
                )
        else:
            trainer = MLModelTrainer(
                data,
                where,
                plant=known,
                seed=seed,
                progress=progress,
                families=families,
                backend=workers,
                repository=repository,
            )
            report = trainer.train(chosen)
    promoted = [item.promotion for item in report.trained if item.promotion is not None and announce]
    troubles = {entry.name: announcement(entry.name, repository, settings.kafka) for entry in promoted}
    _print(report, troubles, lifetimes=found, as_json=as_json)


def _of_lives(what: str, data: Path | None, options: Mapping[str, object]) -> bool:
    """Return whether the data is a table of lives; raises UsageError for options that go with nothing else."""
    given = [name for name, value in options.items() if value is not None]
    if given and (what != "maintenance" or data is None):
        raise UsageError(f"{given[0]} {options[given[0]]}: goes with train maintenance --data TABLE; leave it out")
    cap = options["--cap"]
    if isinstance(cap, float) and not 0 < cap < _MOST_CAP:
        raise UsageError(
            f"--cap {cap:g}: must be above 0 and below {_MOST_CAP:g}; leave it out for 125 rows of a machine"
        )
    return what == "maintenance" and data is not None and (bool(given) or holds_run_to_failure(data))


def _moment(data: Path | None, since: str | None, *, from_kafka: bool) -> datetime | None:
    """Check that exactly one source of data is given, and return `since` as a time."""
    if from_kafka == (data is not None):
        given = "both are" if from_kafka else "neither is"
        raise UsageError(f"--data DIR or --from-kafka says what to learn from, and {given} given; give one")
    if since is None:
        return None
    if not from_kafka:
        raise UsageError(f"--since {since}: goes with --from-kafka; files are read whole")
    try:
        moment = datetime.fromisoformat(since)
    except ValueError as error:
        raise UsageError(f"--since {since}: {error}; write it as 2026-03-01T00:00:00Z") from error
    if moment.tzinfo is None:
        raise UsageError(f"--since {since}: has no zone; write it as {since}Z, if it is UTC")
    return moment


def _train_from_kafka(
    settings: Settings,
    names: tuple[str, ...] | None,
    own: "tuple[Family, ...]",
    plant: Plant,
    repository: ModelRepository,
    *,
    since: datetime | None,
    seed: int,
    progress: "Report",
) -> "TrainingReport":
    """Train the models for which the history in Kafka suffices; raise if a single named family cannot be trained.

    names: None means all; own: families of the user's own.
    """
    from runtime.forecasting.published import FORECAST  # noqa: PLC0415
    from trainer.families import known_families  # noqa: PLC0415
    from trainer.forecast import can_be_forecast  # noqa: PLC0415
    from trainer.from_kafka import datasets_from_kafka, learnable  # noqa: PLC0415
    from trainer.trainer import train_models  # noqa: PLC0415

    known = known_families(own)
    wait_for_broker(settings.kafka, max_retries=0)
    data = datasets_from_kafka(settings.kafka, plant=plant, since=since, progress=progress)
    chosen, notes = learnable(names or tuple(known), data)
    if names is None and not can_be_forecast(data, plant):
        chosen = tuple(name for name in chosen if name != FORECAST)
        notes += (f"{FORECAST}: not trained, because no machine has two weeks of hours with power yet",)
    report = train_models(
        data,
        plant=plant,
        repository=repository,
        at=datetime.now(UTC),
        seed=seed,
        families=chosen,
        known=known,
        progress=progress,
    )
    return replace(report, notes=(*report.notes, *notes))


def train_on_the_spot(
    plant: Plant,
    models: str | Path | ModelRepository,
    *,
    seed: int = 42,
    frequency: str | None = None,
    progress: "Report | None" = None,
) -> "TrainingReport":
    """Train both models that score readings on a month of simulated history, in some ten seconds; for a demo.

    frequency: time between readings; None: what the plant expects live, but at least a minute.
    """
    from producer.generator import IndustrialDataGenerator  # noqa: PLC0415
    from runtime.models.inference import ANOMALY, MAINTENANCE  # noqa: PLC0415
    from trainer.candidate import no_progress  # noqa: PLC0415
    from trainer.datasets import Datasets, Ratio  # noqa: PLC0415
    from trainer.trainer import train_models  # noqa: PLC0415

    tell = progress or no_progress
    tell("simulated history", 0.0)
    generator = IndustrialDataGenerator(seed=seed, plant=plant)
    interval = frequency or f"{min(max(plant.interval_seconds, 60), 900):g}s"
    frame = generator.generate_energy_timeseries(DEMO_DAYS, interval, DEMO_MACHINES)
    tell("simulated history", 1.0)
    return train_models(
        # a month is short, and the test split must contain the last days before some machine's failure
        Datasets.of_frame(frame, plant=plant, ratio=Ratio(train=0.7, val=0.15, test=0.15)),
        plant=plant,
        repository=models if isinstance(models, ModelRepository) else ModelRepository(models),
        at=datetime.now(UTC),
        seed=seed,
        families=(ANOMALY, MAINTENANCE),
        progress=tell,
    )


@contextmanager
def progress_bar() -> Iterator["Report"]:
    """Show one progress bar for each step on stderr if it is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:20}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bar:
        tasks: dict[str, TaskID] = {}

        def show(step: str, share: float) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=1.0)
            bar.update(tasks[step], completed=share)

        yield show


def _print(
    report: "TrainingReport",
    troubles: Mapping[str, str | None],
    *,
    lifetimes: LifetimeReport | None = None,
    as_json: bool,
) -> None:
    """Print the results; troubles: by model, why workers were not notified of its promotion."""
    if as_json:
        versions = {
            item.manifest.name: {
                "version": item.manifest.version,
                "promoted": item.verdict.promote,
                "reason": item.verdict.reason,
                "announced": item.manifest.name in troubles and troubles[item.manifest.name] is None,
                "rows_used": item.manifest.rows_used,
                "rows_excluded": item.manifest.rows_excluded,
            }
            for item in report.trained
        }
        document = {"models": versions, "metrics": report.metrics, "intervals": report.intervals, "notes": report.notes}
        if lifetimes is not None:
            document |= {"lifetimes": lifetimes.figures}
        typer.echo(json.dumps(document))
        return
    for note in report.notes:
        typer.echo(f"note: {note}")
    for sentence in () if lifetimes is None else lifetimes.sentences:
        typer.echo(sentence)
    for item in report.trained:
        manifest = item.manifest
        figures = ", ".join(_figure(name, manifest) for name in manifest.metrics)
        excluded = ", ".join(f"{count:,} {reason}" for reason, count in manifest.rows_excluded.items() if count)
        typer.echo(f"{manifest.name} {manifest.version}: {figures or 'nothing measured'} on the test split")
        typer.echo(f"  learned from {manifest.rows_used:,} rows; left out: {excluded or 'none'}")
        typer.echo(f"  {'runs now' if item.verdict.promote else 'does not run yet'}: {item.verdict.reason}")
        if trouble := troubles.get(manifest.name):
            print_error(trouble)


def _figure(name: str, manifest: Manifest) -> str:
    value = manifest.metrics[name]
    if value is None:
        return f"{name} unknown"
    interval = manifest.intervals.get(name)
    return f"{name} {value:.3f}" + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")
