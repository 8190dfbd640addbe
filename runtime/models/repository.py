"""Repository of model versions in a folder or a bucket; published atomically, verified at every load.

    ROOT/<name>/<version>/{model.onnx, model.json, metrics.json, manifest.json, manifest.sig}
    ROOT/registry.jsonl          promotions with time and reason; append-only
    ROOT/MODEL_REGISTRY.md       the same as a readable page, rewritten at every promotion
    ROOT/metrics.json            the metrics of the newest versions

Errors:

    FailureError
    ├── RepositoryUnavailable    the folder or bucket could not be read or written; trying again can help
    ├── VersionExists            somebody published that version already
    └── ModelRefused             do not run this version; the last good one stays
        ├── ModelDamaged         a file is missing, cut, changed or swapped
        ├── ModelIncompatible    made for other sensors or other features
        └── ModelUntrusted       not signed with a key of the trust list
    UsageError
    └── UnknownVersion           no such model, or no such version of it
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar, TypeVar

from pydantic import ValidationError

from core.models import Refusal
from runtime.errors import FailureError, UsageError
from runtime.models.manifest import (
    Manifest,
    Promotion,
    ShadowEntry,
    challenger_of,
    champions,
    in_effect,
    parse_log,
    sha256_of,
    version_id,
)
from runtime.models.registry_page import render_registry
from runtime.models.signing import SigningKey, Trust, with_signature
from runtime.models.storage import open_storage
from runtime.settings import Settings

MANIFEST, LOG, PAGE = "manifest.json", "registry.jsonl", "MODEL_REGISTRY.md"
SIGNATURES = "manifest.sig"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_VERSION = re.compile(r"\d{8}T\d{6}Z")
Entry = TypeVar("Entry", Promotion, ShadowEntry)


class RepositoryUnavailable(FailureError):
    """The storage behind the repository did not answer or refused."""

    retryable: ClassVar[bool] = True
    refusal: ClassVar[Refusal] = "unavailable"


class VersionExists(FailureError):
    """The version exists already; versions are published once and never changed."""


class ModelRefused(FailureError):
    """A version that must not be run."""

    refusal: ClassVar[Refusal] = "damaged"


class ModelDamaged(ModelRefused):
    """The files of a version differ from the published ones."""


class ModelIncompatible(ModelRefused):
    """A complete version that was made for other sensors or features."""

    refusal: ClassVar[Refusal] = "incompatible"


class ModelUntrusted(ModelRefused):
    """A version whose manifest has no valid signature of a trusted key."""

    refusal: ClassVar[Refusal] = "untrusted"


class UnknownVersion(UsageError):
    """A model or version that the repository does not have."""

    refusal: ClassVar[Refusal] = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelBundle:
    """One version, verified: its manifest and the content of each file named there."""

    manifest: Manifest
    files: Mapping[str, bytes]


class ModelRepository:
    """Model versions under `root`: a local folder (created at the first publish) or an fsspec URL.

    In a local folder publishing and promoting are atomic, also with several writers. In a bucket a version counts
    once its manifest, written last, is there; promote there from one place at a time.

    trust: the keys of which one must have signed a version; None: signatures are not checked. signer: signs what is
    published.
    """

    def __init__(self, root: str | Path, *, trust: Trust | None = None, signer: SigningKey | None = None) -> None:
        self.root = str(root)
        self._trust = trust
        self._signer = signer
        try:
            self._storage = open_storage(self.root)
        except (ValueError, ImportError) as error:
            raise UsageError(
                f"model repository {self.root}: no storage of that kind: {error}; give a folder, or a URL "
                "whose fsspec package is installed"
            ) from error

    @classmethod
    def of(cls, settings: Settings, root: str | Path | None = None) -> "ModelRepository":
        """Return the repository of the settings, or another one with their keys.

        Raises:
            UsageError: no storage of that kind, or the signing key cannot be used.
        """
        key_file = settings.models.signing_key_file
        return cls(
            settings.model_path if root is None else root,
            trust=Trust.of(settings.models),
            signer=None if key_file is None else SigningKey.read(key_file),
        )

    def names(self) -> tuple[str, ...]:
        """Return the models that have a version, sorted."""
        with self._trouble("read"):
            found = self._storage.folders("", _NAME)
        return tuple(name for name in found if self.versions(name))

    def versions(self, name: str) -> tuple[str, ...]:
        """Return the complete versions of a model, oldest first; a partly written one is omitted."""
        if not _NAME.fullmatch(name):
            return ()
        with self._trouble("read"):
            found = self._storage.folders(name, _VERSION)
            return tuple(v for v in found if self._storage.exists(f"{name}/{v}/{MANIFEST}"))

    def history(self, name: str | None = None) -> tuple[Promotion, ...]:
        """Return every promotion and rollback (of one model) that took effect, oldest first."""
        promotions = [entry for entry in self._entries(name) if isinstance(entry, Promotion)]
        return tuple(in_effect(promotions))

    def challenger(self, name: str) -> ShadowEntry | None:
        """Return the shadow of a model's champion, or None."""
        return challenger_of(self._entries(name))

    def current(self, name: str) -> str | None:
        """Return the promoted version, or None; a newer version must be promoted first."""
        standing = champions(self.history(name))
        return standing[-1].version if standing else None

    def load(self, name: str, version: str) -> ModelBundle:
        """Read a version and verify it against its manifest.

        Raises:
            UnknownVersion: the version does not exist.
            ModelDamaged: the files differ from the published ones.
            ModelUntrusted: no trusted key signed it.
            RepositoryUnavailable: the storage failed.
        """
        manifest = self.manifest(name, version)
        files = {}
        for file, expected in manifest.files.items():
            content = self._read(name, version, file)
            actual = sha256_of(content)
            if actual != expected:
                raise ModelDamaged(
                    f"model {name} {version}: {file} ({len(content)} bytes) has sha256 {actual[:12]}…, its "
                    f"manifest states {expected[:12]}…; it was cut or changed: {_remedy(name)}"
                )
            files[file] = content
        return ModelBundle(manifest=manifest, files=files)

    def manifest(self, name: str, version: str) -> Manifest:
        """Read the manifest of a version without its files; raises as `load` does."""
        there = self.versions(name)
        if version not in there:
            known = ", ".join(there) or "no version of it"
            raise UnknownVersion(
                f"model {name} {version} is not in {self.root}, which has {known}; choose one that is "
                "there, or train it"
            )
        content = self._read(name, version, MANIFEST)
        if self._trust is not None and self._trust.signer(content, self._signatures(name, version)) is None:
            raise ModelUntrusted(
                f"model {name} {version}: no key of NEXOVA_MODELS__TRUSTED_KEYS signed its {MANIFEST} as it is; if you "
                f"trust it, sign it with nexova models sign {name} {version} --key FILE"
            )
        try:
            manifest = Manifest.model_validate_json(content)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the document"
            raise ModelDamaged(
                f"model {name} {version}: {MANIFEST} is no manifest: {where}: {first['msg']}; {_remedy(name)}"
            ) from error
        if (manifest.name, manifest.version) != (name, version):
            raise ModelDamaged(
                f"model {name} {version}: the manifest there is that of {manifest.name} {manifest.version}; "
                f"folders were swapped: put them back, or {_remedy(name)}"
            )
        return manifest

    def publish(self, manifest: Manifest, files: Mapping[str, bytes]) -> Manifest:
        """Write a version atomically, and return its manifest with the hashes of the files.

        Raises:
            VersionExists: the version exists already.
            RepositoryUnavailable: the storage failed; nothing is visible.
        """
        hashes = {file: sha256_of(content) for file, content in files.items()}
        complete = Manifest.model_validate(manifest.model_dump() | {"files": hashes})
        document = complete.model_dump_json(indent=2).encode() + b"\n"
        signature = {} if self._signer is None else {SIGNATURES: self._signer.sign(document).encode() + b"\n"}
        # the manifest goes last: where there is no rename, its presence is what makes a version
        content = {**files, **signature, MANIFEST: document}
        with self._trouble("written"):
            try:
                self._storage.create(f"{complete.name}/{complete.version}", content)
            except FileExistsError as error:
                raise VersionExists(
                    f"model {complete.name} {complete.version} exists in {self.root} and never changes: "
                    "publish under the id of another second"
                ) from error
        return complete

    def sign(self, name: str, version: str, key: SigningKey) -> None:
        """Verify a version against its manifest and add a signature; raises as `load` does."""
        ModelRepository(self.root).load(name, version)
        line = key.sign(self._read(name, version, MANIFEST))
        before = self._signatures(name, version).decode("ascii", "replace").splitlines()
        with self._trouble("written"):
            self._storage.replace(f"{name}/{version}/{SIGNATURES}", with_signature(before, line))

    def publish_newest(self, manifest: Manifest, files: Mapping[str, bytes]) -> Manifest:
        """Write a version as `publish` does, under a later second if its id has been taken meanwhile."""
        while True:
            try:
                return self.publish(manifest, files)
            except VersionExists:
                at = self.unused_moment([manifest.name], manifest.created_at + timedelta(seconds=1))
                manifest = manifest.model_copy(update={"version": version_id(at), "created_at": at})

    def unused_moment(self, names: Iterable[str], at: datetime) -> datetime:
        """Return the first second from `at` on that is free as a version id for all these models."""
        taken = {version for name in names for version in self.versions(name)}
        while version_id(at) in taken:
            at += timedelta(seconds=1)
        return at

    def promote(self, name: str, version: str, *, at: datetime, reason: str) -> Promotion:
        """Verify a version and promote it; raises as `load` does."""
        self.load(name, version)
        return self._record(Promotion(name=name, version=version, at=at, previous=self.current(name), reason=reason))

    def rollback(self, name: str, *, at: datetime, reason: str, undo: Promotion | None = None) -> Promotion:
        """Promote the previously promoted version again; raises as `load` does.

        undo: roll back this promotion only. If it is no longer in effect, or is rolled back by another process at the
        same time, nothing happens, and the newest entry of the registry is returned.
        """
        history = self.history(name)
        standing = champions(history)
        if undo is not None and (not standing or standing[-1].identity != undo.identity):
            return history[-1] if history else undo
        if len(standing) < 2:  # noqa: PLR2004 - the current one and the one before
            state = f"{standing[-1].version} was the first" if standing else "none was"
            raise UnknownVersion(
                f"model {name}: {state} to be promoted, so there is none to roll back to; choose any version "
                f"with nexova models promote {name} VERSION"
            )
        former, current = standing[-2].version, standing[-1]
        self.load(name, former)
        entry = Promotion(
            name=name,
            version=former,
            action="rolled_back",
            at=at,
            previous=current.version,
            reason=reason,
            undoes=current.at,
        )
        self._record(entry)
        return self.history(name)[-1]

    def shadow(self, name: str, version: str, *, at: datetime, reason: str) -> ShadowEntry:
        """Verify a version and run it as the shadow of the champion; raises as `load` does.

        Raises:
            UsageError: the version is the champion, or there is none to compare it with.
        """
        self.load(name, version)
        current = self.current(name)
        if current is None:
            raise UsageError(
                f"model {name}: no version runs, so there is none to score {version} beside; make it run with "
                f"nexova models promote {name} {version}"
            )
        if version == current:
            raise UsageError(f"model {name} {version} runs already; score another version beside it")
        return self._record(ShadowEntry(name=name, version=version, action="shadowed", at=at, reason=reason))

    def end_shadow(self, name: str, *, at: datetime, reason: str) -> ShadowEntry:
        """End the shadow of the champion.

        Raises:
            UsageError: there is no shadow.
        """
        trial = self.challenger(name)
        if trial is None:
            raise UsageError(
                f"model {name}: no version is scored as a shadow; start one with nexova models shadow {name} VERSION"
            )
        return self._record(ShadowEntry(name=name, version=trial.version, action="shadow_ended", at=at, reason=reason))

    def write_document(self, file: str, content: bytes) -> None:
        """Write a document on the whole repository, such as `metrics.json`, to its root."""
        with self._trouble("written"):
            self._storage.replace(file, content)

    def read_document(self, file: str) -> bytes | None:
        """Return a document at the root, or None."""
        with self._trouble("read"):
            return self._storage.read(file) if self._storage.exists(file) else None

    def page(self) -> str:
        """Return the content of MODEL_REGISTRY.md."""
        manifests: list[Manifest] = []
        damaged: list[str] = []
        for name in self.names():
            for version in self.versions(name):
                try:
                    manifests.append(self.manifest(name, version))
                except ModelRefused as error:
                    damaged.append(error.message)
        return render_registry(manifests, self.history(), damaged=damaged, shadows=self._trials())

    def _trials(self) -> list[ShadowEntry]:
        found = [challenger_of(self._entries(name)) for name in self.names()]
        return [trial for trial in found if trial is not None]

    def _entries(self, name: str | None) -> list[Promotion | ShadowEntry]:
        with self._trouble("read"):
            log = self._storage.read(LOG) if self._storage.exists(LOG) else b""
        return [entry for entry in parse_log(log.decode("utf-8", "replace")) if name in (None, entry.name)]

    def _record(self, entry: Entry) -> Entry:
        """Append the entry to the registry, and rewrite the page generated from it."""
        with self._trouble("written"):
            # the leading line break separates the entry from an unfinished line of a crashed writer
            self._storage.append(LOG, b"\n" + entry.model_dump_json().encode() + b"\n")
        self.write_document(PAGE, self.page().encode())
        return entry

    def _signatures(self, name: str, version: str) -> bytes:
        """Return the content of a version's signature file; empty where there is none."""
        with self._trouble("read"):
            path = f"{name}/{version}/{SIGNATURES}"
            return self._storage.read(path) if self._storage.exists(path) else b""

    def _read(self, name: str, version: str, file: str) -> bytes:
        with self._trouble("read"):
            try:
                return self._storage.read(f"{name}/{version}/{file}")
            except FileNotFoundError as error:
                raise ModelDamaged(
                    f"model {name} {version}: {file} is missing, its manifest lists it; {_remedy(name)}"
                ) from error

    @contextmanager
    def _trouble(self, done: str) -> Iterator[None]:
        """Convert errors of the storage into RepositoryUnavailable with a message of one line."""
        try:
            yield
        except OSError as error:
            raise RepositoryUnavailable(
                f"model repository {self.root} could not be {done}: {error}; check that it is there, that "
                "this user may use it and that there is room"
            ) from error


def _remedy(name: str) -> str:
    return f"train again, or nexova models rollback {name}"
