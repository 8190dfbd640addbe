"""Interface of receivers, and the errors of HTTP receivers."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import httpx

from forwarder.changes import Notification
from runtime.errors import FailureError
from schemas.alerts import Alert
from schemas.feedback import Feedback

_AGAIN: Final = frozenset({408, 425, 429})
_BAD_REQUEST: Final = 400
_SERVER_ERROR: Final = 500
_SHOWN: Final = 200


class Undelivered(FailureError):
    """The notification was not delivered.

    permanent: the receiver answered that it will never take this one, so trying again cannot help.
    """

    def __init__(self, message: str, *, permanent: bool = False, after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.after_seconds = after_seconds


class Target(Protocol):
    """A receiver. `deliver` returns once the receiver has the notification."""

    def deliver(self, notification: Notification) -> None:
        """Deliver the notification.

        Raises:
            Undelivered: it was not delivered.
        """

    def refresh(self, alerts: Sequence[Alert]) -> None:
        """Repeat open alerts for receivers that forget them; raises as `deliver` does."""

    def feedback(self) -> Sequence[Feedback]:
        """Return the receiver's feedback since the last call; raises as `deliver` does."""

    def close(self) -> None:
        """Close all connections."""


class HttpTarget:
    """Base of HTTP receivers: one client, a bearer token, and which answers permit a retry."""

    def __init__(self, *, token: str | None, timeout_seconds: float) -> None:
        headers = {"User-Agent": "nexova-forwarder"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._client = httpx.Client(timeout=timeout_seconds, headers=headers)

    def refresh(self, alerts: Sequence[Alert]) -> None:
        """Do nothing: most receivers remember."""

    def feedback(self) -> Sequence[Feedback]:
        """Return nothing: most receivers are not answered back from."""
        return ()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def request(
        self, method: str, url: str, *, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send a request and return the answer.

        Raises:
            Undelivered: no answer, or one that is no success.
        """
        try:
            answer = self._client.request(method, url, content=content, headers=headers)
        except httpx.HTTPError as error:
            raise Undelivered(f"{method} {url}: {error or type(error).__name__}; is the receiver up?") from error
        if answer.status_code < 300:  # noqa: PLR2004  a redirect is not followed: it may lead anywhere
            return answer
        permanent = answer.status_code < _SERVER_ERROR and answer.status_code not in _AGAIN
        after = answer.headers.get("Retry-After", "")
        raise Undelivered(
            f"{method} {url}: {answer.status_code} {answer.text[:_SHOWN]!r}",
            permanent=permanent,
            after_seconds=float(after) if after.isdigit() else None,
        )
