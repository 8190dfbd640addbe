"""Positions in the event stream: the next offset of every partition, as one short text.

Such a text means the same to every process that serves the API, and after its restart: it points into Kafka and not
into the memory of a process. `a.AAEC~r.BQ` is topic `a` with three partitions and topic `r` with one.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Final

from schemas.topics import ALERTS, ENERGY, FEEDBACK, FORECASTS, MACHINES, RECOMMENDATIONS

LETTERS: Final = {ALERTS: "a", RECOMMENDATIONS: "r", FEEDBACK: "b", FORECASTS: "f", ENERGY: "e", MACHINES: "m"}
_TOPICS: Final = {letter: topic for topic, letter in LETTERS.items()}
_MOST: Final = 16_384
_LARGEST: Final = 2**63
_MOST_PARTITIONS: Final = 4096

Positions = Mapping[str, Mapping[int, int]]


def encode_topic(topic: str, offsets: Mapping[int, int]) -> str:
    """Return one topic's part of a position, from the next offset by partition."""
    numbers = bytearray()
    for partition in range(max(offsets, default=-1) + 1):
        left = offsets.get(partition, 0)
        while left > 127:  # noqa: PLR2004  seven bits a byte, the eighth says that more follow
            numbers.append(left & 127 | 128)
            left >>= 7
        numbers.append(left)
    return f"{LETTERS[topic]}.{base64.urlsafe_b64encode(numbers).decode().rstrip('=')}"


def encode(positions: Positions) -> str:
    """Return the text of a position."""
    return "~".join(encode_topic(topic, offsets) for topic, offsets in positions.items())


def decode(text: str) -> dict[str, dict[int, int]]:
    """Return the position in a text; raises ValueError if it is invalid."""
    if len(text) > _MOST:
        raise ValueError(f"a position of {len(text)} characters: none of ours is longer than {_MOST}")
    found: dict[str, dict[int, int]] = {}
    for part in filter(None, text.split("~")):
        letter, _, numbers = part.partition(".")
        if letter not in _TOPICS:
            raise ValueError(f"{text[:40]!r} is no position of an event stream")
        found[_TOPICS[letter]] = dict(enumerate(_offsets(numbers)))
    return found


def _offsets(text: str) -> list[int]:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"{text[:40]!r} is no position of an event stream") from error
    offsets, value, shift = [], 0, 0
    for byte in raw:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:  # noqa: PLR2004  the last byte of a number
            offsets.append(value)
            value, shift = 0, 0
        if value > _LARGEST or len(offsets) > _MOST_PARTITIONS:
            raise ValueError("a position with impossible offsets")
    if shift:
        raise ValueError("a position that was cut off")
    return offsets
