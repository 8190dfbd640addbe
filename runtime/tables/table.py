"""A table of a CSV or Parquet file: cells as text, or typed where the file has types."""

import io
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pandas as pd

from runtime.errors import UsageError
from runtime.tables.recognise import TextForm, decode

MISSING: Final = frozenset(
    {"", "nan", "null", "na", "n/a", "none", "nil", "-", "--", "?", "\\n", "#n/a", "#na", "#value!", "missing", "bad"}
)
"""Cells, in lower case, that mean a missing value."""
PARQUET: Final = (".parquet", ".pq")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Cells of a file; the index of `frame` has the number of each row's line (of a Parquet file: of its row).

    form: how a text file is written; None for Parquet. Lines are right where no cell holds a line break.
    """

    path: Path
    frame: pd.DataFrame
    form: TextForm | None

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return [str(name) for name in self.frame.columns]

    def place(self, row: int) -> str:
        """Return where a row stands: `readings.csv, line 3`."""
        word = "line" if self.form else "row"
        return f"{self.path}, {word} {int(self.frame.index[row])}"

    def text(self, column: str) -> "pd.Series[str]":
        """Return a column as text, "" where the value is missing."""
        cells = self.frame[column]
        if isinstance(cells.dtype, pd.CategoricalDtype):
            cells = cells.astype(object)
        if pd.api.types.is_string_dtype(cells) or cells.dtype == object:
            return cells.fillna("").astype(str).str.strip()
        if cells.dtype.kind == "M":
            raise UsageError(f"{self.path}: column {column} holds times; it must hold text")
        return cells.map(lambda value: "" if pd.isna(value) else str(value)).astype(str)

    def with_decimal(self, decimal: str) -> "Table":
        """Return the same table, with its decimal sign known."""
        return self if self.form is None else replace(self, form=replace(self.form, decimal=decimal))


def read_table(path: Path, form: TextForm | None = None) -> Table:
    """Return the table of a .csv (or any other text) or .parquet file.

    Raises:
        UsageError: there is no such file, it is empty, or it is no table; the message names the remedy.
    """
    if not path.exists():
        raise UsageError(f"{path}: there is no such file; check the path")
    if not path.is_file():
        raise UsageError(f"{path}: is no file; name a CSV or Parquet file")
    found = _parquet(path) if path.suffix.lower() in PARQUET else _text(path, form or TextForm())
    names = found.columns
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{path}: column {twice[0]!r} is there {names.count(twice[0])} times; rename or remove one")
    if found.frame.empty:
        raise UsageError(f"{path}: it has no rows; choose a file with data")
    return found


def _parquet(path: Path) -> Table:
    try:
        frame: Any = pd.read_parquet(path)
    # the parser raises errors of many kinds for a file that is not what its name says
    except Exception as error:
        detail = "".join(each if each.isprintable() else "?" for each in " ".join(str(error).split()))[:120]
        raise UsageError(f"{path}: cannot be read: {detail}; give a Parquet file, or a CSV") from error
    frame.index = pd.RangeIndex(1, len(frame) + 1)
    return Table(path=path, frame=frame, form=None)


def _text(path: Path, form: TextForm) -> Table:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read as CSV ({error.strerror}); check its permissions") from None
    text = decode(raw, form, source=str(path))
    if not text.content.strip():
        raise UsageError(f"{path}: it is empty; choose a file with data")
    try:
        with warnings.catch_warnings():
            # without index_col=False a first row with a cell too many would shift all columns by one
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                io.StringIO(text.content),
                sep=text.form.separator,
                quotechar=text.quote,
                dtype=str,
                header=None,
                keep_default_na=False,
                skip_blank_lines=False,
                skipinitialspace=True,
                index_col=False,
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError, ValueError) as error:
        reason = " ".join(str(error).replace("Error tokenizing data. C error: ", "").split())
        if isinstance(error, pd.errors.ParserWarning):
            reason = "a line has more cells than the first one"
        raise UsageError(f"{path}: {reason}; give each line as many cells as the first one has") from None
    frame = frame.fillna("")  # a line that ends early
    frame.index = pd.RangeIndex(1 + text.skipped, len(frame) + 1 + text.skipped)
    frame = frame[(frame != "").any(axis=1)]
    heads = [str(name).strip() for name in frame.iloc[0]]
    frame = frame.iloc[1:]
    frame.columns = pd.Index(heads)
    return Table(path=path, frame=frame, form=text.form)
