"""Topics that change while a worker runs, and the end of a worker that fails."""

import logging
import threading
from dataclasses import replace

import pytest

from processor.ending import Ending
from processor.topic_watch import TopicWatch, check_topics
from runtime.errors import FailureError
from runtime.kafka import TopicState
from runtime.settings import KafkaSettings
from schemas.topics import ALERTS, ENERGY, READINGS


def a_topic(name: str = READINGS, **changes: object) -> TopicState:
    return replace(TopicState(name=name, partitions=8, wanted_partitions=8, topic_id="one"), **changes)  # type: ignore[arg-type]


def a_watch() -> TopicWatch:
    watch = TopicWatch(KafkaSettings(), [a_topic(), a_topic(ALERTS)], look_seconds=1.0, clock=lambda: 0.0)
    watch.look([a_topic(), a_topic(ALERTS)])
    return watch


def test_the_first_topic_that_is_wrong_is_named_with_its_remedy_and_the_others_are_counted() -> None:
    check_topics([a_topic()])
    with pytest.raises(FailureError, match=r"^nexova.alerts does not exist; run `nexova topics create` \(and 1 more"):
        check_topics([a_topic(), a_topic(ALERTS, partitions=0), a_topic(ENERGY, partitions=1)])


@pytest.mark.parametrize(
    ("changes", "words"), [({"partitions": 12}, "has 12 partitions, not 8; "), ({"partitions": 0}, "does not exist; ")]
)
def test_a_topic_that_changes_ends_the_worker_at_the_second_look(changes: dict[str, int], words: str) -> None:
    watch = a_watch()
    watch.look([a_topic(**changes)])
    with pytest.raises(FailureError, match=words):
        watch.look([a_topic(**changes)])


def test_a_broker_that_forgets_a_topic_for_a_moment_ends_nobody() -> None:
    watch = a_watch()
    for _ in range(3):
        watch.look([a_topic(partitions=0, topic_id=None)])
        watch.look([a_topic()])


def test_readings_created_anew_end_the_worker_and_outputs_created_anew_are_reported_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watch = a_watch()
    for _ in range(2):
        watch.look([a_topic(), a_topic(ALERTS, topic_id="two")])
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "nexova.alerts was deleted and recreated"
    ]
    with pytest.raises(FailureError, match="start the worker again"):
        watch.look([a_topic(topic_id="two")])


def test_the_first_cause_is_the_last_line_and_ends_a_process_that_hangs(caplog: pytest.LogCaptureFixture) -> None:
    ended = threading.Event()
    codes: list[int] = []

    def exit_now(code: int) -> None:
        codes.append(code)
        ended.set()

    ending = Ending(grace_seconds=0.01, exit_now=exit_now)
    with caplog.at_level(logging.ERROR):
        assert not ending.report()
        assert ending.begin(FailureError("no checkpoint for 180 s; check the broker"))
        assert not ending.begin(ValueError("and what follows from it"))
        assert ended.wait(10)
    assert codes == [1]
    assert caplog.records[-1].getMessage() == "the worker ended: no checkpoint for 180 s; check the broker"
