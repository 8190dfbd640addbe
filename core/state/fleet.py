"""State of the machines of one partition; `core.state.records` defines its records in the changelog."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, NamedTuple, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.energy.windows import Windows
from core.plant import Plant
from core.state import records as saved
from core.state.alert_rules import AlertRules, alert_rules, maintenance_spans
from core.state.annotations import Annotation
from core.state.episodes import EPISODES_LAYOUT, Episodes
from core.state.habits import Habits, habits_layout
from core.state.records import Record, RowTypes
from core.state.tables import Column, Layout, allocate, grown, kept, put_rows, rows_of
from core.state.tracks import Tracks, tracks_layout
from core.state.traits import MachineTraits, traits_of
from core.state.wear import WEAR_LAYOUT, Wear
from schemas.alerts import Alert, AlertKind

_FIRST_CAPACITY: Final = 16
_AT_ONCE: Final = 4096  # machines restored in one step
CLOCK: Final = "clock"
"""Model name of alerts on a device's clock, which are kept apart from others of their kind."""
_KEYS: Final = (*get_args(AlertKind), CLOCK)


@dataclass(slots=True)
class ClockRun:
    """Successive arrivals that show a device's clock to be wrong by about the same amount.

    since: our clock at the first one, epoch s. ahead: the device's lead then, s. wrong: number of such arrivals; right:
    later arrivals in a row with a correct clock.
    """

    since: float
    ahead: float
    wrong: int = 0
    right: int = 0


def alert_key(alert: Alert) -> tuple[str, str]:
    """Return the key of an alert in the state: one for each machine and kind, and one for its clock."""
    return alert.machine_id, CLOCK if alert.model.name == CLOCK else alert.kind


class _Latest(NamedTuple):
    score: NDArray[np.float64]


_LATEST_LAYOUT: Final[Layout] = {"score": Column("f8", fill=float("nan"))}


@dataclass(slots=True)
class FleetState:
    """State of the machines of one partition, which the rules change in place.

    alerts: newest alert by `alert_key`, open or recently resolved. watermark: newest event time, epoch s. progress:
    event time since the state was created, s; last_progress: progress at each machine's last reading. dirty:
    slots changed since they were saved. era: number of times that the readings topic was recreated, after which
    offsets start again. clock_ahead: lead of each machine's last reading over our clock on arrival, s, NaN before
    the first; clock_runs: of clocks that are, or recently were, wrong. looks: early looks by slot, which follow from
    `warm_ups` and are not saved; see `core.detection.warm_up`.
    """

    plant: Plant
    ids: list[str] = field(default_factory=list)
    slots: dict[str, int] = field(default_factory=dict)
    tracks: Tracks = field(init=False)
    episodes: Episodes = field(init=False)
    wear: Wear = field(init=False)
    habits: Habits = field(init=False)
    traits: MachineTraits = field(init=False)
    scores: NDArray[np.float64] = field(init=False)
    rules: AlertRules = field(init=False)
    maintenance_spans: NDArray[np.float64] = field(init=False)
    annotations: dict[int, Annotation] = field(default_factory=dict)
    warm_ups: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    looks: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    windows: Windows = field(default_factory=Windows)
    alerts: dict[tuple[str, str], Alert] = field(default_factory=dict)
    watermark: float = float("-inf")
    progress: float = 0.0
    last_progress: NDArray[np.float64] = field(init=False)
    clock_ahead: NDArray[np.float64] = field(init=False)
    clock_runs: dict[str, ClockRun] = field(default_factory=dict)
    dirty: set[int] = field(default_factory=set)
    era: int = 0
    _layouts: dict[str, Layout] = field(init=False)
    _types: RowTypes = field(init=False)
    _baselines: dict[int, int] = field(default_factory=dict)
    _hours: dict[int, tuple[Hashable, ...]] = field(default_factory=dict)
    _learned: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._layouts = {
            "tracks": tracks_layout(self.plant),
            "episodes": EPISODES_LAYOUT,
            "wear": WEAR_LAYOUT,
            "habits": habits_layout(self.plant),
            "latest": _LATEST_LAYOUT,
        }
        self._types = RowTypes.of(self._layouts, self.plant.fingerprint)
        self.tracks = allocate(Tracks, self._layouts["tracks"], _FIRST_CAPACITY)
        self.episodes = allocate(Episodes, EPISODES_LAYOUT, _FIRST_CAPACITY)
        self.wear = allocate(Wear, WEAR_LAYOUT, _FIRST_CAPACITY)
        self.habits = allocate(Habits, self._layouts["habits"], _FIRST_CAPACITY)
        self.traits = MachineTraits(*(np.empty(_FIRST_CAPACITY) for _ in MachineTraits._fields))
        self.scores = np.full(_FIRST_CAPACITY, np.nan)
        self.last_progress = np.zeros(_FIRST_CAPACITY)
        self.clock_ahead = np.full(_FIRST_CAPACITY, np.nan)
        self.rules = alert_rules(self.plant, [""] * _FIRST_CAPACITY)
        self.maintenance_spans = maintenance_spans(self.plant)

    def slots_of(self, machine_ids: Iterable[str]) -> NDArray[np.int64]:
        """Return the table rows of these machines, (n,), and add the unknown ones."""
        slots = self.slots
        return np.array([slots[m] if m in slots else self._add(m) for m in machine_ids], dtype=np.int64)

    def _add(self, machine_id: str) -> int:
        slot = len(self.ids)
        capacity = len(self.scores)
        if slot == capacity:
            self.tracks = grown(self.tracks, self._layouts["tracks"], 2 * capacity)
            self.episodes = grown(self.episodes, EPISODES_LAYOUT, 2 * capacity)
            self.wear = grown(self.wear, WEAR_LAYOUT, 2 * capacity)
            self.habits = grown(self.habits, self._layouts["habits"], 2 * capacity)
            self.traits = MachineTraits(*(np.concatenate([array, np.empty(capacity)]) for array in self.traits))
            self.rules = AlertRules(*(np.concatenate([array, array]) for array in self.rules))
            self.scores = np.concatenate([self.scores, np.full(capacity, np.nan)])
            self.last_progress = np.concatenate([self.last_progress, np.zeros(capacity)])
            self.clock_ahead = np.concatenate([self.clock_ahead, np.full(capacity, np.nan)])
        self.ids.append(machine_id)
        self.slots[machine_id] = slot
        for array, value in zip(self.traits, traits_of(self.plant, machine_id), strict=True):
            array[slot] = value
        if self.plant.alerts.overrides:  # without overrides all rows are equal
            for column, values in zip(self.rules, alert_rules(self.plant, [machine_id]), strict=True):
                column[slot] = values[0]
        return slot

    def use_policy(self, plant: Plant) -> None:
        """Apply the alert policy of a changed plant file; its other parts must be unchanged."""
        self.plant = plant
        capacity = len(self.scores)
        self.rules = alert_rules(plant, [*self.ids, *[""] * (capacity - len(self.ids))])
        self.maintenance_spans = maintenance_spans(plant)

    def begin_era(self) -> None:
        """Accept the next readings with any offsets, because their topic was recreated."""
        self.era += 1
        self.tracks.last_offset[:] = -1
        self.dirty.update(range(len(self.ids)))

    def newest_of(self, machine_id: str) -> float:
        """Return the time of a known machine's newest reading, epoch s."""
        return float(self.tracks.last_seen[self.slots[machine_id]])

    def forget(self, slots: Iterable[int]) -> list[Record]:
        """Remove machines, and return the records that delete them; table rows of the others change."""
        removed = set(slots)
        if not removed:
            return []
        deleted: list[Record] = []
        for slot in sorted(removed):
            machine_id = self.ids[slot]
            parts: list[tuple[str, int | None]] = [(saved.HOURS, None), (saved.BASELINE, None)]
            parts += [(saved.WARM_UP, n) for n in range(self._learned.get(slot, 0))]
            deleted += [(saved.key_of(part, machine_id, number), None) for part, number in parts]
            deleted.append((saved.key_of(saved.MACHINE, machine_id), None))
            self.clock_runs.pop(machine_id, None)
            for kind in [kind for machine, kind in self.alerts if machine == machine_id]:
                del self.alerts[machine_id, kind]
        remaining = [slot for slot in range(len(self.ids)) if slot not in removed]
        self.windows.forget([self.ids[slot] for slot in removed], np.array(remaining, dtype=np.int64))
        rows, capacity = np.array(remaining, dtype=np.int64), max(_FIRST_CAPACITY, 1 << len(remaining).bit_length())
        self.tracks = kept(self.tracks, self._layouts["tracks"], rows, capacity)
        self.episodes = kept(self.episodes, EPISODES_LAYOUT, rows, capacity)
        self.wear = kept(self.wear, WEAR_LAYOUT, rows, capacity)
        self.habits = kept(self.habits, self._layouts["habits"], rows, capacity)
        self.traits = MachineTraits(*(np.resize(array[rows], capacity) for array in self.traits))
        self.rules = AlertRules(
            *(np.resize(array[rows] if len(rows) else array, (capacity, *array.shape[1:])) for array in self.rules)
        )
        self.scores = np.append(self.scores[rows], np.full(capacity - len(rows), np.nan))
        self.last_progress = np.append(self.last_progress[rows], np.zeros(capacity - len(rows)))
        self.clock_ahead = np.append(self.clock_ahead[rows], np.full(capacity - len(rows), np.nan))
        self.ids = [self.ids[slot] for slot in remaining]
        self.slots = {machine_id: slot for slot, machine_id in enumerate(self.ids)}
        place = {old: new for new, old in enumerate(remaining)}
        self.dirty = {place[slot] for slot in self.dirty if slot in place}
        for by_slot in (self.warm_ups, self.looks, self.annotations, self._baselines, self._hours, self._learned):
            values = [(place[slot], value) for slot, value in by_slot.items() if slot in place]
            by_slot.clear()
            by_slot.update(values)  # type: ignore[arg-type]
        return deleted

    def records_of(self, slots: Sequence[int]) -> list[Record]:
        """Return the changelog records of these machines, parts before their own records, and mark them as saved."""
        if not len(slots):
            return []
        rows = np.array(slots, dtype=np.int64)
        tables = self._tables()
        common, own = rows_of(tables, self._types.common, rows), rows_of(tables, self._types.own, rows)
        baselines = rows_of(tables, self._types.baseline, rows)
        sums = _checksums(baselines)
        out: list[Record] = []
        for place, slot in enumerate(slots):
            machine_id = self.ids[slot]
            if sums[place] != self._baselines.get(slot, 0) and self.tracks.fitted[slot]:
                self._baselines[slot] = sums[place]
                record = saved.part_record(self._types, baselines[place].tobytes())
                out.append((saved.key_of(saved.BASELINE, machine_id), record))
            open_hours = self._save_hours(slot, out)
            learned = self._save_warm_up(slot, out)
            alerts = self._alerts_of(machine_id)
            row = common[place].tobytes() + own[place].tobytes()
            tail = [alerts, open_hours, learned, self.annotations.get(slot)]
            out.append(
                (saved.key_of(saved.MACHINE, machine_id), saved.machine_record(self._types, self.era, row, tail))
            )
        self.dirty.difference_update(slots)
        return out

    def _tables(self) -> dict[str, Any]:
        latest = _Latest(self.scores)
        return {
            "tracks": self.tracks,
            "episodes": self.episodes,
            "wear": self.wear,
            "habits": self.habits,
            "latest": latest,
        }

    def _alerts_of(self, machine_id: str) -> list[bytes]:
        found = (self.alerts.get((machine_id, key)) for key in _KEYS)
        return [alert.encode_exact() for alert in found if alert is not None]

    def _save_hours(self, slot: int, out: list[Record]) -> list[Any]:
        """Append the record of the settled hours if it changed; return the other hours, packed."""
        machine_id = self.ids[slot]
        windows = self.windows.of(machine_id).values()
        settled = [window for window in windows if window.settled]
        known = tuple(window.version for window in settled)
        if known != self._hours.get(slot, ()):
            self._hours[slot] = known
            body = msgspec.msgpack.encode([window.pack() for window in settled])
            record = saved.part_record(self._types, body) if settled else None
            out.append((saved.key_of(saved.HOURS, machine_id), record))
        return [window.pack() for window in windows if not window.settled]

    def _save_warm_up(self, slot: int, out: list[Record]) -> bytes:
        """Append a record for each full block of warm-up readings; return the rest as bytes."""
        machine_id, before = self.ids[slot], self._learned.get(slot, 0)
        rows = self.warm_ups.get(slot)
        full = 0 if rows is None else len(rows) // saved.WARM_UP_ROWS
        for number in range(min(before, full) if rows is None else before, full):
            body = rows[number * saved.WARM_UP_ROWS : (number + 1) * saved.WARM_UP_ROWS].tobytes()  # type: ignore[index]
            record = saved.part_record(self._types, body)
            out.append((saved.key_of(saved.WARM_UP, machine_id, number), record))
        out += [(saved.key_of(saved.WARM_UP, machine_id, number), None) for number in range(full, before)]
        self._learned[slot] = full
        return b"" if rows is None else rows[full * saved.WARM_UP_ROWS :].tobytes()

    def _restore_alert(self, alert: Alert) -> None:
        self.alerts[alert_key(alert)] = alert
        if alert.model.name == CLOCK and alert.state != "resolved":
            ahead = alert.signals[0].actual or 0.0
            self.clock_runs[alert.machine_id] = ClockRun(since=alert.opened_at.timestamp(), ahead=ahead)

    def restore(self, log: Iterable[Record]) -> None:
        """Restore the machines of a changelog that is read from its beginning.

        After a change of the sensors, a machine keeps its counts, offsets, windows and alerts, and learns its baseline
        again. Silence counts from now on.

        Raises:
            UnknownStateFormat: a record was written by an incompatible version.
        """
        machines = (saved.unpack(self._types, newest) for newest in saved.newest(log))
        while block := list(islice(machines, _AT_ONCE)):
            self._restore(block)

    def _restore(self, machines: list[saved.Packed]) -> None:
        rows = self.slots_of(machine.machine_id for machine in machines)
        tables = self._tables()
        for kind, part in (
            (self._types.common, "common"),
            (self._types.own, "own"),
            (self._types.baseline, "baseline"),
        ):
            bodies = [(slot, body) for slot, one in zip(rows, machines, strict=True) if (body := getattr(one, part))]
            if bodies:
                places = np.array([slot for slot, _ in bodies], dtype=np.int64)
                put_rows(tables, places, np.frombuffer(b"".join(body for _, body in bodies), kind))
        watched = self.tracks.mean.shape[1]
        sums = _checksums(rows_of(tables, self._types.baseline, rows))
        for place, machine in enumerate(machines):
            slot = int(rows[place])
            self.era = max(self.era, machine.era)
            for text in machine.alerts:
                self._restore_alert(Alert.model_validate_json(text))
            for packed in machine.hours:
                self.windows.restore(machine.machine_id, packed, slot)
            settled = [window for window in self.windows.of(machine.machine_id).values() if window.settled]
            self._hours[slot] = tuple(window.version for window in settled)
            if machine.baseline is not None:
                self._baselines[slot] = sums[place]
            if len(machine.learned) and watched:
                self.warm_ups[slot] = machine.learned.reshape(-1, watched).copy()
                self._learned[slot] = len(self.warm_ups[slot]) // saved.WARM_UP_ROWS
            if machine.annotation is not None:
                self.annotations[slot] = machine.annotation
        seen = self.tracks.last_seen[rows]
        if not np.isnan(seen).all():
            self.watermark = max(self.watermark, float(np.nanmax(seen)))


def _checksums(rows: NDArray[Any]) -> list[int]:
    """Return a hash of each structured row, as many as there are rows."""
    if not rows.dtype.itemsize:
        return [0] * len(rows)
    return [hash(row) for row in rows.view(f"V{rows.dtype.itemsize}").tolist()]
