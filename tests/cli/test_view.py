"""The demo's live view, drawn without a terminal."""

from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from cli.demo.view import MachineRow, Snapshot, render
from producer.faults import InjectedFault
from schemas.alerts import Alert, AlertModel, Signal

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
FAULT = InjectedFault(machine_id="press-02", kind="imbalance", start=0, end=1, sensors=("vibration", "power"))


def an_alert(machine: str, state: str = "opened") -> Alert:
    return Alert.model_validate(
        {
            "alert_id": machine,
            "machine_id": machine,
            "kind": "anomaly",
            "severity": "critical",
            "state": state,
            "opened_at": NOON,
            "updated_at": NOON + timedelta(seconds=30),
            "resolved_at": NOON + timedelta(seconds=30) if state == "resolved" else None,
            "peak_score": 0.93,
            "threshold": 0.5,
            "readings": 7,
            "signals": (Signal(sensor="vibration", actual=9.1, expected=4.2, deviation=8.3, contribution=1.0),),
            "summary": f"{machine}: vibration is 9.1 mm/s, above the expected 4.2 mm/s by 8.3 standard deviations.",
            "model": AlertModel(name="anomaly", version="1", level="machine"),
            "confidence": 0.9,
        }
    )


def a_machine(machine_id: str, *, score: float | None = 0.1, warm_up: float = 1.0, ill: bool = False) -> MachineRow:
    return MachineRow(
        machine_id=machine_id,
        condition="running",
        warm_up=warm_up,
        score=score,
        trend=(0.1, 0.2, None, score),
        risk=0.4,
        power=71.2,
        fault=FAULT if ill else None,
        alerts=(an_alert(machine_id),) if ill else (),
    )


def a_snapshot(*machines: MachineRow, recent: tuple[Alert, ...] = (), seconds_left: float | None = 38.0) -> Snapshot:
    return Snapshot(
        title="demo",
        address="http://127.0.0.1:8000",
        seconds_live=22.0,
        seconds_left=seconds_left,
        finishing=False,
        machines=machines,
        recent=recent,
        produced=1234,
        scored=1230,
        dead_letters=1,
        per_second=82.0,
        latency_p50_ms=12.0,
        latency_p99_ms=45.0,
        alerts_open=1,
        faults_begun=3,
        faults_alerted=2,
    )


def drawn(snapshot: Snapshot, *, width: int = 100, height: int = 40) -> list[str]:
    console = Console(width=width, height=height, legacy_windows=False)
    with console.capture() as capture:
        console.print(render(snapshot, width=width, height=height, zone=UTC))
    return capture.get().splitlines()


EIGHT = tuple(a_machine(f"press-{number:02d}", ill=number == 2) for number in range(1, 9))


@pytest.mark.parametrize("width", [80, 100, 120, 140])
@pytest.mark.parametrize("height", [24, 30, 40, 60])
def test_the_view_fits_its_terminal(width: int, height: int) -> None:
    lines = drawn(a_snapshot(*EIGHT, recent=(an_alert("press-02"),) * 50), width=width, height=height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("width", [80, 100, 140])
def test_a_machine_in_trouble_shows_score_fault_and_alert_side_by_side(width: int) -> None:
    machines = (a_machine("press-01"), a_machine("press-02", score=0.93, ill=True))
    (row,) = [line for line in drawn(a_snapshot(*machines), width=width) if line.startswith("press-02")]
    for word in ("running", "0.93", "imbalance", "● vibration"):
        assert word in row


def test_alerts_tell_when_what_where_and_why() -> None:
    text = "\n".join(drawn(a_snapshot(*EIGHT, recent=(an_alert("press-02"), an_alert("press-05", "resolved")))))
    assert "12:00:00   ● open critical press-02      anomaly      vibration is 9.1 mm/s" in text
    assert "12:00:30   ✓ over critical press-05      anomaly      over after 30 s" in text


def test_nothing_moves_when_alerts_open() -> None:
    before = drawn(a_snapshot(*EIGHT))
    after = drawn(a_snapshot(*EIGHT, recent=(an_alert("press-02"), an_alert("press-03"))))
    begins = before.index("alerts (UTC)") + 1
    assert after[:begins] == before[:begins]


def test_of_many_machines_those_in_trouble_stay_in_sight() -> None:
    machines = tuple(a_machine(f"pump-{number:03d}", ill=number == 97) for number in range(1, 101))
    text = "\n".join(drawn(a_snapshot(*machines), height=30))
    assert "pump-097" in text
    assert "more machines" in text


def test_a_machine_that_learns_says_how_far_it_is_and_has_no_score() -> None:
    (row,) = [line for line in drawn(a_snapshot(a_machine("press-01", score=None, warm_up=0.4))) if "press-01" in line]
    assert "learning 40%" in row
    assert "-" in row


def test_the_countdown_counts_down_and_without_a_duration_time_counts_up() -> None:
    assert "0:38 left" in drawn(a_snapshot(*EIGHT))[0]
    assert "live 0:22, Ctrl-C ends" in drawn(a_snapshot(*EIGHT, seconds_left=None))[0]


def test_a_strange_machine_name_cannot_steer_the_terminal() -> None:
    text = "\n".join(drawn(a_snapshot(a_machine("evil\x1b[2J\n", ill=True), recent=(an_alert("evil\x1b[2J\n"),))))
    assert "\x1b" not in text
