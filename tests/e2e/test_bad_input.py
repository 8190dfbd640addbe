"""Whatever devices send, the stream goes on: each message that cannot be used is a dead letter with its reason."""

import base64
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runtime.kafka import create_topics
from schemas.dead_letters import PAYLOAD_LIMIT, DeadLetter
from schemas.topics import DEAD_LETTERS, HISTORY, SCORES
from tests.brokers import Broker
from tests.e2e.workers import eventually, publish, read_all, wait_committed, workers

NOW = datetime.now(UTC)
GOOD = {"machine_id": "press-01", "timestamp": NOW.isoformat(), "power": 50.0, "temperature": 60.0}


def a_message(**changes: object) -> bytes:
    return json.dumps(GOOD | changes).encode()


HUGE = a_message(comment="x" * 2_000_000)
BAD: tuple[tuple[bytes | None, str], ...] = (
    (None, "null_value"),
    (b"", "empty_value"),
    (b"temperature=60", "not_json"),
    (b"\xff\xfe\x00", "not_json"),
    (b"42", "not_a_reading"),
    (a_message(power="fifty"), "sensor_wrong_type"),
    (a_message(power=float("nan")), "sensor_not_finite"),
    (a_message(power=float("inf")), "sensor_not_finite"),
    (json.dumps({"timestamp": NOW.isoformat(), "power": 1.0}).encode(), "machine_id_missing"),
    (a_message(machine_id=7), "machine_id_invalid"),
    (a_message(timestamp="2026-03-01T12:00:00"), "timestamp_invalid"),
    (a_message(timestamp="1970-01-01T00:00:00Z"), "timestamp_out_of_range"),
    (a_message(timestamp=(NOW + timedelta(days=400)).isoformat()), "timestamp_out_of_range"),
    (HUGE, "too_large"),
)


@pytest.mark.timeout(120)
def test_bad_messages_become_dead_letters_and_the_stream_goes_on(fresh_broker: Broker, tmp_path: Path) -> None:
    create_topics(fresh_broker.kafka)
    mixed = json.dumps([GOOD, GOOD | {"power": "x"}, GOOD | {"colour": "red"}]).encode()
    with workers(fresh_broker, tmp_path) as group:
        worker = group.start()
        end = publish(
            fresh_broker,
            [
                ("press-01", a_message()),
                *(("press-01", value) for value, _ in BAD),
                ("press-01", mixed),
                ("press-01", a_message()),
            ],
        )
        wait_committed(fresh_broker, end, seconds=60)
        publish(fresh_broker, [("press-01", b'{"hours": "many"}')], topic=HISTORY)
        eventually(
            lambda: {"reason": "not_a_history"} in worker.labels("nexova_dead_letters"),
            seconds=60,
            what="a dead letter for what is no history",
        )
        letters = [DeadLetter.model_validate_json(value or b"") for _, value in read_all(fresh_broker, DEAD_LETTERS)]
        assert worker.metric("nexova_unknown_sensors_total") == 1
        assert worker.health()["status"] == "ok"
        assert worker.metric("nexova_readings_accepted_total") == 4
    assert len(read_all(fresh_broker, SCORES)) == 4
    expected = Counter(reason for _, reason in BAD) + Counter(["sensor_wrong_type", "not_a_history"])
    assert Counter(letter.reason for letter in letters) == expected
    assert all(";" in letter.detail for letter in letters), "each detail ends with a remedy"
    (large,) = (letter for letter in letters if letter.reason == "too_large")
    assert large.payload_bytes == len(HUGE)
    assert len(large.payload) == PAYLOAD_LIMIT
    (worded,) = (letter for letter in letters if letter.reason == "not_json" and b"temperature" in letter.payload)
    assert worded.payload == b"temperature=60"
    assert json.loads(worded.encode())["payload"] == base64.b64encode(b"temperature=60").decode()
