"""The changelog topics of the state: one for each table, named by Faust, created before it starts.

Faust creates them too, but joins its group at once: workers that start together could then assign partitions by
metadata in which a table is missing, and the next owner of a partition would not find its saved state.
"""

from typing import Final

from runtime.errors import FailureError
from runtime.kafka import create_topics
from runtime.settings import KafkaSettings
from schemas.message import Message
from schemas.topics import Topic

MACHINES: Final = "machines"
SERIES: Final = "series"
_LARGEST_RECORD: Final = 8 * 1_048_576


def create_state_topics(kafka: KafkaSettings) -> None:
    """Create the changelogs that are missing, and return once brokers know them.

    Raises:
        FailureError: one exists with another number of partitions.
        BrokerUnavailable, BrokerRefused: as of `runtime.kafka.create_topics`.
    """
    topics = [
        Topic(
            name=f"{kafka.group}-{table}-changelog",
            title=f"State: {table}",
            key="partition/part",
            message=Message,
            cleanup="compact",
            retention_hours=None,
            max_message_bytes=_LARGEST_RECORD,
            description="State of the processor.",
        )
        for table in (MACHINES, SERIES)
    ]
    for topic in create_topics(kafka, topics):
        if topic.problem:
            raise FailureError(topic.problem)
