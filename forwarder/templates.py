"""Templates with `${names}`, filled from an alert; filled-in values are escaped for JSON.

{"asset": "${asset}", "text": "${summary}", "since": "${opened_at}"}
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from forwarder.changes import Change
from runtime.errors import UsageError

_NAME: Final = re.compile(r"\$\{([a-z_]+)\}")


def values_of(change: Change, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the values of a template's names for one change."""
    alert = change.alert
    reasons = [
        f"{signal.sensor}: {_number(signal.actual)} instead of {_number(signal.expected)}" for signal in alert.signals
    ]
    return {
        "what": change.what,
        "alert_id": alert.alert_id,
        "machine_id": alert.machine_id,
        "kind": alert.kind,
        "severity": alert.severity,
        "state": alert.state,
        "summary": alert.summary,
        "opened_at": alert.opened_at.isoformat(),
        "updated_at": alert.updated_at.isoformat(),
        "resolved_at": alert.resolved_at.isoformat() if alert.resolved_at else "",
        "confidence": f"{alert.confidence:.2f}",
        "peak_score": f"{alert.peak_score:.3f}",
        "sensor": alert.signals[0].sensor if alert.signals else alert.kind,
        "reasons": "; ".join(reasons),
        "model": f"{alert.model.name} {alert.model.version}",
        "position": change.position,
        **(more or {}),
    }


NAMES: Final = (
    *("what", "alert_id", "machine_id", "kind", "severity", "state", "summary", "opened_at", "updated_at"),
    *("resolved_at", "confidence", "peak_score", "sensor", "reasons", "model", "position"),
)


def read_template(path: Path, *, more: tuple[str, ...] = ()) -> str:
    """Return the text of a template file.

    Raises:
        UsageError: it cannot be read, or has an unknown name.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"template {path}: cannot be read: {error}; give a UTF-8 text file") from error
    known = (*NAMES, *more)
    unknown = [name for name in _NAME.findall(text) if name not in known]
    if unknown:
        raise UsageError(f"template {path}: ${{{unknown[0]}}} is not known; use one of {', '.join(known)}")
    return text


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return the template with plain values."""
    return _NAME.sub(lambda found: values[found[1]], template)


def fill_json(template: str, values: Mapping[str, str]) -> str:
    """Return the template with values escaped for the inside of JSON strings.

    Raises:
        UsageError: the result is no JSON.
    """
    text = _NAME.sub(lambda found: json.dumps(values[found[1]])[1:-1], template)
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f'the filled template is no JSON: {error}; put names into strings: "${{summary}}"') from error
    return text


def _number(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.3g}"
