"""Results of `nexova backtest detect` as a JSON document, a table, a file of scores and a file of alerts."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final

import numpy as np
import typer

from cli.backtest.detect_run import FileCourse
from core.arrays import Bools, Floats
from core.evaluation.affiliation import affiliation
from core.evaluation.alerts import AlertCourse, alert_figures
from core.evaluation.flags import change_points_found, flag_figures, roc_auc
from core.evaluation.vus import vus_pr
from core.plant import Plant
from runtime.errors import FailureError

_COLUMNS: Final = ("machine_id", "timestamp", "score", "is_anomaly", "alert")
_FIGURES: Final = {
    "f1": "F1",
    "false_alarm_rate": "false alarm rate",
    "missed_alarm_rate": "missed alarm rate",
    "precision": "precision",
    "roc_auc": "ROC AUC, mean of machines",
    "vus_pr": "VUS-PR, mean of machines",
    "affiliation_precision": "affiliation precision",
    "affiliation_recall": "affiliation recall",
}
_SEED: Final = 0  # of the random control, so that equal readings give equal figures


def as_document(courses: Sequence[FileCourse], *, plant: Plant, warm_up: int | None) -> dict[str, Any]:
    """Return all figures, shares as fractions; those that need labels only if a file has labels."""
    scored = sum(int((course.measured & np.isfinite(course.score)).sum()) for course in courses)
    document: dict[str, Any] = {
        "plant": plant.name,
        "files": len(courses),
        "warm_up": warm_up,
        "readings": sum(len(course.readings) for course in courses),
        "measured": sum(int(course.measured.sum()) for course in courses),
        "scored": scored,
        "flagged": sum(int((course.measured & course.flagged).sum()) for course in courses),
        "alerts": asdict(alert_figures(_alert_courses(courses))),
    }
    labelled = [course for course in courses if course.truth is not None]
    if not labelled:
        # without labels it is unknown which openings were false
        document["alerts"] = {name: document["alerts"][name] for name in ("openings", "openings_per_machine_week")}
        return document
    random = np.random.default_rng(_SEED)
    own, control, machines = _Counts(), _Counts(), {}
    for course in labelled:
        for machine_id, rows in course.machines():
            truth = np.asarray(course.truth)[rows]
            score, flagged = np.nan_to_num(course.score[rows]), course.flagged[rows]
            machines[_name(machine_id, course, labelled)] = own.add(truth, score, flagged)
            control.add(truth, random.uniform(size=len(rows)), random.permutation(flagged))
    return document | {"detection": own.figures(), "control": control.figures(), "machines": machines}


class _Counts:
    """Figures over several machines: counts of readings are pooled, rank statistics averaged."""

    def __init__(self) -> None:
        self._truth: list[Bools] = []
        self._flagged: list[Bools] = []
        self._ranked: list[dict[str, float | None]] = []
        self._changes = np.zeros(2, dtype=np.int64)

    def add(self, truth: Bools, score: Floats, flagged: Bools) -> dict[str, Any]:
        """Add the readings of one machine, arrays of shape (n,), and return its own figures."""
        near = affiliation(truth, flagged)
        ranked = {
            "roc_auc": roc_auc(truth, score),
            "vus_pr": vus_pr(truth, score),
            "affiliation_precision": near.precision,
            "affiliation_recall": near.recall,
        }
        self._truth.append(truth)
        self._flagged.append(flagged)
        self._ranked.append(ranked)
        self._changes += change_points_found(truth, flagged)
        return asdict(flag_figures(truth, flagged)) | ranked

    def figures(self) -> dict[str, Any]:
        """Return the figures of all machines together."""
        pooled = asdict(flag_figures(np.concatenate(self._truth), np.concatenate(self._flagged)))
        means = {}
        for name in self._ranked[0]:
            known = [value for one in self._ranked if (value := one[name]) is not None]
            means[name] = float(np.mean(known)) if known else None
        found, there = self._changes.tolist()
        return pooled | means | {"change_points_found": found, "change_points": there}


def _name(machine_id: str, course: FileCourse, courses: Sequence[FileCourse]) -> str:
    """Return the machine's id, prefixed with its file if several files have a machine of that id."""
    alone = sum(machine_id in other.readings.machine_ids for other in courses) == 1
    return machine_id if alone else f"{course.path}:{machine_id}"


def _alert_courses(courses: Sequence[FileCourse]) -> Iterator[AlertCourse]:
    for course in courses:
        for _, rows in course.machines():
            yield AlertCourse(
                timestamps=np.maximum.accumulate(course.readings.timestamps[rows]),
                opened=course.opened[rows],
                open=course.open[rows],
                truth=np.zeros(len(rows), dtype=np.bool_) if course.truth is None else course.truth[rows],
            )


def print_report(document: dict[str, Any]) -> None:
    """Print the figures as a table for people."""
    typer.echo(
        f"{document['plant']}: {document['readings']:,} readings of {document['files']} files, "
        f"{document['measured']:,} measured, {document['scored']:,} scored, {document['flagged']:,} flagged"
    )
    if "detection" in document:
        own, control = document["detection"], document["control"]
        typer.echo(f"\n{'':<28}{'detection':>11}{'random':>11}")
        for name, words in _FIGURES.items():
            typer.echo(f"{words:<28}{_figure(own[name])}{_figure(control[name])}")
        found = f"{own['change_points_found']} of {own['change_points']}"
        typer.echo(f"{'change points found':<28}{found:>11}{control['change_points_found']:>11}")
    alerts = document["alerts"]
    typer.echo(f"\n{'alerts opened':<28}{alerts['openings']:>11}")
    if "detection" in document:
        typer.echo(f"{'  of them false':<28}{alerts['false_openings']:>11}")
        covered = f"{alerts['stretches_covered']} of {alerts['stretches']}"
        typer.echo(f"{'faults covered by one':<28}{covered:>11}")
        typer.echo(f"{'faults that opened one':<28}{alerts['stretches_alerted']:>11}")
        typer.echo(f"{'median delay, s':<28}{_figure(alerts['median_delay_seconds'], digits=1)}")
        typer.echo(f"{'open after the end':<28}{_figure(alerts['open_after'])}")
        typer.echo(f"{'false per machine-week':<28}{_figure(alerts['false_per_machine_week'], digits=2)}")
    typer.echo(f"{'opened per machine-week':<28}{_figure(alerts['openings_per_machine_week'], digits=2)}")


def write_scores(out: Path, courses: Sequence[FileCourse]) -> None:
    """Write every reading's score; `alert` is 1 on a reading that opens one.

    Raises:
        FailureError: the file cannot be written.
    """
    with _written(out) as file:
        rows = csv.writer(file)
        rows.writerow(_COLUMNS)
        for course in courses:
            for row, machine_id in enumerate(course.readings.machine_ids):
                value = float(course.score[row])
                rows.writerow(
                    (
                        machine_id,
                        datetime.fromtimestamp(course.readings.timestamps[row], UTC).isoformat(),
                        "" if np.isnan(value) else f"{value:.6g}",
                        int(course.flagged[row]),
                        int(course.opened[row] > 0),
                    )
                )


def write_alerts(out: Path, courses: Sequence[FileCourse]) -> None:
    """Write every change of an alert as a line of JSON, as it would be published.

    Raises:
        FailureError: the file cannot be written.
    """
    with _written(out) as file:
        for course in courses:
            for alert in course.alerts:
                file.write(alert.encode().decode() + "\n")


@contextmanager
def _written(out: Path) -> Iterator[TextIOWrapper]:
    """Open a temporary file that is renamed to `out` when it is complete."""
    partial = out.with_name(f".{out.name}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            yield file
        partial.replace(out)
    except OSError as error:
        raise FailureError(f"{out} cannot be written ({error.strerror}); name another file") from None


def _figure(value: float | None, *, digits: int = 4) -> str:
    return f"{'none':>11}" if value is None else f"{value:>11.{digits}f}"
