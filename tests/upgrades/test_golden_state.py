"""State that a release saved goes on with today's code, or is refused with what to do."""

import base64
import json
from typing import Any

import msgspec
import pytest

from core.forecasting.series_state import SeriesTable
from core.state.fleet import FleetState
from core.state.records import FORMAT, UnknownStateFormat
from processor.changelog import End, end_of
from schemas.message import SCHEMA_VERSION
from schemas.topics import CATALOGUE
from tests.upgrades import golden


@pytest.fixture(scope="module")
def recording() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((golden.FOLDER / f"format-{FORMAT}.json").read_text())
    return found


def test_the_state_of_this_format_goes_on_as_recorded(recording: dict[str, Any]) -> None:
    state = FleetState(golden.plant())
    state.restore(golden.log_of(recording))

    assert set(state.ids) == set(golden.MACHINES)
    assert golden.continuation(state) == recording["continuation"]


def test_the_recording_has_what_a_restart_must_not_lose(recording: dict[str, Any]) -> None:
    told = recording["continuation"]

    assert {kind for kind, _ in told["resolved"]} == {"anomaly", "limit"}, "both were open when the state was saved"
    assert told["hours"], "hours were open"
    assert told["readings"]["calm"] == golden.BEFORE + golden.AFTER


def test_a_changed_layout_raises_the_format(recording: dict[str, Any]) -> None:
    assert golden.layout(golden.plant()) == recording["layout"], (
        "the rows of the state have another layout, but FORMAT is that of the recording: machines would silently learn "
        "anew, or be read wrongly; raise core.state.records.FORMAT, if a release has "
        "had it, and run python -m tests.upgrades.golden"
    )


def test_the_recorded_state_of_an_earlier_format_is_refused_with_what_to_do() -> None:
    for file in golden.FOLDER.glob("format-*.json"):
        earlier = json.loads(file.read_text())
        if earlier["format"] != FORMAT:
            with pytest.raises(UnknownStateFormat, match=f"reads format {FORMAT}; run the version that wrote it, or"):
                FleetState(golden.plant()).restore(golden.log_of(earlier))


@pytest.mark.parametrize("other", [FORMAT - 1, FORMAT + 1])
def test_the_state_of_another_format_is_refused_with_what_to_do(other: int, recording: dict[str, Any]) -> None:
    log = [(key, value and bytes([other]) + value[1:]) for key, value in golden.log_of(recording)]

    with pytest.raises(UnknownStateFormat, match=f"format {other}, but this version reads format {FORMAT}; run"):
        FleetState(golden.plant()).restore(log)


@pytest.mark.parametrize("value", [msgspec.msgpack.encode(End(format=FORMAT + 1, offset=1)), b"\xc1", b"{}"])
def test_a_checkpoint_of_another_format_is_refused_with_what_to_do(value: bytes) -> None:
    with pytest.raises(UnknownStateFormat, match="run the version that wrote it, or delete the changelog topics"):
        end_of("nexova-processor-machines-changelog", value)


def test_the_hours_of_this_format_are_restored_and_those_of_another_are_refused(recording: dict[str, Any]) -> None:
    values = [base64.b64decode(value) for _, value in recording["series"]]
    table, expected = SeriesTable(golden.HISTORY_HOURS), golden.series()
    table.restore(values, at=0.0)

    assert {name: state.history.pack() for name, state in table.states.items()} == {
        name: state.history.pack() for name, state in expected.states.items()
    }
    changed = msgspec.msgpack.encode(msgspec.msgpack.decode(values[0]) | {"format": 99})
    with pytest.raises(UnknownStateFormat, match="run the version that wrote it"):
        SeriesTable(golden.HISTORY_HOURS).restore([changed], at=0.0)


def test_every_message_says_its_version() -> None:
    for topic in CATALOGUE:
        fields = topic.message.model_fields
        # readings come from others, who know nothing of our versions
        if "schema_version" in fields:
            assert fields["schema_version"].default == SCHEMA_VERSION, topic.name
        else:
            assert topic.name in {"nexova.readings", "nexova.history", "nexova.known-inputs"}, topic.name
