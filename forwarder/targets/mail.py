"""Mail: one message a notification, in one thread an alert."""

import hashlib
import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

from forwarder.changes import Change, Notification
from forwarder.targets.target import Undelivered
from forwarder.templates import fill, values_of
from schemas.alerts import Alert
from schemas.feedback import Feedback

TEMPLATE: Final = """${summary}

machine   ${machine_id}
severity  ${severity}, ${what}
opened    ${opened_at}
resolved  ${resolved_at}
reasons   ${reasons}
model     ${model}, confidence ${confidence}
alert     ${alert_id}
"""
_PERMANENT: Final = range(500, 600)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """Outgoing mail server. starttls: require encryption before anything else is sent."""

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    starttls: bool = False


class Mail:
    """Recipients behind a mail server."""

    def __init__(
        self,
        server: MailServer,
        *,
        sender: str,
        recipients: Sequence[str],
        timeout_seconds: float,
        template: str = TEMPLATE,
    ) -> None:
        self._server = server
        self._sender = sender
        self._recipients = tuple(recipients)
        self._timeout = timeout_seconds
        self._template = template

    def deliver(self, notification: Notification) -> None:
        """Send the message; returns when the server has taken it. Raises Undelivered."""
        server = self._server
        message = compose(notification, sender=self._sender, recipients=self._recipients, template=self._template)
        try:
            with smtplib.SMTP(server.host, server.port, timeout=self._timeout) as session:
                if server.starttls:
                    session.starttls(context=ssl.create_default_context())
                if server.username is not None:
                    session.login(server.username, server.password or "")
                refused = session.send_message(message)
        except smtplib.SMTPResponseException as error:
            # a server that does not accept us, or is about to end, may do so later; a message that it refuses is lost
            permanent = error.smtp_code in _PERMANENT and isinstance(error, smtplib.SMTPDataError)
            text = (
                error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
            )
            raise Undelivered(f"{server.host}:{server.port}: {error.smtp_code} {text}", permanent=permanent) from error
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            permanent = all(code in _PERMANENT for code in codes)
            raise Undelivered(
                f"{server.host}:{server.port} refuses all recipients: {codes}", permanent=permanent
            ) from error
        except (OSError, smtplib.SMTPException) as error:
            raise Undelivered(f"{server.host}:{server.port}: {error}; is the mail server up?") from error
        if refused:
            raise Undelivered(f"{server.host}:{server.port} refuses {', '.join(refused)}", permanent=True)

    def refresh(self, alerts: Sequence[Alert]) -> None:
        """Do nothing: mail needs no repetition."""

    def feedback(self) -> Sequence[Feedback]:
        """Return nothing: mail is not answered back from."""
        return ()

    def close(self) -> None:
        """Do nothing: each message has a session of its own."""


def compose(
    notification: Notification, *, sender: str, recipients: Sequence[str], template: str = TEMPLATE
) -> EmailMessage:
    """Return the message. A repeated delivery has the same Message-ID; a resolution answers the opening's message."""
    first = notification.changes[0]
    message = EmailMessage()
    more = f" and {len(notification.changes) - 1} more" if len(notification.changes) > 1 else ""
    message["Subject"] = _line(f"[{first.what} {notification.worst}] {first.alert.summary}{more}")
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Date"] = format_datetime(first.alert.updated_at)
    message["Message-ID"] = _message_id(notification.identity)
    message["X-Nexova-Alerts"] = _line(", ".join(change.alert.alert_id for change in notification.changes))
    threads = {_message_id(change.alert.alert_id) for change in notification.changes}
    message["References"] = " ".join(sorted(threads))
    message.set_content("\n".join(_text(change, template) for change in notification.changes))
    return message


def _text(change: Change, template: str) -> str:
    return fill(template, values_of(change))


def _line(text: str) -> str:
    """Return the text as one line, as what a sender wrote must not become a header."""
    return " ".join(text.split())


def _message_id(text: str) -> str:
    return f"<{hashlib.sha256(text.encode()).hexdigest()[:32]}@nexova>"
