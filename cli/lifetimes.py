"""`nexova train maintenance` on run-to-failure tables: hours to failure, measured on machines that were held out."""

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
    """Unit of the cap and of what is printed. Cycles are steps between two rows."""

    CYCLES = "cycles"
    HOURS = "hours"
    DAYS = "days"


@dataclass(frozen=True, slots=True, kw_only=True)
class LifetimeReport:
    """What a training on lives made: the report, and sentences and figures in the unit of the user."""

    report: "TrainingReport"
    sentences: tuple[str, ...]
    figures: Mapping[str, Any]


def holds_lives(data: Path) -> bool:
    """Return whether a file or folder holds lives rather than one history in three parts, split in time."""
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
    except (ValueError, KeyError, OSError):  # the common reader says what is wrong with it
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
    """Train on the lives of `data` and publish; chosen: the user named the plant.

    cap: in `unit`; None: 125 steps of the data. test, truth: lives that end at some moment, and what was left of each.

    Raises:
        UsageError: data or options that cannot be used; the message names the remedy.
    """
    from trainer.families import lifetime_family  # noqa: PLC0415  scikit-learn takes its second to load
    from trainer.lifetimes import DEFAULT_CAP, Lifetimes  # noqa: PLC0415
    from trainer.runs import datasets_of_runs, files_of, plant_for, read_runs  # noqa: PLC0415
    from trainer.trainer import train_models  # noqa: PLC0415

    paths, test, truth = files_of(data, test, truth)
    if truth is not None and test is None:
        raise UsageError(f"--truth {truth}: says what is left of the machines of a test file; give it by --test FILE")
    plant, drafted = plant_for(paths, plant, chosen=chosen)
    runs = read_runs(paths, plant)
    unit = unit or (Unit.CYCLES if runs.cycles else Unit.HOURS)
    hours = {Unit.CYCLES: runs.step, Unit.HOURS: 1.0, Unit.DAYS: 24.0}[unit]
    step = _told_step(runs) if runs.told else runs.step
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
        + ("column hours to failure" if runs.told else "the last row of each machine"),
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
    """Return whether most machines are cut off before their failure, so that their last rows are what is asked."""
    last = np.append(runs.batch.machine[1:] != runs.batch.machine[:-1], True)
    return runs.told and float(np.median(runs.hours_to_failure[last])) > runs.step


def _told_step(runs: "Runs") -> float:
    """Return by how much the stated hours to failure fall from row to row, the median."""
    own = runs.batch.machine[1:] == runs.batch.machine[:-1]
    falls = -np.diff(np.where(np.isfinite(runs.hours_to_failure), runs.hours_to_failure, np.nan))[own]
    falls = falls[falls > 0]
    return float(np.median(falls)) if falls.size else runs.step


def _test_runs(test: Path, truth: Path | None, plant: Plant, hours: float) -> "Runs":
    from trainer.runs import read_runs, read_truth, with_truth  # noqa: PLC0415

    found = read_runs([test], plant)
    if truth is None:
        # without hours to failure each machine's last row is taken for its failure, as in the data
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
