"""Which machines of a batch are let in: names are the sender's to invent, memory is not."""

from core.batch import ReadingBatch
from core.state.fleet import FleetState


def admitted(
    batch: ReadingBatch, state: FleetState, *, most_machines: int
) -> tuple[ReadingBatch, list[tuple[int, str]]]:
    """Return the readings of machines that are known or find room, and offset and machine of each that is left out.

    Known machines are never left out; of new ones, those that came first are let in.
    """
    room = most_machines - len(state.ids)
    if len(batch.machine_ids) <= room:
        return batch, []
    new = [machine_id for machine_id in batch.machine_ids if machine_id not in state.slots]
    beyond = set(new[max(0, room) :])
    return batch.without(beyond) if beyond else (batch, [])


def long_silent(state: FleetState, *, seconds: float) -> list[int]:
    """Return the slots of machines that have been silent for so long by the time of their partition."""
    newest = state.tracks.last_seen[: len(state.ids)]
    return [int(slot) for slot in (newest < state.watermark - seconds).nonzero()[0]]
