"""Admission of new machines up to a limit, because senders choose machine names and each machine takes memory."""

from core.batch import ReadingBatch
from core.state.fleet import FleetState


def admitted(
    batch: ReadingBatch, state: FleetState, *, most_machines: int
) -> tuple[ReadingBatch, list[tuple[int, str]]]:
    """Return the readings of admitted machines, and offset and machine id of each rejected reading.

    Known machines are always admitted, new ones in order of arrival up to `most_machines` of the partition.
    """
    room = most_machines - len(state.ids)
    if len(batch.machine_ids) <= room:
        return batch, []
    new = [machine_id for machine_id in batch.machine_ids if machine_id not in state.slots]
    beyond = set(new[max(0, room) :])
    return batch.without(beyond) if beyond else (batch, [])


def long_silent(state: FleetState, *, seconds: float) -> list[int]:
    """Return the slots of machines silent for more than `seconds`, measured in the partition's event time."""
    newest = state.tracks.last_seen[: len(state.ids)]
    return [int(slot) for slot in (newest < state.watermark - seconds).nonzero()[0]]
