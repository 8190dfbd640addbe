"""Drawn streams of readings, and what is left of them once assessed: the ground of the properties."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.advance import advance_time
from core.arrays import Features
from core.assess import Assessment, Scores, assess
from core.batch import ReadingBatch
from core.models import Models
from core.plant import Plant
from core.state.fleet import FleetState
from core.state.records import Record
from schemas.alerts import Alert
from schemas.energy import EnergyWindow
from tests.builders import START, a_plant, the_usual_sensors

PLANT: Final = a_plant(
    sensors=(*the_usual_sensors(), the_usual_sensors()[1].model_copy(update={"name": "output", "role": "production"})),
    detection={"warm_up_readings": 20},
    alerts={"readings_over": 2, "of_readings": 3, "resolve_after_readings": 3, "update_seconds": 600.0},
)
MACHINES: Final = ("pump-01", "pump-02", "mixer-01")


class ForestOfOne:
    """An anomaly model of one rule: the most surprising value counts. Row by row, as every model must be."""

    name = "forest"
    version = "7"

    def score(self, features: Features) -> NDArray[np.float64]:
        return np.abs(features[:, :-2]).max(axis=1).astype(np.float64)


class RiskOfHeat:
    """A maintenance model of one rule: the warmer on average, the worse."""

    name = "risk"
    version = "3"

    def risk(self, features: Features) -> NDArray[np.float64]:
        return np.clip((features[:, 1].astype(np.float64) - 60) / 5, 0, 3)


MODELS: Final = Models(anomaly=ForestOfOne(), maintenance=RiskOfHeat())

SEGMENTS: Final = (
    "normal", "hot", "vibrating", "stuck", "off", "idle", "blind", "gone", "wild", "bare", "alone",
)  # fmt: skip


@st.composite
def streams(draw: st.DrawFn, *, least_segments: int = 1) -> ReadingBatch:
    """A partition's readings of up to three machines, some of them out of order, some sharing a message."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    step = draw(st.sampled_from((1.0, 60.0, 300.0, 2400.0)))
    rows: list[tuple[float, str, NDArray[np.float64]]] = []
    for machine_id in MACHINES[: draw(st.integers(1, 3))]:
        kinds = draw(st.lists(st.sampled_from(SEGMENTS), min_size=least_segments, max_size=7))
        at = draw(st.sampled_from((0.0, 0.0, 50_000.0)))
        for kind in ("normal", *kinds):
            for values in _segment(kind, draw(st.integers(1, 30)), random):
                at += step
                rows.append((at, machine_id, values))
            if kind == "gone":
                at += 40 * step
    lateness = draw(st.sampled_from((0.0, 0.5, 5.0, 400.0))) * step
    delays = np.where(random.random(len(rows)) < 0.2, random.random(len(rows)) * lateness, 0.0)
    order = np.argsort([at for at, _, _ in rows] + delays, kind="stable")
    rows = [rows[position] for position in order]
    # rows of one message share an offset, and offsets have holes
    shares = random.random(len(rows)) < draw(st.sampled_from((0.0, 0.3)))
    offsets = 100 + np.cumsum(np.where(shares, 0, random.integers(1, 3, len(rows))))
    return ReadingBatch.from_columns(
        [machine_id for _, machine_id, _ in rows],
        START + np.array([at for at, _, _ in rows]),
        np.array([values for _, _, values in rows]),
        offsets.astype(np.int64),
    )


def _segment(kind: str, length: int, random: np.random.Generator) -> NDArray[np.float64]:
    values = random.normal([40.0, 60.0, 2.5, 100.0, 300.0], [2.0, 1.0, 0.2, 0.0, 10.0], (length, 5))
    # power, temperature, vibration, runtime, output
    match kind:
        case "hot":
            values[:, 1] += 55
        case "vibrating":
            values[:, 2] += 4
        case "stuck":
            values[:, 1] = 61.5
        case "off":
            values[:, [0, 4]] = 0
        case "idle":
            values[:, 0] = 5
        case "blind":
            values[:, [1, 2]] = np.nan
        case "wild":
            values[:, 2] = 1e6
        case "bare":
            values[:] = np.nan
        case "alone":
            values[np.arange(length)[:, None] % 5 != np.arange(5)] = np.nan
        case _:
            pass
    return values


def cut(batch: ReadingBatch, places: Iterable[int]) -> list[ReadingBatch]:
    """`batch` cut at rows near `places`, but never inside a message."""
    edges = {0, len(batch)}
    for place in places:
        row = place % (len(batch) + 1)
        while 0 < row < len(batch) and batch.offsets[row] == batch.offsets[row - 1]:
            row -= 1
        edges.add(row)
    ordered = sorted(edges)
    return [part(batch, first, last) for first, last in pairwise(ordered)]


def part(batch: ReadingBatch, first: int, last: int) -> ReadingBatch:
    """Rows `first` to `last` as a batch of their own, which knows only its own machines."""
    rows = slice(first, last)
    return ReadingBatch.from_columns(
        [batch.machine_ids[index] for index in batch.machine[rows].tolist()],
        batch.timestamps[rows],
        batch.values[rows],
        batch.offsets[rows],
    )


class RowScore(NamedTuple):
    """What `assess` said of one reading; None where nothing was scored."""

    machine_id: str
    timestamp: float
    anomaly: float | None
    flagged: bool
    risk: float | None
    condition: int
    warm: bool


def row_scores(scores: Scores) -> list[RowScore]:
    machines = [scores.batch.machine_ids[index] for index in scores.batch.machine.tolist()]
    columns = (scores.batch.timestamps, scores.anomaly, scores.flagged, scores.risk, scores.condition, scores.warm)
    rows = zip(machines, *(column.tolist() for column in columns), strict=True)
    return [RowScore(*(None if value != value else value for value in row)) for row in rows]  # noqa: PLR0124  NaN


@dataclass
class PublishedOutputs:
    """All that came out of a stream, in order."""

    scores: list[RowScore] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    recommendations: list[Any] = field(default_factory=list)
    windows: dict[str, EnergyWindow] = field(default_factory=dict)
    late: int = 0

    def add(self, assessment: Assessment) -> None:
        self.scores += row_scores(assessment.scores)
        self.alerts += [alert for _, alert in assessment.alerts]
        self.recommendations += assessment.recommendations
        self.late += assessment.late
        self.publish(assessment.energy_windows)

    def publish(self, windows: Iterable[EnergyWindow]) -> None:
        """A later revision replaces an earlier one, as it does for whoever reads the topic."""
        for window in windows:
            known = self.windows.get(window.key)
            if known is not None:
                assert window.revision > known.revision, (known, window)
            self.windows[window.key] = window

    @property
    def hours(self) -> dict[str, EnergyWindow]:
        """The windows but for how often they were published."""
        return {key: window.model_copy(update={"revision": 0}) for key, window in self.windows.items()}


def run_batches(
    batches: Iterable[ReadingBatch], *, plant: Plant = PLANT, models: Models = MODELS, state: FleetState | None = None
) -> tuple[PublishedOutputs, FleetState]:
    """Assesses the batches one after the other."""
    state = FleetState(plant) if state is None else state
    outputs = PublishedOutputs()
    for batch in batches:
        assessment = assess(batch, state=state, models=models, plant=plant)
        state = assessment.state
        outputs.add(assessment)
    return outputs, state


def close_all(outputs: PublishedOutputs, state: FleetState) -> None:
    """Lets enough time pass for all windows to close."""
    far = max(state.watermark, START) + 1e6
    outputs.publish(advance_time(state, plant=state.plant, now=far, idle_seconds=1e6).energy_windows)


def remembered(state: FleetState) -> dict[str, Any]:
    """What a state knows of each machine, wherever it keeps it, and the partition's own time."""
    machines: dict[str, Any] = defaultdict(dict)
    for machine_id, slot in state.slots.items():
        for table in (state.tracks, state.episodes, state.wear):
            for name, column in zip(table._fields, table, strict=True):
                machines[machine_id][f"{type(table).__name__}.{name}"] = column[slot].tolist()
        machines[machine_id]["score"] = float(state.scores[slot])
        machines[machine_id]["warm_up"] = state.warm_ups[slot].tolist() if slot in state.warm_ups else None
    for (machine_id, kind), alert in state.alerts.items():
        machines[machine_id][f"alert.{kind}"] = alert
    for machine_id, hour in state.windows:
        kept = state.windows[machine_id, hour].pack()
        # how often a window was published is a matter of when it was looked at
        machines[machine_id][f"window.{hour}"] = kept[:1] + kept[4:]
    return {"machines": _nan_equal(machines), "watermark": state.watermark}


def _nan_equal(value: Any) -> Any:
    """The same with "nan" for NaN, which does not equal itself."""
    if isinstance(value, dict):
        return {key: _nan_equal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_nan_equal(item) for item in value]
    return "nan" if isinstance(value, float) and np.isnan(value) else value


def saved(state: FleetState) -> list[Record]:
    """The changelog records of all that has changed; afterwards nothing has."""
    return state.records_of(sorted(state.dirty))


def restored(log: Sequence[Record], *, plant: Plant = PLANT) -> FleetState:
    """A state from a changelog, as after a restart."""
    state = FleetState(plant)
    state.restore(log)
    return state
