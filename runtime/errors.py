"""What may go wrong outside the rules, as one tree.

    NexovaError
    ├── UsageError              the user's mistake; exit code 2; trying again cannot help
    │   └── SettingsError       a setting that breaks its rule
    └── FailureError            the world's; exit code 1
        ├── BrokerUnavailable   no broker answered; trying again can help
        ├── BrokerRefused       a broker answered and said no (credentials, rights, limits)
        ├── TopicMissing        a topic does not exist at the broker
        ├── ChildEnded          a process that we started did not come up, or ended by itself
        │   └── PortTaken       somebody else listens where the process should
        └── ToolMissing         a program of the machine that is needed is not there

Every message is one line that names the value, the rule and the remedy. The command line prints it on stderr
and ends with `exit_code`.
"""

from collections.abc import Sequence
from typing import ClassVar


class NexovaError(Exception):
    """Base of all errors that are meant to be read by people; the message is one line."""

    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UsageError(NexovaError):
    """What the user gave breaks a rule."""

    exit_code: ClassVar[int] = 2


class SettingsError(UsageError):
    """A setting from the environment, the .env file or an option breaks its rule."""


class FailureError(NexovaError):
    """What the user asked for is right, and could not be done."""


class BrokerUnavailable(FailureError):
    """No broker answered at the bootstrap servers within the tries that were allowed."""

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
    """A process that we started did not come up, or ended by itself; its last words stand in the message."""


class PortTaken(ChildEnded):
    """Somebody else listens on the port that a process of ours was to have."""


class ToolMissing(FailureError):
    """A program of this machine that the asked-for work needs is not there."""
