"""Form of a text table: encoding, separator, quote and decimal sign, recognised or stated."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from runtime.errors import UsageError

SEPARATORS: Final = ",;\t|"
_NAMES: Final = {"\t": "tab", ",": "comma", ".": "point", ";": "semicolon", "|": "bar"}
_LOOKED_AT: Final = 50  # lines whose separators are counted
_EXCEL: Final = re.compile(r"sep=(.)\r?\n")
_GROUPS: Final = {
    ",": re.compile(r"[+-]?\d{1,3}(?:,\d{3})+"),
    ".": re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+"),
}
_FRACTION: Final = {
    ",": re.compile(r"[+-]?\d*(?:\.\d{3})*,\d+(?:[eE][+-]?\d+)?"),
    ".": re.compile(r"[+-]?\d*(?:,\d{3})*\.\d*(?:[eE][+-]?\d+)?"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TextForm:
    """Form of a text table; None: to be recognised from the file."""

    encoding: str | None = None
    separator: str | None = None
    decimal: str | None = None

    def __post_init__(self) -> None:
        """Check the stated form.

        Raises:
            UsageError: a separator or decimal sign that cannot be one; the message names the remedy.
        """
        if self.separator is not None and len(self.separator) != 1:
            raise UsageError(f"separator {self.separator!r}: must be one character, such as , or ;")
        if self.decimal not in {None, ",", "."}:
            raise UsageError(f"decimal {self.decimal!r}: must be , or .")

    def sentence(self) -> str:
        """Return the form in words: `separator semicolon, decimal comma, encoding utf-8`."""
        separator, decimal = self.separator or ",", self.decimal or "."
        names = (_NAMES.get(separator, separator), _NAMES[decimal], self.encoding)
        return "separator {}, decimal {}, encoding {}".format(*names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A decoded file. skipped: lines before the header; quote: the character around cells."""

    content: str
    form: TextForm
    skipped: int
    quote: str


def decode(raw: bytes, form: TextForm, *, source: str) -> Text:
    """Return the text of a file with its encoding and separator.

    Raises:
        UsageError: the bytes are no text in the stated encoding, or no text at all.
    """
    content, encoding = _decoded(raw, form.encoding, source=source)
    if "\0" in content:
        raise UsageError(f"{source}: cannot be read as CSV (it holds binary data); save it as UTF-8 text")
    skipped, separator = 0, form.separator
    excel = _EXCEL.match(content)
    if excel:
        skipped, content = 1, content[excel.end() :]
        separator = separator or excel[1]
    if separator is None:
        separator = _separator(islice(content.splitlines(), _LOOKED_AT))
    first = content.lstrip()[:1]
    return Text(
        content=content,
        form=replace(form, encoding=encoding, separator=separator),
        skipped=skipped,
        quote="'" if first == "'" else '"',
    )


def _decoded(raw: bytes, encoding: str | None, *, source: str) -> tuple[str, str]:
    guesses = ["utf-16"] if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else ["utf-8-sig", "cp1252"]
    for guess in [encoding] if encoding else guesses:
        try:
            return raw.decode(guess), guess.removesuffix("-sig")
        except UnicodeError:
            continue
        except LookupError:
            raise UsageError(f"encoding {guess}: is unknown; write for example utf-8 or cp1252") from None
    tried = encoding or "UTF-8"
    raise UsageError(f"{source}: cannot be read as CSV (no {tried} text); save it as UTF-8, or state its encoding")


def _separator(lines: Iterable[str]) -> str:
    """Return the separator that the header has most often, and the same number of times in the other lines."""
    rows = [re.sub(r'"[^"]*"', "", line) for line in lines if line.strip()]
    if not rows:
        return ","

    def agreement(separator: str) -> tuple[float, int]:
        count = rows[0].count(separator)
        equal = sum(row.count(separator) == count for row in rows) / len(rows)
        return (equal if count else -1.0, count)

    return max(SEPARATORS, key=agreement)


def decimal_of(cells: Iterable[tuple[int, str, str]], form: TextForm, *, source: str) -> str:
    """Return the decimal sign of the cells (line, column, text) of columns that hold numbers.

    Raises:
        UsageError: both signs occur as decimal signs, or one could separate thousands as well; the remedy is to state
            it.
    """
    if form.decimal is not None:
        return form.decimal
    proof: dict[str, tuple[int, str, str]] = {}
    doubt: dict[str, tuple[int, str, str]] = {}
    for line, column, text in cells:
        for sign in ",.":
            if sign in text and _FRACTION[sign].fullmatch(text):
                (doubt if _GROUPS[sign].fullmatch(text) else proof).setdefault(sign, (line, column, text))
    if len(proof) > 1:
        (_, comma_column, comma), (line, _, point) = proof[","], proof["."]
        raise UsageError(
            f"{source}, line {line}: {point!r} has a point, but {comma!r} in column {comma_column} a decimal comma; "
            "write one of them everywhere, or state --decimal"
        )
    if proof:
        return next(iter(proof))
    if "," in doubt and form.separator == ",":
        line, column, text = doubt[","]
        raise UsageError(f"{source}, line {line}, {column}: {text!r} may be a fraction or thousands; state --decimal")
    return "," if "," in doubt and "." not in doubt else "."
