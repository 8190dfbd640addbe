"""A worker from its start to its end, in a process of its own."""

import gc
import sys
from typing import Final

import faust

from processor.app import create_worker
from runtime.logging import configure_logging
from runtime.settings import Settings

_COLLECT_AFTER_OBJECTS: Final = 100_000
_SWITCH_SECONDS: Final = 0.0005


def run(settings: Settings) -> int:
    """Run a worker until SIGTERM or SIGINT; return 0 after a clean stop and 1 after a failure.

    Raises:
        NexovaError: as of `processor.app.create_worker`.
    """
    configure_logging(settings)
    worker = create_worker(settings)
    _collect_seldom()
    # the thread that assesses needs the interpreter often and briefly: with 5 ms it waits more than it works
    sys.setswitchinterval(_SWITCH_SECONDS)
    runner = faust.Worker(
        worker.app, override_logging=False, redirect_stdouts=False, loglevel=settings.log_level, quiet=True
    )
    code = 0
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

    With Python's own thresholds it looked through the whole heap so often that it took a sixth of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER_OBJECTS)
