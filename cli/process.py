"""`nexova process`: stream processors that run until stopped."""

import logging
import multiprocessing
import signal
from types import FrameType
from typing import Annotated, Final

import typer

from cli.errors import reported
from runtime.plants import load_plant
from runtime.ports import page_port
from runtime.settings import Settings, load_settings

LOGGER: Final = logging.getLogger("nexova.processor")


def process(
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Number of worker processes; default: WORKERS. Each has the next web port."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65_535,
            help="Port of /metrics and /healthz; default: NEXOVA_PROCESSOR__WEB_PORT, else the first free from 6066.",
        ),
    ] = None,
    *,
    bridge: Annotated[
        bool,
        typer.Option(
            "--bridge/--no-bridge",
            help="Run `nexova bridge kafka` beside the workers if the plant file has its sources.",
        ),
    ] = True,
) -> None:
    """Process readings until stopped: scores, alerts, maintenance advice and hourly energy."""
    settings = load_settings()
    if port is not None:
        settings = _with_port(settings, port)
    number = workers or settings.workers
    bridged = bridge and any(source.topic is not None for source in load_plant(settings.plant_file).source)
    if number == 1 and not bridged:
        raise typer.Exit(run_worker(settings))
    raise typer.Exit(_run_many(settings, number, bridged=bridged))


def run_worker(settings: Settings) -> int:
    """Run one worker in this process until a signal; return its exit code.

    Its endpoints are on the requested port, or else on the first free one from the default on.

    Raises:
        UsageError: the port is taken.
    """
    first = settings.processor.web_port
    port = page_port(settings.processor.web_host, first, requested="web_port" in settings.processor.model_fields_set)
    with port:
        settings = _with_port(settings, port.getsockname()[1])
        # heavy imports that only a worker needs, not `nexova --help` or the parent of several workers
        from processor.run import run  # noqa: PLC0415

        return run(settings, port=port)


def _with_port(settings: Settings, port: int) -> Settings:
    processor = settings.processor.model_copy(update={"web_port": port})
    return settings.model_copy(update={"processor": processor})


def _run_many(settings: Settings, number: int, *, bridged: bool) -> int:
    context = multiprocessing.get_context("spawn")
    requested = "web_port" in settings.processor.model_fields_set
    children = []
    if bridged:
        children.append(context.Process(target=_bridge_child, args=(settings,), name="bridge"))
        children[0].start()
    for index in range(number):
        own = _with_port(settings, settings.processor.web_port + index) if requested else settings
        child = context.Process(target=_child, args=(own,), name=f"worker-{index}")
        child.start()
        children.append(child)

    def stop(_: int, __: FrameType | None) -> None:
        for child in children:
            child.terminate()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    for child in children:
        child.join()
        if child.exitcode:
            logging.getLogger("nexova.processor").error(
                "%s ended with %s; stopping the others", child.name, child.exitcode
            )
            stop(0, None)
    return max(abs(child.exitcode or 0) for child in children)


def _bridge_child(settings: Settings) -> None:
    from cli.bridge import run_kafka  # noqa: PLC0415  workers do not need it

    raise SystemExit(reported(lambda: run_kafka(settings, load_plant(settings.plant_file))))


def _child(settings: Settings) -> None:
    raise SystemExit(reported(lambda: run_worker(settings)))
