"""State read from topics when a forwarder starts: the advice on each machine, and recorded closures."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from pydantic import ValidationError

from forwarder.source import ends_of, read_until
from forwarder.targets.work_requests import AUTHOR
from runtime.settings import KafkaSettings
from schemas.feedback import Feedback
from schemas.recommendations import Recommendation
from schemas.topics import FEEDBACK, RECOMMENDATIONS

_FRESH_SECONDS: Final = 300.0


class Advice(Mapping[str, str]):
    """Newest recommendation's text by machine, reread after five minutes."""

    def __init__(self, kafka: KafkaSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._kafka = kafka
        self._clock = clock
        self._read_at = float("-inf")
        self._texts: dict[str, str] = {}

    def __getitem__(self, machine: str) -> str:
        """Return the text for a machine; raises KeyError where there is none."""
        return self._fresh()[machine]

    def __iter__(self) -> Iterator[str]:
        """Iterate over machines."""
        return iter(self._fresh())

    def __len__(self) -> int:
        """Count the machines."""
        return len(self._fresh())

    def _fresh(self) -> dict[str, str]:
        if self._clock() - self._read_at > _FRESH_SECONDS:
            for message in read_until(self._kafka, ends_of(self._kafka, RECOMMENDATIONS)):
                try:
                    found = Recommendation.model_validate_json(message.value() or b"")
                except ValidationError:
                    continue
                self._texts[found.machine_id] = found.text
            self._read_at = self._clock()
        return self._texts


def answered_of(kafka: KafkaSettings) -> set[tuple[str, str]]:
    """Return author and kind of the feedback that came from maintenance systems."""
    found: set[tuple[str, str]] = set()
    for message in read_until(kafka, ends_of(kafka, FEEDBACK)):
        try:
            statement = Feedback.model_validate_json(message.value() or b"")
        except ValidationError:
            continue
        if (statement.author or "").startswith(AUTHOR):
            found.add((statement.author or "", statement.kind))
    return found
