import csv
import json
from pathlib import Path

import numpy as np
import pytest

from cli.main import run
from tests.cli.command import nexova

PLANT = """
name = "bench"
timezone = "UTC"
interval_seconds = 1
[[sensors]]
name = "flow"
unit = "l/min"
minimum = 0
maximum = 100
[[sensors]]
name = "pressure"
unit = "bar"
minimum = 0
maximum = 100
[detection]
warm_up_readings = 200
[csv]
label_column = "fault"
"""
ROWS, FAULT = 600, slice(400, 450)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "plant.toml").write_text(PLANT)
    random = np.random.default_rng(3)
    for name in ("a", "b"):
        values = random.normal([50, 20], [1, 0.5], (ROWS, 2))
        values[FAULT, 1] += 5
        with (tmp_path / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(("timestamp", "flow", "pressure", "fault"))
            for row in range(ROWS):
                moment = f"2026-03-01T00:{row // 60:02}:{row % 60:02}Z"
                rows.writerow((moment, *values[row].round(4).tolist(), int(FAULT.start <= row < FAULT.stop)))
    return tmp_path


def test_labelled_recordings_are_measured_beside_a_random_score(folder: Path) -> None:
    done = nexova(
        "backtest", "detect", "a.csv", "b.csv", "--plant", "plant.toml",
        "--scores", "scores.csv", "--alerts", "alerts.jsonl", "--json", folder=folder,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert (document["files"], document["readings"], document["measured"]) == (2, 2 * ROWS, 2 * (ROWS - 200))
    assert document["detection"]["f1"] > 0.8 > document["control"]["f1"]
    assert document["detection"]["roc_auc"] > 0.95
    assert document["detection"]["change_points_found"] == 2
    assert document["alerts"]["stretches_alerted"] == 2
    assert set(document["machines"]) == {"a", "b"}

    with (folder / "scores.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["machine_id", "timestamp", "score", "is_anomaly", "alert"]
    assert len(rows) == 2 * ROWS
    assert [row["machine_id"] for row in rows if row["alert"] == "1"] == ["a", "b"]
    alerts = [json.loads(line) for line in (folder / "alerts.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [alert["machine_id"] for alert in alerts if alert["state"] == "opened"] == ["a", "b"]


def test_what_a_reading_scores_does_not_depend_on_those_after_it(folder: Path) -> None:
    lines = (folder / "a.csv").read_text(encoding="utf-8").splitlines()
    (folder / "early.csv").write_text("\n".join(lines[:421]) + "\n")
    for name in ("a", "early"):
        assert run(["backtest", "detect", str(folder / f"{name}.csv"), "--plant", str(folder / "plant.toml"),
                    "--scores", str(folder / f"{name}-scores.csv")]) == 0  # fmt: skip
    whole, early = ((folder / f"{name}-scores.csv").read_text().splitlines() for name in ("a", "early"))
    assert [line.split(",")[1:] for line in early] == [line.split(",")[1:] for line in whole[:421]]


def test_without_labels_only_what_was_said_is_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (folder / "a.csv").read_text(encoding="utf-8").splitlines()
    (folder / "plain.csv").write_text("\n".join(line.rsplit(",", 1)[0] for line in text) + "\n")
    assert run(["backtest", "detect", str(folder / "plain.csv"), "--plant", str(folder / "plant.toml"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert "detection" not in document
    assert document["alerts"] == {"openings": 1, "openings_per_machine_week": pytest.approx(1512.0, rel=0.01)}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a.csv", "--plant", "plant.toml", "--warm-up", "5"], "--warm-up 5: must be 0, or 20 to 100000"),
        (["a.csv", "--plant", "plant.toml", "--warm-up", "600"], "a.csv: no reading comes after the warm-up"),
        (["none.csv", "--plant", "plant.toml"], "none.csv: there is no such file"),
        (["a.csv", "--plant", "none.toml"], "plant file none.toml: does not exist"),
        (
            ["a.csv", "--plant", "plant.toml", "--scores", "no/where.csv"],
            "--scores no/where.csv: its folder does not exist",
        ),
        (["a.csv", "--plant", "plant.toml", "--models", "empty"], "--models empty: no model can be used"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    folder: Path,
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "empty").mkdir()
    monkeypatch.chdir(folder)
    assert run(["backtest", "detect", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
