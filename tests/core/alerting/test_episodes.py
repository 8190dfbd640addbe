"""When an episode opens, changes and resolves; one reading a second.

.  calm        -  neither calm nor over        x  over        X  over and critical
O  opened      U  updated                      R  resolved
"""

from itertools import zip_longest
from typing import Any, Final

import numpy as np
import pytest

from core.alerting.episodes import IN_MAINTENANCE, OPENED, RESOLVED, SHELVED, SUPPRESSIONS, UPDATED, Changes, follow
from core.state.alert_rules import AlertRules, alert_rules
from core.state.episodes import EPISODES_LAYOUT, FOLLOWED_KINDS, Episodes
from core.state.tables import allocate
from tests.builders import START, a_plant

LEVELS: Final = {".": 0.1, "-": 0.45, "x": 0.6, "X": 0.9}
WARNING, CRITICAL = 1, 2
SUPPRESSED: Final = {"m": IN_MAINTENANCE, "s": SHELVED}
CODES: Final = {OPENED: "O", UPDATED: "U", RESOLVED: "R"}


def rules_of(machines: int = 1, **changes: Any) -> AlertRules:
    usual = {
        "readings_over": 3,
        "of_readings": 5,
        "resolve_after_readings": 4,
        "update_seconds": 10.0,
        "merge_gap_seconds": 6.0,
    }
    plant = a_plant(alerts={**usual, **changes})
    return alert_rules(plant, [f"pump-{number:02d}" for number in range(machines)])


def changes_of(
    drawing: str, episodes: Episodes | None = None, suppressed: str = "", step: float = 1.0, **policy: Any
) -> Changes:
    """The changes of one machine's limit alerts over a drawn timeline."""
    level = np.array([LEVELS[sign] for sign in drawing])
    return follow(
        "limit",
        slots=np.zeros(len(drawing), dtype=np.int64),
        timestamps=START + step * np.arange(len(drawing)),
        level=level,
        over=level >= 0.5,
        calm=level < 0.4,
        severity=np.where(level >= 0.8, CRITICAL, WARNING),
        suppressed=np.array([SUPPRESSED.get(sign, 0) for sign in suppressed.ljust(len(drawing))], dtype=np.int8),
        episodes=allocate(Episodes, EPISODES_LAYOUT, 1) if episodes is None else episodes,
        rules=rules_of(**policy),
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
        suppressed=np.zeros(len(readings), dtype=np.int8),
        episodes=episodes,
        rules=rules_of(machines=3),
    )
    assert [(row // 3, row % 3) for row in changes.row.tolist()] == [(4, 0), (5, 1), (9, 1), (10, 0)]
    for kind in ("limit", "sensor_fault"):
        column = FOLLOWED_KINDS.index(kind)
        assert not episodes.open[:, column].any()
        assert not episodes.over[:, column].any()


def held_back(changes: Changes) -> dict[str, int]:
    return {name: n for name, n in zip(SUPPRESSIONS, changes.suppressed.tolist(), strict=True) if n}


def opened(changes: Changes) -> list[int]:
    return changes.row[changes.code == OPENED].tolist()


def test_nothing_opens_in_maintenance_and_what_goes_on_opens_after_it() -> None:
    changes = changes_of("xxxxxxxxxx", suppressed="mmmmm")
    # the fifth reading was the second attempt's second: it takes three again
    assert opened(changes) == [5]
    assert held_back(changes) == {"maintenance": 1}


def test_an_open_alert_that_is_shelved_sends_no_updates_but_resolves() -> None:
    changes = changes_of("xxxXXXX....", suppressed="   ssss")
    assert changes.code.tolist() == [OPENED, RESOLVED]
    assert changes.severity.tolist() == [WARNING, CRITICAL]


def test_within_the_merge_gap_a_cool_down_does_not_matter_since_the_alert_goes_on() -> None:
    assert drawn("xxx....xxx", cooldown_seconds=100.0) == "..O...R..U"


def test_after_the_merge_gap_the_cool_down_holds_openings_back() -> None:
    changes = changes_of("xxx...........xxx" + 6 * "." + "xxx", cooldown_seconds=15.0)
    assert opened(changes) == [2, 25]
    assert held_back(changes) == {"cooldown": 1}


def test_beyond_its_budget_only_critical_alerts_open() -> None:
    one = "xxx............"
    changes = changes_of(3 * one + one.replace("x", "X"), budget_per_week=2.0)
    assert opened(changes) == [2, 17, 47]
    assert held_back(changes) == {"budget": 1}


def test_a_budget_comes_back_with_time() -> None:
    day = 86_400.0
    one = "x" + 11 * "."
    policy: dict[str, Any] = {"readings_over": 1, "of_readings": 1, "budget_per_week": 1.0}
    assert opened(changes_of(2 * one, step=day / 4, **policy)) == [0]
    # exponentially: after twelve steps of three weeks next to nothing of the first is left
    assert opened(changes_of(2 * one, step=21 * day, **policy | {"budget_per_week": 1.01})) == [0, 12]


def test_a_kind_that_is_switched_off_never_opens() -> None:
    changes = changes_of("xxxxxxx", enabled=False)
    assert opened(changes) == []
    assert held_back(changes) == {"disabled": 2}


def test_a_long_episode_is_updated_ever_less_often_but_daily() -> None:
    hour = 3600.0
    week = changes_of("xxx" + 7 * 24 * 4 * "x", step=hour / 4, update_seconds=60.0)
    updates = week.row[week.code == UPDATED]
    assert 10 < len(updates) < 40
    assert np.diff(updates).max() * hour / 4 <= 24 * hour
