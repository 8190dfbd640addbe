"""Parsing of senders' times: RFC 3339, naive in a stated zone, numbers since 1970, or the record's own."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import msgspec

from core.plant import Source
from core.sources.record import Raw, Unusable

SecondsOf = Callable[[Any, Raw], float]
"""Function from the value at the time's path to epoch seconds; raises Unusable."""
PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_Zoned: Final = Annotated[datetime, msgspec.Meta(tz=True)]
_LATEST: Final = 253_402_300_000  # the year 9999; nothing later can be written


def seconds_of(source: Source, *, zone: str) -> SecondsOf:
    """Return the function that reads the source's times; zone: of the plant."""
    shown = ".".join(source.time)
    if source.time == ("kafka",):
        return lambda _, raw: raw.written_at
    if source.time_format == "rfc3339":
        return _checked(_rfc3339, shown, "send RFC 3339 with zone, or set time_format of the source")
    if source.time_format == "naive":
        named = source.timezone or zone
        return _naive(ZoneInfo(named), source.time_pattern, shown)
    return _checked(_number(PER_SECOND[source.time_format]), shown, f"send a number of {source.time_format} since 1970")


def _checked(read: Callable[[Any], float], shown: str, remedy: str) -> SecondsOf:
    def checked(value: Any, _: Raw) -> float:
        if value is None:
            raise Unusable("timestamp_missing", f"{shown}: there is no time in this message; see time of the source")
        try:
            return read(value)
        except (ValueError, OverflowError, msgspec.ValidationError):
            raise Unusable("timestamp_invalid", f"{shown} = {value!r:.80}: is no such time; {remedy}") from None

    return checked


def _rfc3339(value: Any) -> float:
    # Avro's and Protobuf's readers give instants themselves
    found = value if isinstance(value, datetime) else msgspec.convert(value, _Zoned)
    if found.tzinfo is None:
        raise ValueError
    return float(found.timestamp())


def _number(per_second: int) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value.timestamp()
        if isinstance(value, str):
            number: float = int(value) if value.strip().lstrip("-").isdigit() else float(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            number = value
        else:
            raise ValueError("no number")  # noqa: TRY004  no fault of the caller
        if not 0 <= number / per_second < _LATEST:
            raise ValueError
        # nanoseconds since 1970 have more digits than a float
        if isinstance(number, int):
            whole, rest = divmod(number, per_second)
            return whole + rest / per_second
        return number / per_second

    return read


def _naive(zone: ZoneInfo, pattern: str | None, shown: str) -> SecondsOf:
    written = pattern or "2026-03-01 12:00:00"

    def read(value: Any, raw: Raw) -> float:
        if value is None:
            raise Unusable("timestamp_missing", f"{shown}: there is no time in this message; see time of the source")
        try:
            if isinstance(value, datetime):
                wall = value
            elif pattern is None:
                wall = datetime.fromisoformat(value.strip())
            else:
                wall = datetime.strptime(value.strip(), pattern)  # noqa: DTZ007  the zone follows
        except (ValueError, AttributeError, TypeError):
            raise Unusable(
                "timestamp_invalid", f"{shown} = {value!r:.80}: is not written as {written}; set time_pattern"
            ) from None
        if wall.tzinfo is not None:
            return wall.timestamp()
        first, second = (wall.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
        if first == second:
            return first
        if datetime.fromtimestamp(first, UTC).astimezone(zone).replace(tzinfo=None) != wall:
            raise Unusable(
                "timestamp_invalid",
                f"{shown} = {value!r:.80}: does not exist in {zone.key}, where the clock went forward; set timezone",
            )
        # a repeated hour: the occurrence in which the record was written
        return min(first, second, key=lambda seconds: abs(seconds - raw.written_at))

    return read
