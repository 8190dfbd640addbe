"""Readings of one machine: the newest from the live view, older ones read from their topic, within bounds."""

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec

from api.live.view import Rings
from runtime.errors import NexovaError
from runtime.settings import KafkaSettings
from runtime.topic_reader import Start, TopicReader
from schemas.topics import READINGS

MOST_RECORDS: Final = 200_000
"""Records of a partition that one page may have read, the newest."""
_SECONDS: Final = 2.5
_KEEP_SECONDS: Final = 60.0
_MOST_KEPT: Final = 64
_LATE_SECONDS: Final = 600.0  # a record is written some time after it was measured, and is looked for by that time
_AT_ONCE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Values of a machine in order of time. begins: from when on they are complete, epoch seconds."""

    begins: float
    samples: list[tuple[float, Mapping[str, float]]] = field(default_factory=list)

    def of(self, sensor: str) -> list[tuple[float, float]]:
        """Return the (epoch seconds, value) pairs of one sensor."""
        return [(moment, values[sensor]) for moment, values in self.samples if sensor in values]

    def within(self, start: float, end: float) -> "Readings":
        """Return those of a span."""
        return Readings(begins=self.begins, samples=[one for one in self.samples if start <= one[0] <= end])


class ReadingHistory:
    """Reads spans of a machine's readings and keeps the last few of them for a minute."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._kept: OrderedDict[tuple[str, int, int], tuple[float, Readings]] = OrderedDict()
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def span(
        self, machine_id: str, *, partition: int, start: float, end: float, rings: Rings | None, reachable: bool = True
    ) -> Readings:
        """Return the readings from `start` to `end` (epoch seconds), as far as they can be reached.

        reachable: whether the brokers answer; where they do not, the live view's readings are all there are.
        """
        newest = recent(machine_id, rings)
        if not reachable:
            return Readings(begins=newest[0][0] if newest else end, samples=newest).within(start, end)
        if newest and newest[0][0] <= start:
            return Readings(begins=start, samples=newest).within(start, end)
        older = await self._older(machine_id, partition, start, end)
        merged = dict([*older.samples, *newest])
        return Readings(begins=older.begins, samples=sorted(merged.items(), key=lambda one: one[0])).within(start, end)

    async def _older(self, machine_id: str, partition: int, start: float, end: float) -> Readings:
        step = max(60, int((end - start) / 60))
        name = (machine_id, int(start // step), int(end // step))
        known = self._kept.get(name)
        if known is not None and time.monotonic() - known[0] < _KEEP_SECONDS:
            return known[1]
        async with self._turn:
            found = await asyncio.to_thread(self._read, machine_id, partition, start)
        self._kept[name] = (time.monotonic(), found)
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return found

    def _read(self, machine_id: str, partition: int, start: float) -> Readings:
        key, deadline = machine_id.encode(), time.monotonic() + _SECONDS
        found: dict[float, Mapping[str, float]] = {}
        first: float | None = None
        complete = False
        try:
            with TopicReader(
                self._kafka,
                {READINGS: Start(since=start - _LATE_SECONDS, newest=MOST_RECORDS)},
                partitions=[partition],
            ) as reader:
                while not reader.caught_up and time.monotonic() < deadline:
                    for record in reader.read():
                        first = record.written_at if first is None else first
                        if record.key == key and record.value is not None:
                            found.update(_samples(record.value, machine_id))
                complete = reader.caught_up
        except NexovaError:
            complete = False
        samples = sorted(found.items(), key=lambda one: one[0])
        begins = samples[0][0] if samples else start
        return Readings(begins=begins if complete or samples else time.time(), samples=samples)


def recent(machine_id: str, rings: Rings | None) -> list[tuple[float, Mapping[str, float]]]:
    """Return the readings that the live view has of a machine, in order of time."""
    if rings is None:
        return []
    found: dict[float, Mapping[str, float]] = {}
    for value in tuple(rings.readings):
        found.update(_samples(value, machine_id))
    return sorted(found.items(), key=lambda one: one[0])


class _Scored(msgspec.Struct):
    anomaly_score: float | None = None


_scored = msgspec.json.Decoder(_Scored | list[_Scored]).decode


def trend(rings: Rings | None, count: int) -> list[float | None]:
    """Return a machine's newest `count` anomaly scores, without their times: what a list of machines can afford."""
    found: list[float | None] = []
    for value in () if rings is None else tuple(rings.scores)[-count:]:
        try:
            scored = _scored(value)
        except (msgspec.MsgspecError, ValueError):
            continue
        found += [one.anomaly_score for one in scored] if isinstance(scored, list) else [scored.anomaly_score]
    return found[-count:]


def recent_scores(machine_id: str, rings: Rings | None) -> list[tuple[float, float | None]]:
    """Return the (epoch seconds, anomaly score) pairs that the live view has of a machine."""
    if rings is None:
        return []
    return [
        (moment, item.get("anomaly_score"))
        for value in tuple(rings.scores)
        for item in _items(value)
        if item.get("machine_id") == machine_id and (moment := _moment(item)) is not None
    ]


def _samples(value: bytes, machine_id: str) -> Iterable[tuple[float, Mapping[str, float]]]:
    for item in _items(value):
        moment = _moment(item)
        if moment is None or item.get("machine_id") != machine_id:
            continue
        yield (
            moment,
            {
                name: float(number)
                for name, number in item.items()
                if isinstance(number, int | float) and not isinstance(number, bool)
            },
        )


def _items(value: bytes) -> list[dict[str, Any]]:
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return []
    return [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, dict)]


def _moment(item: Mapping[str, Any]) -> float | None:
    try:
        moment = datetime.fromisoformat(str(item.get("timestamp")))
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment.timestamp()
