"""Child of the peers benchmark: the same decoding, rules, models and scores in a bare loop over a Kafka client.

What no framework around them could undercut: no group, no state that is saved, no threads, no health.
"""

import asyncio
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, NoReturn

from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import Consumer
from prometheus_client import CollectorRegistry

from benchmarks.child import Meter
from core.assess import assess
from core.batch import decode_records
from core.detection.features import feature_fingerprint
from core.precompile import precompile
from core.state.fleet import FleetState
from processor.outputs import Outputs
from processor.publisher import Publisher
from processor.writers import Writers
from runtime.kafka import consumer_config
from runtime.metrics import ProcessorMetrics
from runtime.models.inference import load_models
from runtime.models.repository import ModelRepository
from runtime.plants import load_plant
from runtime.settings import KafkaSettings
from schemas.codec import ReadingDecoder
from schemas.topics import READINGS

_RECORDS = 6144


@dataclass(slots=True)
class _Record:
    partition: int
    offset: int
    timestamp: int
    value: bytes | None


class Work:
    """Decodes, assesses and publishes scores, in the caller's thread."""

    def __init__(self, kafka: KafkaSettings, plant_file: Path, models: Path, wanted: int) -> None:
        self._plant = load_plant(plant_file)
        fingerprint = feature_fingerprint(self._plant)
        self._models = load_models(ModelRepository(models), plant=self._plant, features=fingerprint).models
        precompile(self._plant, self._models)
        self._decoder = ReadingDecoder(self._plant.sensor_names)
        self._states: dict[int, FleetState] = {}
        metrics = ProcessorMetrics(CollectorRegistry())
        self._publisher = Publisher(
            Outputs(kafka, metrics, patience=30),
            Writers(_none, metrics, on_lost=_ignore, on_failure=_ignore),
            metrics,
            publish_scores=True,
            dead_letters_per_second=1,
            clock=time.time,
        )
        self._meter = Meter(wanted)

    def do(self, records: list[_Record]) -> None:
        """Process records, of one partition or several."""
        for partition, some in groupby(records, key=lambda record: record.partition):
            of_one = list(some)
            decoded = decode_records(
                [record.offset for record in of_one],
                [record.value for record in of_one],
                decoder=self._decoder,
                plant=self._plant,
                now=datetime.now(UTC),
                max_message_bytes=1_048_576,
            )
            state = self._states.get(partition) or FleetState(self._plant)
            assessment = assess(decoded.batch, state=state, models=self._models, plant=self._plant)
            self._states[partition] = assessment.state
            self._publisher.assessment(partition, assessment, of_one)
            self._publisher.poll()
        self._meter.add(len(records))


def _none(_: int) -> NoReturn:
    raise LookupError("nothing but scores is written here")


def _ignore(*_: Any) -> None:
    pass


def librdkafka(kafka: KafkaSettings, work: Work) -> None:
    """Read by confluent-kafka."""
    consumer = Consumer(consumer_config(kafka))
    consumer.subscribe([READINGS])
    while True:
        found = consumer.consume(_RECORDS, timeout=0.2)
        work.do([_Record(m.partition() or 0, m.offset() or 0, m.timestamp()[1], m.value()) for m in found])


async def aiokafka(kafka: KafkaSettings, work: Work) -> None:
    """Read by aiokafka."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers, max_partition_fetch_bytes=4_194_304)
    await consumer.start()
    consumer.assign([TopicPartition(READINGS, number) for number in range(kafka.partitions)])
    await consumer.seek_to_beginning()
    while True:
        for tp, found in (await consumer.getmany(timeout_ms=200, max_records=_RECORDS)).items():
            work.do([_Record(tp.partition, r.offset, r.timestamp, r.value) for r in found])


def main() -> None:
    """Print a meter's figures and end; arguments: bootstrap servers, readings, client, plant file, models."""
    servers, wanted, client, plant, models = sys.argv[1:]
    kafka = KafkaSettings(bootstrap_servers=servers)
    work = Work(kafka, Path(plant), Path(models), int(wanted))
    if client == "librdkafka":
        librdkafka(kafka, work)
    else:
        asyncio.run(aiokafka(kafka, work))


if __name__ == "__main__":
    main()
