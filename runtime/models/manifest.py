"""Manifest of a model version, and the registry's log of promotions; pure functions without I/O."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

# one path segment each, so that no name in a manifest can lead out of its folder
ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
VersionId = Annotated[str, StringConstraints(pattern=r"^\d{8}T\d{6}Z$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*\.[a-z]+$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]


class _Record(BaseModel):
    # a manifest of a later release may have more fields, which are ignored
    model_config = ConfigDict(frozen=True, extra="ignore")


class Span(_Record):
    """Time span of the training data, from its first to its last reading."""

    start: AwareDatetime
    end: AwareDatetime


LOWER_IS_BETTER: Final = frozenset({"rmse", "mae", "mape"})
"""Metrics that measure an error; for all others, higher is better."""


class Compared(_Record):
    """One metric of two versions, measured on the same readings."""

    champion: float
    challenger: float


class Verdict(_Record):
    """Verdict of the promotion gate on a version, with its reasons."""

    promote: bool
    reason: Annotated[str, StringConstraints(min_length=1)]
    champion: Annotated[VersionId | None, Field(description="the version it was to replace")] = None
    held_out: Annotated[Span | None, Field(description="the readings that both were measured on")] = None
    compared: dict[str, Compared] = {}


class Manifest(_Record):
    """Description of a version: its training data, metrics, and the hashes of its files."""

    schema_version: Literal[1] = 1
    name: ModelName
    version: VersionId
    created_at: AwareDatetime
    files: Annotated[dict[FileName, Sha256], Field(description="sha256 of each file of the version")] = {}
    plant: Annotated[str, Field(description="fingerprint of the plant's sensors")]
    features: Annotated[str, Field(description="fingerprint of the features the model reads")]
    trained_on: Span
    rows_used: Count
    rows_excluded: Annotated[dict[str, Count], Field(description="reason to number of rows")] = {}
    libraries: Annotated[dict[str, str], Field(description="package to version")] = {}
    metrics: Annotated[dict[str, float | None], Field(description="on the untouched test split")] = {}
    intervals: Annotated[dict[str, tuple[float, float]], Field(description="of metrics, 95 % over machines")] = {}
    parent: Annotated[VersionId | None, Field(description="the champion when this was trained")] = None
    parameters: dict[str, Any] = {}
    gate: Annotated[Verdict | None, Field(description="whether it passed the gate; None: not evaluated")] = None


class Promotion(_Record):
    """One line of the registry: from `at` on, all workers run `version`."""

    name: ModelName
    version: VersionId
    action: Literal["promoted", "rolled_back"] = "promoted"
    at: AwareDatetime
    previous: VersionId | None = None
    reason: Annotated[str, StringConstraints(min_length=1)]
    undoes: Annotated[AwareDatetime | None, Field(description="when what a rollback takes back was promoted")] = None

    @property
    def identity(self) -> str:
        """Key that is unique among the entries of its model."""
        return identity(self.version, self.at)


class ShadowEntry(_Record):
    """One line of the registry: from `at` on, `version` is scored beside the champion, or no longer."""

    name: ModelName
    version: VersionId
    action: Literal["shadowed", "shadow_ended"]
    at: AwareDatetime
    reason: Annotated[str, StringConstraints(min_length=1)]


def identity(version: str, at: datetime) -> str:
    """Return a key of the promotion of a version at that moment, unique among those of its model."""
    return f"{version} at {at.astimezone(UTC).isoformat()}"


def version_id(at: datetime) -> str:
    """Return the version id for that moment; ids sort by time, to the second."""
    return at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def sha256_of(content: bytes) -> str:
    """Return the SHA-256 of this content as 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def champions(log: Iterable[Promotion]) -> list[Promotion]:
    """Return the promotions in effect, which a rollback walks back through, the current one last.

    They form a stack: a promotion is pushed and a rollback pops, so that two rollbacks never alternate.
    """
    standing: list[Promotion] = []
    for entry in log:
        if entry.action == "promoted":
            standing.append(entry)
        elif standing:
            standing.pop()
    return standing


def in_effect(log: Iterable[Promotion]) -> list[Promotion]:
    """Return the entries without late rollbacks, which undo a promotion that was no longer the current one.

    So simultaneous rollbacks of the same promotion, by people or workers, count once.
    """
    effective: list[Promotion] = []
    standing: dict[str, list[Promotion]] = {}
    for entry in log:
        own = standing.setdefault(entry.name, [])
        if entry.action == "promoted":
            own.append(entry)
        elif entry.undoes is not None and (not own or (own[-1].version, own[-1].at) != (entry.previous, entry.undoes)):
            continue
        elif own:
            own.pop()
        effective.append(entry)
    return effective


def challenger_of(log: Iterable[Promotion | ShadowEntry]) -> ShadowEntry | None:
    """Return the current shadow entry of one model's entries; it ends when its version is promoted."""
    under_way: ShadowEntry | None = None
    for entry in log:
        if isinstance(entry, ShadowEntry):
            under_way = entry if entry.action == "shadowed" else None
        elif under_way is not None and entry.action == "promoted" and entry.version == under_way.version:
            under_way = None
    return under_way


def parse_log(text: str) -> list[Promotion | ShadowEntry]:
    """Return the entries of a registry, oldest first.

    An incomplete line belongs to a writer that crashed: that promotion did not happen. Such lines are skipped, and the
    previous version continues to run.
    """
    entries = []
    for line in text.splitlines():
        try:
            entries.append(_ENTRY.validate_json(line))
        except ValidationError:
            continue
    return entries


_ENTRY: Final[TypeAdapter[Promotion | ShadowEntry]] = TypeAdapter(Promotion | ShadowEntry)
