"""Alerts on machines that have stopped sending: opened by time, resolved by a reading."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from core.alerting.messages import MOST_SIGNALS, RULE, alert_id
from core.alerting.suppression import suppressed_at
from core.arrays import Floats, Ints
from core.batch import ReadingBatch
from core.plant import Plant
from core.state.fleet import FleetState
from core.state.tracks import CONDITIONS
from schemas.alerts import Alert, Signal
from schemas.scores import FLAG_AT


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceWatch:
    """Alerts on machines that have stopped sending."""

    state: FleetState
    plant: Plant

    def resolved_by(self, batch: ReadingBatch, newest: Floats) -> list[tuple[int, Alert]]:
        """Return the silence alerts that `batch` resolves, each with its row. newest: see `RowResults`."""
        ended = []
        for index, machine_id in enumerate(batch.machine_ids):
            alert = self.state.alerts.get((machine_id, "silent"))
            if alert is None or alert.state == "resolved":
                continue
            rows = np.flatnonzero(batch.machine == index)
            if not len(rows):
                continue
            # a reading from before the silence was detected may arrive after it
            at = max(datetime.fromtimestamp(newest[rows[0]], UTC), alert.opened_at)
            resolved = alert.model_copy(update={"state": "resolved", "updated_at": at, "resolved_at": at})
            self.state.alerts[machine_id, "silent"] = resolved
            ended.append((int(rows[0]), resolved))
        return ended

    def advance(self, slots: Ints, timestamps: Floats) -> None:
        """Advance the partition's event time by new readings, (n,) each, and record it for their machines."""
        if not len(slots):
            return
        state = self.state
        watermark = np.maximum.accumulate(np.append(state.watermark, timestamps))
        # one device whose clock runs ahead must not make all others look silent
        progress = np.minimum(np.diff(watermark), self.plant.silent_after_seconds / 2).cumsum() + state.progress
        state.last_progress[slots] = progress
        state.progress = float(progress[-1])
        state.watermark = float(watermark[-1])

    def opened_after(self, idle_seconds: float) -> list[Alert]:
        """Return new alerts on silent machines; the partition has had no record for `idle_seconds`."""
        opened = []
        rules = self.state.rules
        last_seen = self.state.tracks.last_seen
        silence = self.state.progress - self.state.last_progress[: len(self.state.ids)] + idle_seconds
        count = len(self.state.ids)
        for slot in np.flatnonzero((silence > rules.silent_after_seconds[:count]) & rules.notices_silence[:count]):
            limit = float(rules.silent_after_seconds[slot])
            machine_id = self.state.ids[slot]
            known = self.state.alerts.get((machine_id, "silent"))
            if known is not None and known.state != "resolved":
                continue
            seen = float(last_seen[slot])
            if suppressed_at("silent", int(slot), seen + limit, self.state):
                continue
            at = datetime.fromtimestamp(seen + limit, UTC)
            off = CONDITIONS[self.state.tracks.condition[slot]] == "off"
            last = datetime.fromtimestamp(seen, UTC)
            alert = Alert(
                alert_id=alert_id(machine_id, "silent", last),
                machine_id=machine_id,
                kind="silent",
                severity="info" if off else "warning",
                state="opened",
                opened_at=at,
                updated_at=at,
                peak_score=1.0,
                threshold=FLAG_AT,
                readings=0,
                signals=tuple(
                    Signal(sensor=name, actual=None, expected=None, deviation=None, contribution=1 / len(names))
                    for names in [self.plant.sensor_names]
                    for name in names[:MOST_SIGNALS]
                ),
                summary=f"{machine_id} has sent no reading since {last:%Y-%m-%d %H:%M:%S} UTC; check its connection.",
                model=RULE,
                confidence=1.0,
                warm_up=not bool(self.state.tracks.fitted[slot]),
            )
            self.state.alerts[machine_id, "silent"] = alert
            self.state.dirty.add(int(slot))
            opened.append(alert)
        return opened
