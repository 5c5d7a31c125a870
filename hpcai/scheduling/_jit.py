"""The Numba decorator of the hot path, and a cache that notices a change in any of its files."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])

_HERE = Path(__file__).parent
_FOLDERS = (_HERE, _HERE / "placement", _HERE.parent / "simulation")


def _drop_stale_cache() -> None:
    """Delete cached machine code if any source of the hot path is newer than the last time we looked.

    Numba keys a cached function by its own file alone, so an edit of a function that it calls would go
    unnoticed and the old code would run.
    """
    sources = sorted(path for folder in _FOLDERS for path in folder.glob("*.py"))
    fingerprint = "\n".join(f"{path.name} {path.stat().st_mtime_ns} {path.stat().st_size}" for path in sources)
    stamp = _HERE / "__pycache__" / "hot_path.stamp"
    with contextlib.suppress(OSError):  # a read-only installation: its sources do not change either
        if not stamp.is_file() or stamp.read_text("utf-8") != fingerprint:
            for folder in _FOLDERS:
                for cached in (folder / "__pycache__").glob("*.nb[ic]"):
                    cached.unlink(missing_ok=True)
            stamp.parent.mkdir(exist_ok=True)
            stamp.write_text(fingerprint, "utf-8")


_drop_stale_cache()


def jit(function: F) -> F:
    """Compile ``function`` with Numba at its first call; cached on disk; x / 0 follows IEEE 754.

    The hot path allocates nothing, so Numba is told to leave out reference counting: it would otherwise count
    every array of the state up and down at every call, which takes most of the time of a replay. It holds no
    lock of Python's either, so that threads can step episodes side by side.
    """
    options: dict[str, Any] = {"cache": True, "error_model": "numpy", "nogil": True, "_nrt": False}
    return cast(F, numba.njit(**options)(function))


def announce_compilation(function: Callable[..., Any]) -> None:
    """Say on stderr that ``function`` is about to be compiled, unless its machine code is at hand."""
    dispatcher = cast(Any, function)
    if dispatcher.signatures:
        return
    cached = Path(dispatcher.stats.cache_path).glob(f"*{dispatcher.py_func.__name__}-*.nbc")
    if next(iter(cached), None) is None:
        print("hpcai: compiling the replay (once on this machine, a minute or two) ...", file=sys.stderr)
