"""Lasting effects of feedback on machines; stored beside the tables, since few machines have any."""

from typing import Final

import msgspec

RAISE_AFTER: Final = 2
"""False alarms of one signature after which its threshold rises."""
RAISE_BY: Final = 0.1
"""Amount by which each further one raises the threshold of the score."""
RAISE_MOST: Final = 0.3
"""Largest total rise, so that a score of 0.8 always counts."""


class Annotation(msgspec.Struct, kw_only=True):
    """Annotations of one machine. shelved: end of the shelving of a kind of alert, epoch s.

    false_alarms: how often people called an alert false whose strongest signal was this sensor; it raises the score
    at which further ones count. taken: offset of the newest statement contained here, by partition of its topic.
    """

    shelved: dict[str, float] = {}
    false_alarms: dict[str, int] = {}
    taken: dict[int, int] = {}

    def raised(self, sensor: str) -> float:
        """Return the rise of the threshold where this sensor is the strongest signal."""
        beyond = self.false_alarms.get(sensor, 0) - RAISE_AFTER + 1
        return min(max(beyond, 0) * RAISE_BY, RAISE_MOST)
