"""Documents of a JSON record: one, an array, or one a line; a byte order mark is skipped."""

import json
from collections.abc import Sequence
from typing import Final

import msgspec

from core.sources.record import Unusable
from schemas.codec import MOST_READINGS

BOM: Final = b"\xef\xbb\xbf"
_FAILURES: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError)
_decode: Final = msgspec.json.Decoder().decode


def json_documents(value: bytes) -> Sequence[object]:
    """Return the documents of a record.

    Raises:
        Unusable: the record is empty, no JSON, or holds too many documents.
    """
    plain = value.removeprefix(BOM)
    try:
        found = _decode(plain)
    except _FAILURES:
        found = _closer(plain)
    documents = found if isinstance(found, list) else [found]
    if not documents:
        raise Unusable("empty_value", "the message is empty; send a document, or several by lines")
    if len(documents) > MOST_READINGS:
        detail = f"{len(documents)} documents is above the limit of {MOST_READINGS}; send fewer in a message"
        raise Unusable("too_large", detail)
    return documents


def _closer(value: bytes) -> list[object]:
    """Return the documents of a record that is not one JSON document: JSON lines, or JSON with NaN."""
    lines = [line for line in value.split(b"\n") if line.strip()]
    documents: list[object] = []
    for line in lines if len(lines) > 1 else [value]:
        try:
            document = _with_nan(line)
        except _FAILURES as error:
            # a document over several lines is none by lines
            if len(lines) > 1:
                try:
                    whole = _with_nan(value)
                except _FAILURES:
                    pass
                else:
                    return whole if isinstance(whole, list) else [whole]
            raise Unusable("not_json", f"{error}; send UTF-8 JSON, one document or one a line") from None
        documents += document if isinstance(document, list) else [document]
    return documents


def _with_nan(value: bytes) -> object:
    """Return decoded JSON in which NaN is allowed for missing values."""
    return json.loads(value.strip() or b"[]")
