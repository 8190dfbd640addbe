"""MODEL_REGISTRY.md: what runs, since when, trained on what, better by how much, and who came before."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from runtime.manifest import LOWER_IS_BETTER, Manifest, Promotion, Trial, champions


def render_registry(
    manifests: Iterable[Manifest],
    log: Sequence[Promotion],
    *,
    damaged: Sequence[str] = (),
    trials: Sequence[Trial] = (),
) -> str:
    """Write the page in Markdown.

    damaged: the complaints of versions whose manifest cannot be read. trials: those under way.
    """
    beside = {trial.name: trial for trial in trials}
    by_name: dict[str, list[Manifest]] = {}
    for manifest in manifests:
        by_name.setdefault(manifest.name, []).append(manifest)
    lines = ["# Models", ""]
    if not by_name:
        lines += ["There is no model yet: `nexova train all --data DIR --models DIR` makes the first.", ""]
    for name in sorted(by_name):
        versions = sorted(by_name[name], key=lambda manifest: manifest.version)
        lines += _model(name, versions, [entry for entry in log if entry.name == name], beside.get(name))
    if damaged:
        lines += ["## Damaged", "", *(f"- {complaint}" for complaint in damaged), ""]
    return "\n".join(lines)


def _model(name: str, versions: Sequence[Manifest], log: Sequence[Promotion], trial: Trial | None) -> list[str]:
    standing = champions(log)
    lines = [f"## {name}", ""]
    champion = standing[-1].version if standing else None
    known = {manifest.version: manifest for manifest in versions}
    if champion is None:
        lines += [f"No version runs. `nexova models promote {name} VERSION` chooses one.", ""]
    else:
        # the last entry, not the last one standing: after a rollback the version runs since the rollback
        since = f"Version {champion} runs since {_moment(log[-1].at)}: {log[-1].reason}"
        lines += [since, ""]
        if champion in known:
            former = known.get(log[-1].previous or "")
            lines += _passport(known[champion], former)
        else:
            lines += ["Its files are not in this repository.", ""]
    if trial is not None:
        lines += [f"Version {trial.version} is scored beside it since {_moment(trial.at)}: {trial.reason}", ""]
    lines += [
        "| version | state | trained on | rows | measured on the test split | before it |",
        "|---|---|---|---|---|---|",
    ]
    for manifest in reversed(versions):
        state = "**runs**" if manifest.version == champion else _state(manifest.version, log)
        lines.append(
            f"| {manifest.version} | {state} | {_span(manifest)} | {manifest.rows_used:,} | "
            f"{_metrics(manifest)} | {manifest.parent or 'none'} |"
        )
    lines += ["", *_events(versions, log), ""]
    return lines


def _events(versions: Sequence[Manifest], log: Sequence[Promotion]) -> list[str]:
    """Tell what happened, newest first; of two things at one moment, the one told of later first."""
    refused = [
        (manifest.created_at, f"{manifest.version} was trained and not promoted: {manifest.gate.reason}")
        for manifest in versions
        if manifest.gate is not None and not manifest.gate.promote
    ]
    events = sorted([*refused, *((entry.at, _entry(entry)) for entry in log)], key=lambda event: event[0])
    return [f"- {_moment(at)}: {what}" for at, what in reversed(events)]


def _passport(champion: Manifest, former: Manifest | None) -> list[str]:
    parts = [f"{count:,} {reason}" for reason, count in sorted(champion.rows_excluded.items()) if count]
    left_out = f"; left out: {', '.join(parts)}" if parts else ""
    lines = [
        f"- trained on {champion.rows_used:,} rows, {_span(champion)}{left_out}",
        *(
            f"- {metric} {_figure(value)}{_compared(metric, value, former)}"
            for metric, value in champion.metrics.items()
        ),
    ]
    return [*lines, ""]


def _compared(metric: str, value: float | None, former: Manifest | None) -> str:
    """Say by how much a metric is better or worse than that of the version that ran before."""
    before = former.metrics.get(metric) if former else None
    if former is None or before is None or value is None:
        return ""
    gain = before - value if metric in LOWER_IS_BETTER else value - before
    word = "better" if gain > 0 else "worse" if gain < 0 else "the same"
    return f", {_figure(abs(gain))} {word} than {former.version}" if gain else f", {word} as {former.version}"


def _state(version: str, log: Sequence[Promotion]) -> str:
    ran = any(entry.version == version for entry in log)
    return "ran" if ran else "never ran"


def _entry(entry: Promotion) -> str:
    what = "promoted" if entry.action == "promoted" else "rolled back to"
    previous = f", in the place of {entry.previous}" if entry.previous else ""
    return f"{what} {entry.version}{previous}. {entry.reason}"


def _metrics(manifest: Manifest) -> str:
    return ", ".join(f"{metric} {_figure(value)}" for metric, value in manifest.metrics.items()) or "none"


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


def _span(manifest: Manifest) -> str:
    return f"{manifest.trained_on.start:%Y-%m-%d} to {manifest.trained_on.end:%Y-%m-%d}"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
