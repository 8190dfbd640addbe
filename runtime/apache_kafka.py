"""Single-node Apache Kafka on this machine without Docker; needs Java, and Maven for the first download.

It serves `nexova demo --broker kafka`, the benchmarks, and tests beyond the embedded broker's abilities. The jars are
kept in the user's cache folder; the data is in a temporary folder and gone at the end.
"""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from runtime.children import child_process, free_port, on_a_free_port, port_answers, runs
from runtime.embedded import EmbeddedBroker
from runtime.errors import ChildEnded, FailureError, PortTaken, ToolMissing
from runtime.kafka import wait_for_broker
from runtime.settings import KafkaSettings

VERSION: Final = "4.4.0"
LEAST_JAVA: Final = 17
READY_SECONDS: Final = 120.0  # 3 s on a quiet machine, 25 s on a very busy one
BRIEF_LIFE: Final = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Java options of a broker that lives for a minute and is not measured: it starts with half of the CPU time."""
_FETCH_SECONDS: Final = 300.0
_CLUSTER: Final = "bmV4b3ZhLWxvY2FsLWthZg"  # any 22 characters of base64 will do
_FOLDER: Final = "nexova-kafka-"

_POM: Final = f"""<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>nexova</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.1</version>
    </dependency>
  </dependencies>
</project>
"""
_LOGGING: Final = """status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""
PROPERTIES: Final = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    # topics are created from the catalogue; automatic creation would hide mistakes
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    # one node, few partitions: the defaults would wait for three brokers, or slow down the start
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    "log.cleaner.dedupe.buffer.size": "33554432",
}


@contextmanager
def apache_kafka(
    port: int | None = None,
    *,
    properties: Mapping[str, str] | None = None,
    secured: Mapping[str, int] | None = None,
    heap: str = "1g",
    java_options: Sequence[str] = (),
) -> Iterator[EmbeddedBroker]:
    """Run Apache Kafka on `port` of 127.0.0.1 (None: a free one) while the block runs; up in about 5 s.

    `properties` are added to the broker's own (`server.properties`); `heap` is Java's, such as "1g"; `java_options` are
    further ones, such as `BRIEF_LIFE`. secured: port of 127.0.0.1 by security protocol, such as SASL_SSL, for listeners
    beside the plain one.

    Raises:
        ToolMissing: no Java 17, or no Maven when the jars have to be fetched.
        PortTaken: another process listens on `port`.
        ChildEnded: it did not come up.
    """
    java = java_program()
    libraries = fetch_libraries()
    remove_leftovers()
    with ExitStack() as stack:
        prefix = f"{_FOLDER}{os.getpid()}-"
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)))
        (folder / "log4j2.properties").write_text(_LOGGING)
        command = [
            *(java, f"-Xmx{heap}", *java_options, f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}"),
            *("-cp", f"{libraries}/*"),
        ]

        def start(free: int) -> EmbeddedBroker:
            return _start(stack, command, folder, free, properties or {}, secured=secured or {})

        yield on_a_free_port(start) if port is None else start(port)


def java_program() -> str:
    """Return the path of a Java that can run Kafka.

    Raises:
        ToolMissing: Java is missing or too old.
    """
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home) / "bin") if home else None) or shutil.which("java")
    remedy = f"install Java {LEAST_JAVA} (Debian: apt-get install openjdk-17-jre-headless), or use Tansu"
    if java is None:
        raise ToolMissing(f"Apache Kafka needs Java {LEAST_JAVA} or newer and there is no java on PATH; {remedy}")
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', answer)
    if version is None or int(version[1]) < LEAST_JAVA:
        found = version[1] if version else "no version"
        raise ToolMissing(f"Apache Kafka needs Java {LEAST_JAVA} or newer and {java} is {found}; {remedy}")
    return java


def fetch_libraries() -> Path:
    """Return the folder of Kafka's jars, fetched with Maven the first time (a few seconds to a minute, 150 MB).

    Raises:
        ToolMissing: the jars are not there yet, and neither is Maven.
        FailureError: Maven could not fetch them.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nexova"
    libraries = cache / f"kafka-{VERSION}"
    if libraries.is_dir():
        return libraries
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several processes, one fetches and the others wait
        if not libraries.is_dir():
            with tempfile.TemporaryDirectory(dir=cache, prefix="fetch-") as folder:
                _fetch(Path(folder)).rename(libraries)
    return libraries


def _fetch(folder: Path) -> Path:
    maven = shutil.which("mvn")
    if maven is None:
        raise ToolMissing(
            "Apache Kafka's jars are fetched with Maven and there is no mvn on PATH; install it "
            "(Debian: apt-get install maven), or use Tansu"
        )
    (folder / "pom.xml").write_text(_POM)
    libraries = folder / "libraries"
    command = [maven, "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={libraries}"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=_FETCH_SECONDS)
    except subprocess.TimeoutExpired:
        raise FailureError(
            f"Maven did not fetch Apache Kafka within {_FETCH_SECONDS:g} s; check the network and try again"
        ) from None
    if done.returncode != 0 or not any(libraries.glob("kafka_*.jar")):
        lines = [line for line in done.stdout.splitlines() if "ERROR" in line] or ["it said nothing"]
        raise FailureError(
            f"Maven could not fetch Apache Kafka {VERSION} ({lines[0]}); check its settings and the network"
        )
    return libraries


def _start(
    stack: ExitStack,
    command: list[str],
    folder: Path,
    port: int,
    properties: Mapping[str, str],
    *,
    secured: Mapping[str, int],
) -> EmbeddedBroker:
    address = f"127.0.0.1:{port}"
    if port_answers(port):
        raise PortTaken(f"Apache Kafka cannot listen on {address}: the port is taken; name a free one")
    controller = f"127.0.0.1:{free_port()}"
    reachable = ",".join(
        f"{protocol}://127.0.0.1:{place}" for protocol, place in {"PLAINTEXT": port, **secured}.items()
    )
    protocols = "".join(f",{protocol}:{protocol}" for protocol in secured)
    all_properties = PROPERTIES | {
        "listeners": f"{reachable},CONTROLLER://{controller}",
        "advertised.listeners": reachable,
        "listener.security.protocol.map": PROPERTIES["listener.security.protocol.map"] + protocols,
        "controller.quorum.voters": f"1@{controller}",
        "log.dirs": str(folder / f"data-{port}"),
    }
    file = folder / f"server-{port}.properties"
    file.write_text("".join(f"{name}={value}\n" for name, value in (all_properties | dict(properties)).items()))
    storage = [*command, "kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", str(file)]
    formatted = subprocess.run(storage, capture_output=True, text=True, check=False)
    if formatted.returncode != 0:
        words = (formatted.stderr or formatted.stdout).strip().splitlines() or ["it said nothing"]
        raise ChildEnded(f"Apache Kafka could not prepare its data folder: {words[-1]}")
    child = stack.enter_context(
        child_process("Apache Kafka", [*command, "kafka.Kafka", str(file)], log=folder / f"kafka-{port}.log")
    )
    try:
        child.wait_until(lambda: port_answers(port), timeout_seconds=READY_SECONDS)
    except ChildEnded:
        if child.logged("Address already in use"):
            raise PortTaken(f"Apache Kafka cannot listen on {address}: the port is taken; name a free one") from None
        raise
    wait_for_broker(KafkaSettings(bootstrap_servers=address), max_retries=10)
    return EmbeddedBroker(bootstrap_servers=address, child=child)


def remove_leftovers() -> None:
    """Remove the data of killed runs, which may be gigabytes."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*-*"):
        owner = folder.name.removeprefix(_FOLDER).partition("-")[0]
        if owner.isdigit() and not runs(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)
