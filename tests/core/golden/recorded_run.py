"""A recorded run: readings of three plants with faults, silences, late data and a restart, and all that comes of it.

The readings are drawn from a fixed seed and rounded as devices round them, so the run is the same wherever it runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np

from core.advance import advance_time, statuses
from core.arrays import Features, Floats
from core.assess import Scores, assess
from core.batch import ReadingBatch
from core.models import Models
from core.plant import Plant, Sensor
from core.row_results import LEVELS
from core.state import FleetState
from core.state.records import Record
from core.state.tracks import CONDITIONS
from runtime.plants import load_plant
from schemas.message import Message
from schemas.scores import Score

_MINUTE: Final = 60.0
_BEGIN: Final = 1_767_225_600.0
_METER: Final = Sensor.model_validate(
    {
        "name": "meter",
        "unit": "kWh",
        "role": "energy_counter",
        "minimum": 0,
        "maximum": 999_999,
        "counter": {"modulus": 1_000_000, "resolution": 1, "maximum_power": 400, "longest_gap_seconds": 1800},
    }
)
_FAULTS: Final = ("hot", "wild", "stuck", "blind", "off", "idle", "gone", "worn", "beyond")


class SurpriseModel:
    """An anomaly model of one rule: the most surprising value counts, a little less than the whole."""

    name = "isolation_forest"
    version = "7"

    def score(self, features: Features) -> Floats:
        surprise: Floats = np.abs(features[:, :-2]).astype(np.float64).max(axis=1)
        return surprise * 0.97


class HeatModel:
    """A maintenance model of one rule: the higher the second sensor's slow average, the worse."""

    name = "random_forest"
    version = "3"

    def risk(self, features: Features) -> Floats:
        risk: Floats = np.clip(np.nan_to_num(features[:, 1].astype(np.float64) - 58.0) / 4.7, 0.0, 3.0)
        return risk


@dataclass(frozen=True, kw_only=True)
class _Case:
    plant: Plant
    models: Models
    machines: tuple[str, ...]
    minutes: int
    seed: int


def recorded_run() -> Iterator[tuple[str, Message]]:
    """Every message of the run with the name of its case, in order."""
    default = load_plant(None)
    default = _learning_after(default, 110)
    metered = default.model_copy(update={"sensors": (*default.sensors, _METER)})
    skab = _learning_after(load_plant("skab"), 90)
    trained = Models(anomaly=SurpriseModel(), maintenance=HeatModel())
    by_forest = Models(anomaly=SurpriseModel(), flag_by="forest", shadows=(trained,))
    machines = ("press-01", "pump-02", "compressor-03")
    yield from _messages(
        "default, trained", _Case(plant=default, models=trained, machines=machines, minutes=780, seed=1)
    )
    yield from _messages(
        "default, untrained", _Case(plant=default, models=Models(), machines=machines[:2], minutes=400, seed=2)
    )
    yield from _messages(
        "metered, by forest", _Case(plant=metered, models=by_forest, machines=machines[:1], minutes=420, seed=3)
    )
    yield from _messages("skab", _Case(plant=skab, models=trained, machines=("valve-1",), minutes=420, seed=4))


def _learning_after(plant: Plant, readings: int) -> Plant:
    return plant.model_copy(
        update={"detection": plant.detection.model_copy(update={"warm_up_readings": readings, "settle_seconds": 300.0})}
    )


def _messages(name: str, case: _Case) -> Iterator[tuple[str, Message]]:
    random = np.random.default_rng(case.seed)
    readings = _readings(case, random)
    state = FleetState(case.plant)
    log: list[Record] = []
    first = 0
    while first < len(readings):
        last = min(len(readings), first + int(random.integers(40, 200)))
        rows = np.zeros(len(readings), dtype=np.bool_)
        # the last readings of a batch come twice, as after a restart
        rows[max(0, first - 5) : last] = True
        assessment = assess(readings.take(rows), state=state, models=case.models, plant=case.plant)
        state = assessment.state
        messages: list[Message] = [
            *_scores(assessment.scores),
            *(alert for _, alert in assessment.alerts),
            *assessment.recommendations,
            *assessment.energy_windows,
        ]
        now = float(readings.timestamps[:last].max())
        passed = advance_time(state, plant=case.plant, now=now, idle_seconds=float(random.integers(0, 40)))
        messages += [*passed.alerts, *passed.energy_windows]
        messages += statuses(state, list(range(len(state.ids))), plant=case.plant)
        yield from ((name, message) for message in messages)
        log += state.records_of(sorted(state.dirty))
        if random.random() < 0.2:
            state = FleetState(case.plant)
            state.restore(log)
        first = last
    passed = advance_time(state, plant=case.plant, now=now + 1e5, idle_seconds=1e5)
    yield from ((name, message) for message in (*passed.alerts, *passed.energy_windows))


def _scores(scores: Scores) -> Iterator[Score]:
    batch = scores.batch
    columns = (scores.anomaly, scores.risk, scores.flagged, scores.condition, scores.warm, scores.progress)
    for row, (anomaly, risk, flagged, condition, warm, progress) in enumerate(
        zip(*map(np.ndarray.tolist, columns), strict=True)
    ):
        yield Score(
            machine_id=batch.machine_ids[batch.machine[row]],
            timestamp=datetime.fromtimestamp(batch.timestamps[row], UTC),
            anomaly_score=None if np.isnan(anomaly) else anomaly,
            is_anomaly=flagged,
            risk=None if np.isnan(risk) else risk,
            condition=CONDITIONS[condition],
            warm_up=not warm,
            warm_up_progress=progress,
            level=LEVELS[scores.level[row]],
            confidence=scores.confidence[row],
        )


def _readings(case: _Case, random: np.random.Generator) -> ReadingBatch:
    parts = [_machine(case, index, random) for index in range(len(case.machines))]
    seconds = np.concatenate([part[0] for part in parts])
    values = np.concatenate([part[1] for part in parts])
    machines = np.concatenate([np.full(len(part[0]), index) for index, part in enumerate(parts)])
    late = np.where(random.random(len(seconds)) < 0.05, random.random(len(seconds)) * 900.0, 0.0)
    late[random.random(len(seconds)) < 0.004] = 5 * 3600.0
    order = np.argsort(seconds + late, kind="stable")
    return ReadingBatch.from_columns(
        [case.machines[index] for index in machines[order].tolist()], seconds[order], values[order]
    )


def _machine(case: _Case, index: int, random: np.random.Generator) -> tuple[Floats, Floats]:
    """Times and values of one machine, which works with a fault now and then."""
    plant, minutes = case.plant, case.minutes
    seconds = _BEGIN + _MINUTE * np.arange(minutes) + 7.0 * index
    swing = np.sin(np.arange(minutes) / 60.0 + index)
    columns = []
    for number, sensor in enumerate(plant.sensors):
        noise = random.normal(0.0, 1.0, minutes)
        if sensor.role == "runtime":
            columns.append(100.0 + np.arange(minutes) / 60.0)
        elif sensor.role == "energy_counter":
            columns.append(np.floor(999_900.0 + np.arange(minutes) * 0.66) % 1_000_000)
        else:
            middle = {"power": 40.0, "temperature": 60.0, "vibration": 2.5, "production": 300.0}.get(
                sensor.name, sensor.minimum + 0.4 * (sensor.maximum - sensor.minimum)
            )
            columns.append(middle * (1 + 0.02 * swing + (0.02 + 0.005 * number) * noise))
    values = np.round(np.stack(columns, axis=1), 3)
    keep = np.ones(minutes, dtype=np.bool_)
    kinds = random.permutation(len(_FAULTS)).tolist()
    for place, kind in enumerate(kinds):
        begin = 150 + place * max(25, (minutes - 170) // len(kinds))
        rows = slice(begin, begin + int(random.integers(8, 24)))
        if _FAULTS[kind] == "gone":
            keep[rows] = False
        else:
            _spoil(values, rows, _FAULTS[kind], power=plant.index_of_role("power"))
    return seconds[keep], np.round(values[keep], 3)


def _spoil(values: Floats, rows: slice, fault: str, *, power: int | None) -> None:
    """Changes the values, (n, S), of `rows`, and of all later ones where the fault stays; in place."""
    begin = rows.start
    match fault:
        case "hot":
            values[rows, 1] += 9.0
        case "wild":
            values[rows, 2] = 1e7
        case "stuck":
            values[rows, 1:3] = values[min(begin, len(values) - 1), 1:3]
        case "blind":
            values[rows, 1:3] = np.nan
        case "off" | "idle" if power is not None:
            values[rows, power] = 0.0 if fault == "off" else 6.0
        case "worn":
            values[begin:, 1] += np.linspace(0.0, 20.0, len(values[begin:]))
        case _:
            values[rows, 1] = 112.0 + np.arange(len(values[rows]))
