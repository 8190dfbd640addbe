"""`nexova train maintenance` on run-to-failure tables: a model of the hours to failure, and its errors."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from core.plant import Plant
from runtime.errors import UsageError
from runtime.models.inference import MAINTENANCE
from runtime.models.repository import ModelRepository

if TYPE_CHECKING:
    from trainer.candidate import Progress
    from trainer.runs import Runs
    from trainer.trainer import TrainingReport

_SPLIT_FILES: Final = ("train_data", "val_data", "test_data")


class Unit(StrEnum):
    """Unit of the cap and of the printed errors. A cycle is the time between two rows."""

    CYCLES = "cycles"
    HOURS = "hours"
    DAYS = "days"


@dataclass(frozen=True, slots=True, kw_only=True)
class LifetimeReport:
    """Result of a training on run-to-failure tables; sentences and figures are in the user's unit."""

    report: "TrainingReport"
    sentences: tuple[str, ...]
    figures: Mapping[str, Any]


def holds_run_to_failure(data: Path) -> bool:
    """Return whether a file or folder holds run-to-failure tables rather than one history in three parts by time."""
    if not data.is_dir():
        return data.exists()
    parts = [next(iter(sorted(data.glob(f"{stem}.*"))), None) for stem in _SPLIT_FILES]
    first, last = parts[0], parts[2]
    if first is None or last is None or parts[1] is None:
        return not any(parts) and any(path.suffix.lower() in {".csv", ".txt", ".parquet"} for path in data.iterdir())
    return _machines(first).isdisjoint(_machines(last))


def _machines(path: Path) -> set[str]:
    try:
        column = (
            pd.read_parquet(path, columns=["machine_id"])
            if path.suffix == ".parquet"
            else pd.read_csv(path, usecols=["machine_id"], dtype=str)
        )
    except (ValueError, KeyError, OSError):  # `read_table` reports what is wrong with the file
        return {""}
    return set(column["machine_id"].astype(str)) or {""}


def train_lifetimes(
    data: Path,
    *,
    plant: Plant,
    chosen: bool,
    repository: ModelRepository,
    seed: int,
    cap: float | None,
    unit: Unit | None,
    test: Path | None,
    truth: Path | None,
    progress: "Progress",
) -> LifetimeReport:
    """Train a model of the hours to failure on the tables of `data`, evaluate it and publish it.

    chosen: the user named the plant. cap: in `unit`; None: 125 steps of the data. test: table of machines cut off
    before their failure. truth: file of the time left to each of them, in `unit`.

    Raises:
        UsageError: the data or options cannot be used.
    """
    from trainer.families import lifetime_family  # noqa: PLC0415  scikit-learn takes its second to load
    from trainer.lifetimes import DEFAULT_CAP, Lifetimes  # noqa: PLC0415
    from trainer.runs import datasets_of_runs, files_of, plant_for, read_runs  # noqa: PLC0415
    from trainer.trainer import train_models  # noqa: PLC0415

    paths, test, truth = files_of(data, test, truth)
    if truth is not None and test is None:
        raise UsageError(f"--truth {truth}: belongs to a test table, which is missing; name it by --test FILE")
    plant, drafted = plant_for(paths, plant, chosen=chosen)
    runs = read_runs(paths, plant)
    unit = unit or (Unit.CYCLES if runs.cycles else Unit.HOURS)
    hours = {Unit.CYCLES: runs.step, Unit.HOURS: 1.0, Unit.DAYS: 24.0}[unit]
    step = _recorded_step(runs) if runs.recorded else runs.step
    capped = DEFAULT_CAP * step if cap is None else cap * hours
    held_out = None if test is None else _test_runs(test, truth, plant, hours)
    at_end = held_out is not None and _ends_early(held_out)
    family = lifetime_family(Lifetimes(step=step, cap=capped, cut_at_end=at_end))
    found = datasets_of_runs(runs, held_out, plant)
    report = train_models(
        found,
        plant=plant,
        repository=repository,
        at=datetime.now(UTC),
        seed=seed,
        families=(MAINTENANCE,),
        known={MAINTENANCE: family},
        progress=progress,
    )
    (trained,) = report.trained
    across = trained.manifest.parameters["cross_validated"]
    count = int(trained.manifest.parameters["machines"])
    tested = len(np.unique(found.batch.machine[found.split == 2]))  # noqa: PLR2004  the test split
    cut = "at their last rows" if at_end else "cut off at random moments"
    where = f"{tested} machines of {test}, {cut}" if test else f"{tested} machines held out, {cut}"
    sentences = [
        f"cap {capped / hours:g} {unit.value}, a row every {runs.step:g} h; failures: "
        + ("column hours to failure" if runs.recorded else "the last row of each machine"),
        f"{_line(across, hours, unit)}: cross-validated over {count} machines, cut off at random moments",
        f"{_line(trained.manifest.metrics, hours, unit)}: {where}",
    ]
    if drafted is not None:
        sentences.append(
            "the plant file was drafted from the table, as nexova plant init does; give your own with --plant"
        )
    figures = {
        "unit": unit.value,
        "cap": capped / hours,
        "cross_validated": _in_unit(across, hours) | {"machines": count},
        "test": _in_unit(trained.manifest.metrics, hours) | {"machines": tested},
    }
    return LifetimeReport(report=report, sentences=tuple(sentences), figures=figures)


def _ends_early(runs: "Runs") -> bool:
    """Return whether most machines are cut off before their failure, so that the last row of each is scored."""
    last = np.append(runs.batch.machine[1:] != runs.batch.machine[:-1], True)
    return runs.recorded and float(np.median(runs.hours_to_failure[last])) > runs.step


def _recorded_step(runs: "Runs") -> float:
    """Return the median decrease of the recorded hours to failure from row to row."""
    own = runs.batch.machine[1:] == runs.batch.machine[:-1]
    falls = -np.diff(np.where(np.isfinite(runs.hours_to_failure), runs.hours_to_failure, np.nan))[own]
    falls = falls[falls > 0]
    return float(np.median(falls)) if falls.size else runs.step


def _test_runs(test: Path, truth: Path | None, plant: Plant, hours: float) -> "Runs":
    from trainer.runs import read_runs, read_truth, with_truth  # noqa: PLC0415

    found = read_runs([test], plant)
    if truth is None:
        # without hours to failure, each machine's last row counts as its failure, as in the training data
        return found
    return with_truth(found, read_truth(truth, len(found.batch.machine_ids)) * hours)


def _in_unit(figures: Mapping[str, float | None], hours: float) -> dict[str, float | None]:
    scaled = {"rmse", "mae", "rmse_all_rows"}
    return {
        name: None if value is None else round(value / hours if name in scaled else value, 4)
        for name, value in figures.items()
    }


def _line(figures: Mapping[str, float | None], hours: float, unit: Unit) -> str:
    found = {name: np.nan if value is None else value for name, value in _in_unit(figures, hours).items()}
    return (
        f"RMSE {found['rmse']:.2f} {unit.value}, MAE {found['mae']:.2f}, C-MAPSS score {found['score']:.0f}, "
        f"coverage of the 80 % interval {found['coverage']:.1%}"
    )
