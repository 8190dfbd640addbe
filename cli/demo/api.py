"""The API of a demo run: a process like the processor, on the port that the settings name where that is free."""

from dataclasses import dataclass

from cli.demo.children import api_environment, health, python_module
from cli.demo.parts import END_SECONDS, READY_SECONDS, Run, Work
from runtime.children import free_port, port_answers
from runtime.settings import KafkaSettings, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The service that shows all this to browsers and programs, and where it is."""

    work: Work
    port: int

    @property
    def address(self) -> str:
        """Of its page."""
        return f"http://127.0.0.1:{self.port}"


def port_for(settings: Settings) -> int:
    """The port of the settings, which people know; a free one where somebody has that."""
    return free_port() if port_answers(settings.api.port) else settings.api.port


def start_api(run: Run, environment: dict[str, str], kafka: KafkaSettings, *, port: int) -> Api:
    """Begins to serve; it gets ready while the processor does."""
    child = run.child(
        "API",
        python_module("nexova", "serve"),
        api_environment(environment, kafka, port=port),
        grace=END_SECONDS,
    )
    return Api(work=Work(step=run.show.begin("API ready"), child=child), port=port)


def wait_for_api(run: Run, api: Api) -> None:
    """Return once the live view is complete.

    Raises:
        ChildEnded: the service ended, or was not ready in time.
    """
    api.work.child.wait_until(lambda: health(api.port, "/ready").get("ready") is True, timeout_seconds=READY_SECONDS)
    run.show.end(api.work.step, f"{api.address}, and {api.address}/docs")
