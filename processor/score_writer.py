"""Scores of a batch as JSON, written row by row into one buffer, at a fifth of the cost of one object for each score.

The layout is derived from the contract, `schemas.scores.Score`: its fields in their order, by their types. A property
test checks that each line is a valid Score with the given values.
"""

import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.arrays import Floats, Ints
from schemas.message import SCHEMA_VERSION
from schemas.rounding import DECIMALS, TOLERANCE, UNITS
from schemas.scores import Score

Bytes = NDArray[np.uint8]

_ID, _TIME, _NUMBER, _FLAG, _WORD = range(5)
_TIME_BYTES: Final = len("9999-12-31T23:59:59.999999")
_NUMBER_BYTES: Final = len("-999999999.0000")


class _Texts(typing.NamedTuple):
    """Concatenated texts as bytes, and the end of each."""

    data: Bytes
    ends: Ints

    @classmethod
    def of(cls, texts: Sequence[bytes]) -> "_Texts":
        data = np.frombuffer(b"".join(texts) or b"\0", dtype=np.uint8)
        return cls(data=data, ends=np.cumsum([0, *map(len, texts)]).astype(np.int64))

    @property
    def longest(self) -> int:
        return int(np.diff(self.ends).max(initial=0))


class ScoreWriter:
    """Writer of scores; `columns` names the arrays that `write` needs, each with a value for each row."""

    def __init__(self, words: Mapping[str, Sequence[str]]) -> None:
        """Derive the layout from the contract. words: the values of the codes, by enumerated field."""
        self._words = _Texts.of([msgspec.json.encode(word) for own in words.values() for word in own])
        begins = np.cumsum([0, *map(len, words.values())]).tolist()
        self._first_word = dict(zip(words, begins, strict=False))
        literals: list[bytes] = []
        kinds: list[int] = []
        self.columns: list[str] = []
        before = b"{"
        for name, info in Score.model_fields.items():
            before += msgspec.json.encode(name) + b":"
            kind = _kind(name, info.annotation)
            if kind is None:
                before += msgspec.json.encode(SCHEMA_VERSION) + b","
                continue
            literals.append(before)
            kinds.append(kind)
            self.columns.append(name)
            before = b","
        self._literals = _Texts.of([*literals, b"}"])
        self._kinds = np.array(kinds, dtype=np.int64)
        # compiled now: with the first scores it would block the event loop, and the group would miss our heartbeats
        self.write(["precompiled"], {name: np.zeros(1, dtype=np.int64) for name in self.columns})

    def write(self, machine_ids: Sequence[str], columns: Mapping[str, NDArray[Any]]) -> list[dict[str, bytes]]:
        """Return the "key" and "value" of each row, in order.

        columns: by the names in `columns`; machine_id holds indices into `machine_ids`, timestamp epoch seconds,
        numbers may be NaN, which is null on the wire.
        """
        names = _Texts.of([msgspec.json.encode(machine_id) for machine_id in machine_ids])
        given = np.stack([columns[name].astype(np.float64) + self._first_word.get(name, 0) for name in self.columns])
        widest = names.longest + self._words.longest + len(self._literals.data)
        row_bytes = widest + _TIME_BYTES + _NUMBER_BYTES * len(self.columns)
        rows = given.shape[1]
        out = np.empty(rows * row_bytes, dtype=np.uint8)
        ends = np.zeros(rows + 1, dtype=np.int64)
        _write(out, ends, self._kinds, given, *self._literals, *names, *self._words)
        data = out[: ends[-1]].tobytes()
        places = ends.tolist()
        keys = [machine_id.encode() for machine_id in machine_ids]
        return [
            {"key": keys[machine], "value": data[start:end]}
            for machine, start, end in zip(columns["machine_id"].tolist(), places, places[1:], strict=False)
        ]


def _kind(name: str, annotation: Any) -> int | None:
    """Return the kind of a field; None: constant."""
    named = {"machine_id": _ID, "timestamp": _TIME, "schema_version": None}
    if name in named:
        return named[name]
    if typing.get_origin(annotation) is Literal:
        return _WORD
    parts = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    plain = {typing.get_args(part)[0] if typing.get_origin(part) is typing.Annotated else part for part in parts}
    return _FLAG if plain == {bool} else _NUMBER


@njit(cache=True, nogil=True)
def _write(  # noqa: PLR0917  compiled code has no keywords
    out: Bytes,
    ends: Ints,
    kinds: Ints,
    given: Floats,
    literals: Bytes,
    literal_ends: Ints,
    names: Bytes,
    name_ends: Ints,
    words: Bytes,
    word_ends: Ints,
) -> None:
    at = 0
    for row in range(given.shape[1]):
        for field in range(len(kinds)):
            at = _copy(out, at, literals, literal_ends[field], literal_ends[field + 1])
            value, kind = given[field, row], kinds[field]
            if kind == _ID:
                at = _copy(out, at, names, name_ends[int(value)], name_ends[int(value) + 1])
            elif kind == _TIME:
                at = _moment(out, at, value)
            elif kind == _WORD:
                at = _copy(out, at, words, word_ends[int(value)], word_ends[int(value) + 1])
            elif kind == _FLAG:
                at = _flag(out, at, value != 0)
            else:
                at = _number(out, at, value)
        at = _copy(out, at, literals, literal_ends[len(kinds)], literal_ends[len(kinds) + 1])
        ends[row + 1] = at


@njit(cache=True, nogil=True)
def _copy(out: Bytes, at: int, text: Bytes, start: int, end: int) -> int:
    for place in range(start, end):
        out[at] = text[place]
        at += 1
    return at


@njit(cache=True, nogil=True)
def _digits(out: Bytes, at: int, number: int, width: int) -> int:
    for place in range(width - 1, -1, -1):
        out[at + place] = 48 + number % 10
        number //= 10
    return at + width


@njit(cache=True, nogil=True)
def _letters(out: Bytes, at: int, text: str) -> int:
    for letter in text:
        out[at] = ord(letter)
        at += 1
    return at


@njit(cache=True, nogil=True)
def _flag(out: Bytes, at: int, value: bool) -> int:  # noqa: FBT001  compiled code has no keywords
    return _letters(out, at, "true") if value else _letters(out, at, "false")


@njit(cache=True, nogil=True)
def _number(out: Bytes, at: int, value: float) -> int:
    if np.isnan(value):
        return _letters(out, at, "null")
    if value < 0:
        out[at] = 45  # "-"
        at += 1
        value = -value
    units = int(value * UNITS + TOLERANCE)
    whole = units // UNITS
    width, rest = 1, whole // 10
    while rest:
        width, rest = width + 1, rest // 10
    at = _digits(out, at, whole, width)
    out[at] = 46  # "."
    at = _digits(out, at + 1, units % UNITS, DECIMALS)
    while out[at - 1] == 48 and out[at - 2] != 46:  # noqa: PLR2004  "0" and "."; one digit stays after the point
        at -= 1
    return at


@njit(cache=True, nogil=True)
def _moment(out: Bytes, at: int, epoch: float) -> int:
    """Write a time as RFC 3339 in UTC, to the microsecond.

    Days to dates as in H. Hinnant, "chrono-Compatible Low-Level Date Algorithms": eras of 400 years from 0000-03-01.
    """
    total_micros = int(np.rint(epoch * 1_000_000))
    seconds, micros = total_micros // 1_000_000, total_micros % 1_000_000
    days, second = seconds // 86_400, seconds % 86_400
    shifted = days + 719_468
    era = shifted // 146_097
    of_era = shifted - era * 146_097
    year_of_era = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    day_of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month_from_march + 2) // 5 + 1
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9  # noqa: PLR2004  the algorithm's own numbers
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)  # noqa: PLR2004
    out[at] = 34  # '"'
    at = _digits(out, at + 1, year, 4)
    out[at] = 45
    at = _digits(out, at + 1, month, 2)
    out[at] = 45
    at = _digits(out, at + 1, day, 2)
    out[at] = 84  # "T"
    at = _digits(out, at + 1, second // 3600, 2)
    out[at] = 58  # ":"
    at = _digits(out, at + 1, second // 60 % 60, 2)
    out[at] = 58
    at = _digits(out, at + 1, second % 60, 2)
    if micros:
        out[at] = 46
        at = _digits(out, at + 1, micros, 6)
    return _letters(out, at, 'Z"')
