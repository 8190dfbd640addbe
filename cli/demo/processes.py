"""Processes of a demo run: their command lines and environment, readiness, and the handling of signals."""

import json
import logging
import os
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from types import FrameType
from typing import Any, Final

from pydantic import SecretStr

from cli.demo.show import Show, Step
from core.plant import Plant
from runtime.children import Child, child_process, free_port, port_answers
from runtime.settings import PREFIX, KafkaSettings, Settings

BROKERS: Final = {"tansu": "Tansu", "kafka": "Apache Kafka"}
READY_SECONDS: Final = 90.0
END_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of the command. duration: seconds of the live phase, None: until Ctrl-C; days: length of the history."""

    broker: str
    duration: float | None
    seed: int
    machines: int
    days: float

    @property
    def title(self) -> str:
        """Title of the live view."""
        return f"demo · {self.machines} machines · {BROKERS[self.broker]} · seed {self.seed}"


@dataclass(slots=True, kw_only=True)
class Run:
    """Context of one run: its options, its display, the folder of its logs, and the stack that ends its parts."""

    options: Options
    plant: Plant
    show: Show
    logs: Path
    children: ExitStack
    begun_at: float = field(default_factory=time.monotonic)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Show a step of the start-up while the block runs."""
        step = self.show.begin(name)
        yield step
        self.show.end(step, step.note)

    def child(self, name: str, command: list[str], environment: dict[str, str], *, grace: float = 1.0) -> Child:
        """Start a process that ends with the run at the latest; main thread only, see runtime.children."""
        log = self.logs / f"{name}.log"
        return self.children.enter_context(
            child_process(f"the {name}", command, log=log, environment=environment, grace_seconds=grace)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A child process that ends by itself, and the step that shows its progress."""

    step: Step
    child: Child


_ROOT: Final = Path(__file__).resolve().parents[2]
_ANSWER_SECONDS: Final = 1.0


def python_module(module: str, *arguments: str) -> list[str]:
    """Return the command that runs one of our modules with this Python, in a checkout or installed."""
    return [sys.executable, "-m", module, *arguments]


def base_environment(settings: Settings, *, temporary: Path) -> dict[str, str]:
    """Return this process's environment with our packages on its path and the settings' model repository.

    temporary: folder for temporary files of the children; removed with the run.
    """
    own = dict(os.environ) | {
        "PYTHONPATH": os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(temporary),
        f"{PREFIX}MODEL_PATH": settings.model_path,
    }
    own.pop("MODEL_PATH", None)  # the bare name of the same setting must not take precedence
    return own


def kafka_environment(base: Mapping[str, str], kafka: KafkaSettings) -> dict[str, str]:
    """Return `base` with the settings of the demo's broker.

    Every Kafka setting is stated, so that neither the user's variables nor a .env file lead to another broker.
    """
    own = dict(base)
    for name in KafkaSettings.model_fields:
        value = getattr(kafka, name)
        plain = value.get_secret_value() if isinstance(value, SecretStr) else value
        own[f"{PREFIX}KAFKA__{name.upper()}"] = "" if plain is None else str(plain)
    return own


def processor_environment(base: Mapping[str, str], kafka: KafkaSettings, *, web_port: int) -> dict[str, str]:
    """Return `base` with the settings of the demo's broker and of the processor's address."""
    return kafka_environment(base, kafka) | {
        f"{PREFIX}PROCESSOR__WEB_HOST": "127.0.0.1",
        f"{PREFIX}PROCESSOR__WEB_PORT": str(web_port),
        f"{PREFIX}PROCESSOR__STATUS_SECONDS": "1.0",
        f"{PREFIX}PROCESSOR__PUBLISH_SCORES": "true",
    }


def api_environment(base: Mapping[str, str], kafka: KafkaSettings, *, port: int) -> dict[str, str]:
    """Return `base` with the settings of the demo's broker and of the API's address; tokens and limits are kept."""
    own = kafka_environment(base, kafka)
    own.pop("WORKERS", None)  # one worker under either name: further ones would be children of a child
    return own | {f"{PREFIX}API__HOST": "127.0.0.1", f"{PREFIX}API__PORT": str(port), f"{PREFIX}WORKERS": "1"}


def health(web_port: int, path: str = "/healthz") -> Mapping[str, Any]:
    """Return a child's health document; empty while it does not answer or answers with an error."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{web_port}{path}", timeout=_ANSWER_SECONDS) as answer:
            found: Mapping[str, Any] = json.load(answer)
            return found
    except (OSError, ValueError, HTTPException):
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The API of a run and its port."""

    work: Work
    port: int

    @property
    def address(self) -> str:
        """URL of the console."""
        return f"http://127.0.0.1:{self.port}"


def port_for(settings: Settings) -> int:
    """Return the port of the settings, or a free one if it is taken."""
    return free_port() if port_answers(settings.api.port) else settings.api.port


def start_api(run: Run, environment: dict[str, str], kafka: KafkaSettings, *, port: int) -> Api:
    """Start the API, which serves the console."""
    child = run.child(
        "API",
        python_module("nexova", "serve"),
        api_environment(environment, kafka, port=port),
        grace=END_SECONDS,
    )
    return Api(work=Work(step=run.show.begin("console ready"), child=child), port=port)


def wait_for_api(run: Run, api: Api) -> None:
    """Wait until the API's live view is complete.

    Raises:
        ChildEnded: the service ended, or was not ready in time.
    """
    api.work.child.wait_until(lambda: health(api.port, "/ready").get("ready") is True, timeout_seconds=READY_SECONDS)
    run.show.end(api.work.step, f"open {api.address} in a browser; for programs {api.address}/docs")


SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_BY_SIGNAL: Final = 128


class Stopped(BaseException):
    """A requested stop; a BaseException like KeyboardInterrupt, so that no handler of errors catches it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = _BY_SIGNAL + number


@dataclass(slots=True)
class Stops:
    """State of Ctrl-C: whether it is the regular end of the run (`expected`), and whether it came (`asked`)."""

    expected: bool = False
    asked: bool = False


def hush() -> None:
    """Silence the logs of Kafka clients; call it before the embedded broker is stopped."""
    logging.getLogger("nexova").setLevel(logging.ERROR)


@contextmanager
def stopping() -> Iterator[Stops]:
    """Raise `Stopped` in the block at the first signal, and ignore later ones during the clean-up.

    An expected Ctrl-C is recorded instead, so that the run can end in order; a second one raises.
    """
    stops = Stops()

    def handle(number: int, _: FrameType | None) -> None:
        if number == signal.SIGINT and stops.expected and not stops.asked:
            stops.asked = True
            return
        for other in SIGNALS:
            signal.signal(other, signal.SIG_IGN)
        hush()
        raise Stopped(number)

    before = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield stops
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
