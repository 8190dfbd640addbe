"""Writers of the partitions that this worker owns."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from processor.fenced_producer import Fenced, Outgoing, OwnersProducer
from processor.partition_writer import PartitionWriter
from runtime.metrics import ProcessorMetrics

_THREADS: Final = 16


class Writers:
    """Writers of the topics that only a partition's owner may write, one for each partition.

    Messages of a partition that is no longer owned are dropped: its next owner writes them. producers: creates the
    producer of a partition. on_lost: called with the partition when another worker has taken it over. on_failure:
    called with the error of a failed write.
    """

    def __init__(
        self,
        producers: Callable[[int], OwnersProducer],
        metrics: ProcessorMetrics,
        *,
        on_lost: Callable[[int, Fenced], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._producers = producers
        self._metrics = metrics
        self._on_lost = on_lost
        self._on_failure = on_failure
        self._threads = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="write")
        self._writers: dict[int, PartitionWriter] = {}
        self._with_state: dict[int, list[Outgoing]] = {}

    async def acquire(self, partition: int) -> PartitionWriter:
        """Become the owner of a partition, and return its writer, to be used after `hold`.

        Raises:
            WriteFailed: the broker refused, or did not answer in time.
        """
        producer = self._producers(partition)
        await asyncio.get_running_loop().run_in_executor(self._threads, producer.acquire)
        return PartitionWriter(
            producer,
            threads=self._threads,
            on_lost=lambda error: self._lose(partition, error),
            on_failure=self._on_failure,
        )

    def hold(self, partition: int, writer: PartitionWriter) -> None:
        """Use this writer for the messages of a partition."""
        self._writers[partition] = writer
        self._with_state[partition] = []

    def of(self, partition: int) -> PartitionWriter | None:
        """Return the writer of a partition; None if it is not owned."""
        return self._writers.get(partition)

    def send(
        self, partition: int, topic: str, *, key: str, value: bytes, headers: tuple[tuple[str, bytes], ...] = ()
    ) -> None:
        """Queue a message that is written without waiting for a checkpoint."""
        writer = self._writers.get(partition)
        if writer is not None:
            writer.add([Outgoing(topic, key.encode(), value, headers)])
            self._metrics.output_messages.labels(topic=topic).inc()

    def send_with_state(self, partition: int, topic: str, *, key: str, value: bytes) -> None:
        """Queue a message to be written together with the partition's state at the next checkpoint."""
        if partition in self._writers:
            self._with_state[partition].append(Outgoing(topic, key.encode(), value))
            self._metrics.output_messages.labels(topic=topic).inc()

    def take_with_state(self, partition: int) -> list[Outgoing]:
        """Return and clear the messages that wait for the partition's state."""
        waiting = self._with_state.get(partition, [])
        self._with_state[partition] = []
        return waiting

    async def drop(self) -> None:
        """Close all writers; messages not yet written are dropped."""
        writers, self._writers, self._with_state = list(self._writers.values()), {}, {}
        await asyncio.gather(*(writer.close() for writer in writers))

    def drop_one(self, partition: int) -> asyncio.Task[None] | None:
        """Give up one partition, dropping its unwritten messages; return the task that closes its writer."""
        self._with_state.pop(partition, None)
        writer = self._writers.pop(partition, None)
        return None if writer is None else asyncio.get_running_loop().create_task(writer.close())

    def close(self) -> None:
        """End the threads without waiting for calls to a broker."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _lose(self, partition: int, error: Fenced) -> None:
        self._writers.pop(partition, None)
        self._with_state.pop(partition, None)
        self._on_lost(partition, error)
