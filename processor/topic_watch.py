"""Monitoring of the topics while a worker runs: added partitions, deleted or recreated topics."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from runtime.errors import BrokerUnavailable, FailureError
from runtime.kafka import TopicState, list_topics
from runtime.settings import KafkaSettings
from schemas.topics import HISTORY, READINGS

LOGGER: Final = logging.getLogger("nexova.processor")
_SOURCES: Final = frozenset({READINGS, HISTORY})


def check_topics(states: Sequence[TopicState]) -> None:
    """Check that all topics exist with their partitions.

    Raises:
        FailureError: names the first wrong topic, the remedy, and the number of others.
    """
    problems = [state.problem for state in states if state.problem]
    if problems:
        others = f" (and {len(problems) - 1} more: see `nexova topics list`)" if len(problems) > 1 else ""
        raise FailureError(f"{problems[0]}{others}")


class TopicWatch:
    """Periodic check of the topics.

    topics: their state at the start. describe: asks the broker, blocking. clock: monotonic s. answered_at: when the
    broker last answered.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topics: Sequence[TopicState],
        *,
        describe: Callable[[], Sequence[TopicState]] | None = None,
        look_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._describe = partial(list_topics, kafka) if describe is None else describe
        self._look_seconds = look_seconds
        self._ids = {state.name: state.topic_id for state in topics if state.topic_id is not None}
        self._suspected: FailureError | None = None
        self._clock = clock
        self._away = False
        self.answered_at = clock()

    def identity(self, topic: str) -> str | None:
        """Return the identity of a topic, which changes when it is deleted and recreated."""
        return self._ids.get(topic)

    async def run(self) -> None:
        """Check until cancelled.

        Raises:
            FailureError: a topic is wrong in two successive checks.
        """
        while True:
            try:
                states = await asyncio.to_thread(self._describe)
            except BrokerUnavailable as error:
                self._note_absence(error)
            else:
                self._note_answer()
                self.look(states)
            await asyncio.sleep(self._look_seconds)

    def look(self, states: Sequence[TopicState]) -> None:
        """Compare the topics with the catalogue and with their state at the start.

        Raises:
            FailureError: as of `run`.
        """
        try:
            check_topics(states)
        except FailureError as error:
            # a restarting broker may not know its topics for a moment
            if self._suspected is not None:
                raise
            self._suspected = error
            return
        self._suspected = None
        for state in states:
            if state.topic_id is None:
                continue
            known = self._ids.setdefault(state.name, state.topic_id)
            if known != state.topic_id:
                self._ids[state.name] = state.topic_id
                self._on_recreated(state.name)

    def _note_absence(self, error: BrokerUnavailable) -> None:
        """Log once that the broker is away; the limit of the wait is checked elsewhere."""
        if not self._away:
            self._away = True
            LOGGER.warning("the broker is away, and work waits for it: %s", error.message)

    def _note_answer(self) -> None:
        now = self._clock()
        if self._away:
            LOGGER.info("the broker answers again after %.0f s", now - self.answered_at)
        self._away, self.answered_at = False, now

    def _on_recreated(self, topic: str) -> None:
        if topic in _SOURCES:
            raise FailureError(
                f"{topic} was deleted and recreated while the worker ran; start the worker again, it then reads the "
                "topic from its beginning"
            )
        LOGGER.error(
            "%s was deleted and recreated: what was published there before is gone; restore it from a backup if "
            "consumers need it",
            topic,
        )
