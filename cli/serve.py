"""`nexova serve`: the API, served until stopped."""

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from api.security import refuse_open_door
from runtime.errors import UsageError
from runtime.logging import configure_logging
from runtime.plants import load_plant
from runtime.ports import reserve_port
from runtime.settings import Settings, load_settings

if TYPE_CHECKING:
    from fastapi import FastAPI

_WORKER_SECONDS: Final = 30
_NOT_STARTED: Final = 3  # uvicorn's exit code of a worker that failed to start


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; default: NEXOVA_API__HOST.")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Port to listen on; default: NEXOVA_API__PORT.")
    ] = None,
) -> None:
    """Serve forecasts, scores, advice and the live console over HTTP until stopped."""
    settings = load_settings()
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = settings.model_copy(update={"api": settings.api.model_copy(update=given)})
    refuse_open_door(settings.api)
    configure_logging(settings)
    raise typer.Exit(run(settings))


def _run_many(settings: Settings, shared: dict[str, Any]) -> int:
    """Serve with several processes on one port; errors are reported here, once, rather than by each of them."""
    import uvicorn  # noqa: PLC0415
    from uvicorn.supervisors import Multiprocess  # noqa: PLC0415

    load_plant(settings.plant_file)
    # the workers read the same environment; only options of the command line must be passed on
    os.environ["NEXOVA_API__HOST"], os.environ["NEXOVA_API__PORT"] = settings.api.host, str(settings.api.port)
    with tempfile.TemporaryDirectory(prefix="nexova-metrics-", ignore_cleanup_errors=True) as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # see runtime.metrics.page
        # a worker that starts on a busy machine is silent for a while, and must not be considered dead
        config = uvicorn.Config(
            "cli.serve:worker_app",
            factory=True,
            workers=settings.workers,
            timeout_worker_healthcheck=_WORKER_SECONDS,
            **shared,
        )
        supervisor = Multiprocess(config, sockets=[config.bind_socket()])
        supervisor.run()
        return int(any(worker.exitcode == _NOT_STARTED for worker in supervisor.processes))


def worker_app() -> "FastAPI":
    """Return the API of one of several workers, with logging, and event streams that end at its signal."""
    from api.app import create_lasting_app  # noqa: PLC0415

    settings = load_settings()
    configure_logging(settings)
    app = create_lasting_app(settings)
    # uvicorn, which loads this, waits for open streams before it stops
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _ending_streams(app, signal.getsignal(number)))
    return app


def _ending_streams(app: "FastAPI", former: Any) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, frame: FrameType | None) -> None:
        app.state.services.live.hub.close()
        if callable(former):
            former(number, frame)

    return handle


def run(settings: Settings) -> int:
    """Serve until a signal; return the exit code."""
    reserve_port(settings.api.host, settings.api.port, remedy="Name another with --port").close()
    # heavy imports that `nexova --help` does not need
    import uvicorn  # noqa: PLC0415

    from api.app import create_lasting_app  # noqa: PLC0415

    shared: dict[str, Any] = {
        "host": settings.api.host,
        "port": settings.api.port,
        "log_config": None,  # logging is configured already
        "access_log": False,
        "http": "api.connections:BoundedProtocol",
        "ws": "none",
        "server_header": False,
        "date_header": True,
        "timeout_graceful_shutdown": 5,
        "h11_max_incomplete_event_size": 65_536,
    }
    if settings.workers > 1:
        return _run_many(settings, shared)
    app = create_lasting_app(settings)

    class Server(uvicorn.Server):
        """A server that ends the event streams at the signal, rather than wait for their clients to disconnect."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            # uvicorn's own would raise the signal once more at the end: a clean stop has exit code 0
            former = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
            try:
                yield
            finally:
                for number, handler in former.items():
                    signal.signal(number, handler)

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            app.state.services.live.hub.close()
            super().handle_exit(sig, frame)

    server = Server(uvicorn.Config(app, **shared))
    try:
        server.run()
    except SystemExit:
        server.started = False
    if not server.started:
        raise UsageError(
            f"cannot listen on {settings.api.host}:{settings.api.port}: is the port taken? Name another with --port"
        )
    return 0
