"""`nexova source`: trial of a plant file's sources on sample messages."""

import itertools
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.shared_options import PlantOption
from core.plant import Plant, Source
from runtime.errors import UsageError
from runtime.plants import load_plant
from runtime.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="Try the sources of the plant file on samples.")

_OURS: Final = "nexova."


@app.callback()
def _sources() -> None:
    """Try the sources of the plant file on samples."""


@app.command("try")
def try_(
    file: Annotated[Path | None, typer.Argument(help="Messages: one a line, or a whole document or payload.")] = None,
    topic: Annotated[str | None, typer.Option(help="Kafka topic, whose newest messages are the sample.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Maximum number of messages.")] = 20,
    name: Annotated[
        str | None, typer.Option("--source", help="Topic or filter of the source to use; default: the one that fits.")
    ] = None,
    sent_to: Annotated[
        str | None, typer.Option("--sent-to", help="Topic of a FILE's messages, for sources that read the topic.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="Key of a FILE's messages, for sources that read the key.")] = None,
    plant_file: PlantOption = None,
) -> None:
    """Show for each message the reading it is converted to, or its refusal with reason and remedy."""
    from bridge.sample import Sampler, newest_of_topic, records_of_file  # noqa: PLC0415  help needs no clients
    from runtime.kafka import wait_for_broker  # noqa: PLC0415

    if (file is None) == (topic is None):
        raise UsageError("nexova source try: give either a FILE or --topic, one of the two")
    settings = load_settings()
    plant = load_plant(plant_file or settings.plant_file)
    source = _chosen(plant, name, topic)
    if file is not None:
        records = records_of_file(
            file,
            text=source is None or source.format == "json",
            topic=sent_to or (source.name if source else ""),
            key=key,
        )
    else:
        wait_for_broker(settings.kafka, max_retries=settings.max_retries)
        records = newest_of_topic(settings.kafka, str(topic), limit=limit)
    sampler = Sampler(plant, source, settings.registry)
    for line in sampler.lines(itertools.islice(records, limit)):
        typer.echo(line)
    if not sampler.readings and not sampler.refused:
        raise UsageError(f"{file or topic}: holds no messages; give a sample with some")
    of = "readings as Nexova has them" if source is None else f"source {source.name}"
    typer.echo(f"{sampler.readings:,} readings, {sampler.refused:,} refused; {of}, plant {plant.name}", err=True)


def _chosen(plant: Plant, name: str | None, topic: str | None) -> Source | None:
    """Return the named source, that of the topic, or the only one; None: readings in Nexova's own format."""
    wanted = name or topic
    if wanted is None:
        if len(plant.source) > 1:
            names = ", ".join(source.name for source in plant.source)
            raise UsageError(f"plant {plant.name} has {len(plant.source)} sources; choose with --source: {names}")
        return plant.source[0] if plant.source else None
    for source in plant.source:
        if source.name == wanted:
            return source
    if name is None and (wanted.startswith(_OURS) or not plant.source):
        return None
    names = ", ".join(source.name for source in plant.source) or "none"
    raise UsageError(f"{wanted}: plant {plant.name} has no such source (it has: {names}); add [[source]] or correct it")
