"""Checks of `nexova doctor` across machines: clocks, rights of each process, and disk space."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from cli.doctor.finding import Finding
from runtime.granted import missing_rights, remedy
from runtime.kafka import consumer_config
from runtime.rights import RIGHTS
from runtime.settings import Settings
from schemas.topics import MACHINES, READINGS

_SKEW_SECONDS: Final = 30.0
_LEAST_FREE_BYTES: Final = 1_073_741_824


def clock(settings: Settings, *, seconds: float) -> Iterator[Finding]:
    """Check that the newest records are not from the future, which a wrong clock here or at a sender causes.

    A broker does not report its time, so a local clock that is ahead shows only in what we write.
    """
    reader = Consumer(consumer_config(settings.kafka))
    try:
        newest = max((_newest(reader, topic, seconds) for topic in (READINGS, MACHINES)), default=None)
    except KafkaException as error:
        yield Finding(check="clock", state="warning", detail=f"could not be compared ({error.args[0].str()})")
        return
    finally:
        reader.close()
    ahead = newest - time.time() if newest else 0.0
    if ahead > _SKEW_SECONDS:
        yield Finding(
            check="clock",
            state="failed",
            detail=f"the newest record in Kafka is {ahead:.0f} s in the future of this machine's clock",
            remedy="set the clocks of this machine and of the senders by NTP (timedatectl set-ntp true)",
        )
    else:
        yield Finding(check="clock", state="ok", detail="no record in Kafka is from the future")


def _newest(reader: Consumer, topic: str, seconds: float) -> float:
    """Return the time of the newest record of a topic, epoch seconds; 0 without records."""
    found = 0.0
    for partition in reader.list_topics(topic, timeout=seconds).topics[topic].partitions:
        place = TopicPartition(topic, partition)
        low, high = reader.get_watermark_offsets(place, timeout=seconds)
        if high <= low:
            continue
        reader.assign([TopicPartition(topic, partition, high - 1)])
        message = reader.poll(seconds)
        if message is not None and message.error() is None:
            found = max(found, message.timestamp()[1] / 1000)
    return found


def rights(settings: Settings, process: str, *, seconds: float) -> Iterator[Finding]:
    """Check that the broker grants the rights that this process needs (`runtime.rights`)."""
    missing = missing_rights(settings.kafka, process, seconds=seconds)
    for topic, words in missing:
        detail = f"{topic}: the {process} may not {words}"
        yield Finding(check="rights", state="failed", detail=detail, remedy=remedy(process))
    if not missing:
        needed = len({*RIGHTS[process].reads, *RIGHTS[process].writes})
        yield Finding(check="rights", state="ok", detail=f"the {process} may use its {needed} topics")


def disk(settings: Settings) -> Iterator[Finding]:
    """Check that the disk of the model repository has room for more versions."""
    if "://" in settings.model_path:
        yield Finding(check="disk", state="ok", detail=f"{settings.model_path} is no disk of this machine")
        return
    folder = Path(settings.model_path).absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    room = f"{free / _LEAST_FREE_BYTES:.1f} GiB free at {folder}"
    if free < _LEAST_FREE_BYTES:
        yield Finding(check="disk", state="failed", detail=room, remedy="make room, or set MODEL_PATH to another disk")
    else:
        yield Finding(check="disk", state="ok", detail=room)
