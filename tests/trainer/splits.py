"""Data folders as `nexova data generate` leaves them."""

from pathlib import Path

import pandas as pd


def write_splits(table: pd.DataFrame, folder: Path, *, suffix: str = ".csv") -> Path:
    """Write train_data, val_data and test_data, split at 70 and 85 % of the time."""
    folder.mkdir(exist_ok=True)
    first, last = table["timestamp"].min(), table["timestamp"].max()
    bounds = [first, first + (last - first) * 0.7, first + (last - first) * 0.85, last + pd.Timedelta("1s")]
    for name, begin, end in zip(("train", "val", "test"), bounds, bounds[1:], strict=False):
        part = table[(table["timestamp"] >= begin) & (table["timestamp"] < end)]
        if suffix == ".csv":
            text = part["timestamp"].dt.strftime("%Y-%m-%dT%H:%M:%S.000Z")
            part.assign(timestamp=text).to_csv(folder / f"{name}_data.csv", index=False)
        else:
            part.to_parquet(folder / f"{name}_data.parquet")
    return folder
