"""Trace context of messages: the W3C header `traceparent`, passed from a reading to the alert that it caused."""

import re
from collections.abc import Iterable
from typing import Final

TRACEPARENT: Final = "traceparent"
_FORM: Final = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

Headers = dict[str, bytes | str | None] | Iterable[tuple[str, bytes | str | None]] | None
"""Headers in the forms that Kafka clients return: pairs, or a mapping."""


def traceparent_of(headers: Headers) -> bytes | None:
    """Return the trace context among a message's headers; None where it is missing or not of the standard's form."""
    for name, value in headers.items() if isinstance(headers, dict) else headers or ():
        if name == TRACEPARENT:
            found = value.encode() if isinstance(value, str) else value
            return found if found is not None and _FORM.fullmatch(found) else None
    return None
