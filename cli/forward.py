"""`nexova forward`: alerts from Kafka to Alertmanager, a webhook, mail or a maintenance system."""

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from cli.signals import until_signal
from runtime.errors import UsageError
from runtime.settings import Settings, load_settings

if TYPE_CHECKING:
    from forwarder.targets.target import Target


class Receiver(StrEnum):
    """Kinds of receivers."""

    ALERTMANAGER = "alertmanager"
    WEBHOOK = "webhook"
    SMTP = "smtp"
    CMMS = "cmms"


class Level(StrEnum):
    """Severities in rising order."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Grouping(StrEnum):
    """Grouping of alert changes into notifications."""

    MACHINE = "machine"
    KIND = "kind"
    NONE = "none"


def forward(
    *,
    to: Annotated[Receiver, typer.Option("--to", help="Kind of receiver.")],
    url: Annotated[
        str, typer.Option(help="Its address: http(s)://…, or smtp://host:port; the requests' collection for cmms.")
    ],
    name: Annotated[
        str | None, typer.Option(help="Name under which the position in Kafka is kept; default: the kind of receiver.")
    ] = None,
    min_severity: Annotated[Level, typer.Option(help="Minimum severity that is forwarded.")] = Level.WARNING,
    group_by: Annotated[
        Grouping, typer.Option(help="Grouping of alert changes into notifications.")
    ] = Grouping.MACHINE,
    group_wait: Annotated[
        float, typer.Option(min=0, max=600, help="Seconds for which changes are collected before they are sent.")
    ] = 5.0,
    refresh: Annotated[
        float, typer.Option(min=1, max=240, help="Seconds between repetitions of open alerts and checks for feedback.")
    ] = 60.0,
    template: Annotated[Path | None, typer.Option(help="Text with ${names} for webhook (JSON) or smtp.")] = None,
    cloudevents: Annotated[
        bool, typer.Option("--cloudevents", help="Webhook: CloudEvents in structured mode.")
    ] = False,
    mail_from: Annotated[str, typer.Option(help="Smtp: address of the sender.")] = "nexova@localhost",
    mail_to: Annotated[list[str] | None, typer.Option(help="Smtp: a recipient; may be given several times.")] = None,
    starttls: Annotated[bool, typer.Option("--starttls", help="Smtp: demand encryption.")] = False,
    plan: Annotated[Path | None, typer.Option(help="Cmms: TOML file that describes the requests.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, max=120, help="Timeout of a request in seconds.")] = 10.0,
) -> None:
    """Forward alerts until stopped: at least once, in order, from where the last run under this name ended.

    Secrets come from NEXOVA_FORWARDER__TOKEN (HTTP), NEXOVA_FORWARDER__SMTP_USERNAME and …__SMTP_PASSWORD.
    """
    from forwarder.app import Forwarder, Manner  # noqa: PLC0415  other commands do without its clients
    from forwarder.source import AlertSource, Writer  # noqa: PLC0415
    from forwarder.status import serve_status  # noqa: PLC0415
    from runtime.granted import demand_rights  # noqa: PLC0415
    from runtime.kafka import wait_for_broker  # noqa: PLC0415
    from runtime.logging import configure_logging  # noqa: PLC0415
    from runtime.metrics import process_registry  # noqa: PLC0415
    from runtime.metrics.forwarder import ForwarderMetrics  # noqa: PLC0415
    from runtime.tracing import traces_of  # noqa: PLC0415
    from schemas.topics import ALERTS  # noqa: PLC0415

    settings = load_settings()
    configure_logging(settings)
    wait_for_broker(settings.kafka, max_retries=settings.max_retries)
    demand_rights(settings.kafka, "forwarder")
    target = _target(
        to, url, settings,
        template=template, cloudevents=cloudevents, mail_from=mail_from, mail_to=mail_to or [], starttls=starttls,
        plan=plan, timeout=timeout,
    )  # fmt: skip
    stopped = until_signal()
    metrics = ForwarderMetrics(process_registry())
    forwarder = Forwarder(
        AlertSource(settings.kafka, group=f"nexova-forwarder-{name or to.value}", topic=ALERTS),
        target,
        manner=Manner(
            least=min_severity.value, group_by=group_by.value, wait_seconds=group_wait, refresh_seconds=refresh
        ),
        writer=Writer(settings.kafka),
        metrics=metrics,
        traces=traces_of(settings.tracing, service="nexova-forwarder"),
    )
    with serve_status(settings.forwarder, forwarder, metrics):
        forwarder.run(stopped)


def _target(
    to: Receiver,
    url: str,
    settings: Settings,
    *,
    template: Path | None,
    cloudevents: bool,
    mail_from: str,
    mail_to: list[str],
    starttls: bool,
    plan: Path | None,
    timeout: float,
) -> "Target":
    from forwarder.targets.alertmanager import Alertmanager  # noqa: PLC0415
    from forwarder.targets.mail import TEMPLATE, Mail, MailServer  # noqa: PLC0415
    from forwarder.targets.webhook import Webhook  # noqa: PLC0415
    from forwarder.targets.work_requests import WorkRequests, read_plan  # noqa: PLC0415
    from forwarder.templates import read_template  # noqa: PLC0415

    own = settings.forwarder
    token = None if own.token is None else own.token.get_secret_value()
    schemes = ("smtp",) if to is Receiver.SMTP else ("http", "https")
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.hostname:
        raise UsageError(f"--url {url}: --to {to.value} needs {' or '.join(schemes)}://HOST[:PORT]")
    text = None if template is None else read_template(template)
    if to is Receiver.ALERTMANAGER:
        return Alertmanager(url, clock=lambda: datetime.now(UTC), token=token, timeout_seconds=timeout)
    if to is Receiver.WEBHOOK:
        return Webhook(url, token=token, timeout_seconds=timeout, cloudevents=cloudevents, template=text)
    if to is Receiver.SMTP:
        if not mail_to:
            raise UsageError("--to smtp has no recipient; name one with --mail-to ADDRESS")
        password = None if own.smtp_password is None else own.smtp_password.get_secret_value()
        server = MailServer(
            host=parts.hostname, port=parts.port or 25, username=own.smtp_username, password=password, starttls=starttls
        )
        return Mail(server, sender=mail_from, recipients=mail_to, timeout_seconds=timeout, template=text or TEMPLATE)
    from forwarder.history import Advice, answered_of  # noqa: PLC0415

    return WorkRequests(
        url, read_plan(plan), token=token, timeout_seconds=timeout,
        advice=Advice(settings.kafka), answered=answered_of(settings.kafka),
    )  # fmt: skip
