"""What was recorded, as canonical pandas tables."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpcai.records.failure_writers import write_failures
    from hpcai.records.failures import FailureLog, read_failures
    from hpcai.records.generators import generate
    from hpcai.records.grid_signal import GridSignal, read_grid_signal
    from hpcai.records.machine import infer_machine, machine_of
    from hpcai.records.read import FORMATS, read_trace, sample_names
    from hpcai.records.schema import JOB_COLUMNS, BadRows, Trace, empty_jobs
    from hpcai.records.splitting import split
    from hpcai.records.summary import describe, offered_load
    from hpcai.records.weather import Weather, read_weather
    from hpcai.records.writers import write_parquet, write_swf, write_trace

_HOME = {
    "FORMATS": "read",
    "JOB_COLUMNS": "schema",
    "BadRows": "schema",
    "FailureLog": "failures",
    "GridSignal": "grid_signal",
    "Trace": "schema",
    "Weather": "weather",
    "describe": "summary",
    "empty_jobs": "schema",
    "generate": "generators",
    "infer_machine": "machine",
    "machine_of": "machine",
    "offered_load": "summary",
    "read_failures": "failures",
    "read_grid_signal": "grid_signal",
    "read_trace": "read",
    "read_weather": "weather",
    "sample_names": "read",
    "split": "splitting",
    "write_failures": "failure_writers",
    "write_parquet": "writers",
    "write_swf": "writers",
    "write_trace": "writers",
}

__all__ = [
    "FORMATS",
    "JOB_COLUMNS",
    "BadRows",
    "FailureLog",
    "GridSignal",
    "Trace",
    "Weather",
    "describe",
    "empty_jobs",
    "generate",
    "infer_machine",
    "machine_of",
    "offered_load",
    "read_failures",
    "read_grid_signal",
    "read_trace",
    "read_weather",
    "sample_names",
    "split",
    "write_failures",
    "write_parquet",
    "write_swf",
    "write_trace",
]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use: loading pandas takes longer than a command line may."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
