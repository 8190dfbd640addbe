"""Models on the console: what runs, how each version was judged, and the changes that an administrator makes.

Changes go through the repository and the announcement that `nexova models` uses, so that both leave the same trace.
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

from api.security import Caller, audit
from runtime.errors import NexovaError, UsageError
from runtime.models.announce import announcement
from runtime.models.manifest import LOWER_IS_BETTER, Manifest, Promotion, Verdict, champions
from runtime.models.repository import ModelRepository
from runtime.models.signing import Trust
from runtime.settings import KafkaSettings

ModelAction = Literal["promote", "rollback"]
MOST_REASON: Final = 500
_MOST_VERSIONS: Final = 8
_MOST_EVENTS: Final = 20
_KEEP_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One metric of two versions on the same readings. better: whether the newer one is; None: equal."""

    metric: str
    before: float
    after: float

    @property
    def better(self) -> bool | None:
        """Whether the newer version does better, by the direction of the metric."""
        if self.after == self.before:
            return None
        return (self.after < self.before) == (self.metric in LOWER_IS_BETTER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a model. runs: it is promoted; beside: it is scored in the champion's shadow."""

    manifest: Manifest
    runs: bool
    beside: bool

    @property
    def verdict(self) -> Verdict | None:
        """What the gate said."""
        return self.manifest.gate

    @property
    def figures(self) -> list[Figure]:
        """The metrics that the gate compared, with both figures."""
        compared = {} if self.verdict is None else self.verdict.compared
        return [Figure(metric=name, before=pair.champion, after=pair.challenger) for name, pair in compared.items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelHistory:
    """One model in the repository. since: when the promotion that stands was made; back_to: target of a rollback."""

    name: str
    current: str | None
    since: datetime | None
    reason: str
    back_to: str | None
    challenger: str | None
    challenger_since: datetime | None
    versions: list[Version]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsPage:
    """All models, their newest events, and complaints about what cannot be read."""

    models: list[ModelHistory]
    events: list[Promotion]
    damaged: list[str]


@dataclass(slots=True, kw_only=True)
class ModelDesk:
    """Reads and changes the repository; every call blocks, so it belongs in a thread."""

    root: str
    kafka: KafkaSettings
    trust: Trust | None = None
    _kept: tuple[float, ModelsPage] | None = field(default=None, init=False)

    def page(self) -> ModelsPage:
        """Return what the repository says, at most some seconds old; empty where it cannot be read."""
        if self._kept is None or time.monotonic() - self._kept[0] > _KEEP_SECONDS:
            self._kept = time.monotonic(), self._read()
        return self._kept[1]

    def change(self, action: ModelAction, name: str, version: str, *, reason: str, caller: Caller) -> str | None:
        """Promote `version`, or roll `name` back to it, and return why workers could not be notified, or None.

        Raises:
            NexovaError: the version does not exist or is damaged, or a rollback leads to another version by now.
        """
        repository, now = ModelRepository(self.root, trust=self.trust), datetime.now(UTC)
        try:
            if action == "promote":
                entry = repository.promote(name, version, at=now, reason=reason)
            else:
                _refuse_stale(repository, name, version)
                entry = repository.rollback(name, at=now, reason=reason)
        except NexovaError as error:
            audit(caller, f"models {action} failed", model=name, version=version, why=error.message)
            raise
        finally:
            self._kept = None
        audit(caller, f"models {action}", model=name, version=entry.version, previous=entry.previous, reason=reason)
        return announcement(name, repository, self.kafka)

    def _read(self) -> ModelsPage:
        try:
            repository = ModelRepository(self.root, trust=self.trust)
            damaged: list[str] = []
            models = [_history(repository, name, damaged) for name in repository.names()]
            events = sorted(repository.history(), key=lambda entry: entry.at, reverse=True)[:_MOST_EVENTS]
        except NexovaError as error:
            return ModelsPage(models=[], events=[], damaged=[error.message])
        return ModelsPage(models=models, events=events, damaged=damaged)


def _refuse_stale(repository: ModelRepository, name: str, version: str) -> None:
    """Raise UsageError where a rollback leads elsewhere than the page said that was confirmed."""
    standing = champions(repository.history(name))
    target = standing[-2].version if len(standing) > 1 else "nothing"
    if target != version:
        raise UsageError(f"model {name}: a rollback leads to {target} by now, not to {version}; look again and confirm")


def _history(repository: ModelRepository, name: str, damaged: list[str]) -> ModelHistory:
    log = repository.history(name)
    standing, trial = champions(log), repository.challenger(name)
    current = standing[-1].version if standing else None
    wanted = [*reversed(repository.versions(name))]
    shown = [one for place, one in enumerate(wanted) if place < _MOST_VERSIONS or one == current]
    versions = []
    for version in shown:
        try:
            manifest = repository.manifest(name, version)
        except NexovaError as error:
            damaged.append(error.message)
            continue
        beside = trial is not None and trial.version == version
        versions.append(Version(manifest=manifest, runs=version == current, beside=beside))
    return ModelHistory(
        name=name,
        current=current,
        since=log[-1].at if log else None,
        reason=log[-1].reason if log else "",
        back_to=standing[-2].version if len(standing) > 1 else None,
        challenger=None if trial is None else trial.version,
        challenger_since=None if trial is None else trial.at,
        versions=versions,
    )
