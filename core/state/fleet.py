"""All that is remembered of the machines of one partition, and its form in the changelog.

Machines are kept in shards by a hash of their name: one changelog record a shard. A record holds whole machines
together with the source offset that each has seen, so whatever mix of old and new records a crash leaves behind,
a replayed reading is known machine by machine and changes nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from zlib import crc32

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.energy.windows import Window, Windows, packed_windows
from core.plant import Plant
from core.state.episodes import EPISODES_LAYOUT, Episodes
from core.state.tables import Layout, allocate, grown, pack, unpack
from core.state.tracks import Tracks, tracks_layout
from core.state.traits import MachineTraits, traits_of
from core.state.wear import WEAR_LAYOUT, Wear
from schemas.alerts import Alert

SHARDS: Final = 64
_FORMAT: Final = 1
_SURVIVES: Final = ("last_offset", "readings", "last_seen", "interval")
"""What is kept when the plant's sensors have changed since a record was written; the rest is learned anew."""


def shard_of(machine_id: str) -> int:
    """The shard of a machine; a function of its name alone."""
    return crc32(machine_id.encode()) % SHARDS


@dataclass(slots=True)
class FleetState:
    """State of the machines of one partition. The rules change it in place: whoever hands it over gives it away.

    alerts: newest alert of a machine and kind, open or resolved a short while ago. watermark: newest event time,
    epoch s. progress: how far event time has come since the state was made, s; heard: where it stood at each
    machine's last reading. dirty: slots changed since the last `changed_shards`.
    """

    plant: Plant
    ids: list[str] = field(default_factory=list)
    slots: dict[str, int] = field(default_factory=dict)
    tracks: Tracks = field(init=False)
    episodes: Episodes = field(init=False)
    wear: Wear = field(init=False)
    traits: MachineTraits = field(init=False)
    scores: NDArray[np.float64] = field(init=False)
    warm_ups: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    windows: Windows = field(default_factory=dict)
    alerts: dict[tuple[str, str], Alert] = field(default_factory=dict)
    watermark: float = float("-inf")
    progress: float = 0.0
    heard: NDArray[np.float64] = field(init=False)
    dirty: set[int] = field(default_factory=set)
    _tracks_layout: Layout = field(init=False)

    def __post_init__(self) -> None:
        self._tracks_layout = tracks_layout(self.plant)
        self.tracks = allocate(Tracks, self._tracks_layout, 16)
        self.episodes = allocate(Episodes, EPISODES_LAYOUT, 16)
        self.wear = allocate(Wear, WEAR_LAYOUT, 16)
        self.traits = MachineTraits(np.empty(16), np.empty(16), np.empty(16))
        self.scores = np.full(16, np.nan)
        self.heard = np.zeros(16)

    def slots_of(self, machine_ids: Iterable[str]) -> NDArray[np.int64]:
        """Table rows of these machines; a machine not seen before gets one."""
        slots = self.slots
        return np.array([slots[m] if m in slots else self._add(m) for m in machine_ids], dtype=np.int64)

    def _add(self, machine_id: str) -> int:
        slot = len(self.ids)
        capacity = len(self.scores)
        if slot == capacity:
            self.tracks = grown(self.tracks, self._tracks_layout, 2 * capacity)
            self.episodes = grown(self.episodes, EPISODES_LAYOUT, 2 * capacity)
            self.wear = grown(self.wear, WEAR_LAYOUT, 2 * capacity)
            self.traits = MachineTraits(*(np.concatenate([array, np.empty(capacity)]) for array in self.traits))
            self.scores = np.concatenate([self.scores, np.full(capacity, np.nan)])
            self.heard = np.concatenate([self.heard, np.zeros(capacity)])
        self.ids.append(machine_id)
        self.slots[machine_id] = slot
        for array, value in zip(self.traits, traits_of(self.plant, machine_id), strict=True):
            array[slot] = value
        return slot

    def newest_of(self, machine_id: str) -> float:
        """Time of a known machine's newest reading, epoch s."""
        return float(self.tracks.last_seen[self.slots[machine_id]])

    def changed_shards(self) -> Iterator[tuple[int, bytes]]:
        """Shards with changed machines, as (shard, record); afterwards nothing is dirty."""
        shards = {shard_of(self.ids[slot]) for slot in self.dirty}
        self.dirty = set()
        members: dict[int, list[int]] = {shard: [] for shard in shards}
        for slot, machine_id in enumerate(self.ids):
            shard = shard_of(machine_id)
            if shard in members:
                members[shard].append(slot)
        for shard, slots in members.items():
            yield shard, self._record(slots)

    def _record(self, slots: list[int]) -> bytes:
        rows = np.array(slots, dtype=np.int64)
        ids = [self.ids[slot] for slot in slots]
        members = set(ids)
        return msgspec.msgpack.encode(
            {
                "format": _FORMAT,
                "plant": self.plant.fingerprint,
                "ids": ids,
                "tracks": pack(self.tracks, rows),
                "episodes": pack(self.episodes, rows),
                "wear": pack(self.wear, rows),
                "scores": self.scores[rows].tobytes(),
                "warm_ups": {self.ids[s]: self.warm_ups[s].tobytes() for s in slots if s in self.warm_ups},
                "windows": packed_windows(self.windows, members),
                "alerts": [alert.encode_exact() for (machine, _), alert in self.alerts.items() if machine in members],
            }
        )

    def restore(self, record: bytes) -> None:
        """Adds the machines of a changelog record.

        A record of another plant file keeps its counts, offsets, windows and alerts; its baselines are learned anew.
        Silence counts from now on.
        """
        packed: dict[str, Any] = msgspec.msgpack.decode(record)
        rows = self.slots_of(packed["ids"])
        same = packed["plant"] == self.plant.fingerprint and packed["format"] == _FORMAT
        columns = packed["tracks"]
        unpack(
            self.tracks,
            self._tracks_layout,
            rows,
            columns if same else {name: columns[name] for name in _SURVIVES},
        )
        if packed["format"] == _FORMAT:
            # an alert that is open outlives a change of the plant file, so that readings can resolve it
            unpack(self.episodes, EPISODES_LAYOUT, rows, packed["episodes"])
            for text in packed["alerts"]:
                alert = Alert.model_validate_json(text)
                self.alerts[alert.machine_id, alert.kind] = alert
        if same:
            unpack(self.wear, WEAR_LAYOUT, rows, packed["wear"])
            self.scores[rows] = np.frombuffer(packed["scores"], np.float64)
            for machine_id, values in packed["warm_ups"].items():
                watched = self.tracks.mean.shape[1]
                self.warm_ups[self.slots[machine_id]] = np.frombuffer(values, np.float32).reshape(-1, watched)
        for window in map(Window.unpack, packed["windows"]):
            self.windows[window.machine_id, window.hour] = window
        seen = self.tracks.last_seen[rows]
        if not np.isnan(seen).all():
            self.watermark = max(self.watermark, float(np.nanmax(seen)))
