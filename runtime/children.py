"""Child processes that cannot outlive us: brokers beside a demo, workers beside a test.

A child ends with the `with` block that started it. Should we be killed before that, Linux kills it for us,
because a few lines (`_TIE`) run in the child before the program does and ask for that. The kernel watches the
*thread* that started the child, so start children from one that lasts. Elsewhere only the `with` block holds.
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
    """A running child process; what it writes goes to the file `log`."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def check(self) -> None:
        """Do nothing while the child runs.

        Raises:
            ChildEnded: it does not run any more.
        """
        code = self.process.poll()
        if code is not None:
            raise ChildEnded(f"{self.name} ended by itself with code {code}: {self.last_words()}")

    def last_words(self) -> str:
        """Last line of the log that is not empty, for messages of one line."""
        lines = [line.strip() for line in self._log_end().splitlines() if line.strip()]
        return lines[-1] if lines else f"it wrote nothing to {self.log}"

    def logged(self, words: str) -> bool:
        """Return whether the last few thousand bytes of the log contain `words`."""
        return words in self._log_end()

    def wait_until(self, ready: Callable[[], bool], *, timeout_seconds: float) -> None:
        """Return once `ready()` holds.

        Raises:
            ChildEnded: the child ended first, or the time is over.
        """
        deadline = time.monotonic() + timeout_seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise ChildEnded(f"{self.name} was not ready in {timeout_seconds:g} s: {self.last_words()}")
            time.sleep(_POLL_SECONDS)
        self.check()

    def end(self, *, grace_seconds: float = 5.0) -> int:
        """Ask the child to end, insist after `grace_seconds`, and return its exit code; idempotent."""
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

    It has a session of its own: Ctrl-C reaches only us, and we end it in good order. `environment` replaces
    ours; None inherits it.

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
    """Return whether there is a process with this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def on_a_free_port(start: Callable[[int], Started]) -> Started:
    """Start something on a port nobody has, and again on another where somebody was quicker to take it."""
    for _ in range(_PORT_TRIES - 1):
        try:
            return start(free_port())
        except PortTaken:
            continue
    return start(free_port())


def free_port() -> int:
    """Find a TCP port of 127.0.0.1 that nobody listens on; somebody else may take it before it is used."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def port_answers(port: int) -> bool:
    """Return whether somebody accepts connections at that port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0
