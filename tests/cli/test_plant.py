"""`nexova plant init` and `check`: from a file that nobody prepared to a plant file that works."""

from pathlib import Path

import numpy as np
import pytest

from cli.main import run
from core.plant import parse_plant
from producer.publish import Publisher, Readings
from runtime.kafka import create_topics
from runtime.plants import load_plant
from runtime.tables.readings import read_readings
from schemas.topics import READINGS
from tests.brokers import Broker
from tests.data import shared_data

SAMPLE = (
    "Zeit;Maschine;Leistung [kW];Öltemperatur;Zähler [kWh];Bemerkung;anomaly\n"
    "01.03.2026 00:00;presse-1;40,5;60,0;1000;ok;0\n"
    "01.03.2026 00:15;presse-1;41,5;61,5;1010;ok;0\n"
    "01.03.2026 00:00;presse-2;39,0;-5,5;2000;ok;0\n"
    "01.03.2026 00:15;presse-2;42,0;59,0;2010;ok;1\n"
)


def initialised(folder: Path, text: str) -> Path:
    sample, out = folder / "sample.csv", folder / "plant.toml"
    sample.write_text(text, encoding="utf-8")
    assert run(["plant", "init", str(sample), "--out", str(out), "--timezone", "Europe/Berlin"]) == 0
    return out


def test_a_sample_becomes_a_plant_file_whose_guesses_are_marked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = initialised(tmp_path, SAMPLE.replace("Maschine", "machine"))
    plant = load_plant(out)
    lines = out.read_text(encoding="utf-8").splitlines()

    assert plant.sensor_names == ("leistung", "oeltemperatur", "zaehler")
    assert [(sensor.unit, sensor.role) for sensor in plant.sensors] == [
        ("kW", "power"),
        ("°C", None),
        ("kWh", "energy_counter"),
    ]
    assert plant.interval_seconds == 900
    assert [(kind.name, kind.machines) for kind in plant.machine_types] == [("presse", ("presse*",))]
    assert [line for line in lines if line.startswith(("unit", "role")) and "guessed" not in line] == [
        'unit = "kW"',
        'unit = "kWh"',
    ]
    assert "columns not used: Bemerkung" in capsys.readouterr().out


def test_the_file_reads_the_sample_that_it_was_drafted_from(tmp_path: Path) -> None:
    out = initialised(tmp_path, SAMPLE.replace("Maschine", "machine"))
    found = read_readings(tmp_path / "sample.csv", load_plant(out), truth=("anomaly",))

    assert found.machine_ids == ["presse-1", "presse-1", "presse-2", "presse-2"]
    assert found.values[0].tolist() == [40.5, 60.0, 1000.0]
    assert np.isfinite(found.values).all()


def test_check_says_what_a_plant_file_describes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plant", "check", "default"]) == 0
    shown = capsys.readouterr().out
    assert "sensor power: 0 to 400 kW, role power\n" in shown
    assert "default: no rule is broken\n" in shown
    (tmp_path / "broken.toml").write_text('name = "x"\ntimezone = "UTC"\ninterval_seconds = 0\nsensors = []\n')
    assert run(["plant", "check", str(tmp_path / "broken.toml")]) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give either a FILE or --topic"),
        (["{sample}", "--topic", "x"], "give either a FILE or --topic"),
        (["{sample}", "--out", "{sample}"], "exists already; name another file, or give --overwrite"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sample.csv").write_text(SAMPLE)
    filled = [argument.format(sample=tmp_path / "sample.csv") for argument in arguments]

    assert run(["plant", "init", *filled]) == 2
    assert words in capsys.readouterr().err


def test_a_recording_of_ten_unnamed_columns_is_understood(tmp_path: Path) -> None:
    recording = shared_data("skab", "valve1", "1.csv")
    out = tmp_path / "plant.toml"
    assert run(["plant", "init", str(recording), "--out", str(out), "--name", "pump"]) == 0
    found = read_readings(recording, load_plant(out), truth=("anomaly",))

    assert found.values.shape[1] == 8
    assert np.isfinite(found.values).mean() > 0.99
    assert 0 < found.truth["anomaly"].mean() < 1


def test_a_topic_is_a_sample_too(tansu: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXOVA_KAFKA__BOOTSTRAP_SERVERS", tansu.bootstrap_servers)
    create_topics(tansu.kafka)
    publisher = Publisher(tansu.kafka)
    readings = Readings(
        machine_ids=["line-1"] * 20,
        timestamps=1_772_366_400.0 + 30 * np.arange(20),
        values=np.column_stack([np.linspace(10, 20, 20), np.linspace(50, 60, 20)]),
    )
    publisher.publish(readings, ("power", "temperature"))
    publisher.flush()
    out = tmp_path / "plant.toml"

    assert run(["plant", "init", "--topic", READINGS, "--out", str(out)]) == 0
    plant = parse_plant(out.read_text(encoding="utf-8"), source="drafted")
    assert {"power", "temperature"} <= set(plant.sensor_names)
