"""Parsing of senders' values: numbers, numbers as text, words for missing values, and their quality."""

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from core.plant import Source
from core.sources.record import Unusable

NumberOf = Callable[[Any], float]
"""Function from a sent value to a number, NaN if missing; raises Unusable."""
QualityOf = Callable[[Any], int]
"""Function from a sent quality to GOOD, UNCERTAIN or BAD; raises Unusable."""
GOOD: Final = 0
UNCERTAIN: Final = 1
BAD: Final = 2

_WORDS: Final = {
    **dict.fromkeys(("good", "ok", "valid", "true", "normal", "good_provided", "goodquality"), GOOD),
    **dict.fromkeys(("uncertain", "questionable", "suspect", "substituted"), UNCERTAIN),
    **dict.fromkeys(("bad", "invalid", "false", "error", "fault", "stale", "not_connected", "badquality"), BAD),
}
_SEVERITY: Final = (GOOD, UNCERTAIN, BAD, BAD)  # OPC UA: the two highest of 32 bits
_OF_DA: Final = (BAD, UNCERTAIN, BAD, GOOD)  # OPC DA: the two highest of 8 bits
_SPARKPLUG: Final = {0: BAD, 192: GOOD, 500: BAD}


def number_of(source: Source, name: str) -> NumberOf:
    """Return the function that reads the values of a sensor called `name`."""
    comma = source.decimal == ","
    missing = frozenset(word.strip().lower() for word in source.missing)

    def read(value: Any) -> float:
        if type(value) is float:
            found = value
        elif type(value) is int:
            found = _plain(value)
        elif value is None:
            return math.nan
        elif isinstance(value, Decimal):
            found = float(value)
        elif isinstance(value, str):
            text = value.strip()
            if text.lower() in missing:
                return math.nan
            found = _from_text(text, name, comma=comma)
        else:
            raise Unusable(
                "sensor_wrong_type", f"{name} = {value!r:.80}: must be a number; send one, or null where there is none"
            )
        if math.isinf(found):
            raise Unusable(
                "sensor_not_finite", f"{name} = {value!r:.80}: must be finite; send null where there is none"
            )
        return found

    return read


def _plain(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _from_text(text: str, name: str, *, comma: bool) -> float:
    plain = text.replace(",", ".") if comma else text
    # 1.234,5 and 1_000 are refused as ambiguous
    undecided = "_" in plain or (comma and "." in text)
    try:
        return float("" if undecided else plain)
    except ValueError:
        remedy = "set decimal or missing of the source, or correct the sender"
        raise Unusable("sensor_wrong_type", f"{name} = {text!r:.80}: is no number; {remedy}") from None


def quality_of(source: Source) -> QualityOf:
    """Return the function that reads qualities: numbers as the source says, words, true and false."""
    codes = source.quality_codes

    def read(value: Any) -> int:
        if value is None:
            return GOOD
        if isinstance(value, bool):
            return GOOD if value else BAD
        if isinstance(value, str):
            word = value.strip().lower()
            if word.lstrip("-").isdigit():
                return _from_number(int(word), codes)
            if word.startswith("0x"):
                return _from_number(_hexadecimal(word), codes)
            # OPC UA has names such as BadSensorFailure
            found = _WORDS.get(word)
            if found is None:
                found = next((level for start, level in _STARTS if word.startswith(start)), None)
            if found is not None:
                return found
        elif isinstance(value, int | float) and math.isfinite(value):
            return _from_number(int(value), codes)
        raise Unusable(
            "sensor_wrong_type", f"quality = {value!r:.80}: is no quality; send good, uncertain or bad, or their codes"
        )

    return read


_STARTS: Final = (("good", GOOD), ("uncertain", UNCERTAIN), ("bad", BAD))


def _hexadecimal(word: str) -> int:
    try:
        return int(word, 16)
    except ValueError:
        raise Unusable(
            "sensor_wrong_type", f"quality = {word!r:.80}: is no number; send good, uncertain or bad, or their codes"
        ) from None


def _from_number(code: int, codes: str) -> int:
    if codes == "ua":
        return _SEVERITY[(code >> 30) & 3]
    if codes == "da":
        return _OF_DA[(code >> 6) & 3]
    return _SPARKPLUG.get(code, UNCERTAIN)
