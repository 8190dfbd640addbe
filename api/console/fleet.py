"""What the fleet page shows: open alerts by machine, totals of the site, and the machines."""

import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from api.console.alarms import SEVERITIES, AlarmRow, alarm_rows, fleet_of, grouped
from api.console.charts import sparkline
from api.console.formats import Formats
from api.console.history import trend
from api.live.records import ViewRecord
from api.live.view import View
from core.plant import Plant
from schemas.forecasts import plant_series

PER_PAGE: Final = 60
MOST_GROUPS: Final = 12
_TREND: Final = 60
_RATE_SECONDS: Final = 5.0
_LEAST_STALE_SECONDS: Final = 30.0
_STALE_INTERVALS: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What the reader has chosen; empty strings choose everything."""

    text: str = ""
    machine_type: str = ""
    condition: str = ""
    alerting: bool = False
    view: Literal["tiles", "table"] = "tiles"
    page: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One machine. trend: SVG path of its last scores; power: kW."""

    machine_id: str
    machine_type: str | None
    condition: str
    warm_up: float
    score: float | None
    risk: float | None
    power: float | None
    trend: str
    alerts: int
    severity: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Figures of the whole site; members of a fleet alert count once, as that alert.

    power: kW; energy, expected: kWh of today; rate: readings per second.
    """

    severities: dict[str, int]
    unanswered: int
    conditions: dict[str, int]
    machines: int
    power: float | None
    energy: float | None
    expected: float | None
    rate: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The fleet page. shown: machines that match the filters, before paging."""

    groups: list[list[AlarmRow]]
    hidden_groups: int
    totals: Totals
    tiles: list[Tile]
    shown: int
    page: int
    pages: int
    types: list[str]


@dataclass(slots=True)
class Throughput:
    """Readings a second, from the machines' own counts at two instants some seconds apart."""

    _points: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=16))

    def rate(self, view: View) -> float | None:
        """Return the rate since the oldest instant that is kept; None until there are two."""
        now = time.monotonic()
        if not self._points or now - self._points[-1][0] >= _RATE_SECONDS:
            self._points.append((now, sum(record.message.readings for record in view.machines.values())))
        (first, before), (last, after) = self._points[0], self._points[-1]
        return (after - before) / (last - first) if last > first and after >= before else None


def newest(view: View) -> float | None:
    """Return when the newest status was written, epoch seconds."""
    return max((record.at for record in view.machines.values()), default=None)


def stale_after(plant: Plant) -> float:
    """Return the age in seconds from which data count as stale."""
    return max(_LEAST_STALE_SECONDS, _STALE_INTERVALS * plant.interval_seconds)


def fleet_page(view: View, plant: Plant, filters: Filters, formats: Formats, *, rate: float | None) -> Fleet:
    """Return the page for these filters."""
    rows = [row for row in alarm_rows(view, formats.now) if row.group in {"open", "stale"}]
    groups = grouped(rows)
    worst: dict[str, str] = {}
    for row in rows:
        before = worst.get(row.alert.machine_id, "info")
        worst[row.alert.machine_id] = min(before, row.alert.severity, key=SEVERITIES.index)
    power = plant.index_of_role("power")
    sensor = None if power is None else plant.sensor_names[power]
    matching = [record for record in view.machines.values() if _matches(record, filters, worst)]
    matching.sort(key=lambda record: _order(record, worst))
    pages = max(1, -(-len(matching) // PER_PAGE))
    page = min(max(1, filters.page), pages)
    counts = Counter(row.alert.machine_id for row in rows)
    return Fleet(
        groups=groups[:MOST_GROUPS],
        hidden_groups=sum(map(len, groups[MOST_GROUPS:])),
        totals=_totals(view, plant, rows, formats, sensor=sensor, rate=rate),
        tiles=[
            _tile(record, view, sensor, counts[record.identity], worst.get(record.identity))
            for record in matching[(page - 1) * PER_PAGE : page * PER_PAGE]
        ],
        shown=len(matching),
        page=page,
        pages=pages,
        types=sorted({str(one.message.machine_type) for one in view.machines.values() if one.message.machine_type}),
    )


def _matches(record: ViewRecord, filters: Filters, worst: dict[str, str]) -> bool:
    status = record.message
    return (
        filters.text.casefold() in status.machine_id.casefold()
        and filters.machine_type in {"", status.machine_type}
        and filters.condition in {"", status.condition}
        and (not filters.alerting or status.machine_id in worst)
    )


def _order(record: ViewRecord, worst: dict[str, str]) -> tuple[int, str]:
    severity = worst.get(record.identity)
    return len(SEVERITIES) if severity is None else SEVERITIES.index(severity), record.identity


def _tile(record: ViewRecord, view: View, sensor: str | None, alerts: int, severity: str | None) -> Tile:
    status = record.message
    scores = trend(view.rings.get(record.identity), _TREND)
    return Tile(
        machine_id=status.machine_id,
        machine_type=status.machine_type,
        condition=status.condition,
        warm_up=status.warm_up,
        score=status.anomaly_score,
        risk=status.risk,
        power=status.values.get(sensor) if sensor else None,
        trend=sparkline(scores) if len(scores) > 1 else "",
        alerts=alerts,
        severity=severity,
    )


def _totals(
    view: View, plant: Plant, rows: Sequence[AlarmRow], formats: Formats, *, sensor: str | None, rate: float | None
) -> Totals:
    statuses = [record.message for record in view.machines.values()]
    powers = [
        value
        for status in statuses
        if sensor and status.condition != "silent" and (value := status.values.get(sensor)) is not None
    ]
    members = fleet_of(rows)
    counted = [row for row in rows if row.alert.alert_id not in members]
    severities = Counter(row.alert.severity for row in counted)
    energy, expected = _today(view, plant, formats)
    return Totals(
        severities={one: severities[one] for one in SEVERITIES},
        unanswered=sum(not row.answered for row in counted),
        conditions=dict(Counter(status.condition for status in statuses)),
        machines=len(statuses),
        power=sum(powers) if powers else None,
        energy=energy,
        expected=expected,
        rate=rate,
    )


def _today(view: View, plant: Plant, formats: Formats) -> tuple[float | None, float | None]:
    """Energy measured today, and that with what the plant's forecast expects of the rest of the day, kWh."""
    midnight = formats.midnight()
    begin = f"{midnight.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    windows = [record.message for hours in view.energy.values() for start, record in hours.items() if start >= begin]
    if not windows:
        return None, None
    measured = sum(window.energy_kwh for window in windows)
    forecast = view.forecasts.get(plant_series(plant.name))
    if forecast is None:
        return measured, None
    known: datetime = max(window.end for window in windows)
    rest = [
        point.value
        for point in forecast.message.points
        if known <= point.timestamp < midnight + timedelta(days=1) and point.timestamp >= midnight
    ]
    return measured, measured + sum(rest) if rest else None
