"""Learned things in files of plain arrays (.npz), read without ever unpickling."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from hpcai.errors import InputError


def changed_at(path: str | Path, what: str) -> int:
    """Return when a file was last written, by which a reader may keep it.

    Raises InputError, calling the file ``what``, if there is none.
    """
    try:
        return Path(path).stat().st_mtime_ns
    except OSError as error:
        raise InputError(f"{what} {path}: cannot be read: {error.strerror}") from error


def read_arrays(path: str | Path) -> dict[str, Any]:
    """Return the arrays in a file. Raises ValueError if it cannot be read or holds anything but plain arrays."""
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, EOFError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        raise ValueError("not a file of plain arrays") from error


def file_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file. Raises InputError if it cannot be read."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
