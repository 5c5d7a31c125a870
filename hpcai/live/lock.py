"""One adapter to a state folder."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from hpcai.errors import InputError


def only_one(state: str | Path) -> IO[str]:
    """Return what keeps any other adapter from the folder until it is closed. Raises InputError if one is there."""
    try:
        Path(state).mkdir(parents=True, exist_ok=True)
        file = open(Path(state) / "lock", "w")  # noqa: SIM115 (kept open)
    except OSError as error:
        raise InputError(f"state {state}: cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise InputError(f"state {state}: another adapter is at work there") from error
    return file
