"""A fleet's first forecasts through the processor: from imported hours to every machine's forecast on the topic.

    .venv/bin/python -m benchmarks.forecast_fleet
    .venv/bin/python -m benchmarks.forecast_fleet --series 1000 --rounds 3 --json

Thirteen weeks of hours of each machine lie on `nexova.history`; then one worker is started, with its default budget,
but for the minutes over which it would spread the forecasts. Every machine is fitted anew, which is the slowest case.
"""

import argparse
import json
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from benchmarks.forecast_wave import import_series, worker
from cli.train import train_on_the_spot
from runtime.apache_kafka import apache_kafka
from runtime.kafka import consumer_config, create_topics
from runtime.plants import load_plant
from runtime.settings import KafkaSettings
from schemas.forecasts import Forecast, is_plant_series
from schemas.topics import FORECASTS

_LIMIT_SECONDS = 900.0


def forecast_all(kafka: KafkaSettings, models: Path, wanted: int, *, end: datetime, group: str) -> dict[str, float]:
    """Seconds from a worker's start to its first forecast and to that of the last machine, of the hour `end`."""
    consumer = Consumer(consumer_config(kafka))
    partitions = [TopicPartition(FORECASTS, partition) for partition in range(kafka.partitions)]
    for one in partitions:
        one.offset = consumer.get_watermark_offsets(one, timeout=10)[1]
    consumer.assign(partitions)
    began = time.perf_counter()
    found: dict[str, int] = {}
    first = seconds = 0.0
    with worker(kafka, models, group=group, forecasts=True) as (_, lives):
        while len(found) < wanted:
            messages = consumer.consume(1000, timeout=0.5)
            seconds = time.perf_counter() - began
            for message in messages:
                forecast = Forecast.model_validate_json(message.value() or b"")
                if forecast.issued_at == end and not is_plant_series(forecast.series_id):
                    found[forecast.series_id] = len(forecast.points)
                    first = first or seconds
            if not lives() or seconds > _LIMIT_SECONDS:
                raise RuntimeError(f"{len(found)} of {wanted} machines were forecast within {seconds:.0f} s")
    consumer.close()
    return {"seconds": seconds, "first": first, "horizon": min(found.values())}


def main() -> None:
    """Runs all rounds and prints what they took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, apache_kafka() as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        create_topics(kafka)
        models = Path(folder) / "models"
        train_on_the_spot(load_plant(None), models)
        end = datetime.fromtimestamp(import_series(kafka, options.series) * 3600, UTC)
        runs = [
            forecast_all(kafka, models, options.series, end=end, group=f"bench-{number}")
            for number in range(options.rounds)
        ]
    seconds = statistics.median(run["seconds"] for run in runs)
    if options.json:
        print(json.dumps({"series": options.series, "seconds": seconds, "runs": runs}))
        return
    each = ", ".join(f"{run['seconds']:.0f}" for run in runs)
    print(f"{options.series:,} machines with 13 weeks of imported hours, {runs[0]['horizon']:.0f} h ahead, one worker")
    print(f"  from its start to the last forecast {seconds:>6.0f} s ({each})")
    print(f"  to the first {statistics.median(run['first'] for run in runs):>29.0f} s")


if __name__ == "__main__":
    main()
