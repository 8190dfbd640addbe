"""Work requests: one open request for a machine and cause in any REST maintenance system, and its closure as feedback.

Before a request is posted the system is asked whether one is open, so that neither a restart nor another alert of the
same cause makes a second. What its people find comes back as feedback, once: the statements that Kafka holds already
are read at the start.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, cast, get_args
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from forwarder.changes import Change, Notification
from forwarder.targets.target import HttpTarget, Undelivered
from forwarder.templates import fill_json, values_of
from runtime.errors import UsageError
from schemas.alerts import Alert
from schemas.feedback import Feedback, FeedbackKind

MORE: Final = ("key", "asset", "location", "advice")
AUTHOR: Final = "maintenance system, request "
_BODY: Final = json.dumps(
    {
        "key": "${key}",
        "alert_id": "${alert_id}",
        "machine_id": "${machine_id}",
        "asset": "${asset}",
        "functional_location": "${location}",
        "agent": "nexova ${model}",
        "priority": "${severity}",
        "title": "${summary}",
        "cause": "${sensor}",
        "reasons": "${reasons}",
        "solution": "${advice}",
        "certainty": "${confidence}",
        "opened_at": "${opened_at}",
    },
    indent=2,
)


class Asset(BaseModel):
    """A machine's asset in the maintenance system."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    asset: str
    location: str = ""


class WorkRequestPlan(BaseModel):
    """Requests of the maintenance system, as described in the TOML file that `--plan` names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    body: str = _BODY
    certainty: Annotated[float, Field(ge=0, le=1, description="least confidence of an alert")] = 0.8
    open_query: Annotated[str, Field(description="finds open requests of ${key}")] = "?state=open&key=${key}"
    closed_query: Annotated[str, Field(description="finds closed requests")] = "?state=closed"
    items: Annotated[str, Field(description="member that holds the list; empty: the answer is the list")] = ""
    identity: str = "id"
    alert_id: str = "alert_id"
    machine_id: str = "machine_id"
    closed_at: str = "closed_at"
    outcome: str = "outcome"
    outcomes: dict[str, tuple[str, ...]] = {
        "repaired": ("maintenance_done", "confirmed"),
        "no_fault_found": ("false_alarm",),
        "expected": ("expected",),
    }
    assets: dict[str, Asset] = {}

    @field_validator("outcomes")
    @classmethod
    def _kinds_of_feedback(cls, outcomes: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        known = get_args(FeedbackKind)
        for name, kinds in outcomes.items():
            for kind in kinds:
                if kind not in known:
                    raise ValueError(f"{name}: {kind} is no kind of feedback; use {', '.join(known)}")
        return outcomes


def read_plan(path: Path | None) -> WorkRequestPlan:
    """Return the plan in a TOML file, or the default one.

    Raises:
        UsageError: the file cannot be read or breaks a rule.
    """
    if path is None:
        return WorkRequestPlan()
    try:
        return WorkRequestPlan.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"plan {path}: cannot be read: {error}; give a TOML file") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"plan {path}: {where}: {first['msg']}; see docs/forwarding.md") from error


def request_key(alert: Alert) -> str:
    """Return the key of the requests of a machine and cause, which is the alert's kind and leading sensor."""
    sensor = alert.signals[0].sensor if alert.signals else ""
    return hashlib.sha256(f"{alert.machine_id}\n{alert.kind}\n{sensor}".encode()).hexdigest()[:24]


class WorkRequests(HttpTarget):
    """A maintenance system whose requests are the collection at `url`.

    advice: the newest recommendation's text by machine. answered: authors of statements that Kafka holds already.
    """

    def __init__(
        self,
        url: str,
        plan: WorkRequestPlan,
        *,
        token: str | None,
        timeout_seconds: float,
        advice: Mapping[str, str],
        answered: set[tuple[str, str]],
    ) -> None:
        super().__init__(token=token, timeout_seconds=timeout_seconds)
        self._url = url.rstrip("/")
        self._plan = plan
        self._advice = advice
        self._answered = answered

    def deliver(self, notification: Notification) -> None:
        """Open a request for each cause that has none; raises Undelivered.

        A resolved alert closes nothing: people do.
        """
        for change in notification.changes:
            if change.what != "resolved" and change.alert.confidence >= self._plan.certainty:
                self._open(change)

    def _open(self, change: Change) -> None:
        key = request_key(change.alert)
        if self._listed(self._plan.open_query.replace("${key}", quote(key))):
            return
        machine = change.alert.machine_id
        asset = self._plan.assets.get(machine, Asset(asset=machine))
        more = {"key": key, "asset": asset.asset, "location": asset.location, "advice": self._advice.get(machine, "")}
        body = fill_json(self._plan.body, values_of(change, more))
        headers = {"Content-Type": "application/json", "Idempotency-Key": f"{key}-{change.alert.alert_id}"}
        self.request("POST", self._url, content=body.encode(), headers=headers)

    def feedback(self) -> Sequence[Feedback]:
        """Return statements on requests that were closed; each once. Raises Undelivered."""
        found = []
        for item in self._listed(self._plan.closed_query):
            for kind in self._plan.outcomes.get(str(item.get(self._plan.outcome)), ()):
                author = f"{AUTHOR}{item.get(self._plan.identity)}"
                if (author, kind) in self._answered:
                    continue
                try:
                    statement = Feedback(
                        machine_id=str(item[self._plan.machine_id]),
                        kind=cast("FeedbackKind", kind),
                        at=item[self._plan.closed_at],
                        alert_id=item.get(self._plan.alert_id),
                        author=author,
                    )
                except (KeyError, ValidationError) as error:
                    raise Undelivered(
                        f"{self._url}: closed request {item!r:.200} cannot be read: {error!r:.200}"
                    ) from error
                found.append(statement)
        return found

    def recorded(self, statement: Feedback) -> None:
        """Record that the feedback is in Kafka."""
        self._answered.add((statement.author or "", statement.kind))

    def _listed(self, query: str) -> list[dict[str, Any]]:
        answer = self.request("GET", self._url + query)
        try:
            document = answer.json()
            items = document[self._plan.items] if self._plan.items else document
        except (ValueError, KeyError, TypeError) as error:
            raise Undelivered(f"GET {self._url}{query}: the answer holds no list of requests: {error!r}") from error
        if not isinstance(items, list):
            raise Undelivered(f"GET {self._url}{query}: the answer is no list; set `items` in the plan")
        return [item for item in items if isinstance(item, dict)]
