"""Sequence of a demo run: start-up, history, live phase and shutdown."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.demo.processes import (
    BROKERS,
    END_SECONDS,
    READY_SECONDS,
    Api,
    Options,
    Run,
    Stops,
    Work,
    base_environment,
    health,
    hush,
    port_for,
    processor_environment,
    python_module,
    start_api,
    wait_for_api,
)
from cli.demo.report import Report, make_report
from cli.demo.show import Show
from cli.demo.simulation import Simulation
from cli.demo.statistics import TOPICS, Meter, RunStatistics, take_all, take_records
from cli.demo.view import snapshot
from core.plant import Plant
from runtime.apache_kafka import apache_kafka
from runtime.children import Child, free_port
from runtime.embedded import EmbeddedBroker, embedded_broker
from runtime.errors import ChildEnded, FailureError, NexovaError
from runtime.kafka import create_topics
from runtime.plants import load_plant
from runtime.settings import KafkaSettings, Settings
from runtime.topic_reader import BEGINNING, TopicReader

WORK_SECONDS: Final = 600.0
BACKLOG_SECONDS: Final = 180.0
DRAIN_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.05
_SETTLE_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The running parts of a demo."""

    broker: EmbeddedBroker
    processor: Child
    api: Api
    simulation: Simulation
    reader: TopicReader
    statistics: RunStatistics

    def poll(self) -> None:
        """Count the messages published since the last call.

        Raises:
            ChildEnded: the broker, the processor or the API has ended.
            NexovaError: the simulator has failed.
        """
        take_records(self.reader, self.statistics, _POLL_SECONDS)
        self.broker.check()
        self.processor.check()
        self.api.work.child.check()
        self.simulation.check()

    def wait_until_accounted(self, *, timeout_seconds: float) -> None:
        """Wait until every produced reading has been scored or dead-lettered.

        Raises:
            FailureError: some were not within `timeout_seconds`.
        """
        deadline = time.monotonic() + timeout_seconds
        while self.statistics.accounted < self.simulation.delivered:
            self.poll()
            if time.monotonic() > deadline:
                missing = self.simulation.delivered - self.statistics.accounted
                raise FailureError(
                    f"{missing:,} of {self.simulation.delivered:,} readings were neither scored nor dead-lettered "
                    f"within {timeout_seconds:g} s after the last was produced; the reason is in processor.log"
                )


def run_demo(options: Options, settings: Settings, *, show: Show, stops: Stops) -> Report:
    """Run the demo from start to end and return its figures.

    Raises:
        FailureError: a part failed, or readings are unaccounted for; the message names the folder of the logs.
        UsageError: the plant file is broken, or the plant cannot be simulated.
    """
    plant = load_plant(settings.plant_file)
    with _log_folder() as logs, ExitStack() as children:
        run = Run(options=options, plant=plant, show=show, logs=logs, children=children)
        environment = base_environment(settings, temporary=logs)
        # the longest steps first: training and compilation run while everything else starts
        train = python_module("cli.demo.work", "models", str(options.seed))
        compiling = python_module("cli.demo.work", "compile")
        works = [
            Work(step=show.begin("models ready"), child=run.child("training", train, environment)),
            Work(step=show.begin("rules compiled"), child=run.child("compiler", compiling, environment)),
        ]
        broker = _start_broker(run)
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        with run.step("topics created"):
            create_topics(kafka)
        # the page can be opened while models are trained, so its address is among the first lines
        api = start_api(run, environment, kafka, port=port_for(settings))
        wait_for_api(run, api)
        simulation = _produce_history(run, kafka)
        _await_works(run, works)
        processor = _start_processor(run, environment, kafka)
        statistics = RunStatistics(power=_power_sensor(plant))
        parts = Parts(
            broker=broker,
            processor=processor,
            api=api,
            simulation=simulation,
            reader=children.enter_context(TopicReader(kafka, dict.fromkeys(TOPICS, BEGINNING))),
            statistics=statistics,
        )
        backfill_rate = _process_history(run, parts)
        start_up_seconds = time.monotonic() - run.begun_at
        _live(run, parts, stops)
        return make_report(
            statistics,
            faults=simulation.faults,
            cut_faults=simulation.cut_faults,
            live=(simulation.live_from, simulation.live_until),
            grace=simulation.grace_seconds,
            broker=options.broker,
            seed=options.seed,
            produced=simulation.delivered,
            backfill=simulation.backfilled,
            bad_messages=simulation.bad_messages,
            backfill_rate=backfill_rate,
            start_up_seconds=start_up_seconds,
        )


def _start_broker(run: Run) -> EmbeddedBroker:
    with run.step("broker up") as step:
        start = apache_kafka if run.options.broker == "kafka" else embedded_broker
        broker = run.children.enter_context(start())
        run.children.callback(hush)
        step.note = f"{BROKERS[run.options.broker]} at {broker.bootstrap_servers}"
    return broker


def _produce_history(run: Run, kafka: KafkaSettings) -> Simulation:
    with run.step("history produced") as step:
        options = run.options
        simulation = Simulation(run.plant, kafka, machines=options.machines, seed=options.seed, days=options.days)
        simulation.backfill()
        step.note = f"{simulation.backfilled:,} readings of {options.days:g} days"
    return simulation


def _await_works(run: Run, works: list[Work]) -> None:
    """Wait until all child processes of start-up have ended, showing the last line of each as the note of its step.

    Raises:
        ChildEnded: one failed, or did not end in time.
    """
    deadline = time.monotonic() + WORK_SECONDS
    while any(work.step.ended_at is None for work in works):
        for work in works:
            _update(run, work)
        if time.monotonic() > deadline:
            names = ", ".join(work.child.name for work in works if work.step.ended_at is None)
            raise ChildEnded(f"{names}: not done after {WORK_SECONDS:g} s; reduce the load of this host and try again")
        time.sleep(_POLL_SECONDS)


def _update(run: Run, work: Work) -> None:
    if work.step.ended_at is not None:
        return
    code = work.child.process.poll()
    if work.child.log.stat().st_size:
        work.step.note = work.child.last_log_line()
    if code == 0:
        run.show.end(work.step, work.step.note)
    elif code is not None:
        work.child.check()


def _start_processor(run: Run, environment: dict[str, str], kafka: KafkaSettings) -> Child:
    with run.step("processor ready") as step:
        port = free_port()
        processor = run.child(
            "processor",
            # one worker: several would be grandchildren, which are not killed with the child
            python_module("nexova", "process", "--workers", "1"),
            processor_environment(environment, kafka, web_port=port),
            grace=END_SECONDS,
        )
        processor.wait_until(lambda: health(port).get("ready") is True, timeout_seconds=READY_SECONDS)
        step.note = f"process {processor.pid}"
    return processor


def _process_history(run: Run, parts: Parts) -> float | None:
    """Process the history, and return the rate of scoring in readings a second."""
    with run.step("history processed") as step:
        parts.wait_until_accounted(timeout_seconds=BACKLOG_SECONDS)
        _settle(parts)  # alerts of the history are not shown as new
        rate = parts.statistics.scoring_rate()
        step.note = "" if rate is None else f"{rate:,.0f} readings/s"
    return rate


def _live(run: Run, parts: Parts, stops: Stops) -> None:
    """Run the live phase, and wait until its last readings are accounted for."""
    simulation, statistics = parts.simulation, parts.statistics
    simulation.start(run.options.duration)
    statistics.live_from = simulation.live_from
    meter = Meter()
    shown = len(statistics.changes)
    stops.expected = run.options.duration is None
    with run.show.live():
        while not stops.asked and not simulation.over():
            parts.poll()
            meter.note(statistics.readings_scored)
            shown = _show_changes(run, statistics, shown)
            run.show.update(
                lambda: snapshot(run.options.title, simulation, statistics, meter, address=parts.api.address)
            )
        stops.expected = False
        simulation.stop()
        run.show.update(
            lambda: snapshot(
                run.options.title, simulation, statistics, meter, address=parts.api.address, finishing=True
            ),
            at_once=True,
        )
        parts.wait_until_accounted(timeout_seconds=DRAIN_SECONDS)
        _settle(parts)
        _show_changes(run, statistics, shown)
        _end(parts.processor)


def _show_changes(run: Run, statistics: RunStatistics, shown: int) -> int:
    for alert in statistics.changes[shown:]:
        run.show.alert(alert)
    return len(statistics.changes)


def _settle(parts: Parts) -> None:
    """Count the messages published together with the last scores."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < deadline:
        parts.poll()
    take_all(parts.reader, parts.statistics, timeout_seconds=DRAIN_SECONDS)


def _end(processor: Child) -> None:
    code = processor.end(grace_seconds=END_SECONDS)
    if code != 0:
        raise ChildEnded(f"the processor ended with code {code} when it was asked to stop: {processor.last_log_line()}")


def _power_sensor(plant: Plant) -> str | None:
    index = plant.index_of_role("power")
    return None if index is None else plant.sensor_names[index]


@contextmanager
def _log_folder() -> Iterator[Path]:
    """Provide a folder for the children's logs; after a failure it is kept and named in the error."""
    folder = Path(tempfile.mkdtemp(prefix="nexova-demo-"))
    try:
        yield folder
    except NexovaError as error:
        if any(folder.iterdir()):
            error.message = f"{error.message}; the logs are in {folder}"
        raise
    except Exception:
        raise
    except BaseException:  # stopped on request: the logs are not needed
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
