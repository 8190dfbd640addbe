"""Minimal rights of each process on the brokers: the topics it reads and writes.

`deploy.kubernetes` makes Strimzi's `KafkaUser`s from it, `nexova topics acl` the commands for any other cluster, and
`nexova doctor` compares it with what the broker allows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

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
        reads=(READINGS, HISTORY, KNOWN_INPUTS, FEEDBACK, MODELS, ENERGY, FORECASTS, ALERTS, MACHINES),
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

_STATE: Final = {"own": ("Create", "Describe", "DescribeConfigs", "Read", "Write"), "read": ("Describe", "Read")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Acl:
    """What a user may do with one resource, or with all whose names begin with `name`."""

    kind: Literal["topic", "group", "transactionalId"]
    name: str
    prefixed: bool
    operations: tuple[str, ...]


def acls_of(process: str, *, group: str, readers: str) -> tuple[Acl, ...]:
    """Return the least rights of a process.

    group: consumer group of the processors. readers: prefix of the names under which topics are read without a group;
    clients look up their coordinator nevertheless.
    """
    rights = RIGHTS[process]
    operations: dict[str, list[str]] = {}
    for topic in rights.reads:
        operations.setdefault(topic, []).append("Read")
    for topic in rights.writes:
        operations.setdefault(topic, []).append("Write")
    acls = [
        Acl(kind="topic", name=topic, prefixed=False, operations=("Describe", *verbs))
        for topic, verbs in sorted(operations.items())
    ]
    if rights.state != "none":
        acls.append(Acl(kind="topic", name=f"{group}-", prefixed=True, operations=_STATE[rights.state]))
    acls += [
        Acl(kind="group", name=name.format(group=group), prefixed=True, operations=("Describe", "Read"))
        for name in rights.groups
    ]
    if rights.reads:
        acls.append(Acl(kind="group", name=readers, prefixed=True, operations=("Describe",)))
    if rights.state == "own":  # each partition has a transactional producer of its own
        acls.append(Acl(kind="transactionalId", name=f"{group}-", prefixed=True, operations=("Describe", "Write")))
    return tuple(acls)
