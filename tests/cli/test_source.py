"""`nexova source try`: what a sample becomes, line by line."""

import json
from pathlib import Path

import pytest

from cli.main import run
from tests.brokers import Broker, unique
from tests.e2e.workers import publish
from tests.tiny_plant import tiny_plant

PLANT = tiny_plant()
WIDE = """
[[source]]
topic = "scada"
machine_id = "m"
time = "at"
time_format = "ms"
[source.sensors]
power = { path = "P", unit = "W" }
"""
LONG = """
[[source]]
topic = "tags"
form = "long"
tag = "path:tag {machine_id}.{sensor}"
time = "at"
time_format = "ms"
quality = "q"
"""


def a_plant_file(folder: Path, sources: str) -> Path:
    path = folder / "plant.toml"
    path.write_text(PLANT + sources, encoding="utf-8")
    return path


def tried(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert run(["source", "try", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_each_line_of_a_file_is_shown_as_a_reading_or_a_refusal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = tmp_path / "sample.jsonl"
    lines = [
        {"m": "press-01", "at": 1772366400000, "P": 41200},
        {"m": "press-01", "at": "noon", "P": 41200},
        {"m": "press-01", "at": 4102444800000, "P": 41200},
    ]
    sample.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    shown = tried(capsys, str(sample), "--plant", str(a_plant_file(tmp_path, WIDE)))
    assert shown[0] == "1: reading  press-01 2026-03-01T12:00:00+00:00 power=41.2"
    assert shown[1].startswith("2: refused  timestamp_invalid: at = 'noon': is no such time; send a number of ms")
    assert shown[2].startswith("3: refused  timestamp_out_of_range: "), "as the processor would"


def test_values_of_a_long_source_are_shown_and_gathered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = tmp_path / "sample.json"
    common = {"at": 1772366400000}
    documents = [
        {"tag": "a.power", "value": 40, "q": 0},
        {"tag": "a.temperature", "value": 60, "q": 0x80000000},
        {"tag": "a.speed", "value": 3},
        {"tag": "nobody", "value": 3},
    ]
    sample.write_text(json.dumps([common | one for one in documents]), encoding="utf-8")
    plant = a_plant_file(tmp_path, WIDE + LONG)
    shown = tried(capsys, str(sample), "--plant", str(plant), "--source", "tags")
    assert shown == [
        "1: value    a 2026-03-01T12:00:00+00:00 power=40 kW",
        "1: value    a 2026-03-01T12:00:00+00:00 temperature=missing",
        (
            "1: refused  no_known_sensor: 'nobody' does not fit the template {machine_id}.{sensor}; correct tag of the "
            "source in the plant file"
        ),
        "1: ignored  tag 'speed' is no sensor of the source",
        "1: quality  1 values are of bad quality and count as missing",
        "gathered: reading  a 2026-03-01T12:00:00+00:00 power=40",
    ]


def test_the_newest_messages_of_a_topic_are_shown(
    tansu: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXOVA_KAFKA__BOOTSTRAP_SERVERS", tansu.bootstrap_servers)
    topic = unique("scada")
    plant = a_plant_file(tmp_path, WIDE.replace("scada", topic))
    publish(
        tansu,
        [("x", json.dumps({"m": "a", "at": 1772366400000, "P": 1000 * n}).encode()) for n in range(5)],
        topic=topic,
    )
    shown = tried(capsys, "--topic", topic, "--plant", str(plant), "--limit", "2")
    assert [line.rpartition("power=")[2] for line in shown] == ["3", "4"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give either a FILE or --topic"),
        (("nowhere.json", "--source", "tags"), "nowhere.json: cannot be read"),
        (("nowhere.json",), "has 2 sources; choose with --source: scada, tags"),
        (("nowhere.json", "--source", "x"), "plant tiny has no such source (it has: scada, tags)"),
    ],
)
def test_what_is_wrong_with_the_call_is_said_in_one_line(
    arguments: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plant = a_plant_file(tmp_path, WIDE + LONG)
    assert run(["source", "try", *arguments, "--plant", str(plant)]) == 2
    assert words in capsys.readouterr().err
