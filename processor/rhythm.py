"""Intervals of checkpoints: their cost follows the number of readings, not the size of the fleet.

A machine's state contains its last offset, so a longer interval only means that more is read again after a crash. The
interval is bounded by time and by bytes.
"""

from dataclasses import dataclass

_LEAST_RECORD_BYTES = 500.0
_FREE_BYTES_PER_SECOND = 8_192.0
_LEARNING = 0.2


@dataclass(slots=True, kw_only=True)
class Rhythm:
    """The rhythm of one partition's checkpoints.

    share: most bytes of state for each byte of readings. shortest, longest: seconds between two checkpoints.
    most_bytes: of readings that a crash may make the next owner read again.
    """

    share: float
    shortest: float
    longest: float
    most_bytes: int
    saved_at: float
    _record_bytes: float = _LEAST_RECORD_BYTES

    def is_due(self, *, now: float, dirty: int, bytes_read: int) -> bool:
        """Return whether a checkpoint is due. dirty: number of changed machines; bytes_read: since the last one."""
        waited = now - self.saved_at
        if waited < self.shortest:
            return False
        if waited >= self.longest or bytes_read >= self.most_bytes:
            return True
        cost = dirty * self._record_bytes
        return cost <= self.share * bytes_read + _FREE_BYTES_PER_SECOND * waited

    def saved(self, *, now: float, machines: int, size: int) -> None:
        """Record a checkpoint of `size` bytes for this many machines."""
        self.saved_at = now
        if machines:
            self._record_bytes += _LEARNING * (max(size / machines, _LEAST_RECORD_BYTES) - self._record_bytes)
