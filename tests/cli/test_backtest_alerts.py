"""`nexova backtest alerts`: two policies on the same recorded readings."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.backtest.alerts import _matched
from runtime.plants import shipped_plants
from tests.cli.command import nexova

HOT = 150.0


@pytest.fixture
def readings(tmp_path: Path) -> Path:
    """Two machines for ten hours, a reading a minute; press-01 is far too hot twice, pump-01 once."""
    random = np.random.default_rng(1)
    start = datetime(2026, 3, 1, tzinfo=UTC)
    rows = ["machine_id,timestamp,power,temperature,vibration,runtime,production"]
    for minute in range(600):
        for machine_id, spans in (("press-01", ((100, 112), (400, 412))), ("pump-01", ((200, 212),))):
            hot = any(first <= minute < last for first, last in spans)
            power, temperature, vibration = random.normal([60.0, HOT if hot else 70.0, 2.0], [1.0, 0.5, 0.1])
            at = (start + timedelta(minutes=minute)).isoformat()
            rows.append(f"{machine_id},{at},{power:.3f},{temperature:.3f},{vibration:.3f},100,300")
    path = tmp_path / "readings.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def a_plant_file(folder: Path, name: str, more: str = "") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(shipped_plants()["default"].read_text(encoding="utf-8") + more, encoding="utf-8")
    return path


def test_what_a_policy_spares_is_lost_by_machine_and_kind(tmp_path: Path, readings: Path) -> None:
    old = a_plant_file(tmp_path, "old")
    new = a_plant_file(
        tmp_path, "new", '\n[[alerts.overrides]]\nmachines = ["press-*"]\nkinds = ["limit"]\nenabled = false\n'
    )
    done = nexova(
        "backtest", "alerts", str(readings), "--policy", str(new), "--against", str(old), "--json", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    found = {(one["machine_id"], one["kind"]): one for one in json.loads(done.stdout)["machines"]}
    assert (found["press-01", "limit"]["both"], found["press-01", "limit"]["lost"]) == (0, 2)
    assert (found["pump-01", "limit"]["both"], found["pump-01", "limit"]["lost"]) == (1, 0)
    assert json.loads(done.stdout)["gained"] == 0


def test_policies_of_two_plants_cannot_be_compared(tmp_path: Path, readings: Path) -> None:
    done = nexova("backtest", "alerts", str(readings), "--policy", "default", "--against", "skab", folder=tmp_path)
    assert done.returncode == 2
    assert "have other sensors" in done.stderr


times = st.lists(st.floats(0, 1e5), max_size=20).map(sorted)


@given(mine=times, others=times)
def test_matches_are_the_same_both_ways_round_and_never_more_than_there_are(
    mine: list[float], others: list[float]
) -> None:
    assert _matched(mine, mine) == len(mine)
    assert _matched(mine, others) == _matched(others, mine)
    assert _matched(mine, others) <= min(len(mine), len(others))
