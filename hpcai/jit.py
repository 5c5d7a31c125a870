"""The Numba decorator of the hot path, and a cache that notices a change in any of its files."""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])

_HERE: Final = Path(__file__).parent
_OPTIONS: Final[dict[str, Any]] = {"cache": True, "error_model": "numpy", "nogil": True, "_nrt": False}
_CALLS: Final = {  # folders of compiled functions, and the folders whose functions they call
    "cluster/network": (),
    "cooling": (),
    "device_placement": (),
    "device_placement/learned": ("device_placement",),
    "faults": (),
    "faults/checkpoints": (),
    "scheduling": (),
    "scheduling/placement": ("scheduling",),
    "scheduling/gpu_cluster": ("cluster/network", "scheduling", "scheduling/placement"),
    "learning/bundling": ("cluster/network", "scheduling", "scheduling/placement", "scheduling/gpu_cluster"),
    "live/cluster": ("cluster/network", "scheduling", "scheduling/placement", "scheduling/gpu_cluster"),
    "simulation": ("scheduling",),
    "simulation/gpu_cluster": (
        "cluster/network",
        "scheduling",
        "scheduling/placement",
        "scheduling/gpu_cluster",
        "simulation",
    ),
    "simulation/faults": ("faults/checkpoints",),
    "simulation/site/rules": (
        "cluster/network",
        "scheduling",
        "scheduling/placement",
        "scheduling/gpu_cluster",
        "simulation",
        "simulation/gpu_cluster",
    ),
}


def _fingerprint(folders: Iterable[str]) -> str:
    """Return what changes with any source in ``folders``."""
    sources = sorted(path for folder in folders for path in (_HERE / folder).glob("*.py"))
    return "\n".join(f"{path} {path.stat().st_mtime_ns} {path.stat().st_size}" for path in sources)


def _drop_stale_cache(folder: str) -> None:
    """Delete a folder's cached machine code if any source of its functions is newer than the last time we looked.

    Numba keys a cached function by its own file alone, so an edit of a function that it calls would go
    unnoticed and the old code would run.
    """
    fingerprint = _fingerprint((folder, *_CALLS[folder]))
    stamp = _HERE / folder / "__pycache__" / "hot_path.stamp"
    with contextlib.suppress(OSError):  # a read-only installation: its sources do not change either
        if not stamp.is_file() or stamp.read_text("utf-8") != fingerprint:
            for cached in stamp.parent.glob("*.nb[ic]"):
                cached.unlink(missing_ok=True)
            stamp.parent.mkdir(exist_ok=True)
            stamp.write_text(fingerprint, "utf-8")


def _use_own_cache() -> None:
    """Where NUMBA_CACHE_DIR says where machine code is kept, keep that of each state of the sources by itself."""
    config = cast(Any, numba.config)
    if given := config.CACHE_DIR:
        state = hashlib.sha256(_fingerprint(_CALLS).encode()).hexdigest()[:16]
        config.CACHE_DIR = str(Path(given) / f"hpcai-{state}")


_use_own_cache()
for _folder in _CALLS:
    _drop_stale_cache(_folder)


def jit(function: F) -> F:
    """Compile ``function`` with Numba at its first call; cached on disk; x / 0 follows IEEE 754.

    The hot path allocates nothing, so Numba is told to leave out reference counting: it would otherwise count
    every array of the state up and down at every call, which takes most of the time of a replay. It holds no
    lock of Python's either, so that threads can step episodes side by side.
    """
    return cast(F, numba.njit(**_OPTIONS)(function))


def inlined(function: F) -> F:
    """Compile ``function`` as :func:`jit` does, and lay its machine code into that of its callers.

    A record of arrays is passed by copying what describes each array, which takes longer than a short function.
    """
    return cast(F, numba.njit(forceinline=True, **_OPTIONS)(function))


def announce_compilation(function: Callable[..., Any]) -> None:
    """Say on stderr that ``function`` is about to be compiled, unless its machine code is at hand."""
    dispatcher = cast(Any, function)
    if dispatcher.signatures:
        return
    cached = Path(dispatcher.stats.cache_path).glob(f"*{dispatcher.py_func.__name__}-*.nbc")
    if next(iter(cached), None) is None:
        print("hpcai: compiling the replay (once on this machine, a minute or two) ...", file=sys.stderr)
