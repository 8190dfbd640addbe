"""Trace context of messages: the header `traceparent` (W3C), kept from a reading to the alert that it caused."""

import re
from collections.abc import Iterable
from typing import Final

TRACEPARENT: Final = "traceparent"
_FORM: Final = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

Headers = dict[str, bytes | str | None] | Iterable[tuple[str, bytes | str | None]] | None
"""As Kafka clients hand them over: pairs, or a mapping."""


def traceparent_of(headers: Headers) -> bytes | None:
    """Return the trace context among a message's headers; None where there is none, or none of the standard's form."""
    for name, value in headers.items() if isinstance(headers, dict) else headers or ():
        if name == TRACEPARENT:
            given = value.encode() if isinstance(value, str) else value
            return given if given is not None and _FORM.fullmatch(given) else None
    return None
