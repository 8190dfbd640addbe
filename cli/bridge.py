"""`nexova bridge`: conversion of other senders' topics to readings, by the sources of the plant file."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import typer

from cli.shared_options import PlantOption
from cli.signals import until_signal
from core.plant import Plant, Source
from runtime.errors import UsageError
from runtime.plants import load_plant
from runtime.settings import Settings, load_settings

if TYPE_CHECKING:
    from bridge.route import Route

app = typer.Typer(no_args_is_help=True, help="Convert messages of other Kafka or MQTT topics to readings.")


@app.command()
def kafka(plant_file: PlantOption = None) -> None:
    """Read the Kafka topics of the plant file's sources, each record exactly once, until stopped.

    `nexova process` runs it beside its workers; several may run at a time and share the partitions.
    """
    settings = load_settings()
    run_kafka(settings, load_plant(plant_file or settings.plant_file))


@app.command()
def mqtt(plant_file: PlantOption = None) -> None:
    """Read the MQTT topics of the plant file's sources until stopped; acknowledged only when Kafka has them.

    The MQTT broker is set by NEXOVA_MQTT__HOST, …__PORT, …__USERNAME, …__PASSWORD, …__TLS and …__CLIENT_ID.
    """
    settings = load_settings()
    plant = load_plant(plant_file or settings.plant_file)
    sources = [source for source in plant.source if source.mqtt is not None]
    if not sources:
        raise UsageError(f"plant {plant.name} has no source with mqtt; write one as docs/connecting.md shows")
    try:
        from bridge.mqtt import MqttBridge  # noqa: PLC0415  an optional extra
    except ModuleNotFoundError as error:
        raise UsageError(f"the MQTT client is missing ({error.name}); install nexova[mqtt]") from None
    running: list[MqttBridge] = []

    def request_rebirth(group: str, node: str) -> None:
        for one in running:
            one.request_rebirth(group, node)

    routes = _prepared(settings, plant, sources, on_unknown_alias=request_rebirth)
    running.append(MqttBridge(settings.kafka, settings.mqtt, routes))
    running[0].run(until_signal())


@app.callback()
def _bridge() -> None:
    """Convert messages of other topics to readings."""


def run_kafka(settings: Settings, plant: Plant) -> None:
    """Run the bridge of Kafka topics in this process until a signal."""
    from bridge.kafka import KafkaBridge  # noqa: PLC0415  help needs no clients

    sources = [source for source in plant.source if source.topic is not None]
    if not sources:
        raise UsageError(f"plant {plant.name} has no source with a topic; write one as docs/connecting.md shows")
    routes = _prepared(settings, plant, sources)
    KafkaBridge(settings.kafka, routes).run(until_signal())


def _nobody(_group: str, _node: str) -> None:
    pass


def _prepared(
    settings: Settings,
    plant: Plant,
    sources: Sequence[Source],
    *,
    on_unknown_alias: Callable[[str, str], None] = _nobody,
) -> "dict[str, Route]":
    """Return the sources compiled, once a broker answers and the topics are there."""
    from bridge.route import Route  # noqa: PLC0415  help needs no clients
    from runtime.kafka import create_topics, wait_for_broker  # noqa: PLC0415
    from runtime.logging import configure_logging  # noqa: PLC0415
    from runtime.sources.formats import mapping_of  # noqa: PLC0415

    configure_logging(settings)
    routes = {}
    for source in sources:
        read = mapping_of(source, plant, settings.registry, on_unknown_alias=on_unknown_alias)
        routes[source.name] = Route(source, plant, read, clock=time.time)
    wait_for_broker(settings.kafka, max_retries=settings.max_retries)
    create_topics(settings.kafka)
    return routes
