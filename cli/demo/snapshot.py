"""From a tally and the simulation to what the live view shows."""

import time
from typing import Final

from cli.demo.follow import Meter
from cli.demo.simulation import Simulation
from cli.demo.tally import MachineNow, Tally
from cli.demo.truth import outcomes, percentile
from cli.demo.view import MachineRow, Snapshot
from producer.faults import InjectedFault
from schemas.alerts import Alert

_LATELY: Final = 200
_ALERTS: Final = 60


def snapshot(
    title: str, simulation: Simulation, tally: Tally, meter: Meter, *, address: str, finishing: bool = False
) -> Snapshot:
    """What is known now. address: of the page that shows it in a browser."""
    now = time.time()
    faults = tuple(fault for fault in simulation.faults if fault.start <= now)
    found = outcomes(faults, tally.openings, grace=simulation.grace_seconds)
    latencies = tally.latencies[-_LATELY:]
    open_alerts = tally.open_alerts()
    return Snapshot(
        title=title,
        address=address,
        seconds_live=max(0.0, now - simulation.live_from),
        seconds_left=None if simulation.ends_at is None else max(0.0, simulation.ends_at - now),
        finishing=finishing,
        machines=tuple(
            _row(machine_id, tally.machines.get(machine_id, MachineNow()), tally, faults, now)
            for machine_id in simulation.machine_ids
        ),
        recent=_recent(tally, simulation.live_from),
        produced=simulation.delivered,
        scored=tally.readings_scored,
        dead_letters=tally.dead_letters,
        per_second=meter.rate(),
        latency_p50_ms=_milliseconds(percentile(latencies, 0.50)),
        latency_p99_ms=_milliseconds(percentile(latencies, 0.99)),
        alerts_open=len(open_alerts),
        faults_begun=len(found),
        faults_alerted=sum(one.opening is not None for one in found),
    )


def _recent(tally: Tally, live_from: float) -> tuple[Alert, ...]:
    """Alerts that the live phase has seen, newest first; those that were over before are history."""
    seen = [
        alert
        for alert in tally.alerts.values()
        if alert.state != "resolved" or alert.updated_at.timestamp() >= live_from
    ]
    return tuple(sorted(seen, key=lambda alert: alert.opened_at, reverse=True)[:_ALERTS])


def _row(machine_id: str, known: MachineNow, tally: Tally, faults: tuple[InjectedFault, ...], now: float) -> MachineRow:
    return MachineRow(
        machine_id=machine_id,
        condition=known.condition,
        warm_up=known.warm_up,
        score=known.score,
        trend=tuple(known.trend),
        risk=known.risk,
        power=known.power,
        fault=next((fault for fault in faults if fault.machine_id == machine_id and fault.end > now), None),
        alerts=tuple(tally.open_alerts(machine_id)),
    )


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000.0
