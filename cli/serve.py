"""`nexova serve`: the API, until it is told to stop."""

import os
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

    from api.app import create_app  # noqa: PLC0415

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
        uvicorn.run("api.app:create_app", factory=True, workers=settings.workers, **shared)
        return 0
    server = uvicorn.Server(uvicorn.Config(create_app(settings), **shared))
    try:
        server.run()
    except SystemExit:
        server.started = False
    if not server.started:
        raise UsageError(
            f"cannot listen on {settings.api.host}:{settings.api.port}: is the port taken? Name another with --port"
        )
    return 0
