"""What was recorded, as canonical pandas tables."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpcai.records.read import FORMATS, read_trace, sample_names
    from hpcai.records.schema import JOB_COLUMNS, BadRows, Trace, empty_jobs

_HOME = {
    "FORMATS": "read",
    "JOB_COLUMNS": "schema",
    "BadRows": "schema",
    "Trace": "schema",
    "empty_jobs": "schema",
    "read_trace": "read",
    "sample_names": "read",
}

__all__ = ["FORMATS", "JOB_COLUMNS", "BadRows", "Trace", "empty_jobs", "read_trace", "sample_names"]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use: loading pandas takes longer than a command line may."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
