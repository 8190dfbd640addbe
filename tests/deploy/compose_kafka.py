"""The Kafka service of docker-compose.yml without Docker.

The image's start script hands the environment to `kafka.docker.KafkaDockerWrapper`, which is in Kafka's own jars: so
the environment can be tried on a real broker here. Only the ports and the name `kafka` are replaced.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from runtime.apache_kafka import fetch_libraries, java_program
from runtime.children import child_process, free_port, port_answers
from runtime.errors import ToolMissing
from runtime.kafka import wait_for_broker
from runtime.settings import KafkaSettings
from tests.deploy.checks import ROOT, missing

LOGGING = """
Configuration:
  Appenders:
    Console: {name: console, PatternLayout: {pattern: "%p %m%n"}}
  Loggers:
    Root: {level: warn, AppenderRef: [{ref: console}]}
"""


def kafka_service() -> dict[str, Any]:
    document = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    found: dict[str, Any] = document["services"]["kafka"]
    return found


@contextmanager
def running_compose_kafka(folder: Path) -> Iterator[KafkaSettings]:
    """A broker configured by the compose file, up in about 8 s; the settings are those of a program outside."""
    try:
        java, jars = java_program(), fetch_libraries()
    except ToolMissing as error:
        missing("Apache Kafka", error.message)
    configs = {name: folder / name for name in ("default", "mounted", "final")}
    for path in configs.values():
        path.mkdir()
    for name in ("log4j2.yaml", "tools-log4j2.yaml"):
        (configs["default"] / name).write_text(LOGGING)
    (configs["default"] / "server.properties").write_text("")
    moved = {"//kafka": "//127.0.0.1"} | {f":{port}": f":{free_port()}" for port in (19092, 9092, 9093)}
    environment = {
        name: re.sub("|".join(moved), lambda match: moved[match[0]], str(value))
        for name, value in kafka_service()["environment"].items()
    }
    environment |= {"KAFKA_LOG_DIRS": str(folder / "data"), "CLUSTER_ID": "5L6g3nShT-eMCtK--X86sw"}
    logging = f"-Dlog4j2.configurationFile={configs['default'] / 'log4j2.yaml'}"
    program = [java, "-Xmx512m", logging, "-cp", f"{jars}/*"]
    options = [f"--{name}-configs-dir={path}" for name, path in configs.items()]
    prepared = subprocess.run(
        [*program, "kafka.docker.KafkaDockerWrapper", "setup", *options],
        env={"PATH": os.environ["PATH"]} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert prepared.returncode == 0, prepared.stderr
    outside = moved[":9092"]
    started = [*program, "kafka.Kafka", str(configs["final"] / "server.properties")]
    with child_process("Kafka of compose", started, log=folder / "kafka.log") as child:
        child.wait_until(lambda: port_answers(int(outside[1:])), timeout_seconds=60)
        settings = KafkaSettings(bootstrap_servers=f"127.0.0.1{outside}")
        wait_for_broker(settings, max_retries=10)
        yield settings
