"""Stories of a partition: readings in an order of arrival, and what befalls the worker between two batches.

    arrival   r r r r | r r r r r r | r r r | r r r r r
    events            save          crash   move        …

save: state to the changelog. crash: the state is that of the last save, and what came since is read again. move: saved,
and taken over by somebody else. wait: the clock closes what it can, as for a partition without readings.
"""

from dataclasses import dataclass
from typing import Final

from hypothesis import strategies as st

from core.advance import advance_time
from core.batch import ReadingBatch
from core.models import Models
from core.plant import Plant
from core.state.fleet import FleetState
from core.state.records import Record
from schemas.energy import EnergyWindow
from tests.builders import START
from tests.core.streams import PublishedOutputs, close_all, part, restored, run_batches, saved

EVENTS: Final = ("nothing", "save", "crash", "move", "wait")


@dataclass(frozen=True, kw_only=True)
class Story:
    """Readings in order of arrival, and what happens after so many of them."""

    arrival: ReadingBatch
    events: tuple[tuple[int, str], ...]


@st.composite
def with_interruptions(draw: st.DrawFn, arrival: ReadingBatch) -> Story:
    """A story of these readings."""
    places = draw(st.lists(st.integers(1, len(arrival)), max_size=8, unique=True))
    return Story(arrival=arrival, events=tuple((place, draw(st.sampled_from(EVENTS))) for place in sorted(places)))


def published_after(story: Story, *, plant: Plant) -> PublishedOutputs:
    """The windows that the topic holds at the end; a revision of lower number replaces nothing there."""
    outputs, state = PublishedOutputs(), FleetState(plant)
    log: list[Record] = []
    reached = position = 0
    for place, event in (*story.events, (len(story.arrival), "nothing")):
        more, state = run_batches([part(story.arrival, position, place)], plant=plant, models=Models(), state=state)
        publish(outputs, more.windows)
        outputs.late += more.late
        position = place
        if event in {"save", "move"}:
            log += saved(state)
            reached = position
        if event in {"crash", "move"}:
            state = restored(log, plant=plant)
            position = reached
            # what was read since the last save is read again, and a part of it may come twice
            again, state = run_batches(
                [part(story.arrival, max(0, position - 3), place)], plant=plant, models=Models(), state=state
            )
            publish(outputs, again.windows)
            position = place
        if event == "wait":
            passed = advance_time(state, plant=plant, now=START + 1e8, idle_seconds=1e6)
            publish(outputs, {window.key: window for window in passed.energy_windows})
    last = PublishedOutputs()
    close_all(last, state)
    publish(outputs, last.windows)
    return outputs


def publish(outputs: PublishedOutputs, windows: dict[str, EnergyWindow]) -> None:
    """As Kafka keeps it: what comes last stays, as after a crash the same revision may come again."""
    outputs.windows |= windows
