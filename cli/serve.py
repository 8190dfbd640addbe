"""`nexova serve`: the API, until it is told to stop."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated, Any

import typer

from api.security import refuse_open_door
from runtime.errors import UsageError
from runtime.logging import configure_logging
from runtime.settings import Settings, load_settings


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; default: NEXOVA_API__HOST.")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Port to listen on; default: NEXOVA_API__PORT.")
    ] = None,
) -> None:
    """Serve forecasts, scores, advice and the live view over HTTP until stopped."""
    settings = load_settings()
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = settings.model_copy(update={"api": settings.api.model_copy(update=given)})
    refuse_open_door(settings.api)
    configure_logging(settings)
    raise typer.Exit(run(settings))


def run(settings: Settings) -> int:
    """Serves until a signal; returns the exit code."""
    # the heavy imports are the server's alone: `nexova --help` goes without
    import uvicorn  # noqa: PLC0415

    from api.app import create_lasting_app  # noqa: PLC0415

    shared: dict[str, Any] = {
        "host": settings.api.host,
        "port": settings.api.port,
        "log_config": None,  # ours is in place already
        "access_log": False,
        "server_header": False,
        "date_header": True,
        "timeout_graceful_shutdown": 5,
        "h11_max_incomplete_event_size": 65_536,
    }
    if settings.workers > 1:
        # the workers read the same environment; only what the command line has changed must be told to them
        os.environ["NEXOVA_API__HOST"], os.environ["NEXOVA_API__PORT"] = settings.api.host, str(settings.api.port)
        uvicorn.run("api.app:create_lasting_app", factory=True, workers=settings.workers, **shared)
        return 0
    app = create_lasting_app(settings)

    class Server(uvicorn.Server):
        """Ends the event streams at the signal: the server would wait for their clients to go."""

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
