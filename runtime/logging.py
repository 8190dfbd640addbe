"""Log lines of all processes: text for people, JSON for collectors; to stderr, so that stdout stays for results.

Libraries talk less than we do: they are heard from WARNING on, unless the level is DEBUG. Passwords are `SecretStr`
in the settings and cannot be formatted by accident; credentials inside an address are blanked here.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from runtime.settings import Settings

# these speak at INFO about what is their own business
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
    "prophet",
    "urllib3",
    "uvicorn.access",
)
AUDIT: Final = "nexova.audit"
_CREDENTIALS: Final = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure_logging(settings: Settings, *, stream: TextIO | None = None) -> None:
    """Send all log records to `stream` (None: stderr) in the chosen form; replaces what was configured before."""
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else TextFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(settings.log_level)
    quiet = logging.DEBUG if settings.log_level == "DEBUG" else max(logging.WARNING, root.level)
    for name in CHATTY:
        logging.getLogger(name).setLevel(quiet)
    # who changed what is on record whatever the level
    logging.getLogger(AUDIT).setLevel(logging.INFO)
    logging.captureWarnings(capture=True)


class TextFormatter(logging.Formatter):
    """`12:00:00 WARNING nexova.kafka: …`, in UTC."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802, ARG002
        """Time of the record as ISO 8601 in UTC, to the millisecond."""
        return _timestamp(record)

    def format(self, record: logging.LogRecord) -> str:
        """One record as text."""
        return _blank_credentials(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: timestamp, level, logger, message, exception, and what was given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as one line of JSON."""
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
    """`s3://key:secret@host` becomes `s3://***@host`."""
    return _CREDENTIALS.sub("***", line)
