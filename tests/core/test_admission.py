"""Names are the sender's to invent, memory is not."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from core.admission import admitted, long_silent
from core.batch import decode_records
from schemas.bounds import machine_id_fault
from schemas.codec import MOST_EXPLAINED, MOST_READINGS, ReadingDecoder
from schemas.feedback import Feedback
from schemas.history import EnergyHistory
from tests.builders import a_batch, a_plant, a_reading
from tests.core.streams import run_batches

PLANT = a_plant()
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_known_machines_are_let_in_and_new_ones_until_the_room_is_used_up() -> None:
    _, state = run_batches([a_batch(a_reading("pump-01"), a_reading("pump-02"), plant=PLANT)], plant=PLANT)
    rows = [a_reading(name, at=60.0) for name in ("pump-03", "pump-01", "pump-04", "pump-02", "pump-04")]
    batch, turned_away = admitted(a_batch(*rows, plant=PLANT, first_offset=10), state, most_machines=3)
    assert batch.machine_ids == ("pump-03", "pump-01", "pump-02")
    assert batch.offsets.tolist() == [10, 11, 13]
    assert turned_away == [(12, "pump-04"), (14, "pump-04")]


def test_a_batch_that_finds_room_is_left_as_it_is() -> None:
    _, state = run_batches([a_batch(a_reading("pump-01"), plant=PLANT)], plant=PLANT)
    batch = a_batch(a_reading("pump-01", at=60.0), a_reading("pump-02"), plant=PLANT)
    assert admitted(batch, state, most_machines=2) == (batch, [])


def test_machines_are_long_silent_by_the_time_of_their_partition() -> None:
    _, state = run_batches([a_batch(a_reading("pump-01"), a_reading("pump-02", at=1000.0), plant=PLANT)], plant=PLANT)
    assert long_silent(state, seconds=1000.0) == []
    assert long_silent(state, seconds=999.0) == [state.slots["pump-01"]]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "0 characters"),
        ("x" * 129, "129 characters"),
        (" press", "space"),
        ("press\t", "space"),
        ("pre\x00ss", "control"),
        ("press\u200b", "control"),
        ("plant:press", "reserved"),
    ],
)
def test_a_name_that_no_machine_may_have_is_refused_by_every_input(name: str, words: str) -> None:
    assert words in (machine_id_fault(name) or "")
    with pytest.raises(ValidationError):
        Feedback.model_validate({"machine_id": name, "kind": "confirmed", "at": "2026-03-01T12:00:00Z"})
    with pytest.raises(ValidationError):
        EnergyHistory.model_validate({"machine_id": name, "start": "2026-03-01T12:00:00Z", "energy_kwh": (1.0,)})


@pytest.mark.parametrize("name", ["press 01", "hall/3/press-01", "Presse-Süd", "17", "plants"])
def test_other_names_are_a_machines(name: str) -> None:
    assert machine_id_fault(name) is None


def decoded(*values: bytes) -> tuple[list[str], list[tuple[str, int]]]:
    """The machines that were read, and reason and count of each refusal."""
    found = decode_records(
        list(range(len(values))),
        values,
        decoder=ReadingDecoder(PLANT.sensor_names),
        plant=PLANT,
        now=NOW,
        max_message_bytes=1_048_576,
    )
    machines = [found.batch.machine_ids[index] for index in found.batch.machine.tolist()]
    return machines, [(refusal.reason, refusal.count) for _, refusal in found.refused]


def reading(name: str) -> bytes:
    return b'{"machine_id": "%s", "timestamp": "2026-03-01T11:00:00Z"}' % name.encode()


def test_a_reading_of_a_machine_with_such_a_name_is_refused_and_the_others_are_read() -> None:
    assert decoded(reading("pump-01"), reading(" pump"), reading("plant:x"), reading("pump-01")) == (
        ["pump-01", "pump-01"],
        [("machine_id_invalid", 1), ("machine_id_invalid", 1)],
    )


def test_a_message_of_very_many_elements_is_one_refusal() -> None:
    assert decoded(b"[" + b"1," * MOST_READINGS + b"1]", reading("pump-01")) == (["pump-01"], [("too_large", 1)])


def test_of_many_refusals_in_a_message_some_are_explained_and_all_are_counted() -> None:
    message = b"[" + b",".join([b"1"] * 100 + [reading("pump-01")]) + b"]"
    machines, refusals = decoded(message)
    assert machines == ["pump-01"]
    assert refusals == [("not_a_reading", 1)] * MOST_EXPLAINED + [("not_explained", 100 - MOST_EXPLAINED)]


@pytest.mark.parametrize(
    "changes",
    [
        {"start": "9999-12-30T00:00:00Z"},
        {"start": "0001-01-01T00:00:00Z"},
        {"energy_kwh": [1e308]},
        {"energy_kwh": [-2e9]},
        {"start": "2026-03-01T12:30:00Z"},
    ],
)
def test_hours_beyond_time_and_energy_are_refused(changes: dict[str, object]) -> None:
    document = {"machine_id": "x", "start": "2026-03-01T12:00:00Z", "energy_kwh": [1.0]}
    EnergyHistory.model_validate(document)
    with pytest.raises(ValidationError):
        EnergyHistory.model_validate(document | changes)
