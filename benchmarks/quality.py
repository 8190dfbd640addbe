"""`make quality`: the figures of detection and maintenance that README and docs quote, each measured anew.

Recordings lie beside the checkout in shared/data, or where NEXOVA_TEST_DATA says; without them their part is skipped.
"""

import json
import os
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from cli.backtest.detect_report import as_document, print_report
from cli.backtest.detect_run import assess_file
from cli.lifetimes import train_lifetimes
from core.assess import assess
from core.batch import ReadingBatch
from core.detection.features import physical
from core.evaluation.alerts import AlertCourse, alert_figures
from core.evaluation.nab import Series, standard_score
from core.models import Models
from core.plant import parse_plant
from core.state import FleetState
from producer.generator import IndustrialDataGenerator
from producer.lives import engine_lives
from runtime.models.repository import ModelRepository
from runtime.plants import load_plant
from trainer.candidate import no_progress
from trainer.failures import failure_probabilities
from trainer.measure import Outcome, flag_figures

DATA = Path(os.environ.get("NEXOVA_TEST_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
SLOW_SENSOR = """
name = "slow_sensor"
timezone = "UTC"
interval_seconds = {interval:g}
[[sensors]]
name = "value"
unit = "units"
minimum = -1e12
maximum = 1e12
"""
"""The one plant file of all series of single sensors; interval: the usual time between two of its readings, s."""
MILLING = """
name = "milling"
timezone = "UTC"
interval_seconds = 60
sensors = [
    { name = "grade", unit = "1", minimum = 0, maximum = 2 },
    { name = "air", unit = "K", minimum = 200, maximum = 400 },
    { name = "process", unit = "K", minimum = 200, maximum = 400 },
    { name = "speed", unit = "rpm", minimum = 0, maximum = 5000 },
    { name = "torque", unit = "Nm", minimum = 0, maximum = 200 },
    { name = "wear", unit = "min", minimum = 0, maximum = 500 },
    { name = "power", unit = "W", minimum = 0, maximum = 1e5, formula = "torque * speed * 0.10472" },
    { name = "off_power", unit = "W", minimum = 0, maximum = 1e5, formula = "abs(power - 6250)" },
    { name = "warming", unit = "K", minimum = -50, maximum = 50, formula = "process - air" },
    { name = "strain", unit = "min Nm", minimum = -1e4, maximum = 1e5, formula = "wear * torque - 1000 * grade" },
]
"""
DAYS, MACHINES, SEED = 30, 20, 11
LATE_SECONDS = 600.0  # after a fault's end that an alert still belongs to it
BATCH = 8192


def pump() -> None:
    """Eight sensors of a water pump, once a second: the first 400 readings of a file teach, the rest is pooled."""
    files = sorted((DATA / "skab" / "valve1").glob("*.csv"))
    if not files:
        print(f"skipped: {DATA / 'skab' / 'valve1'} has no recordings")
        return
    plant = load_plant(Path("skab"))
    plant = plant.model_copy(update={"detection": plant.detection.model_copy(update={"warm_up_readings": 400})})
    courses = [assess_file(path, plant=plant, models=Models(), taught=400) for path in files]
    print_report(as_document(courses, plant=plant, warm_up=400))


def slow_sensors() -> None:
    """Series of one sensor each, with labelled windows: the standard score of the Numenta benchmark, by alerts."""
    folder = DATA / "nab"
    if not (folder / "windows.json").exists():
        print(f"skipped: {folder / 'windows.json'} is not there")
        return
    labelled = json.loads((folder / "windows.json").read_text(encoding="utf-8"))
    scored = []
    for name in sorted(labelled):
        path = folder / name
        if not path.exists():
            continue
        interval = float(pd.read_csv(path, parse_dates=["timestamp"])["timestamp"].diff().dt.total_seconds().median())
        plant = parse_plant(SLOW_SENSOR.format(interval=interval), source="quality")
        course = assess_file(path, plant=plant, models=Models(), taught=0)
        windows = [(_seconds(begin), _seconds(end)) for begin, end in labelled[name]]
        scored.append(
            Series(timestamps=course.readings.timestamps, detected=np.asarray(course.opened > 0), windows=windows)
        )
        opened = course.readings.timestamps[course.opened > 0]
        inside = [int(((opened >= begin) & (opened <= end)).sum()) for begin, end in windows]
        found = sum(count > 0 for count in inside)
        print(f"{name}: {found} of {len(windows)} windows with an alert, {len(opened) - sum(inside)} alerts outside")
    print(f"standard score of {len(scored)} of {len(labelled)} series: {standard_score(scored):.1f}")


def _seconds(instant: str) -> float:
    return datetime.fromisoformat(instant).replace(tzinfo=UTC).timestamp()


def simulator() -> None:
    """Machines of the default plant with injected faults, a reading a minute, without trained models."""
    plant = load_plant(None)
    frame = IndustrialDataGenerator(seed=SEED, plant=plant).generate_energy_timeseries(DAYS, "1min", MACHINES)
    frame = frame.sort_values(["timestamp", "machine_id"], kind="stable")
    ids = frame["machine_id"].to_numpy()
    seconds = frame["timestamp"].dt.as_unit("us").astype("int64").to_numpy() / 1e6
    values = frame[list(plant.sensor_names)].to_numpy(dtype=np.float64)
    labelled = frame["anomaly"].to_numpy() > 0
    state, opened = FleetState(plant), np.zeros(len(frame), dtype=np.int64)
    began = time.perf_counter()
    for begin, end in pairwise([*range(0, len(frame), BATCH), len(frame)]):
        part = slice(begin, end)
        batch = ReadingBatch.from_columns(ids[part].tolist(), seconds[part], values[part], np.arange(begin, end))
        assessment = assess(batch, state=state, models=Models(), plant=plant)
        state = assessment.state
        for row, alert in assessment.alerts:
            opened[begin + row] += alert.state == "opened"
    taken = time.perf_counter() - began
    courses = []
    for machine_id in np.unique(ids):
        rows = np.flatnonzero(ids == machine_id)
        # a sensor that stopped is noticed by its silence, which outlasts a short fault
        last = np.maximum.accumulate(np.where(labelled[rows], seconds[rows], -np.inf))
        truth = seconds[rows] - last <= LATE_SECONDS
        courses.append(AlertCourse(timestamps=seconds[rows], opened=opened[rows], open=opened[rows] > 0, truth=truth))
    found = alert_figures(courses)
    print(
        f"{found.stretches_alerted} of {found.stretches} faults alerted "
        f"({found.stretches_alerted / found.stretches:.1%}), false alerts a machine and week "
        f"{found.false_per_machine_week:.2f}, median delay {found.median_delay_readings:.0f} readings; "
        f"{taken / len(frame) * 1e6:.1f} us a reading, alerts and energy included"
    )


def lives() -> None:
    """Made-up engines in the manner of C-MAPSS FD001, three sets: hours to failure, capped at 125 cycles."""
    for seed in (1, 2, 3):
        with TemporaryDirectory() as folder:
            table = Path(folder) / "lives.csv"
            engine_lives(seed=seed).to_csv(table, index=False)
            found = train_lifetimes(
                table,
                plant=load_plant(None),
                chosen=False,
                repository=ModelRepository(Path(folder) / "models"),
                seed=SEED,
                cap=None,
                unit=None,
                test=None,
                truth=None,
                progress=no_progress,
            )
        print(f"set {seed}: {found.sentences[1]}")


def milling() -> None:
    """Rows of a milling machine (AI4I 2020): failures by six inputs and derived sensors, 5-fold, five shuffles."""
    path = DATA / "ai4i" / "ai4i2020.csv"
    if not path.exists():
        print(f"skipped: {path} is not there")
        return
    rows = pd.read_csv(path)
    plant = parse_plant(MILLING, source="quality")
    values = np.full((len(rows), len(plant.sensors)), np.nan)
    values[:, 0] = rows["Type"].map({"L": 0, "M": 1, "H": 2})
    values[:, 1:6] = rows.iloc[:, 3:8]
    features = physical(values, plant).astype(np.float32)
    failed = rows["Machine failure"].to_numpy() > 0
    found = []
    for seed in range(5):
        chances = failure_probabilities(features, failed, seed=seed)
        found.append(flag_figures(Outcome(machine=np.zeros(len(failed), np.int64), truth=failed * 1.0, answer=chances)))
    for name in ("f1", "precision", "recall", "auc"):
        each = np.array([one[name] for one in found], dtype=np.float64)
        print(f"{name} {each.mean():.3f} ({each.min():.3f} to {each.max():.3f})")


def main() -> None:
    """Print all of it."""
    for measure in (pump, slow_sensors, simulator, lives, milling):
        print(f"== {measure.__name__}: {(measure.__doc__ or '').strip()}")
        measure()
        print()


if __name__ == "__main__":
    main()
