"""A Mosquitto of one's own: an MQTT broker that keeps its sessions in a file."""

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from runtime.children import free_port
from tests.brokers import unavailable
from tests.e2e.workers import eventually


def mosquitto_program() -> str:
    """Path of mosquitto; skips (or fails, where all must run) if it is not there."""
    # Debian keeps it where only the administrator's PATH leads
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    return found or unavailable("no mosquitto; install the Debian package mosquitto")


@dataclass
class Mosquitto:
    folder: Path
    program: str
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self, *, more: str = "") -> None:
        settings = self.folder / "mosquitto.conf"
        settings.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
            f"persistence_location {self.folder}/\nmax_queued_messages 0\nuser root\n{more}"
        )
        with (self.folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen([self.program, "-c", settings], stdout=log, stderr=subprocess.STDOUT)
        eventually(self.answers, seconds=60, what=(self.folder / "mosquitto.log").read_text)

    def answers(self) -> bool:
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", self.port)) == 0

    def save(self) -> None:
        """Waits until all that the broker holds is in its file."""
        assert self.process is not None
        file = self.folder / "mosquitto.db"
        before = file.stat().st_mtime_ns if file.exists() else 0
        self.process.send_signal(signal.SIGUSR1)
        eventually(lambda: file.exists() and file.stat().st_mtime_ns > before, seconds=60, what="the broker's file")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)


@contextmanager
def mosquitto(folder: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(folder=folder, program=mosquitto_program())
    folder.mkdir(exist_ok=True)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()
