"""Storage of model files in a local folder or a bucket.

Paths are relative, with `/`. All failures are OSErrors, FileNotFoundError and FileExistsError among them.
"""

import os
import re
import shutil
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem


class BucketStorage:
    """Any fsspec file system. Without an atomic rename, a new folder counts once its last file is written."""

    def __init__(self, fs: Any, base: str) -> None:
        self._fs = fs
        self._base = base.rstrip("/")

    def read(self, path: str) -> bytes:
        """Return the content of a file."""
        return bytes(self._fs.cat_file(self._full(path)))

    def exists(self, path: str) -> bool:
        """Return whether a file exists now, without cached listings."""
        self._fs.invalidate_cache()
        return bool(self._fs.exists(self._full(path)))

    def folders(self, path: str, pattern: re.Pattern[str]) -> list[str]:
        """Return the names of the folders in a folder that match, sorted; none where it does not exist."""
        self._fs.invalidate_cache()
        entries: list[dict[str, Any]] = []
        with suppress(FileNotFoundError):
            entries = self._fs.ls(self._full(path), detail=True)
        paths = (str(entry["name"]) for entry in entries if entry["type"] == "directory")
        names = (full.rstrip("/").rsplit("/", 1)[-1] for full in paths)
        return sorted(name for name in names if pattern.fullmatch(name))

    def create(self, folder: str, files: Mapping[str, bytes]) -> None:
        """Write the files of a new folder in the order given.

        The first one, written only where none is, decides between two writers of the same folder.
        """
        for file, content in files.items():
            self._fs.pipe_file(self._full(f"{folder}/{file}"), content, mode="create")

    def replace(self, path: str, content: bytes) -> None:
        """Write a file, replacing an older one atomically."""
        self._fs.pipe_file(self._full(path), content)

    def append(self, path: str, content: bytes) -> None:
        """Append to a file; of two simultaneous appends to a bucket, one may be lost."""
        before = self.read(path) if self.exists(path) else b""
        self.replace(path, before + content)

    def _full(self, path: str) -> str:
        return f"{self._base}/{path}".rstrip("/")


class FolderStorage(BucketStorage):
    """A local folder, created at the first write; `create`, `replace` and `append` are atomic."""

    def create(self, folder: str, files: Mapping[str, bytes]) -> None:
        """Write the files to a temporary folder and rename it, which fails if the folder exists."""
        final = Path(self._full(folder))
        draft = final.parent / f".{final.name}.{uuid.uuid4().hex}"
        draft.mkdir(parents=True)
        try:
            for file, content in files.items():
                _write_through(draft / file, content)
            try:
                draft.rename(final)
            except OSError as error:
                if final.exists():  # "directory not empty", under the number of each system
                    raise FileExistsError(str(final)) from error
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def replace(self, path: str, content: bytes) -> None:
        """Write a temporary file and rename it."""
        final = Path(self._full(path))
        final.parent.mkdir(parents=True, exist_ok=True)
        draft = final.parent / f".{final.name}.{uuid.uuid4().hex}"
        try:
            _write_through(draft, content)
            draft.replace(final)
        finally:
            draft.unlink(missing_ok=True)

    def append(self, path: str, content: bytes) -> None:
        """Append in one write, so that simultaneous appends are all kept."""
        file = Path(self._full(path))
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab", buffering=0) as target:
            target.write(content)
            os.fsync(target.fileno())


def open_storage(root: str) -> BucketStorage:
    """Return the storage of a folder or an fsspec URL.

    Raises:
        ValueError: no file system is known for the URL.
        ImportError: the package for its kind of URL is not installed.
    """
    fs, base = url_to_fs(root)
    return (FolderStorage if isinstance(fs, LocalFileSystem) else BucketStorage)(fs, base)


def _write_through(path: Path, content: bytes) -> None:
    with path.open("wb") as target:
        target.write(content)
        target.flush()
        os.fsync(target.fileno())
