"""Errors outside the rules, as one tree.

    NexovaError
    ├── UsageError              the user's mistake; exit code 2; retries cannot help
    │   └── SettingsError       a setting that breaks its rule
    └── FailureError            a failure of the environment; exit code 1
        ├── BrokerUnavailable   no broker answered; trying again can help
        ├── BrokerRefused       a broker answered and refused (credentials, rights, limits)
        ├── TopicMissing        a topic does not exist at the broker
        ├── ChildEnded          a child process did not start, or ended by itself
        │   └── PortTaken       another process listens on the port
        └── ToolMissing         a required program is not installed

Every message is one line that names the value, the rule and the remedy. The command line prints it on stderr
and ends with `exit_code`.
"""

from collections.abc import Sequence
from typing import ClassVar


class NexovaError(Exception):
    """Base of all errors meant for users; the message is one line."""

    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UsageError(NexovaError):
    """The user's input breaks a rule."""

    exit_code: ClassVar[int] = 2


class SettingsError(UsageError):
    """A setting from the environment, the .env file or an option breaks its rule."""


class FailureError(NexovaError):
    """A valid request that could not be carried out."""


class BrokerUnavailable(FailureError):
    """No broker answered at the bootstrap servers within the allowed attempts."""

    retryable: ClassVar[bool] = True


class BrokerRefused(FailureError):
    """A broker answered and refused: credentials, rights, or a limit of its own."""


class TopicMissing(FailureError):
    """A topic does not exist at the broker."""

    def __init__(self, topics: Sequence[str], servers: str) -> None:
        does = "does" if len(topics) == 1 else "do"
        super().__init__(f"{', '.join(topics)} {does} not exist at {servers}; run `nexova topics create`")
        self.topics = tuple(topics)


class ChildEnded(FailureError):
    """A child process did not start, or ended by itself; the message has the last line of its log."""


class PortTaken(ChildEnded):
    """Another process listens on the port of a child process."""


class ToolMissing(FailureError):
    """A program that is required for the requested work is not installed."""
