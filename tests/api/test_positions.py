import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.live.events import Hub, stream
from api.live.positions import LETTERS, decode, encode
from api.live.records import ViewRecord, read_record
from api.live.view import View
from runtime.metrics import ApiMetrics, process_registry
from runtime.settings import ApiSettings
from runtime.topic_reader import Record
from schemas.topics import ALERTS, MACHINES
from tests.api.live_data import a_status, an_alert

offsets = st.lists(st.integers(0, 2**62), min_size=1, max_size=64).map(lambda found: dict(enumerate(found)))


@given(st.dictionaries(st.sampled_from(sorted(LETTERS)), offsets))
def test_a_position_can_be_read_back(position: dict[str, dict[int, int]]) -> None:
    assert decode(encode(position)) == position


@given(st.text(max_size=60))
def test_whatever_a_client_sends_is_a_position_or_refused(text: str) -> None:
    try:
        found = decode(text)
    except ValueError:
        return
    assert all(offset >= 0 for topic in found.values() for offset in topic.values())


@pytest.mark.parametrize("text", ["banana", "a.!!", "a.gA", "z.AA", "a." + "A" * 20_000, "a.____________________"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="position"):
        decode(text)


def test_eight_partitions_of_four_topics_need_few_characters() -> None:
    position = {topic: dict.fromkeys(range(8), 5_000_000) for topic in list(LETTERS)[:4]}
    assert len(encode(position)) < 200


def a_record(number: int, *, partition: int = 0, offset: int, topic: str = ALERTS) -> ViewRecord:
    message = an_alert(number) if topic == ALERTS else a_status(f"press-{number:02}")
    key = message.alert_id if topic == ALERTS else message.machine_id  # type: ignore[union-attr]
    record = read_record(
        Record(
            topic=topic,
            partition=partition,
            offset=offset,
            written_at=float(number),
            key=key.encode(),
            value=message.encode(),
        )
    )
    assert record is not None
    return record


def a_hub() -> tuple[View, Hub]:
    view = View(ApiSettings())
    return view, Hub(view, ApiMetrics(process_registry()))


def take(view: View, hub: Hub, record: ViewRecord) -> None:
    view.apply(record)
    hub.publish(record)


@given(
    placed=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), min_size=1, max_size=40),
    seen=st.integers(0, 40),
    broken=st.integers(0, 40),
)
def test_wherever_the_line_breaks_every_change_comes_exactly_once(
    placed: list[tuple[int, int]], seen: int, broken: int
) -> None:
    """placed: partition and alert of each change. The client has seen some, and its backlog breaks off once more."""
    view, hub = a_hub()
    taken: list[ViewRecord] = []
    seen = min(seen, len(placed))
    ends = dict.fromkeys(range(3), 0)
    position = hub.position([ALERTS])
    for number, (partition, alert) in enumerate(placed):
        record = a_record(alert + 10 * partition, partition=partition, offset=ends[partition])
        ends[partition] += 1
        take(view, hub, record)
        taken.append(record)
        if number + 1 == seen:
            position = hub.position([ALERTS])
    first = hub.subscribe((ALERTS,), machine_id=None, since=position)
    part = first.backlog[:broken]
    reached = decode(position).get(ALERTS, {})
    for record in part:
        reached[record.partition] = record.offset + 1
    rest = hub.subscribe((ALERTS,), machine_id=None, since=encode({ALERTS: reached}))
    heard = [(one.partition, one.offset) for one in (*part, *rest.backlog)]
    wanted = [(one.partition, one.offset) for one in taken[seen:]]
    assert sorted(heard) == sorted(wanted)


def test_a_status_that_was_replaced_does_not_come_again() -> None:
    view, hub = a_hub()
    start = hub.position([MACHINES])
    for offset in range(5):
        take(view, hub, a_record(1, offset=offset, topic=MACHINES))
    take(view, hub, a_record(2, offset=5, topic=MACHINES))
    backlog = hub.subscribe((MACHINES,), machine_id=None, since=start).backlog
    assert [(one.identity, one.offset) for one in backlog] == [("press-01", 4), ("press-02", 5)]


def test_before_the_log_begins_each_alert_comes_as_it_is_now() -> None:
    view, hub = a_hub()
    start = hub.position([ALERTS])
    for offset in range(6_000):  # the log holds 5,000
        take(view, hub, a_record(offset % 300, offset=offset))
    backlog = hub.subscribe((ALERTS,), machine_id=None, since=start).backlog
    assert [one.offset for one in backlog] == list(range(1_000, 6_000))
    assert {one.identity for one in backlog} == {f"alert-{number:04}" for number in range(300)}


def test_a_client_that_does_not_read_is_let_go_and_the_others_go_on() -> None:
    view, hub = a_hub()
    slow = hub.subscribe((ALERTS,), machine_id=None, since=None)
    quick = hub.subscribe((ALERTS,), machine_id=None, since=None)
    for offset in range(5_002):
        take(view, hub, a_record(1, offset=offset))
        quick.waiting.clear()
    assert (slow.lost, quick.lost, hub.subscribers) == (True, False, 1)
    assert len(slow.waiting) == 5_000


def test_memory_is_bounded_and_what_is_open_stays_longest() -> None:
    view = View(ApiSettings(most_alerts=100, most_machines=10))
    for number in range(150):
        state = "resolved" if number % 2 else "opened"
        message = an_alert(number, minutes=number, state=state)
        record = read_record(
            Record(
                topic=ALERTS,
                partition=0,
                offset=number,
                written_at=0.0,
                key=message.alert_id.encode(),
                value=message.encode(),
            )
        )
        assert record is not None
        view.apply(record)
        view.apply(a_record(number, offset=number, topic=MACHINES))
    assert len(view.alerts) <= 100
    assert sum(one.message.state == "opened" for one in view.alerts.values()) == 75
    assert list(view.machines)[-1] == "press-149"
    assert len(view.machines) == 10


@dataclass
class ASource:
    """A view that is complete, for a stream."""

    hub: Hub
    complete: asyncio.Event


async def heard(hub: Hub, *, since: str, patience_seconds: float) -> str:
    """What a client hears until it is told its position."""
    complete = asyncio.Event()
    complete.set()
    parts = stream(ASource(hub, complete), (ALERTS,), machine_id=None, since=since, patience_seconds=patience_seconds)
    text = ""
    async for part in parts:
        text += part.decode()
        if "event: position" in text:
            break
    await parts.aclose()
    return text


async def test_a_view_that_lags_behind_the_one_that_gave_the_position_catches_up_first() -> None:
    view, hub = a_hub()
    waiting = asyncio.create_task(heard(hub, since=encode({ALERTS: {0: 1}}), patience_seconds=30))
    await asyncio.sleep(0)
    take(view, hub, a_record(1, offset=0))
    take(view, hub, a_record(2, offset=1))
    text = await waiting
    assert "event: reset" not in text
    assert "alert-0001" not in text
    assert "alert-0002" in text


async def test_a_position_that_is_never_reached_is_reset() -> None:
    _, hub = a_hub()
    assert "event: reset" in await heard(hub, since=encode({ALERTS: {0: 1}}), patience_seconds=0.1)
