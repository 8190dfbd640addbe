"""Whether a new version takes over. Pure but for reading the champion."""

from dataclasses import dataclass

from runtime.manifest import Manifest
from runtime.repository import ModelRefused, ModelRepository, UnknownVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether to promote a version, and the reason, which is kept."""

    promote: bool
    reason: str


def verdict(challenger: Manifest, *, repository: ModelRepository) -> Verdict:
    """Let a version run where none can; a champion that can run keeps its place until somebody promotes."""
    name = challenger.name
    current = repository.current(name)
    if current is None:
        return Verdict(promote=True, reason="the first version")
    try:
        champion = repository.load(name, current).manifest
    except (ModelRefused, UnknownVersion) as error:
        return Verdict(promote=True, reason=f"the champion cannot run: {error.message}")
    if (champion.plant, champion.features) != (challenger.plant, challenger.features):
        return Verdict(promote=True, reason=f"{current} was trained for other sensors or other features")
    return Verdict(
        promote=False,
        reason=f"{current} goes on running; nexova models promote {name} {challenger.version} changes that",
    )
