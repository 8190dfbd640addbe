"""Child processes that end with their parent: brokers of a demo, workers of a test.

A child ends with the `with` block that started it. If the parent is killed before that, Linux kills the child, because
a few lines (`_TIE`) that run in it first request this. The kernel watches the *thread* that started the child, so start
children from a thread that lasts. On other systems only the `with` block applies.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from runtime.errors import ChildEnded, PortTaken

Started = TypeVar("Started")

_POLL_SECONDS: Final = 0.02
_CHUNK: Final = 4096
_PORT_TRIES: Final = 3

# Runs in the child and is replaced by the program (same pid). It is not a preexec_fn: that would run our code
# in a fork of a process with many threads, which can hang. Arguments: our pid, the program, its arguments.
# 1 is PR_SET_PDEATHSIG, 9 is SIGKILL.
_TIE: Final = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A running child process; its output goes to the file `log`."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self.process.pid

    def check(self) -> None:
        """Check that the child runs.

        Raises:
            ChildEnded: the child has ended.
        """
        code = self.process.poll()
        if code is not None:
            raise ChildEnded(f"{self.name} ended by itself with code {code}: {self.last_log_line()}")

    def last_log_line(self) -> str:
        """Return the last line of the log that is not empty, for messages of one line."""
        lines = [line.strip() for line in self._log_end().splitlines() if line.strip()]
        return lines[-1] if lines else f"it wrote nothing to {self.log}"

    def logged(self, words: str) -> bool:
        """Return whether the last few thousand bytes of the log contain `words`."""
        return words in self._log_end()

    def wait_until(self, ready: Callable[[], bool], *, timeout_seconds: float) -> None:
        """Wait until `ready()` returns true.

        Raises:
            ChildEnded: the child ended first, or was not ready in time.
        """
        deadline = time.monotonic() + timeout_seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise ChildEnded(f"{self.name} was not ready in {timeout_seconds:g} s: {self.last_log_line()}")
            time.sleep(_POLL_SECONDS)
        self.check()

    def end(self, *, grace_seconds: float = 5.0) -> int:
        """Terminate the child, kill it after `grace_seconds`, and return its exit code; idempotent."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(grace_seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()

    def _log_end(self) -> str:
        with self.log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _CHUNK))
            return file.read().decode("utf-8", errors="replace")


@contextmanager
def child_process(
    name: str,
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    grace_seconds: float = 5.0,
) -> Iterator[Child]:
    """Run `command` while the block runs.

    The child has a session of its own, so that Ctrl-C reaches only the parent, which then ends it in order.
    environment: replaces the parent's; None inherits it.

    Raises:
        ChildEnded: the program cannot be started.
    """
    tied = [sys.executable, "-I", "-S", "-c", _TIE, str(os.getpid()), *command]
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                tied if sys.platform == "linux" else list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if environment is None else dict(environment),
                start_new_session=True,
            )
        except OSError as error:
            raise ChildEnded(f"{name} could not be started ({error}); is {command[0]} there?") from None
    child = Child(name=name, process=process, log=log)
    try:
        yield child
    finally:
        child.end(grace_seconds=grace_seconds)


def runs(pid: int) -> bool:
    """Return whether a process with this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def on_a_free_port(start: Callable[[int], Started]) -> Started:
    """Start something on a free port, and retry on another one if the port has been taken meanwhile."""
    for _ in range(_PORT_TRIES - 1):
        try:
            return start(free_port())
        except PortTaken:
            continue
    return start(free_port())


def free_port() -> int:
    """Return a free TCP port of 127.0.0.1; another process may take it before it is used."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def port_answers(port: int) -> bool:
    """Return whether a port of 127.0.0.1 accepts connections."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0
