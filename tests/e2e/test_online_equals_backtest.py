"""The scores of a stream are those of the back-test of the same readings, reading by reading, on both brokers."""

import csv
import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from producer.generator import IndustrialDataGenerator
from runtime.kafka import create_topics
from schemas.rounding import cut_score
from schemas.topics import READINGS, SCORES
from tests.brokers import Broker
from tests.e2e.workers import eventually, read_all, workers

REPOSITORY = Path(__file__).parents[2]


def nexova(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "nexova", *arguments],
        cwd=REPOSITORY,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout


@pytest.mark.long
@pytest.mark.timeout(300)
def test_online_scores_and_flags_are_those_of_the_back_test(fresh_broker: Broker, tmp_path: Path) -> None:
    table = IndustrialDataGenerator(seed=4).generate_energy_timeseries(1, "1min", 3)
    recorded = tmp_path / "readings.csv"
    table.drop(columns=["anomaly", "anomaly_kind", "hours_to_failure", "condition"]).to_csv(recorded, index=False)
    plant = tmp_path / "plant.toml"
    text = (REPOSITORY / "plants" / "default.toml").read_text(encoding="utf-8")
    plant.write_text(text.replace("warm_up_readings = 1440", "warm_up_readings = 300"), encoding="utf-8")
    offline = tmp_path / "scores.csv"
    nexova("backtest", "detect", str(recorded), "--plant", str(plant), "--scores", str(offline))
    with offline.open(encoding="utf-8", newline="") as file:
        expected = {(row["machine_id"], datetime.fromisoformat(row["timestamp"])): row for row in csv.DictReader(file)}

    create_topics(fresh_broker.kafka)
    with workers(fresh_broker, tmp_path, NEXOVA_PLANT_FILE=str(plant)) as group:
        worker = group.start()
        servers = {"NEXOVA_KAFKA__BOOTSTRAP_SERVERS": fresh_broker.bootstrap_servers}
        nexova("produce", "replay", str(recorded), "--plant", str(plant), "--speed", "max", **servers)
        total = len(read_all(fresh_broker, READINGS))
        group.wait_ready()
        eventually(
            lambda: worker.metric("nexova_readings_accepted_total") == total, seconds=90, what=f"{total} readings"
        )
        # scores are flushed with the checkpoint that follows them
        eventually(lambda: len(read_all(fresh_broker, SCORES)) >= total, seconds=60, what=f"{total} scores")
    online = [json.loads(value or b"") for _, value in read_all(fresh_broker, SCORES)]
    assert len(online) == len(expected) == total
    different = []
    for score in online:
        row = expected[score["machine_id"], datetime.fromisoformat(score["timestamp"])]
        told = None if row["score"] == "" else cut_score(float(row["score"]))
        # the file has six significant digits, so a value may lie on the other side of a step of the message's four
        same = score["anomaly_score"] == told or (
            None not in {told, score["anomaly_score"]} and abs(score["anomaly_score"] - told) <= 1.0001e-4
        )
        if not same or score["is_anomaly"] != (row["is_anomaly"] == "1"):
            different.append((score, row))
    assert different == []
    assert sum(score["anomaly_score"] is not None for score in online) > 0.5 * total
    assert any(score["is_anomaly"] for score in online)
