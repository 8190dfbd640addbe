"""Worker in a child process: bytes in, bytes out, one request at a time, each within a time limit.

The child is started by the first request (or by `start`), replaced after a crash, and ended when a request takes too
long. It ends with its parent, even during a computation. Nothing heavy is imported here: the child sets the number of
threads of the numeric libraries before it imports them.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from importlib import import_module
from multiprocessing import connection
from multiprocessing.connection import Connection
from typing import Any, Final

from runtime.errors import ChildEnded, FailureError

_END_SECONDS: Final = 2.0
_IDLE: Final = 19
_READY: Final = b"ready"
_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class ChildTooSlow(FailureError):
    """A request was not answered within its time limit; the child was ended."""


class ChildWorker:
    """One child process that answers requests of several threads one after another.

    target: `module:function` from bytes to bytes, imported in the child only. It returns errors as part of its answer:
    an exception ends the child. niceness: as of nice(1), once the target is imported; at 19, on Linux, also the
    scheduling policy SCHED_IDLE. start_seconds: limit of the start, which is not part of a request's limit.
    """

    def __init__(self, target: str, *, name: str, niceness: int = 0, start_seconds: float = 120.0) -> None:
        self._target = target
        self._name = name
        self._niceness = niceness
        self._start_seconds = start_seconds
        self._one = threading.Lock()
        self._process: Any = None
        self._pipe: Connection | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Process id of the running child; None without one."""
        process = self._process
        return None if process is None else process.pid

    def start(self) -> None:
        """Start the child, so that the first request need not wait for it.

        Raises:
            ChildEnded: it did not come up, or `close` was called.
        """
        with self._one:
            self._running()

    def ask(self, request: bytes, *, seconds: float) -> tuple[bytes, float]:
        """Return the answer to a request, and the seconds it took.

        Raises:
            ChildTooSlow: there was no answer within `seconds`; the child was ended.
            ChildEnded: the child did not start or crashed, or `close` was called.
        """
        with self._one:
            pipe = self._running()
            started = time.perf_counter()
            try:
                pipe.send_bytes(request)
                if not pipe.poll(seconds):
                    self._end()
                    raise ChildTooSlow(f"{self._name}: no answer within {seconds:g} s; the process was ended")
                return pipe.recv_bytes(), time.perf_counter() - started
            except (EOFError, OSError) as error:
                raise self._ended(error) from error

    def close(self) -> None:
        """End the child for good; a request in progress raises ChildEnded."""
        self._closed = True
        process = self._process
        if process is not None:
            with contextlib.suppress(ValueError):  # it was tidied up meanwhile
                process.kill()
        with self._one:
            self._end()

    def _running(self) -> Connection:
        if self._closed:
            raise ChildEnded(f"{self._name}: no requests any more, the service is ending")
        if self._pipe is not None and self._process.is_alive():
            return self._pipe
        self._end()
        # spawned, not forked: this process has threads
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        arguments = (theirs, self._target, self._niceness)
        self._process = context.Process(target=_serve, args=arguments, name=self._name, daemon=True)
        self._process.start()
        theirs.close()
        self._pipe = ours
        if self._closed:  # meanwhile, by a thread that saw no process to end
            raise self._ended(None)
        try:
            if not ours.poll(self._start_seconds):
                self._end()
                raise ChildEnded(f"{self._name}: the process was not ready in {self._start_seconds:g} s")
            ours.recv_bytes()
        except (EOFError, OSError) as error:
            raise self._ended(error) from error
        return ours

    def _ended(self, error: Exception | None) -> ChildEnded:
        self._end()
        if self._closed:
            return ChildEnded(f"{self._name}: no requests any more, the service is ending")
        return ChildEnded(f"{self._name}: the process ended by itself ({error}); its last messages are on stderr")

    def _end(self) -> None:
        pipe, process = self._pipe, self._process
        self._pipe = self._process = None
        if process is not None:
            process.kill()
            process.join(_END_SECONDS)
        if pipe is not None:
            pipe.close()


def _serve(pipe: Connection, target: str, niceness: int) -> None:
    """Answer requests until the pipe or the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; our parent ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    module, _, function = target.partition(":")
    compute: Callable[[bytes], bytes] = getattr(import_module(module), function)  # only now, see above
    os.nice(niceness)
    if niceness == _IDLE and hasattr(os, "SCHED_IDLE"):
        # where it runs, Linux then counts a core as free: a thread of the parent that wakes up gets it at once
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with contextlib.suppress(EOFError, OSError):
        pipe.send_bytes(_READY)
        while True:
            pipe.send_bytes(compute(pipe.recv_bytes()))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
