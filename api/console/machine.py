"""What the pages of one machine and of one alert show: its signals, score, energy, advice and alerts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from api.console.alarms import AlarmRow
from api.console.charts import Axis, Chart, Span, bar_chart, line_chart
from api.console.formats import Formats
from api.console.history import Readings, recent_scores
from api.console.quiet import Quiet, of_machine
from api.live.records import ViewRecord
from api.live.view import View
from core.alerting.suppression import Hold
from core.plant import Plant
from core.state.tracks import Tracks, watched_sensors
from schemas.recommendations import Recommendation

SPANS: Final = {"hour": 3_600.0, "day": 86_400.0, "week": 604_800.0}
BAND_SCALES: Final = 3.0
"""Scales around the mean that are drawn as a machine's normal range."""
_ENERGY_HOURS: Final = 48
_AHEAD_HOURS: Final = 24
_THRESHOLD: Final = 0.5
_LEAST_AROUND: Final = 60.0
_AROUND_STEPS: Final = 90
_MOST_AROUND: Final = 1_800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A signal with its chart. value: the newest; band: normal range, both in `unit`."""

    name: str
    unit: str
    value: float | None
    band: tuple[float, float] | None
    chart: Chart


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyPanel:
    """Hours of energy, measured and forecast, kWh."""

    chart: Chart
    level: float
    forecast: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MachinePage:
    """The page of a machine. begins: from when on its readings are complete, epoch seconds, if not from the start."""

    status: Any
    axis: Axis
    panels: list[Panel]
    score: Chart | None
    energy: EnergyPanel | None
    advice: Recommendation | None
    alerts: list[AlarmRow]
    quiet: list[Quiet]
    begins: float | None


def normal_bands(plant: Plant, tracks: Tracks | None) -> dict[str, tuple[float, float]]:
    """Return each watched sensor's normal range, where the machine's baseline is learned."""
    if tracks is None or not bool(tracks.fitted[0]):
        return {}
    bands = {}
    for column, index in enumerate(watched_sensors(plant)):
        mean, scale = float(tracks.mean[0, column]), float(tracks.scale[0, column])
        if np.isfinite(mean) and np.isfinite(scale):
            bands[plant.sensor_names[index]] = (mean - BAND_SCALES * scale, mean + BAND_SCALES * scale)
    return bands


def machine_page(
    status: ViewRecord,
    *,
    view: View,
    plant: Plant,
    formats: Formats,
    readings: Readings,
    tracks: Tracks | None,
    axis: Axis,
    alerts: Sequence[AlarmRow],
    holds: Sequence[Hold] = (),
) -> MachinePage:
    """Return the page of a machine for the time of `axis`."""
    machine_id = status.identity
    own = [row for row in alerts if row.alert.machine_id == machine_id]
    own.sort(key=lambda row: row.alert.opened_at, reverse=True)
    spans = alert_spans(axis, own, formats)
    scores = [
        (t, value)
        for t, value in recent_scores(machine_id, view.rings.get(machine_id))
        if value is not None and axis.start <= t <= axis.end
    ]
    advice = view.recommendations.get(machine_id)
    return MachinePage(
        status=status.message,
        axis=axis,
        panels=signal_panels(plant, readings, normal_bands(plant, tracks), axis, spans, status=status.message),
        score=line_chart(axis, scores, rules=[(_THRESHOLD, "threshold")], spans=spans, scale=(0.0, 1.0))
        if len(scores) > 1
        else None,
        energy=energy_panel(view, machine_id, formats),
        advice=None if advice is None else advice.message,
        alerts=own,
        quiet=of_machine(machine_id, holds),
        begins=readings.begins if readings.begins > axis.start + 0.02 * (axis.end - axis.start) else None,
    )


def signal_panels(
    plant: Plant,
    readings: Readings,
    bands: dict[str, tuple[float, float]],
    axis: Axis,
    spans: Sequence[Span],
    *,
    status: Any = None,
    only: Sequence[str] = (),
    mark: float | None = None,
) -> list[Panel]:
    """Return a panel for each sensor (of `only`, in its order, where it is given) that has values or a band."""
    panels = []
    by_name = {sensor.name: sensor for sensor in plant.sensors}
    for name in only or plant.sensor_names:
        sensor = by_name.get(name)
        if sensor is None or (not only and sensor.role in {"runtime", "energy_counter"}):
            continue
        limits = (
            (sensor.warning_low, "limit-warning"),
            (sensor.warning_high, "limit-warning"),
            (sensor.critical_low, "limit-critical"),
            (sensor.critical_high, "limit-critical"),
        )
        rules = [(value, kind) for value, kind in limits if value is not None]
        samples = readings.of(name)
        panels.append(
            Panel(
                name=name,
                unit=sensor.unit,
                value=(status.values.get(name) if status is not None else None)
                or (samples[-1][1] if samples else None),
                band=bands.get(name),
                chart=line_chart(axis, samples, band=bands.get(name), rules=rules, spans=spans, mark=mark),
            )
        )
    return panels


def alert_spans(axis: Axis, rows: Sequence[AlarmRow], formats: Formats) -> list[Span]:
    """Return the parts of the axis in which alerts were open, gravest last so that they are drawn on top."""
    order = {"info": 0, "warning": 1, "critical": 2}
    found = []
    for row in sorted(rows, key=lambda one: order[one.alert.severity]):
        end = row.alert.resolved_at or formats.now
        span = axis.span(
            row.alert.opened_at.timestamp(), end.timestamp(), f"span-{row.alert.severity}", row.alert.summary
        )
        if span is not None:
            found.append(span)
    return found


def energy_panel(view: View, series: str, formats: Formats, *, ahead: int = _AHEAD_HOURS) -> EnergyPanel | None:
    """Return a machine's newest hours with what its forecast expects of the next; None where there is neither."""
    hours: Mapping[str, ViewRecord] = view.energy.get(series, {})
    windows = [hours[start].message for start in sorted(hours)][-_ENERGY_HOURS:]
    record = view.forecasts.get(series)
    points = () if record is None else record.message.points[:ahead]
    if not windows and not points:
        return None
    edges = [one.start.timestamp() for one in windows] + [one.timestamp.timestamp() for one in points]
    axis = Axis(start=min(edges), end=max(edges) + 3600.0)
    bars = [(one.start.timestamp(), one.end.timestamp(), one.energy_kwh) for one in windows]
    middle = [(one.timestamp.timestamp() + 1800.0, one.value) for one in points]
    interval = [(one.timestamp.timestamp() + 1800.0, one.lower, one.upper) for one in points]
    highest = max([value for *_, value in bars] + [high for *_, high in interval], default=1.0)
    chart = line_chart(
        axis,
        middle,
        interval=interval,
        scale=(0.0, 1.08 * highest or 1.0),
        mark=formats.now.timestamp() if axis.start < formats.now.timestamp() < axis.end else None,
    )
    chart = bar_chart(axis, bars, chart=chart)
    return EnergyPanel(chart=chart, level=0.8 if record is None else record.message.level, forecast=record is not None)


def around(row: AlarmRow, readings: Readings, plant: Plant) -> Axis:
    """Return the time around an alert's opening, wide enough for some ninety readings on each side."""
    moments = [moment for moment, _ in readings.samples[-200:]]
    steps = sorted(later - earlier for earlier, later in pairwise(moments))
    step = steps[len(steps) // 2] if steps else plant.interval_seconds
    half = min(_MOST_AROUND, max(_LEAST_AROUND, _AROUND_STEPS * step))
    opened = row.alert.opened_at.timestamp()
    return Axis(start=opened - half, end=opened + half)


def alert_bands(row: AlarmRow) -> dict[str, tuple[float, float]]:
    """Return what each signal of an alert was expected to be, from its expected value and its deviation."""
    bands = {}
    for signal in row.alert.signals:
        if signal.actual is None or signal.expected is None or not signal.deviation:
            continue
        scale = abs((signal.actual - signal.expected) / signal.deviation)
        bands[signal.sensor] = (signal.expected - BAND_SCALES * scale, signal.expected + BAND_SCALES * scale)
    return bands
