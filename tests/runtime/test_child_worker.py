"""One contract for every child that computes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from runtime.child_worker import ChildTooSlow, ChildWorker
from runtime.children import runs
from runtime.errors import ChildEnded

TARGET = "tests.runtime.computations:compute"
PATIENCE = 60.0


@pytest.fixture
def child() -> Iterator[ChildWorker]:
    made = ChildWorker(TARGET, name="computations")
    yield made
    made.close()


def answer(child: ChildWorker, request: bytes, *, seconds: float = PATIENCE) -> bytes:
    return child.ask(request, seconds=seconds)[0]


def gone(pid: int) -> bool:
    return not runs(pid)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_requests_are_answered_by_one_child(child: ChildWorker) -> None:
    assert answer(child, b"one") == b"ONE"
    assert answer(child, b"pid") == answer(child, b"pid") == str(child.pid).encode()


def test_a_request_that_takes_too_long_ends_the_child_and_the_next_one_gets_another(child: ChildWorker) -> None:
    child.start()
    first = child.pid
    assert first is not None
    with pytest.raises(ChildTooSlow, match=r"no answer within 0\.01 s"):
        answer(child, b"sleep", seconds=0.01)
    assert gone(first)
    assert answer(child, b"again") == b"AGAIN"
    assert child.pid != first


@pytest.mark.parametrize("request_", [b"die", b"raise"])
def test_a_child_that_dies_is_named_and_replaced(child: ChildWorker, request_: bytes) -> None:
    with pytest.raises(ChildEnded, match="computations: the process ended by itself"):
        answer(child, request_)
    assert answer(child, b"again") == b"AGAIN"


def test_a_child_that_was_killed_between_two_requests_is_replaced(child: ChildWorker) -> None:
    child.start()
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert answer(child, b"again") == b"AGAIN"


def test_what_cannot_be_imported_is_a_failure_and_not_a_wait() -> None:
    child = ChildWorker("tests.runtime.computations:missing", name="computations")
    with pytest.raises(ChildEnded, match="ended by itself"):
        child.start()


def test_closing_does_not_wait_for_the_computation(child: ChildWorker) -> None:
    errors: list[ChildEnded] = []

    def ask() -> None:
        try:
            answer(child, b"sleep", seconds=3600)
        except ChildEnded as error:
            errors.append(error)

    child.start()
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    child.close()
    asking.join(PATIENCE)
    assert not asking.is_alive()
    assert len(errors) == 1
    with pytest.raises(ChildEnded, match="the service is ending"):
        answer(child, b"one")


def test_threads_are_limited_before_anything_that_computes_is_imported(child: ChildWorker) -> None:
    assert answer(child, b"threads") == b"1 1"
    # a parent of its own: with this one's main module the child would import pytest's plugins first
    script = (
        "from runtime.child_worker import ChildWorker\n"
        "if __name__ == '__main__':\n"
        "    child = ChildWorker('tests.runtime.computations:early', name='early')\n"
        "    print(child.ask(b'', seconds=60)[0].decode())\n"
        "    child.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("busy", [False, True])
def test_a_child_ends_with_its_parent_even_in_the_middle_of_a_computation(*, busy: bool) -> None:
    waiting = "child.ask(b'sleep', seconds=3600)" if busy else "sys.stdin.read()"
    script = (
        "import sys\n"
        "from runtime.child_worker import ChildWorker\n"
        "if __name__ == '__main__':\n"
        f"    child = ChildWorker('{TARGET}', name='computations')\n"
        "    child.start()\n"
        "    print(child.pid, flush=True)\n"
        f"    {waiting}\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert runs(pid)
        parent.kill()
    wait_for(lambda: gone(pid))
