"""Counter-based random numbers: a function of key and index, independent of earlier draws.

A draw is the hash (splitmix64) of a key and an index. The noise of a reading follows from its machine and instant, so
any part of a simulated year can be computed alone, in chunks of any size, with identical bytes.
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import numpy as np

from core.arrays import Floats, Ints

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)
_PER_UNIT: Final = 2.0**-53


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """One stream of random numbers, with an independent sub-stream for each name."""

    key: int

    @classmethod
    def of(cls, *names: int | str) -> "Chance":
        """Return the stream of these names; its key is their hash."""
        digest = blake2b(repr(names).encode(), digest_size=8).digest()
        return cls(key=int.from_bytes(digest, "little"))

    def child(self, *names: int | str) -> "Chance":
        """Return the sub-stream of these names."""
        return Chance.of(self.key, *names)

    def uniform(self, index: Ints) -> Floats:
        """Return numbers in (0, 1), one for each index, in the shape of `index`."""
        bits = np.asarray(index, dtype=np.int64).view(np.uint64) * _GOLDEN + np.uint64(self.key)
        bits = (bits ^ (bits >> np.uint64(30))) * _FIRST
        bits = (bits ^ (bits >> np.uint64(27))) * _SECOND
        bits ^= bits >> np.uint64(31)
        numbers: Floats = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * _PER_UNIT
        return numbers

    def normal(self, index: Ints) -> Floats:
        """Return standard normal numbers, one for each index, in the shape of `index` (Box and Muller 1958)."""
        doubled = np.asarray(index, dtype=np.int64) * 2
        radius = np.sqrt(-2.0 * np.log(self.uniform(doubled)))
        return radius * np.cos(2.0 * np.pi * self.uniform(doubled + 1))

    def wander(self, seconds: Floats, *, every: float) -> Floats:
        """Return a smooth curve through a standard normal number at each multiple of `every` seconds, at `seconds`."""
        position = seconds / every
        knot = np.floor(position)
        if not knot.size:
            return position
        first = int(knot.min())
        knots = self.normal(np.arange(first, int(knot.max()) + 2))
        part = position - knot
        part = part * part * (3.0 - 2.0 * part)
        at = knot.astype(np.int64) - first
        return knots[at] * (1.0 - part) + knots[at + 1] * part
