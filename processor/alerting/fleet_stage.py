"""Second stage of alerting: the owner of partition 0 follows all alerts and raises fleet alerts.

Its state follows from the topic: the next owner reads the newest alerts, including the open fleet alert, and continues.
Ids are deterministic, so two owners around a rebalance write the same alert.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from pydantic import ValidationError

from core.alerting.fleet import FleetWatch
from core.plant import Plant
from processor.partitions import PLANT_PARTITION, Partition, PartitionTable
from processor.publisher import Publisher
from runtime.errors import NexovaError
from runtime.settings import KafkaSettings
from runtime.topic_reader import Record, Start, TopicReader
from schemas.alerts import Alert
from schemas.topics import ALERTS, MACHINES

LOGGER: Final = logging.getLogger("nexova.processor.fleet")
_ALERTS_SECONDS: Final = 8 * 86_400.0  # age of the oldest alerts that are read
_STATUS_SECONDS: Final = 3600.0  # age of the oldest status messages that are read
_REST_SECONDS: Final = 0.5
_RETRY_SECONDS: Final = 5.0


class FleetStage:
    """Follower of the alerts of all machines while this worker owns partition 0. clock: epoch s."""

    def __init__(
        self,
        *,
        plant: Plant,
        kafka: KafkaSettings,
        partitions: PartitionTable,
        publisher: Publisher,
        clock: Callable[[], float],
    ) -> None:
        self._plant = plant
        self._watch: FleetWatch | None = None
        self._kafka = kafka
        self._partitions = partitions
        self._publisher = publisher
        self._clock = clock

    def use_policy(self, plant: Plant) -> None:
        """Continue with a changed alert policy."""
        self._plant = plant
        if self._watch is not None:
            self._watch.policy = plant.alerts.fleet

    async def run(self, *, stopped: Callable[[], bool], ready: Callable[[], bool]) -> None:
        """Follow until `stopped`; pause while not `ready` or while another worker owns partition 0."""
        while not stopped():
            held = self._partitions.get(PLANT_PARTITION) if ready() else None
            if held is None:
                await asyncio.sleep(_REST_SECONDS)
                continue
            try:
                await self._follow(held, stopped=stopped)
            except NexovaError as error:
                LOGGER.warning("alerts of the plant's machines cannot be read: %s", error.message)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _follow(self, held: Partition, *, stopped: Callable[[], bool]) -> None:
        watch = FleetWatch(plant_name=self._plant.name, policy=self._plant.alerts.fleet, catching_up=True)
        self._watch = watch
        now = self._clock()
        topics = {ALERTS: Start(since=now - _ALERTS_SECONDS), MACHINES: Start(since=now - _STATUS_SECONDS)}
        reader = await asyncio.to_thread(TopicReader, self._kafka, topics)
        try:
            while not stopped() and self._partitions.owns(held):
                records = await asyncio.to_thread(reader.read)
                changed = [alert for record in records if (alert := take(watch, record)) is not None]
                if watch.catching_up and reader.caught_up:
                    changed = [alert for alert in [watch.settle()] if alert is not None]
                if self._partitions.owns(held):
                    for alert in changed:
                        self._publisher.alert(PLANT_PARTITION, alert)
        finally:
            await asyncio.to_thread(reader.close)


def take(watch: FleetWatch, record: Record) -> Alert | None:
    """Add one record of either topic; return the fleet alert if this changed it."""
    if record.topic == MACHINES:
        if record.key is not None:
            watch.machines.add(record.key.decode("utf-8", errors="replace"))
        return None
    if record.value is None:
        return None
    try:
        alert = Alert.model_validate_json(record.value)
    except ValidationError as error:
        LOGGER.warning("%s/%d@%d is no alert; skipped: %s", record.topic, record.partition, record.offset, error)
        return None
    return watch.take(alert)
