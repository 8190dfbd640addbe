"""`nexova models`: versions in the model repository, and which of them run; signatures are in `cli/signing.py`."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from cli import signing
from cli.errors import print_error
from runtime.errors import UsageError
from runtime.models.announce import announcement
from runtime.models.manifest import Promotion
from runtime.models.repository import ModelRepository
from runtime.settings import load_settings

app = typer.Typer(help="List, show, sign, promote, roll back, shadow and report model versions.", no_args_is_help=True)
for command in (signing.keygen, signing.sign, signing.verify):
    app.command()(command)

Models = Annotated[str | None, typer.Option(help="Model repository: a folder or a URL; default: MODEL_PATH.")]
Name = Annotated[str, typer.Argument(help="Name of the model, such as anomaly.")]
Reason = Annotated[str, typer.Option(help="Reason recorded in the registry.")]
Announce = Annotated[bool, typer.Option("--announce/--no-announce", help="Notify running workers through the broker.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command("list")
def list_models(*, models: Models = None, as_json: Json = False) -> None:
    """List every version, oldest first, with the promoted and shadow ones."""
    repository = _open(models)
    rows = [
        {"name": name, "version": version, "runs": version == current, "shadow": version == shadow}
        for name in repository.names()
        for current, shadow in [(repository.current(name), _shadow_version(repository, name))]
        for version in repository.versions(name)
    ]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    if not rows:
        typer.echo(f"no models in {repository.root}; nexova train all --data DIR makes the first", err=True)
    for row in rows:
        state = " runs" if row["runs"] else " is scored as a shadow" if row["shadow"] else ""
        typer.echo(f"{row['name']} {row['version']}{state}")


@app.command()
def show(
    name: Name,
    version: Annotated[str | None, typer.Argument(help="Version; default: the promoted one.")] = None,
    models: Models = None,
) -> None:
    """Verify the files of a version and print its manifest as JSON."""
    repository = _open(models)
    wanted = version or repository.current(name) or next(iter(reversed(repository.versions(name))), "")
    if not wanted:
        there = ", ".join(repository.names()) or "no models"
        raise UsageError(f"model {name} has no version in {repository.root}, which has {there}; name one that is there")
    manifest = repository.load(name, wanted).manifest
    document: dict[str, Any] = {"runs": wanted == repository.current(name), **manifest.model_dump(mode="json")}
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


@app.command()
def promote(
    name: Name,
    version: Annotated[str, typer.Argument(help="Version to promote.")],
    models: Models = None,
    reason: Reason = "promoted by hand",
    *,
    announce: Announce = True,
    as_json: Json = False,
) -> None:
    """Verify the files of a version and promote it."""
    repository = _open(models)
    entry = repository.promote(name, version, at=datetime.now(UTC), reason=reason)
    _print_promotion(entry, repository, announce=announce, as_json=as_json)


@app.command()
def rollback(
    name: Name,
    models: Models = None,
    reason: Reason = "rolled back by hand",
    *,
    announce: Announce = True,
    as_json: Json = False,
) -> None:
    """Promote the previously promoted version again."""
    repository = _open(models)
    entry = repository.rollback(name, at=datetime.now(UTC), reason=reason)
    _print_promotion(entry, repository, announce=announce, as_json=as_json)


@app.command()
def shadow(
    name: Name,
    version: Annotated[str | None, typer.Argument(help="Version to run as a shadow of the promoted one.")] = None,
    models: Models = None,
    reason: Reason = "tried by hand",
    *,
    stop: Annotated[bool, typer.Option("--stop", help="Stop the shadow version.")] = False,
    announce: Announce = True,
    as_json: Json = False,
) -> None:
    """Score the same readings with a second version, without alerts or advice from it."""
    if stop == (version is not None):
        raise UsageError(f"nexova models shadow {name}: give a VERSION, or --stop to end the shadow, and not both")
    repository = _open(models)
    now = datetime.now(UTC)
    if version is None:
        entry = repository.end_shadow(name, at=now, reason=reason)
    else:
        entry = repository.shadow(name, version, at=now, reason=reason)
    trouble = announcement(name, repository, load_settings().kafka) if announce else None
    if as_json:
        typer.echo(json.dumps(entry.model_dump(mode="json") | {"announced": announce and trouble is None}))
    else:
        state = "scored as a shadow" if version else "no longer scored as a shadow"
        typer.echo(f"{entry.name} {entry.version} is {state}: {reason}")
    if trouble:
        print_error(trouble)


@app.command()
def report(models: Models = None) -> None:
    """Print the promoted versions with their training data, metrics and predecessors, as Markdown."""
    typer.echo(_open(models).page(), nl=False)


def _shadow_version(repository: ModelRepository, name: str) -> str | None:
    shadow = repository.challenger(name)
    return None if shadow is None else shadow.version


def _open(models: str | None) -> ModelRepository:
    return ModelRepository.of(load_settings(), models)


def _print_promotion(entry: Promotion, repository: ModelRepository, *, announce: bool, as_json: bool) -> None:
    """Print the promoted version, and notify the workers."""
    trouble = announcement(entry.name, repository, load_settings().kafka) if announce else None
    if as_json:
        typer.echo(json.dumps(entry.model_dump(mode="json") | {"announced": announce and trouble is None}))
    else:
        instead = f" instead of {entry.previous}" if entry.previous else ""
        typer.echo(f"{entry.name} {entry.version} runs from now on{instead}: {entry.reason}")
    if trouble:
        print_error(trouble)
