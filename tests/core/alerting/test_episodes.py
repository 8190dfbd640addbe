"""When an episode opens, changes and resolves; one reading a second.

.  calm        -  neither calm nor over        x  over        X  over and critical
O  opened      U  updated                      R  resolved
"""

from itertools import zip_longest
from typing import Any, Final

import numpy as np
import pytest

from core.alerting.episodes import OPENED, RESOLVED, UPDATED, Changes, follow
from core.plant import AlertPolicy
from core.state.episodes import EPISODES_LAYOUT, FOLLOWED_KINDS, Episodes
from core.state.tables import allocate
from tests.builders import START

LEVELS: Final = {".": 0.1, "-": 0.45, "x": 0.6, "X": 0.9}
WARNING, CRITICAL = 1, 2
CODES: Final = {OPENED: "O", UPDATED: "U", RESOLVED: "R"}


def a_policy(**changes: Any) -> AlertPolicy:
    usual = {
        "readings_over": 3,
        "of_readings": 5,
        "resolve_after_readings": 4,
        "update_seconds": 10.0,
        "merge_gap_seconds": 6.0,
    }
    return AlertPolicy(**{**usual, **changes})


def changes_of(drawing: str, episodes: Episodes | None = None, **policy: Any) -> Changes:
    """The changes of one machine's limit alerts over a drawn timeline."""
    level = np.array([LEVELS[sign] for sign in drawing])
    return follow(
        "limit",
        slots=np.zeros(len(drawing), dtype=np.int64),
        timestamps=START + np.arange(len(drawing), dtype=np.float64),
        level=level,
        over=level >= 0.5,
        calm=level < 0.4,
        severity=np.where(level >= 0.8, CRITICAL, WARNING),
        episodes=allocate(Episodes, EPISODES_LAYOUT, 1) if episodes is None else episodes,
        policy=a_policy(**policy),
    )


def drawn(drawing: str, **policy: Any) -> str:
    changes = changes_of(drawing, **policy)
    signs = ["."] * len(drawing)
    for row, code in zip(changes.row.tolist(), changes.code.tolist(), strict=True):
        signs[row] = CODES[code]
    return "".join(signs)


@pytest.mark.parametrize(
    ("readings", "alerts"),
    [
        pytest.param("xx..xx", "....O.", id="three of the last five open"),
        pytest.param("x.x..x", "......", id="three of the last six do not"),
        pytest.param("xxx", "..O", id="three in a row open"),
        pytest.param("xx......xx", "..........", id="two now and two then do not"),
        pytest.param("..........", "..........", id="calm is no event"),
        pytest.param("----------", "..........", id="nor is what is neither calm nor over"),
        pytest.param("xxx....", "..O...R", id="four calm readings resolve"),
        pytest.param("xxx---....", "..O......R", id="only calm ones do"),
        pytest.param("xxx...-...x...-....", "..O...............R", id="they must follow each other"),
        pytest.param("xxxX", "..OU", id="worse is said at once"),
        pytest.param("xxxXXxX", "..OU...", id="but once"),
        pytest.param("xxXx", "..O.", id="critical from the start needs no escalation"),
        pytest.param("xxx" + 22 * "x", "..O.........U.........U..", id="going on is said now and then"),
        pytest.param("xxx" + 9 * "-" + "-x", "..O..........U", id="and only by a reading that is over"),
        pytest.param("xxx....xxx", "..O...R..U", id="starting again soon goes on"),
        pytest.param("xxx...........xxx", "..O...R.........O", id="starting again later is another one"),
        pytest.param("xxx....xx.", "..O...R...", id="after a resolve it takes as many readings again"),
        pytest.param("xxx....xxx....", "..O...R..U...R", id="what went on resolves as well"),
    ],
)
def test_episodes_follow_the_readings(readings: str, alerts: str) -> None:
    assert drawn(readings) == alerts


def test_one_of_one_opens_at_once() -> None:
    assert drawn(".x.", readings_over=1, of_readings=1, resolve_after_readings=1) == ".OR"


def test_what_led_to_an_episode_does_not_lead_to_the_next() -> None:
    assert drawn("xxx.xxx", resolve_after_readings=1) == "..OR..U"


def test_the_longest_memory_is_thirty_two_readings() -> None:
    rare = ("x" + 30 * ".") * 2
    assert drawn(rare[:32], readings_over=2, of_readings=32) == 31 * "." + "O"
    assert drawn(rare[:32], readings_over=2, of_readings=31) == 32 * "."


def test_without_a_merge_gap_every_opening_is_a_new_episode() -> None:
    assert drawn("xxx....xxx", merge_gap_seconds=0.0) == "..O...R..O"


def test_a_change_tells_the_figures_of_its_episode() -> None:
    changes = changes_of("x.xxXx....")
    assert changes.row.tolist() == [3, 4, 9]
    assert changes.severity.tolist() == [WARNING, CRITICAL, CRITICAL]
    assert changes.over.tolist() == [3, 4, 5]
    assert changes.peak.tolist() == [0.6, 0.9, 0.9]
    # the share of the last five readings that were over
    assert changes.share.tolist() == [0.6, 0.8, 0.2]


def test_an_episode_that_goes_on_keeps_counting_and_stays_as_grave_as_it_was() -> None:
    changes = changes_of("XXX....xxx....")
    assert changes.row.tolist() == [2, 6, 9, 13]
    assert changes.over.tolist() == [3, 3, 6, 6]
    assert changes.severity.tolist() == [CRITICAL] * 4
    assert changes.peak.tolist() == [0.9] * 4


def test_a_new_episode_counts_from_the_start() -> None:
    changes = changes_of("XXX...........xxx....")
    assert changes.row.tolist() == [2, 6, 16, 20]
    assert changes.over.tolist() == [3, 3, 3, 3]
    assert changes.severity.tolist() == [CRITICAL, CRITICAL, WARNING, WARNING]
    assert changes.peak.tolist() == [0.9, 0.9, 0.6, 0.6]


def test_machines_and_kinds_do_not_hear_each_other() -> None:
    pictures = ("x.x.x.x....", "...xxx.....", "...........")
    episodes = allocate(Episodes, EPISODES_LAYOUT, 3)
    readings = [(slot, sign) for signs in zip_longest(*pictures) for slot, sign in enumerate(signs)]
    level = np.array([LEVELS[sign] for _, sign in readings])
    changes = follow(
        "anomaly",
        slots=np.array([slot for slot, _ in readings], dtype=np.int64),
        timestamps=START + np.arange(len(readings)) // 3,
        level=level,
        over=level >= 0.5,
        calm=level < 0.4,
        severity=np.full(len(readings), WARNING),
        episodes=episodes,
        policy=a_policy(),
    )
    assert [(row // 3, row % 3) for row in changes.row.tolist()] == [(4, 0), (5, 1), (9, 1), (10, 0)]
    for kind in ("limit", "sensor_fault"):
        column = FOLLOWED_KINDS.index(kind)
        assert not episodes.open[:, column].any()
        assert not episodes.over[:, column].any()
