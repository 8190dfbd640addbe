"""Seeded generator of hostile messages: documents of the right structure, with one or several things wrong.

A mutation works on the document (a field dropped, doubled, of another type, out of its bounds, nested, renamed) or on
its bytes (cut, flipped, repeated, in another encoding). Some leave the message valid. The same seed gives the same
messages.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

NUMBERS: Final = (
    0, -0.0, 1, -1, 1e-320, 1e308, -1e308, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63), 10**40, 0.1, 1e22,
)  # fmt: skip
TEXTS: Final = (
    "", " ", "\x00", "\ud800", "\u202e", "é" * 300, "a/b", "plant:", "../..", "<script>", "{}", "null", "NaN", "1e5",
    "x" * 5000, " padded ", "\n", "%s%n", "${jndi:ldap://x}", "'; --",
)  # fmt: skip
TIMES: Final = (
    "2026-03-01T00:00:00", "2026-02-30T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z",
    "2026-03-01T24:00:00Z", "2026-03-01T23:59:60Z", "2026-03-01T00:00:00+99:00", "2026-03-01T00:00:00-00:00", "now",
    "1970-01-01T00:00:00Z", "20260301", "2026-03-01T00:00:00.1234567890123Z", "-0001-01-01T00:00:00Z",
)  # fmt: skip
RAW: Final = (
    b"", b" ", b"null", b"[]", b"{}", b"[[]]", b"0", b'""', b"NaN", b"Infinity", b"\xff\xfe", b"\xef\xbb\xbf{}",
    b"[" * 2000, b'{"a":' * 2000, b"\x00" * 64, b"[1," * 500, b'{"machine_id":"m","machine_id":"n"}',
    b"\x1f\x8b\x08\x00", b"true",
)  # fmt: skip

Document = dict[str, Any]


class Sent(NamedTuple):
    """A message as bytes (None: a deletion), and the elements that it has as far as its sender knows."""

    value: bytes | None
    elements: int = 1


class Mutator:
    """Generator of variants of documents; `fields` may get times, others texts and numbers."""

    def __init__(self, seed: int, *, times: tuple[str, ...]) -> None:
        self.chance = random.Random(seed)
        self._times = frozenset(times)
        self._kinds: tuple[Callable[[Document], Document], ...] = (
            self._drop, self._retype, self._bound, self._nest, self._rename, self._add, self._swap,
        )  # fmt: skip

    def document(self, document: Mapping[str, Any]) -> Document:
        """Return a variant of a document with one to three mutations."""
        changed = dict(document)
        for _ in range(self.chance.choice((1, 1, 1, 2, 3))):
            changed = self.chance.choice(self._kinds)(changed)
        return changed

    def value(self, document: Mapping[str, Any]) -> bytes:
        """Return a variant of a document, or something else altogether, as bytes."""
        if self.chance.random() < 0.15:
            return self.chance.choice(RAW)
        text = json.dumps(self.document(document), ensure_ascii=self.chance.random() < 0.5)
        # a lone surrogate has no encoding, so a device that sends one sends these bytes
        content = text.encode("utf-8", "surrogatepass")
        return self.bytes_of(content) if self.chance.random() < 0.3 else content

    def bytes_of(self, content: bytes) -> bytes:
        """Return a variant of bytes: cut, flipped, repeated, or in another encoding."""
        if not content:
            return b"\x00"
        place = self.chance.randrange(len(content))
        before, after = content[:place], content[place:]
        extra = self.chance.choice((b"\x00", b"\xff", b",", b'"', b"\\u12"))
        encoding = self.chance.choice(("utf-16", "utf-32", "utf-8-sig"))
        flipped = bytes([after[0] ^ (1 << self.chance.randrange(8))])
        return self.chance.choice(
            (
                before,
                before + flipped + after[1:],
                before + extra + after,
                content + content,
                content.decode("utf-8", "replace").encode(encoding),
                before + after[:40] * 3 + after,
            )
        )

    def _any(self, name: str) -> Any:
        if name in self._times and self.chance.random() < 0.6:
            return self.chance.choice(TIMES)
        drawn = self.chance.randrange(6)
        if drawn == 0:
            return self.chance.choice(TEXTS)
        if drawn == 1:
            return self.chance.choice((None, True, False))
        if drawn == 2:
            return self.chance.choice(([], {}, [[[]]], {"a": {"b": []}}, [1] * 100))
        if drawn == 3:
            return self.chance.choice((float("nan"), float("inf"), float("-inf")))
        return self.chance.choice(NUMBERS)

    def _field(self, document: Document) -> str:
        return self.chance.choice(sorted(document)) if document else "machine_id"

    def _drop(self, document: Document) -> Document:
        gone = self._field(document)
        return {name: value for name, value in document.items() if name != gone}

    def _retype(self, document: Document) -> Document:
        name = self._field(document)
        return document | {name: self._any(name)}

    def _bound(self, document: Document) -> Document:
        numbers = [name for name, value in document.items() if isinstance(value, float | int)]
        return document | {self.chance.choice(numbers): self.chance.choice(NUMBERS)} if numbers else document

    def _nest(self, document: Document) -> Document:
        name, inner = self._field(document), document.get(self._field(document))
        for _ in range(self.chance.choice((1, 3, 30, 150))):
            inner = self.chance.choice(([inner], {"x": inner}))
        return document | {name: inner}

    def _rename(self, document: Document) -> Document:
        old = self._field(document)
        new = self.chance.choice((old.upper(), old + " ", "", "__class__", old[::-1], self.chance.choice(TEXTS)))
        return {new if name == old else name: value for name, value in document.items()}

    def _add(self, document: Document) -> Document:
        return document | {f"{self.chance.choice(TEXTS)[:40]}{self.chance.randrange(99)}": self._any("")}

    def _swap(self, document: Document) -> Document:
        one, other = self._field(document), self._field(document)
        return document | {one: document.get(other), other: document.get(one)}


def hostile_readings(seed: int, reading: Callable[[int], Document]) -> Iterator[Sent]:
    """Yield messages with readings without end; reading: a good one, by number."""
    mutator = Mutator(seed, times=("timestamp",))
    chance, number = mutator.chance, 0
    while True:
        number += 1
        drawn = chance.random()
        if drawn < 0.02:
            yield Sent(None)
        elif drawn < 0.9:
            yield Sent(mutator.value(reading(number)))
        else:  # arrays of what is good, bad and no reading at all
            count = chance.choice((1, 2, 5, 40, 40, 400))
            elements = [
                reading(number) if chance.random() < 0.5 else mutator.document(reading(number)) for _ in range(count)
            ]
            text = json.dumps(elements, ensure_ascii=True)
            yield Sent(text.encode(), count)
