"""What a demo run is made of: what the user asked for, the run, and a child that is waited for."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cli.demo.show import Show, Step
from core.plant import Plant
from runtime.children import Child, child_process

BROKERS: Final = {"tansu": "Tansu", "kafka": "Apache Kafka"}
READY_SECONDS: Final = 90.0
END_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asked for. duration: seconds of the live phase, None: until Ctrl-C; days: of history."""

    broker: str
    duration: float | None
    seed: int
    machines: int
    days: float

    @property
    def title(self) -> str:
        """What the view says above everything."""
        return f"demo · {self.machines} machines · {BROKERS[self.broker]} · seed {self.seed}"


@dataclass(slots=True, kw_only=True)
class Run:
    """One run: what the user asked for, who shows it, where logs go, and what ends with it."""

    options: Options
    plant: Plant
    show: Show
    logs: Path
    children: ExitStack
    begun_at: float = field(default_factory=time.monotonic)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """A step of the start-up, as long as the block runs."""
        step = self.show.begin(name)
        yield step
        self.show.end(step, step.note)

    def child(self, name: str, command: list[str], environment: dict[str, str], *, grace: float = 1.0) -> Child:
        """A process that ends with the run at the latest. All are started in the main thread: see runtime.children."""
        log = self.logs / f"{name}.log"
        return self.children.enter_context(
            child_process(f"the {name}", command, log=log, environment=environment, grace_seconds=grace)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A child with an end of its own, and the step that shows it."""

    step: Step
    child: Child
