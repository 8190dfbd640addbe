"""MODEL_REGISTRY.md: the running versions with their training data, metrics and predecessors."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from runtime.models.manifest import LOWER_IS_BETTER, Manifest, Promotion, ShadowEntry, Span, champions


def render_registry(
    manifests: Iterable[Manifest],
    log: Sequence[Promotion],
    *,
    damaged: Sequence[str] = (),
    shadows: Sequence[ShadowEntry] = (),
) -> str:
    """Return the page as Markdown.

    damaged: messages on versions whose manifest cannot be read. shadows: current shadow versions.
    """
    beside = {shadow.name: shadow for shadow in shadows}
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


def _model(name: str, versions: Sequence[Manifest], log: Sequence[Promotion], shadow: ShadowEntry | None) -> list[str]:
    standing = champions(log)
    lines = [f"## {name}", ""]
    champion = standing[-1].version if standing else None
    known = {manifest.version: manifest for manifest in versions}
    if champion is None:
        lines += [f"No version runs. `nexova models promote {name} VERSION` chooses one.", ""]
    else:
        # the last entry, not the last one standing: after a rollback the version runs since the rollback
        lines += [f"**{champion}** runs since {_moment(log[-1].at)}.", ""]
        lines += _details(known[champion], log) if champion in known else ["Its files are not in this repository.", ""]
    if shadow is not None:
        lines += [f"Version {shadow.version} is scored as a shadow since {_moment(shadow.at)}: {shadow.reason}", ""]
    lines += [
        "| version | ran | trained on | rows | measured on its own test split |",
        "|---|---|---|---|---|",
    ]
    for manifest in reversed(versions):
        ran = (
            f"**runs**, {_runs(manifest.version, log)}"
            if manifest.version == champion
            else _runs(manifest.version, log)
        )
        lines.append(
            f"| {manifest.version} | {ran or 'never'} | {_span(manifest.trained_on)} | {manifest.rows_used:,} | "
            f"{_metrics(manifest)} |"
        )
    lines += ["", "What happened, newest first:", "", *_events(versions, log), ""]
    return lines


def _details(champion: Manifest, log: Sequence[Promotion]) -> list[str]:
    """Return lines on a version's training data, metrics, and the reason it runs."""
    parts = [f"{count:,} {reason}" for reason, count in sorted(champion.rows_excluded.items()) if count]
    left_out = f"; left out: {', '.join(parts)}" if parts else ""
    previous = log[-1].previous
    lines = [
        f"- trained on {champion.rows_used:,} rows, {_span(champion.trained_on)}{left_out}",
        f"- measured on readings it had never seen: {_metrics(champion, intervals=True)}",
        *_gains(champion),
        f"- before it: {f'{previous}, {_runs(previous, log)}' if previous else 'none'}",
        f"- why it runs: {log[-1].reason}",
    ]
    return [*lines, ""]


def _gains(champion: Manifest) -> list[str]:
    """Return the differences of its metrics from those of the champion of its time, on the same readings."""
    gate = champion.gate
    if gate is None or gate.champion is None or not gate.compared:
        return []
    found = []
    for metric, pair in gate.compared.items():
        gain = pair.champion - pair.challenger if metric in LOWER_IS_BETTER else pair.challenger - pair.champion
        word = f"{abs(gain):.4f} better" if gain > 0 else f"{abs(gain):.4f} worse" if gain < 0 else "the same"
        found.append(f"{metric} {word} ({pair.challenger:.4f}, was {pair.champion:.4f})")
    held_out = f", both measured on {_span(gate.held_out)}" if gate.held_out else ""
    return [f"- against {gate.champion}{held_out}: {'; '.join(found)}"]


def _runs(version: str, log: Sequence[Promotion]) -> str:
    """Return the time span in which a version ran; empty if it never did."""
    spans = []
    for position, entry in enumerate(log):
        if entry.version == version:
            end = next((later.at for later in log[position + 1 :] if later.version != version), None)
            spans.append(f"{_moment(entry.at)} to {_moment(end)}" if end else f"since {_moment(entry.at)}")
    return ", ".join(spans)


def _events(versions: Sequence[Manifest], log: Sequence[Promotion]) -> list[str]:
    """Return lines on all events, newest first, in reverse order of recording within a moment."""
    refused = [
        (manifest.created_at, f"{manifest.version} was trained and not promoted: {manifest.gate.reason}")
        for manifest in versions
        if manifest.gate is not None and not manifest.gate.promote
    ]
    events = sorted([*refused, *((entry.at, _entry(entry)) for entry in log)], key=lambda event: event[0])
    return [f"- {_moment(at)}: {what}" for at, what in reversed(events)]


def _entry(entry: Promotion) -> str:
    what = "promoted" if entry.action == "promoted" else "rolled back to"
    previous = f", in the place of {entry.previous}" if entry.previous else ""
    return f"{what} {entry.version}{previous}: {entry.reason}"


def _metrics(manifest: Manifest, *, intervals: bool = False) -> str:
    """Return the metrics as text, optionally with their intervals over machines."""
    found = []
    for metric, value in manifest.metrics.items():
        interval = manifest.intervals.get(metric) if intervals else None
        between = f" ({interval[0]:.3f} to {interval[1]:.3f} over machines)" if interval else ""
        found.append(f"{metric} {_figure(value)}{between}")
    return ", ".join(found) or "none"


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


def _span(span: Span) -> str:
    return f"{span.start:%Y-%m-%d} to {span.end:%Y-%m-%d}"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
