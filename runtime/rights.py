"""Minimal rights of each process on the brokers: the topics it reads and writes.

`deploy.kubernetes` makes Strimzi's `KafkaUser`s from it, and `nexova doctor` compares it with what the broker allows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from schemas.topics import (
    ALERTS,
    DEAD_LETTERS,
    ENERGY,
    FEEDBACK,
    FORECASTS,
    HISTORY,
    KNOWN_INPUTS,
    MACHINES,
    MODELS,
    READINGS,
    RECOMMENDATIONS,
    SCORES,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """Rights that one process needs.

    state: "own" if it creates, reads and writes the processors' changelogs, "read" if it reads them, else "none".
    groups: prefixes of the consumer groups that it joins; `{group}` stands for the processors' group.
    """

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    state: str = "none"
    groups: tuple[str, ...] = ()


RIGHTS: Final[Mapping[str, Rights]] = {
    "producer": Rights(writes=(READINGS,)),
    "processor": Rights(
        reads=(READINGS, HISTORY, KNOWN_INPUTS, FEEDBACK, MODELS, ENERGY, FORECASTS, ALERTS),
        writes=(SCORES, ALERTS, RECOMMENDATIONS, ENERGY, FORECASTS, MACHINES, DEAD_LETTERS, MODELS),
        state="own",
        groups=("{group}",),
    ),
    "trainer": Rights(reads=(READINGS, ALERTS, FEEDBACK), writes=(MODELS,)),
    "api": Rights(
        reads=(READINGS, SCORES, ALERTS, RECOMMENDATIONS, ENERGY, FORECASTS, MACHINES, FEEDBACK, MODELS),
        writes=(FEEDBACK,),
        state="read",
    ),
    "forwarder": Rights(
        reads=(ALERTS, RECOMMENDATIONS), writes=(FEEDBACK, DEAD_LETTERS), groups=("nexova-forwarder-",)
    ),
}
"""Rights by process. The processor also reads its own forecasts and hours, to compute those of the plant."""
