"""What runs in a process that fits forecasts: one request, one answer, at low priority.

The parent ends the process when a fit takes too long, and when it ends itself the pipe breaks. Nothing heavy is
imported here before the number of threads is set.
"""

import contextlib
import os
import signal
from multiprocessing.connection import Connection
from typing import Any, Final

_IDLE: Final = 19
_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def serve(pipe: Connection, niceness: int) -> None:
    """Answers requests until the pipe ends; niceness: as of nice(1), for the fits but not for the start."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; our parent ends us
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    from processor.forecasting.fit_wire import answer  # noqa: PLC0415  only now, see above

    os.nice(niceness)
    if niceness == _IDLE and hasattr(os, "SCHED_IDLE"):
        # where it runs, Linux then counts a core as free: a thread of the worker that wakes up gets it at once
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with contextlib.suppress(EOFError, OSError):
        pipe.send_bytes(b"ready")
        while True:
            request: Any = pipe.recv_bytes()
            pipe.send_bytes(answer(request))
