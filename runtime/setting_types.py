"""Types of settings, with the parsing and validation of text from the environment."""

import base64
import binascii
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr

_PUBLIC_KEY_BYTES = 32
_SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")


def _servers(value: object) -> object:
    """Accept `host:port[,host:port…]` only; an address without a port would seem to be an unreachable broker."""
    if isinstance(value, str):
        for server in value.split(","):
            if not _SERVER.fullmatch(server.strip()):
                raise ValueError(f"each server must be host:port, and {server.strip()!r} is not")
        return ",".join(server.strip() for server in value.split(","))
    return value


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _none_if_empty(value: object) -> object:
    """Return None for empty text: `NAME=` in an env file means that the value is not set."""
    return None if value == "" else value


def split_keys(text: str) -> list[bytes]:
    """Return the Ed25519 public keys in a text, as base64 separated by commas; raises ValueError with the rule."""
    keys = []
    for number, part in enumerate(filter(None, (one.strip() for one in text.split(","))), start=1):
        try:
            key = base64.b64decode(part, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != _PUBLIC_KEY_BYTES:
            raise ValueError(
                f"key {number} is not an Ed25519 public key as 44 characters of base64; `nexova models keygen FILE` "
                "prints one"
            )
        keys.append(key)
    return keys


def _public_keys(value: object) -> object:
    if isinstance(value, str) and value.strip() and not split_keys(value):
        raise ValueError("there is no key between the commas; name one, or leave it empty")
    return None if isinstance(value, str) and not value.strip() else value


Servers = Annotated[str, BeforeValidator(_servers)]
OptionalPath = Annotated[Path | None, BeforeValidator(_none_if_empty)]
OptionalText = Annotated[str | None, BeforeValidator(_none_if_empty)]
OptionalSecret = Annotated[SecretStr | None, BeforeValidator(_none_if_empty)]
PublicKeys = Annotated[str | None, BeforeValidator(_public_keys)]
OptionalRate = Annotated[float | None, Field(gt=0.0, le=1e6), BeforeValidator(_none_if_empty)]
SecurityProtocol = Annotated[Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], BeforeValidator(_upper)]
SaslMechanism = Annotated[Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None, BeforeValidator(_none_if_empty)]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)]
