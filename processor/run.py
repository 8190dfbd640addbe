"""Running of a worker in its process, from start to exit code."""

import gc
import logging
import socket
import sys
from typing import Any, Final

import faust

from processor.app import create_worker
from processor.deadline import end_within
from processor.ending import Ending
from runtime.logging import configure_logging
from runtime.settings import Settings

LOGGER: Final = logging.getLogger("nexova.processor")
_COLLECT_AFTER_OBJECTS: Final = 100_000
_SWITCH_SECONDS: Final = 0.0005


class _Runner(faust.Worker):
    """Faust's runner with a time limit for the stop, as even the consumer may wait for a broker."""

    def __init__(self, app: faust.App, *, ending: Ending, **options: Any) -> None:
        super().__init__(app, **options)
        self._ending = ending

    async def stop(self) -> None:
        """Stop all parts; end the process if they take too long."""
        if not self._ending.begun:  # a failure has a limit of its own
            end_within()
        await super().stop()


def run(settings: Settings, *, port: socket.socket) -> int:
    """Run a worker until SIGTERM or SIGINT; return 0 after a clean stop and 1 after a failure.

    port: holds the port of the worker's pages until they are served.

    Raises:
        NexovaError: as of `processor.app.create_worker`.
    """
    configure_logging(settings)
    worker = create_worker(settings)
    _collect_seldom()
    # the assessing thread needs the interpreter often and briefly; with the default of 5 ms it mostly waits
    sys.setswitchinterval(_SWITCH_SECONDS)
    runner = _Runner(
        worker.app,
        ending=worker.ending,
        override_logging=False,
        redirect_stdouts=False,
        loglevel=settings.log_level,
        quiet=True,
    )
    code = 0
    LOGGER.info("metrics and health at http://%s:%d", settings.processor.web_host, settings.processor.web_port)
    port.close()
    try:
        runner.execute_from_commandline()
    except SystemExit as stopped:
        code = int(bool(stopped.code))
    except Exception as error:  # noqa: BLE001  Faust raises what it crashed with once more
        worker.ending.begin(error)
    finally:
        worker.executor.close()
        worker.writers.close()
    return 1 if worker.ending.report() else code


def _collect_seldom() -> None:
    """Exempt long-lived objects from garbage collection: each fetch makes thousands of objects, none in a cycle.

    With Python's default thresholds the scans of the whole heap took a sixth of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER_OBJECTS)
