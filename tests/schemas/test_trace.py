"""The trace context of a message: only what the standard calls one."""

import pytest

from schemas.trace import Headers, traceparent_of

TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (None, None),
        ([], None),
        ([("other", b"x"), ("traceparent", TRACE)], TRACE),
        ([("traceparent", TRACE.decode())], TRACE),
        ([("traceparent", None)], None),
        ([("traceparent", b"00-ab-cd-01")], None),
        ([("traceparent", TRACE + b"\nX: y")], None),
    ],
)
def test_a_trace_context_is_found_if_it_has_the_form_of_the_standard(headers: Headers, found: bytes | None) -> None:
    assert traceparent_of(headers) == found
