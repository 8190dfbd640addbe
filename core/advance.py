"""Messages due by time alone: silence alerts, windows that close without a reading, and machine statuses."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from core.alerting.messages import forget_resolved
from core.alerting.silence import SilenceWatch
from core.energy.closing import closing_of
from core.plant import Plant
from core.state.fleet import FleetState
from core.state.tracks import CONDITIONS
from schemas.alerts import Alert
from schemas.energy import EnergyWindow
from schemas.machines import MachineStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class DueMessages:
    """Messages that became due without a reading."""

    alerts: tuple[Alert, ...]
    energy_windows: tuple[EnergyWindow, ...]


def advance_time(state: FleetState, *, plant: Plant, now: float, idle_seconds: float) -> DueMessages:
    """Return what became due in a partition without records for `idle_seconds`; now: epoch seconds.

    The hours of a machine that has been silent for long are closed without further readings.
    """
    alerts = SilenceWatch(state=state, plant=plant).opened_after(idle_seconds)
    windows = closing_of(plant).by_the_clock(
        state.windows, _estimates(state, plant, now=now, idle_seconds=idle_seconds), now=now
    )
    state.dirty.update(state.slots[window.machine_id] for window in windows)
    forget_resolved(state)
    return DueMessages(alerts=tuple(alerts), energy_windows=tuple(windows))


def _estimates(state: FleetState, plant: Plant, *, now: float, idle_seconds: float) -> dict[str, float]:
    """Return where the time of each machine with hours to close should stand that has been silent for long, epoch s."""
    limit = plant.close_idle_after_seconds
    count = len(state.ids)
    elapsed = state.progress - state.last_progress[:count] + idle_seconds
    estimates = np.full(count, now) if idle_seconds >= limit else state.tracks.last_seen[:count] + elapsed
    silent = np.flatnonzero(elapsed >= limit).tolist()
    due = state.windows.due
    return {
        state.ids[slot]: float(estimates[slot]) for slot in silent if slot < len(due) and due[slot] <= estimates[slot]
    }


def statuses(state: FleetState, slots: list[int], *, plant: Plant) -> list[MachineStatus]:
    """Return the current status messages of the machines in these table rows."""
    tracks = state.tracks
    open_alerts: dict[str, int] = {}
    silent = set()
    for (machine_id, kind), alert in state.alerts.items():
        if alert.state != "resolved":
            open_alerts[machine_id] = open_alerts.get(machine_id, 0) + 1
            if kind == "silent":
                silent.add(machine_id)
    reports = []
    for slot in slots:
        machine_id = state.ids[slot]
        machine_type = plant.type_of(machine_id)
        values = zip(plant.sensor_names, tracks.last_values[slot].tolist(), strict=True)
        reports.append(
            MachineStatus(
                machine_id=machine_id,
                timestamp=datetime.fromtimestamp(tracks.last_seen[slot], UTC),
                machine_type=None if machine_type is None else machine_type.name,
                condition="silent" if machine_id in silent else CONDITIONS[tracks.condition[slot]],
                warm_up=_warm_up(state, slot, plant),
                values={name: None if np.isnan(value) else value for name, value in values},
                anomaly_score=_known(state.scores[slot]),
                risk=_known(state.wear.risk[slot]),
                readings=int(tracks.readings[slot]),
                alerts_open=open_alerts.get(machine_id, 0),
            )
        )
    return reports


def _warm_up(state: FleetState, slot: int, plant: Plant) -> float:
    if state.tracks.fitted[slot]:
        return 1.0
    # a plant file that now asks for fewer readings may find more than enough of them
    return min(1.0, float(state.tracks.learned[slot] / plant.warm_up_readings))


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
