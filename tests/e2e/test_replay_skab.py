"""The water pump recordings, as they are, through Kafka: every row scored once, alerts where the labels are."""

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from producer.replay import read_readings_csv
from runtime.kafka import create_topics
from runtime.plants import load_plant
from schemas.alerts import Alert
from schemas.topics import ALERTS, READINGS, SCORES
from tests.brokers import Broker
from tests.data import shared_data
from tests.e2e.workers import eventually, read_all, workers

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.timeout(200)
def test_recorded_faults_are_alerted_on_while_they_last(fresh_apache_kafka: Broker, tmp_path: Path) -> None:
    broker = fresh_apache_kafka
    files = sorted(shared_data("skab", "valve1").glob("*.csv"))
    plant_file = REPOSITORY / "plants" / "skab.toml"
    plant = load_plant(plant_file)
    create_topics(broker.kafka)
    with workers(broker, tmp_path, NEXOVA_PLANT_FILE=str(plant_file)) as group:
        worker = group.start()
        command = [sys.executable, "-m", "nexova", "produce", "replay", *map(str, files)]
        environment = {"NEXOVA_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers, "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            [*command, "--plant", str(plant_file), "--speed", "max"],
            cwd=REPOSITORY,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        total = len(read_all(broker, READINGS))
        assert done.stdout.strip() == f"{total:,} messages delivered, 0 failed"
        group.wait_ready()
        eventually(
            lambda: worker.metric("nexova_readings_accepted_total") == total, seconds=60, what=f"{total} readings"
        )
    scores = [json.loads(value or b"") for _, value in read_all(broker, SCORES)]
    assert len(scores) == len({(score["machine_id"], score["timestamp"]) for score in scores}) == total
    alerts = [Alert.model_validate_json(value or b"") for _, value in read_all(broker, ALERTS)]
    anomalies = [alert for alert in alerts if alert.kind == "anomaly"]
    assert all(alert.signals and alert.machine_id in alert.summary for alert in anomalies)
    alerted = 0
    for path in files:
        readings, labels = read_readings_csv(path, plant)
        assert labels is not None
        faulty = readings.timestamps[labels]
        active = [
            moment for alert in anomalies if alert.machine_id == f"valve1-{path.stem}" for moment in _alert_times(alert)
        ]
        alerted += any(faulty[0] <= moment.timestamp() <= faulty[-1] for moment in active)
    assert alerted >= 0.8 * len(files)


def _alert_times(alert: Alert) -> list[datetime]:
    return [] if alert.state == "resolved" else [alert.updated_at]
