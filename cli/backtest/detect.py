"""`nexova backtest detect`: the stream's scores and alerts on recorded readings, measured against labels."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli.backtest.detect_report import as_document, print_report, write_alerts, write_scores
from cli.backtest.detect_run import assess_file
from cli.errors import print_error
from core.detection.features import feature_fingerprint
from core.models import Models
from core.plant import Plant
from runtime.errors import UsageError
from runtime.plants import load_plant

_LEAST_WARM_UP, _MOST_WARM_UP = 20, 100_000


def detect(
    readings: Annotated[list[Path], typer.Argument(help="CSV files of readings, in the plant file's [csv] format.")],
    *,
    plant: Annotated[Path, typer.Option(help="Plant file, or the name of a shipped plant.")],
    warm_up: Annotated[
        int | None,
        typer.Option(help="Readings at the start of each machine used for learning only; default: the plant file's."),
    ] = None,
    models: Annotated[
        str | None, typer.Option(help="Model repository whose promoted models score too; default: none.")
    ] = None,
    scores: Annotated[Path | None, typer.Option(help="Write the score of every reading to this CSV file.")] = None,
    alerts: Annotated[Path | None, typer.Option(help="Write every change of an alert to this JSONL file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Run recorded readings through the rules of the stream, one state a file, and measure against their labels."""
    for option, path in (("--scores", scores), ("--alerts", alerts)):
        if path is not None and not path.resolve().parent.is_dir():
            raise UsageError(f"{option} {path}: its folder does not exist; create it, or name another")
    known = load_plant(plant)
    if warm_up:
        known = _with_warm_up(known, warm_up)
    used = Models() if models is None else _promoted(models, known)
    courses = []
    with _progress(len(readings)) as advance:
        for path in readings:
            courses.append(assess_file(path, plant=known, models=used, taught=warm_up))
            advance()
    if not any(course.measured.any() for course in courses):
        raise UsageError(
            f"{readings[0]}: no reading comes after the warm-up; give longer files, or a smaller --warm-up"
        )
    if scores is not None:
        write_scores(scores, courses)
    if alerts is not None:
        write_alerts(alerts, courses)
    document = as_document(courses, plant=known, warm_up=warm_up)
    if as_json:
        typer.echo(json.dumps(document))
    else:
        print_report(document)


def _with_warm_up(plant: Plant, readings: int) -> Plant:
    if not _LEAST_WARM_UP <= readings <= _MOST_WARM_UP:
        raise UsageError(
            f"--warm-up {readings}: must be 0, or {_LEAST_WARM_UP} to {_MOST_WARM_UP} readings, from which a "
            "baseline can be learned; choose one of these"
        )
    policy = plant.detection.model_copy(update={"warm_up_readings": readings})
    return plant.model_copy(update={"detection": policy})


def _promoted(where: str, plant: Plant) -> Models:
    # loading the model runtime takes a second, which a run without models does not need
    from runtime.models.inference import load_models  # noqa: PLC0415
    from runtime.models.repository import ModelRepository  # noqa: PLC0415

    loaded = load_models(ModelRepository(where), plant=plant, features=feature_fingerprint(plant))
    if loaded.models.anomaly is None and loaded.models.maintenance is None:
        reason = "; ".join(loaded.problems) or "none is promoted there"
        raise UsageError(f"--models {where}: no model can be used: {reason}; train one, or leave the option out")
    for problem in loaded.problems:
        print_error(f"note: {problem}")
    return loaded.models


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], Any]]:
    """Show the number of finished files on stderr if it is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("files", total=total)
        yield lambda: bar.update(task, advance=1)
