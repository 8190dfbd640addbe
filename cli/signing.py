"""`nexova models keygen | sign | verify`: signatures of manifests."""

import json
from pathlib import Path
from typing import Annotated

import typer

from runtime.errors import FailureError, UsageError
from runtime.models.repository import ModelRepository
from runtime.models.signing import SigningKey, Trust
from runtime.settings import load_settings

Models = Annotated[str | None, typer.Option(help="Model repository: a folder or a URL; default: MODEL_PATH.")]
Name = Annotated[str, typer.Argument(help="Name of the model, such as anomaly.")]
Version = Annotated[str | None, typer.Argument(help="Version; default: the promoted one.")]


def keygen(
    file: Annotated[Path, typer.Argument(help="New PEM file for the private key; only its owner can read it.")],
) -> None:
    """Make an Ed25519 key that signs models, and print its public key for the workers' trust list."""
    key = SigningKey.create(file)
    typer.echo(f"NEXOVA_MODELS__SIGNING_KEY_FILE={file}")
    typer.echo(f"NEXOVA_MODELS__TRUSTED_KEYS={key.public}")


def sign(
    name: Name,
    version: Version = None,
    *,
    key: Annotated[Path | None, typer.Option(help="PEM file; default: NEXOVA_MODELS__SIGNING_KEY_FILE.")] = None,
    models: Models = None,
) -> None:
    """Verify the files of a version and sign its manifest."""
    settings = load_settings()
    file = key or settings.models.signing_key_file
    if file is None:
        raise UsageError(f"nexova models sign {name}: no key; give --key FILE or set NEXOVA_MODELS__SIGNING_KEY_FILE")
    signing = SigningKey.read(file)
    repository = ModelRepository(models or settings.model_path)
    wanted = _version(repository, name, version)
    repository.sign(name, wanted, signing)
    typer.echo(f"{name} {wanted} is signed by {signing.public}")


def verify(
    name: Name,
    version: Version = None,
    *,
    trusted: Annotated[
        str | None, typer.Option(help="Trusted public keys, separated by commas; default: NEXOVA_MODELS__TRUSTED_KEYS.")
    ] = None,
    models: Models = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Verify the files of a version and the signature of its manifest; exit code 1 if workers would refuse it."""
    settings = load_settings()
    keys = trusted if trusted is not None else settings.models.trusted_keys
    if not keys:
        raise UsageError(
            f"nexova models verify {name}: no trusted key; give --trusted KEY or set NEXOVA_MODELS__TRUSTED_KEYS"
        )
    try:
        trust = Trust.parse(keys)
    except ValueError as error:
        raise UsageError(f"--trusted {keys[:80]}: {error}") from None
    repository = ModelRepository(models or settings.model_path, trust=trust)
    wanted = _version(repository, name, version)
    manifest = repository.load(name, wanted).manifest
    if as_json:
        typer.echo(json.dumps({"name": name, "version": wanted, "files": sorted(manifest.files), "trusted": True}))
    else:
        typer.echo(f"{name} {wanted}: {len(manifest.files)} files are as published, and a trusted key signed them")


def _version(repository: ModelRepository, name: str, version: str | None) -> str:
    wanted = version or repository.current(name)
    if wanted is None:
        raise FailureError(f"model {name}: no version of it is promoted in {repository.root}; name a VERSION")
    return wanted
