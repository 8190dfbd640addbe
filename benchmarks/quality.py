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

from cli.backtest.detect_report import as_document, print_report
from cli.backtest.detect_run import assess_file
from cli.lifetimes import train_lifetimes
from core.assess import assess
from core.batch import ReadingBatch
from core.evaluation.alerts import AlertCourse, alert_figures
from core.models import Models
from core.plant import parse_plant
from core.state import FleetState
from producer.generator import IndustrialDataGenerator
from producer.lives import engine_lives
from runtime.plants import load_plant
from trainer.candidate import no_progress

DATA = Path(os.environ.get("NEXOVA_TEST_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
TEMPERATURE = """
name = "machine_temperature"
timezone = "UTC"
interval_seconds = 300
[[sensors]]
name = "value"
unit = "F"
minimum = -1000
maximum = 1000
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


def temperature() -> None:
    """One temperature every five minutes, with four labelled windows."""
    path = DATA / "nab" / "machine_temperature_system_failure.csv"
    if not path.exists():
        print(f"skipped: {path} is not there")
        return
    course = assess_file(path, plant=parse_plant(TEMPERATURE, source="quality"), models=Models(), taught=0)
    named = json.loads((path.parent / "windows.json").read_text(encoding="utf-8"))[path.name]
    windows = [[datetime.fromisoformat(each).replace(tzinfo=UTC).timestamp() for each in pair] for pair in named]
    opened = course.readings.timestamps[course.opened > 0]
    inside = [int(((opened >= begin) & (opened <= end)).sum()) for begin, end in windows]
    found = sum(count > 0 for count in inside)
    print(f"windows with an alert: {found} of {len(windows)}; alerts outside of them: {len(opened) - sum(inside)}")


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
                models=str(Path(folder) / "models"),
                seed=SEED,
                cap=None,
                unit=None,
                test=None,
                truth=None,
                progress=no_progress,
            )
        print(f"set {seed}: {found.sentences[1]}")


def main() -> None:
    """Print all of it."""
    for measure in (pump, temperature, simulator, lives):
        print(f"== {measure.__name__}: {(measure.__doc__ or '').strip()}")
        measure()
        print()


if __name__ == "__main__":
    main()
