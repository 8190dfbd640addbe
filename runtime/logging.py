"""Logging of all processes to stderr, as text or JSON; stdout is for results only.

Libraries log from WARNING on, unless the level is DEBUG. Passwords are `SecretStr` in the settings and cannot be
formatted by accident; credentials inside an address are masked here.
"""

import json
import logging
import math
import re
import sys
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from runtime.settings import Settings

# these log internals of their own at INFO; "processor" is what Faust derives from our class names
CHATTY: Final = (
    "aiohttp",
    "aiokafka",
    "asyncio",
    "cmdstanpy",
    "confluent_kafka",
    "faust",
    "fsspec",
    "httpx",
    "mode",
    "numba",
    "processor",
    "prophet",
    "urllib3",
    "uvicorn.access",
)
# they recover from every error that they log, or raise it; an unreachable broker would cause hundreds of lines
MENDING: Final = ("aiokafka", "mode.timers")
AUDIT: Final = "nexova.audit"
REPEAT_SECONDS: Final = 60.0
_NUMBERS: Final = re.compile(r"\d+")
_COMPARED: Final = 80
_REMEMBERED: Final = 1_000
_CREDENTIALS: Final = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure_logging(settings: Settings, *, stream: TextIO | None = None) -> None:
    """Send all log records to `stream` (None: stderr) in the chosen form, replacing any earlier configuration."""
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else TextFormatter())
    if settings.log_level != "DEBUG":
        handler.addFilter(RepeatFilter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(settings.log_level)
    quiet = logging.DEBUG if settings.log_level == "DEBUG" else max(logging.WARNING, root.level)
    for name in CHATTY:
        logging.getLogger(name).setLevel(quiet)
    for name in MENDING:
        logging.getLogger(name).setLevel(max(logging.CRITICAL, quiet) if quiet > logging.DEBUG else quiet)
    # who changed what is on record whatever the level
    logging.getLogger(AUDIT).setLevel(logging.INFO)
    logging.captureWarnings(capture=True)


class RepeatFilter(logging.Filter):
    """Filter that passes one of many equal lines of libraries in a minute, and counts the others.

    Clients of a broker that is away log each of their attempts. Lines are equal that differ in numbers only.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is to be logged."""
        if record.name.startswith("nexova") and record.name != "nexova.kafka":
            return True
        key = (record.name, _NUMBERS.sub("#", record.getMessage())[:_COMPARED])
        since, left_out = self._seen.get(key, (-math.inf, 0))
        if record.created - since < REPEAT_SECONDS:
            self._seen[key] = (since, left_out + 1)
            return False
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        self._seen[key] = (record.created, 0)
        if left_out:
            record.msg, record.args = f"{record.getMessage()} (and {left_out} more like this)", None
        return True


class TextFormatter(logging.Formatter):
    """`12:00:00 WARNING nexova.kafka: …`, in UTC."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802, ARG002
        """Return the time of the record as ISO 8601 in UTC, to the millisecond."""
        return _timestamp(record)

    def format(self, record: logging.LogRecord) -> str:
        """Return one record as text."""
        return _blank_credentials(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: timestamp, level, logger, message, exception, and the fields of `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one record as one line of JSON."""
        document: dict[str, Any] = {
            "timestamp": _timestamp(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        document |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return _blank_credentials(json.dumps(document, default=str, ensure_ascii=False))


def _timestamp(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _blank_credentials(line: str) -> str:
    """Mask credentials: `s3://key:secret@host` becomes `s3://***@host`."""
    return _CREDENTIALS.sub("***", line)
