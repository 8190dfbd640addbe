"""Labelled data sets in files, split by time, for training and back-tests.

The files appear together: they are written to a temporary folder beside the output folder, which is then renamed.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from tempfile import mkdtemp
from typing import Final, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv as pa_csv
from pyarrow import parquet as pa_parquet

from core.plant import Plant
from producer.generator import DATA_START, IndustrialDataGenerator
from runtime.errors import FailureError, UsageError

FileFormat = Literal["csv", "parquet"]
SPLITS: Final = ("train_data", "val_data", "test_data")
BALANCED: Final = "anomaly_binary"
DESCRIPTION: Final = "dataset.json"
_DATASET_FILES: Final = frozenset(
    {DESCRIPTION} | {f"{name}.{end}" for name in (*SPLITS, BALANCED) for end in ("csv", "parquet")}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSummary:
    """One file: rows, share of anomalous rows, and the instants of its first and last row (ISO 8601)."""

    file: str
    rows: int
    anomalous_share: float
    first: str
    last: str


def parse_ratio(text: str) -> tuple[float, float, float]:
    """Return the shares of training, validation and test, of a text such as "80/10/10"; they sum to 1.

    Raises:
        UsageError: not three numbers above 0.
    """
    try:
        parts = tuple(float(part) for part in text.split("/"))
    except ValueError:
        parts = ()
    if len(parts) != len(SPLITS) or not all(0 < part < float("inf") for part in parts):
        raise UsageError(f"ratio = {text!r}: must be three numbers above 0; write for example 80/10/10")
    train, validation, test = (part / sum(parts) for part in parts)
    return train, validation, test


def write_dataset(
    out: Path,
    *,
    plant: Plant,
    days: int = 180,
    machines: int = 8,
    frequency: str = "5min",
    seed: int = 42,
    ratio: str = "80/10/10",
    file_format: FileFormat = "csv",
    start: datetime = DATA_START,
    overwrite: bool = False,
) -> tuple[SplitSummary, ...]:
    """Generate data and write train_data, val_data, test_data (in order of time) and anomaly_binary to `out`.

    anomaly_binary holds all anomalous rows of the training part and as many normal ones of running machines.
    dataset.json records the arguments. The same arguments give the same bytes.

    Raises:
        UsageError: an argument breaks its rule, or `out` already contains files.
        FailureError: the files cannot be written.
    """
    shares = parse_ratio(ratio)
    _check_folder(out, overwrite=overwrite)
    generator = IndustrialDataGenerator(seed=seed, plant=plant)
    data = generator.generate_energy_timeseries(days, frequency, machines, start=start)
    parts = dict(zip(SPLITS, split_by_time(data, shares), strict=True))
    parts[BALANCED] = balanced(parts[SPLITS[0]], seed=seed)
    with _replacement_of(out) as folder:
        summaries = tuple(_write(part, folder / f"{name}.{file_format}") for name, part in parts.items())
        description = {
            "plant": plant.name,
            "plant_fingerprint": plant.fingerprint,
            "days": days,
            "machines": machines,
            "frequency": frequency,
            "seed": seed,
            "ratio": ratio,
            "start": start.isoformat(),
            "files": [asdict(summary) for summary in summaries],
        }
        text = json.dumps(description, indent=2) + "\n"
        (folder / DESCRIPTION).write_text(text, encoding="utf-8")
    return summaries


def split_by_time(data: pd.DataFrame, shares: tuple[float, float, float]) -> tuple[pd.DataFrame, ...]:
    """Return three parts of `data` in order of time, cut between two instants; none is empty.

    Raises:
        UsageError: there are too few instants for three parts.
    """
    instants = data["timestamp"].drop_duplicates()
    ends = [round(len(instants) * shares[0]), round(len(instants) * (shares[0] + shares[1]))]
    if not 0 < ends[0] < ends[1] < len(instants):
        raise UsageError(f"{len(instants)} instants are too few for three parts; generate more days")
    cuts = instants.iloc[ends]
    edges = [0, *np.searchsorted(data["timestamp"], cuts), len(data)]
    return tuple(data.iloc[first:last] for first, last in pairwise(edges))


def balanced(data: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Return all anomalous rows of `data` and as many normal ones of running machines, in order of time."""
    anomalous = np.flatnonzero(data["anomaly"] == 1)
    normal = np.flatnonzero((data["anomaly"] == 0) & (data["condition"] == "running"))
    count = min(len(anomalous), len(normal))
    random = np.random.default_rng(seed)
    chosen = [random.choice(rows, count, replace=False) for rows in (anomalous, normal)]
    return data.iloc[np.sort(np.concatenate(chosen))]


def _check_folder(out: Path, *, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; name a folder")
    existing = sorted(path.name for path in out.iterdir()) if out.exists() else []
    foreign = [name for name in existing if name not in _DATASET_FILES]
    if foreign:
        raise UsageError(f"{out}: contains {foreign[0]}, which is not part of a data set; name an empty or new folder")
    if existing and not overwrite:
        raise UsageError(f"{out}: already contains {existing[0]}; name another folder, or add --overwrite")


@contextmanager
def _replacement_of(out: Path) -> Iterator[Path]:
    """Yield a temporary folder that replaces `out` on success and is removed on an error."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise FailureError(f"{out}: cannot be created: {error}") from error
    try:
        yield folder
        folder.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        folder.rename(out)
    except OSError as error:
        raise FailureError(f"{out}: cannot be written: {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(part: pd.DataFrame, path: Path) -> SplitSummary:
    times = part["timestamp"].dt.tz_localize(None).to_numpy().astype("datetime64[ms]")
    whole = bool((times == times.astype("datetime64[s]")).all())
    stamps = np.char.add(np.datetime_as_string(times, unit="s" if whole else "ms"), "Z")
    columns = {name: pa.array(part[name], from_pandas=True) for name in part.columns}
    if path.suffix == ".csv":
        columns["timestamp"] = pa.array(stamps)
        special = part["machine_id"].str.contains(r'[,"\r\n]').any()
        style = "needed" if special else "none"
        options = pa_csv.WriteOptions(quoting_style=style, quoting_header="none")
        pa_csv.write_csv(pa.table(columns), path, options)
    else:
        pa_parquet.write_table(pa.table(columns), path)
    return SplitSummary(
        file=path.name,
        rows=len(part),
        anomalous_share=round(float(part["anomaly"].mean()), 4),
        first=str(stamps[0]),
        last=str(stamps[-1]),
    )
