"""Conversion of one source's records to readings and dead letters, with counts."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from core.plant import Plant, Source
from core.sources.gather import Gatherer
from core.sources.mapping import MapRecord, long_columns
from core.sources.reading import record_reader
from core.sources.record import Mapped, MappedReading, MappedValue, Raw
from core.sources.standard import encode_reading
from schemas.codec import Refusal
from schemas.dead_letters import DeadLetter
from schemas.dead_letters import Source as Origin
from schemas.topics import DEAD_LETTERS, READINGS

LOGGER: Final = logging.getLogger("nexova.bridge")
_MOST_LOGGED: Final = 100  # unknown tags that are named in the log
_REPORT_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message to one of our topics."""

    topic: str
    key: bytes
    value: bytes


@dataclass(slots=True, kw_only=True)
class Counts:
    """Counts of one source since the bridge started; bad: values of bad quality, ignored: tags of no sensor."""

    records: int = 0
    readings: int = 0
    refused: int = 0
    bad: int = 0
    ignored: int = 0


class Route:
    """A compiled source with its counts. clock: epoch seconds."""

    def __init__(self, source: Source, plant: Plant, read: MapRecord, *, clock: Callable[[], float]) -> None:
        self.source = source
        self.counts = Counts()
        self._plant = plant
        self._read = record_reader(source, plant, read)
        self._clock = clock
        self._logged: set[str] = set()

    def gatherer(self) -> Gatherer:
        """Return a new gatherer for one partition; only a long source has values to gather."""
        columns = [column for column, *_ in long_columns(self.source, self._plant).values()]
        return Gatherer(
            width=len(self._plant.sensors),
            columns=columns if self.source.form == "long" else [],
            within=self.source.gather_seconds,
            wait=self.source.wait_seconds,
        )

    def take(self, raw: Raw, origin: Origin, gatherer: Gatherer) -> list[Outgoing]:
        """Return the readings and dead letters of a record; values of a long source go to the gatherer."""
        found = self._read(raw)
        self.counts.records += 1
        if isinstance(found, MappedReading):
            return [self.outgoing(found)]
        if isinstance(found, MappedValue):
            gatherer.add_one(found, raw.written_at, self._clock())
            return []
        return self._convert(found, raw, origin, gatherer)

    def _convert(self, found: Mapped, raw: Raw, origin: Origin, gatherer: Gatherer) -> list[Outgoing]:
        self.counts.bad += found.bad
        self.counts.ignored += len(found.ignored)
        if found.ignored and len(self._logged) < _MOST_LOGGED:
            self._log_ignored(found.ignored)
        if found.values:
            gatherer.add(found.values, written_at=raw.written_at, now=self._clock())
        return [
            *(self.outgoing(reading) for reading in found.readings),
            *(self._dead_letter(refusal, origin) for refusal in found.refused),
        ]

    def outgoing(self, reading: MappedReading) -> Outgoing:
        """Return a reading as a message to the readings topic, and count it."""
        self.counts.readings += 1
        value = encode_reading(reading, self._plant.sensor_names)
        return Outgoing(topic=READINGS, key=reading.machine_id.encode(), value=value)

    def _dead_letter(self, refusal: Refusal, origin: Origin) -> Outgoing:
        self.counts.refused += refusal.count
        letter = DeadLetter.of(
            origin,
            reason=refusal.reason,
            detail=refusal.detail,
            payload=refusal.payload,
            failed_at=datetime.fromtimestamp(self._clock(), UTC),
        )
        return Outgoing(topic=DEAD_LETTERS, key=letter.key.encode(), value=letter.encode())

    def _log_ignored(self, tags: list[str]) -> None:
        for tag in dict.fromkeys(tags):
            if tag not in self._logged and len(self._logged) < _MOST_LOGGED:
                self._logged.add(tag)
                LOGGER.info("source %s: ignoring tag %.80r; add it to the source to use it", self.source.name, tag)


class RouteReport:
    """Periodic report of all routes' counts in the log, once a minute."""

    def __init__(self, routes: Mapping[str, Route]) -> None:
        self._routes = routes
        self._written_at = time.monotonic()

    def write(self, *, always: bool = False) -> None:
        """Log the counts if the last report is a minute old, or `always`."""
        now = time.monotonic()
        if always or now - self._written_at >= _REPORT_SECONDS:
            self._written_at = now
            for name, route in self._routes.items():
                LOGGER.info("source %s: %s", name, _described(route.counts))


def _described(counts: Counts) -> str:
    """Return the counts as text for the log."""
    return (
        f"{counts.records:,} records, {counts.readings:,} readings, {counts.refused:,} refused, "
        f"{counts.bad:,} values of bad quality, {counts.ignored:,} tags of no sensor"
    )
