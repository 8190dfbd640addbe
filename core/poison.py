"""Assessment of a batch in which some readings make the rules fail: it is halved until those are found and left out.

A defect of the rules that a single reading triggers must not end all workers in turn. The search halves by messages
first, then by the machines of a message. If most machines of a batch fail, the data is not the cause, and the error is
raised.
"""

import copy
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.arrays import Bools
from core.assess import Assessment, assess
from core.batch import ReadingBatch
from core.models import Models
from core.plant import Plant
from core.state.fleet import FleetState

TRIED_FOR_ONE_MACHINE: Final = 3
"""Failing messages of one machine in a batch after which its other messages are left out without being assessed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Poison:
    """Readings of one machine in the message at `offset` that could not be assessed. failure: text of the error."""

    offset: int
    machine_id: str
    readings: int
    failure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CarefulResult:
    """Assessments of the parts of a batch in order, the readings left out, and the state after all of them."""

    assessments: tuple[Assessment, ...]
    poison: tuple[Poison, ...]
    state: FleetState


def assess_carefully(batch: ReadingBatch, *, state: FleetState, models: Models, plant: Plant) -> CarefulResult:
    """Assess a batch without the readings that make the rules fail; with none of these, it equals `core.assess.assess`.

    Each halving costs a copy of the state.

    Raises:
        Exception: most machines of the batch could not be assessed; the error that the rules raised for the last one.
    """
    search = _Search(models=models, plant=plant, most=max(1, len(batch.machine_ids) // 2))
    return search.through(batch, state)


class _Search:
    def __init__(self, *, models: Models, plant: Plant, most: int) -> None:
        self._models = models
        self._plant = plant
        self._most = most
        self._assessments: list[Assessment] = []
        self._poison: list[Poison] = []
        self._strikes: dict[str, int] = {}

    def through(self, batch: ReadingBatch, state: FleetState) -> CarefulResult:
        waiting = [batch]
        while waiting:
            part = self._without_given_up(waiting.pop())
            if not len(part):
                continue
            # an error within the rules leaves an inconsistent state
            before = copy.deepcopy(state, {id(state.plant): state.plant})
            try:
                done = assess(part, state=state, models=self._models, plant=self._plant)
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001  a defect of the rules may raise any error
                state = before
                halves = _halves(part)
                if not halves:
                    self._set_aside(part, error)
                waiting += reversed(halves)
            else:
                state = done.state
                self._assessments.append(done)
        return CarefulResult(assessments=tuple(self._assessments), poison=tuple(self._poison), state=state)

    def _set_aside(self, part: ReadingBatch, error: Exception) -> None:
        [machine] = np.unique(part.machine).tolist()
        name = part.machine_ids[machine]
        self._strikes[name] = self._strikes.get(name, 0) + 1
        if len(self._strikes) > self._most:
            raise error
        self._note(part, f"{type(error).__name__}: {error}")

    def _without_given_up(self, part: ReadingBatch) -> ReadingBatch:
        given_up = {name for name, strikes in self._strikes.items() if strikes >= TRIED_FOR_ONE_MACHINE}
        if given_up.isdisjoint(part.machine_ids):
            return part
        gone = np.array([name in given_up for name in part.machine_ids], dtype=np.bool_)[part.machine]
        if gone.any():
            self._note(part.take(gone), "earlier readings of this machine could not be assessed")
        return part.take(~gone)

    def _note(self, part: ReadingBatch, failure: str) -> None:
        pairs = zip(part.offsets.tolist(), part.machine.tolist(), strict=True)
        counts: dict[tuple[int, int], int] = {}
        for pair in pairs:
            counts[pair] = counts.get(pair, 0) + 1
        self._poison += [
            Poison(offset=offset, machine_id=part.machine_ids[machine], readings=readings, failure=failure)
            for (offset, machine), readings in counts.items()
        ]


def _halves(part: ReadingBatch) -> list[ReadingBatch]:
    """Return two parts of a batch, cut between messages or between machines of one message; none if it has one each."""
    offsets = np.unique(part.offsets)
    if len(offsets) > 1:
        return _split(part, part.offsets < offsets[len(offsets) // 2])
    machines = np.unique(part.machine)
    if len(machines) > 1:
        # a machine's readings of one message stay together: repeated messages are recognised by its offset
        return _split(part, part.machine < machines[len(machines) // 2])
    return []


def _split(part: ReadingBatch, first: Bools) -> list[ReadingBatch]:
    return [part.take(first), part.take(~first)]
