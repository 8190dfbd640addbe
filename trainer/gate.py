"""Promotion gate: champion and challenger are evaluated on the same readings. Pure but for reading the champion.

The challenger takes over when it is at least as good in one figure and in no figure worse by more than its bound.
The bounds are what training the same data with another seed moves; that alone must not decide. A version that is a
little worse in every figure stays behind, or a row of such steps would lead downhill unseen.
"""

from collections.abc import Callable, Mapping

from runtime.models.manifest import LOWER_IS_BETTER, Compared, Manifest, Span, Verdict
from runtime.models.repository import ModelBundle, ModelRefused, ModelRepository, UnknownVersion
from trainer.measure import Metrics

Bounds = Mapping[str, float]


def gate_verdict(
    challenger: ModelBundle,
    *,
    mine: Metrics,
    bounds: Bounds,
    evaluation: Callable[[ModelBundle], Metrics],
    held_out: Span | None,
    repository: ModelRepository,
) -> Verdict:
    """Compare with the champion of the same name on the held-out readings that `evaluation` measures a version on.

    mine: what the challenger reached. bounds: the figures that are judged, each with how much worse it may be.
    held_out: when these readings are from; None where there are none.

    Raises:
        RepositoryUnavailable: the storage failed.
    """
    name, version = challenger.manifest.name, challenger.manifest.version
    current = repository.current(name)
    if current is None:
        return Verdict(promote=True, reason="the first version", held_out=held_out)
    try:
        champion = repository.load(name, current)
        theirs = evaluation(champion)
    except (ModelRefused, UnknownVersion) as error:
        return Verdict(
            promote=True, reason=f"the champion cannot run: {error.message}", champion=current, held_out=held_out
        )
    compared = _compare(bounds, champion=theirs, challenger=mine)
    promote, finding = decide(compared, bounds)
    reason = f"{finding} {current}{_grounds(compared, champion.manifest, held_out)}"
    if not promote:
        reason += f"; nexova models promote {name} {version} makes it run all the same"
    return Verdict(promote=promote, reason=reason, champion=current, held_out=held_out, compared=compared)


def decide(compared: Mapping[str, Compared], bounds: Bounds) -> tuple[bool, str]:
    """Return whether the challenger takes over, and the finding, to be followed by the champion's name."""
    gains = {
        metric: (pair.champion - pair.challenger if metric in LOWER_IS_BETTER else pair.challenger - pair.champion)
        for metric, pair in compared.items()
    }
    if not gains:
        return False, "without labels nothing tells it from"
    beyond = [metric for metric, gain in gains.items() if gain < -bounds[metric]]
    if beyond:
        limits = ", ".join(f"{metric} by more than {bounds[metric]:g}" for metric in beyond)
        return False, f"worse ({limits}) than"
    if all(gain < 0 for gain in gains.values()):
        return False, "a little worse in every figure than"
    if all(gain == 0 for gain in gains.values()):
        return True, "as good as"
    return True, "better than" if all(gain >= 0 for gain in gains.values()) else "as good, within bounds, as"


def _compare(bounds: Bounds, *, champion: Metrics, challenger: Metrics) -> dict[str, Compared]:
    """Pair the judged figures that are known of both."""
    pairs = {metric: (champion.get(metric), challenger.get(metric)) for metric in bounds}
    return {
        metric: Compared(champion=theirs, challenger=mine)
        for metric, (theirs, mine) in pairs.items()
        if theirs is not None and mine is not None
    }


def _grounds(compared: Mapping[str, Compared], champion: Manifest, held_out: Span | None) -> str:
    """Return what was compared, and the champion's advantages."""
    if held_out is None or not compared:
        return ""
    seen = f", some of which {champion.version} was trained on" if champion.trained_on.end > held_out.start else ""
    figures = ", ".join(
        f"{metric} {pair.challenger:.4f} against {pair.champion:.4f}" for metric, pair in compared.items()
    )
    return f", on the same readings of {held_out.start:%Y-%m-%d} to {held_out.end:%Y-%m-%d}{seen}: {figures}"
