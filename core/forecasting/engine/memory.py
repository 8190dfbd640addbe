"""Memory of a series between forecasts, and its compact form for a changelog."""

from dataclasses import dataclass, field, fields
from typing import Any, Final

import msgspec
import numpy as np

from core.arrays import Features

Singles = Features

_FORMAT: Final = 1


def _empty(*shape: int) -> Singles:
    return np.zeros(shape, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """State between forecasts of one series; m members, s steps, d horizon days.

    steps: longest horizon that it knows. fitted_at: origin of the fit, hours since the epoch, None without one;
    coefficients: (fitted members, s, inputs + 1).
    issued_at: (i,) origins of forecasts that are not complete yet, one a day at most; issued: (i, m + 1, s), the last
    row is the blend; answers: (i, 3, s) issued value, lower, upper.
    matured_at: (k,) origins that are complete, oldest first; errors: (e, m + 1, d), e >= k, mean absolute error, the
    last row that of the blend; levels: (k, d) mean absolute value, NaN where nothing was known; hits: (k, d) share
    between the bounds; residuals: (k, s) actual minus answer. alpha: (d,) share that the bounds are made to miss.
    """

    steps: int
    fitted_at: int | None = None
    coefficients: Singles = field(default_factory=lambda: _empty(0, 0, 0))
    issued_at: tuple[int, ...] = ()
    issued: Singles = field(default_factory=lambda: _empty(0, 0, 0))
    answers: Singles = field(default_factory=lambda: _empty(0, 3, 0))
    matured_at: tuple[int, ...] = ()
    errors: Singles = field(default_factory=lambda: _empty(0, 0, 0))
    levels: Singles = field(default_factory=lambda: _empty(0, 0))
    hits: Singles = field(default_factory=lambda: _empty(0, 0))
    residuals: Singles = field(default_factory=lambda: _empty(0, 0))
    alpha: Singles = field(default_factory=lambda: _empty(0))

    def pack(self) -> bytes:
        """Return MessagePack of about 100 kB for 72 steps."""
        document: dict[str, Any] = {"format": _FORMAT}
        for name in (one.name for one in fields(self)):
            value = getattr(self, name)
            if isinstance(value, np.ndarray):
                document[name] = (value.shape, np.ascontiguousarray(value, np.float32).tobytes())
            else:
                document[name] = value
        return msgspec.msgpack.encode(document)

    @classmethod
    def unpack(cls, record: bytes) -> "Memory | None":
        """Return the packed memory; None for another format, so that the series is refitted."""
        document = msgspec.msgpack.decode(record)
        if document.pop("format", None) != _FORMAT:
            return None
        found: dict[str, Any] = {}
        for name, value in document.items():
            if isinstance(value, list) and len(value) == 2 and isinstance(value[1], bytes):  # noqa: PLR2004  (shape, bytes)
                found[name] = np.frombuffer(value[1], np.float32).reshape(value[0])
            else:
                found[name] = tuple(value) if isinstance(value, list) else value
        return cls(**found)
