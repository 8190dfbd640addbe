"""Ed25519 signatures of manifests: keys, their text forms, and the check against a trust list.

A manifest has the digests of all files of its version, so its signature covers the version. `manifest.sig` beside it
has one line a signer, `<public key> <signature>`, both in base64. Keys are PEM files as OpenSSL writes them; the list
of trusted keys is a setting, so it is out of reach of those who can write the model folder.
"""

import base64
import binascii
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from runtime.errors import UsageError
from runtime.setting_types import split_keys
from runtime.settings import ModelSettings

MOST_SIGNERS: Final = 32
"""Lines of a signature file that are checked; further ones are ignored."""
_CONTEXT: Final = b"nexova model manifest 1\n"
"""Precedes what is signed, so that a signature of the same key over something else is none of a manifest."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key that signs manifests; it is not shown when printed."""

    _key: Ed25519PrivateKey

    @classmethod
    def read(cls, path: Path) -> "SigningKey":
        """Read a PEM file without a password.

        Raises:
            UsageError: it cannot be read, or is no Ed25519 key.
        """
        remedy = "make one with `nexova models keygen FILE`"
        try:
            key = load_pem_private_key(path.read_bytes(), password=None)
        except OSError as error:
            raise UsageError(f"signing key {path} cannot be read ({error.strerror}); {remedy}") from None
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise UsageError(f"signing key {path} is no PEM file of a key without a password; {remedy}") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise UsageError(f"signing key {path} is not of Ed25519; {remedy}")
        return cls(key)

    @classmethod
    def create(cls, path: Path) -> "SigningKey":
        """Make a key and write it to a new file that only its owner can read.

        Raises:
            UsageError: the file exists, or cannot be written.
        """
        key = Ed25519PrivateKey.generate()
        content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
        except FileExistsError:
            raise UsageError(f"{path} exists and a key is never overwritten; name another file") from None
        except OSError as error:
            raise UsageError(f"{path} cannot be written ({error.strerror}); name another file") from None
        return cls(key)

    @property
    def public(self) -> str:
        """The public key in base64, as in the list of trusted keys."""
        return _text(self._key.public_key())

    def sign(self, manifest: bytes) -> str:
        """Return the line of a signature file for a manifest."""
        return f"{self.public} {base64.b64encode(self._key.sign(_CONTEXT + manifest)).decode()}"


@dataclass(frozen=True, slots=True)
class Trust:
    """A list of public keys of which one must have signed."""

    keys: tuple[Ed25519PublicKey, ...]

    @classmethod
    def parse(cls, text: str) -> "Trust":
        """Return the list of keys in base64 separated by commas; raises ValueError with the rule."""
        return cls(tuple(Ed25519PublicKey.from_public_bytes(raw) for raw in split_keys(text)))

    @classmethod
    def of(cls, settings: ModelSettings) -> "Trust | None":
        """Return the list of the settings, None where signatures are not checked."""
        return None if settings.trusted_keys is None else cls.parse(settings.trusted_keys)

    def signer(self, manifest: bytes, signatures: bytes) -> str | None:
        """Return the trusted key that signed a manifest, or None. signatures: content of its signature file."""
        trusted = {_text(key): key for key in self.keys}
        for line in signatures.splitlines()[:MOST_SIGNERS]:
            name, _, signature = line.decode("ascii", "replace").strip().partition(" ")
            key = trusted.get(name)
            if key is None:
                continue
            try:
                key.verify(base64.b64decode(signature, validate=True), _CONTEXT + manifest)
            except (InvalidSignature, binascii.Error, ValueError):
                continue
            return name
        return None


def with_signature(signatures: Iterable[str], line: str) -> bytes:
    """Return the content of a signature file in which `line` replaces an earlier signature of the same key."""
    signer = line.partition(" ")[0]
    others = [one for one in signatures if one.strip() and one.partition(" ")[0] != signer]
    return "".join(f"{one}\n" for one in [line, *others][:MOST_SIGNERS]).encode()


def _text(key: Ed25519PublicKey) -> str:
    return base64.b64encode(key.public_bytes_raw()).decode()
