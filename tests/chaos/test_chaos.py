"""A short run of the fault harness: whatever is done to workers and broker, nothing is lost or counts twice."""

import pytest

from tests.chaos.harness import run


@pytest.mark.long
@pytest.mark.timeout(900)
def test_after_minutes_of_faults_the_topics_say_what_they_would_have_said_without() -> None:
    found = run(seed=11, seconds=120)
    assert sum(found.faults.values()) >= 3
    assert found.differences == {}
