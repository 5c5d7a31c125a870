"""Failure logs: one canonical table of failures and one of the nodes that were watched, whatever wrote the log.

``read_failures`` tells a format by its content. What a log cannot say is said so: an end that nobody wrote down is
nan, and so is the end of service of a node that was still in service when the log ends (censored, not failed).
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from hpcai.errors import FormatError, InputError
from hpcai.records.schema import BadRows, Column

Floats = npt.NDArray[np.float64]

COMPONENTS: Final = (
    *("gpu", "memory", "cpu", "disk", "network", "power", "cooling", "board"),
    *("software", "human", "facility", "unknown"),
)
SEVERITIES: Final = ("fatal", "degraded", "info")  # the node was lost; it went on, worse; only told

EVENT_COLUMNS: Final = (
    Column("node", "str", "", "what failed, by a name in the table of nodes"),
    Column("component", "str", "", "part at fault, one of COMPONENTS"),
    Column("start", "float64", "s", "when it failed, counted from the log's origin"),
    Column("end", "float64", "s", "when it was repaired; nan if not known, or not yet when the log ended"),
    Column("cause", "str", "", "the source's own words"),
    Column("severity", "str", "", "one of SEVERITIES"),
)
NODE_COLUMNS: Final = (
    Column("node", "str", "", "name, unique in the log"),
    Column("node_class", "str", "", "kind of node, alike in hardware: the unit of which lifetimes are fitted"),
    Column("system", "str", "", "machine that it is part of; '' if the log is of one"),
    Column("rack", "str", "", "rack or cabinet, unique in the log; '' if unknown"),
    Column("place", "str", "", "place in the rack, as a cage or a height, alike across racks; '' if unknown"),
    Column("switch", "str", "", "group of nodes behind one switch or on one board, unique in the log; '' if unknown"),
    Column(
        "in_service", "float64", "s", "since when it was in service, from the origin; may be negative; nan: unknown"
    ),
    Column("out_of_service", "float64", "s", "when it left service; nan: still there at the end of observation"),
    Column("processors", "float64", "", "processors in it; nan if unknown"),
    Column("gpus", "float64", "", "GPUs in it; nan if unknown"),
)


def _empty(columns: tuple[Column, ...]) -> pd.DataFrame:
    kinds: dict[str, Any] = {"str": pd.StringDtype(na_value=np.nan), "float64": np.float64}
    return pd.DataFrame({column.name: pd.Series([], dtype=kinds[column.dtype]) for column in columns})


@dataclass
class FailureLog:
    """What failed when, on which nodes, and for how long they were watched.

    ``events`` holds the columns of :data:`EVENT_COLUMNS`, sorted by start (ties keep the log's order); ``nodes``
    those of :data:`NODE_COLUMNS`, sorted by name, every node of an event among them. Times are seconds from
    ``origin`` (Unix time of second 0, nan if unknown). Nothing outside ``observed`` (start, end) was recorded.
    """

    name: str
    events: pd.DataFrame = field(default_factory=lambda: _empty(EVENT_COLUMNS))
    nodes: pd.DataFrame = field(default_factory=lambda: _empty(NODE_COLUMNS))
    origin: float = float("nan")
    observed: tuple[float, float] = (0.0, 0.0)
    format: str = ""
    sha256: dict[str, str] = field(default_factory=dict)  # file name -> hash of its bytes as read
    dropped: BadRows = field(default_factory=BadRows)  # rows not read, by reason
    notes: list[str] = field(default_factory=list)

    @property
    def service(self) -> tuple[Floats, Floats]:
        """From when to when each node was in service and watched, float64[nodes] each, in s."""
        begin, finish = self.observed
        since = np.nan_to_num(self.nodes["in_service"].to_numpy(np.float64), nan=begin)
        until = np.nan_to_num(self.nodes["out_of_service"].to_numpy(np.float64), nan=finish)
        low = np.clip(since, begin, finish)
        return low, np.maximum(np.clip(until, begin, finish), low)

    def equals(self, other: FailureLog) -> bool:
        """Whether both say the same in every field, value for value (unknown equals unknown)."""
        return (
            self.events.equals(other.events)
            and self.nodes.equals(other.nodes)
            and np.array_equal(self.origin, other.origin, equal_nan=True)
            and (self.name, self.observed, self.format) == (other.name, other.observed, other.format)
            and (self.sha256, self.dropped, self.notes) == (other.sha256, other.dropped, other.notes)
        )


# Name of the format to what it is. The reader is the module of that name; guessing tries them in this order.
FAILURE_FORMATS: Final = {
    "parquet": "hpcai's own failure tables, Parquet",
    "lanl": "Los Alamos failures 1996-2005, CSV",
    "infinitehbd": "InfiniteHBD GPU server faults, JSON",
    "titan_history": "Titan GPU history, CSV",
    "titan_lifetimes": "Titan GPU lifetimes, CSV",
    "bgl": "Blue Gene/L RAS log, raw or loghub CSV",
    "hpc": "HPC log of loghub, raw or CSV",
    "slurm_nodes": "Slurm node events, sacctmgr -P show event",
    "kubernetes_nodes": "kubectl get nodes,events -A -o json",
    "syslog": "system log with NVIDIA Xid errors",
    "table": "CSV with columns node, start and more",
}


def read_failures(source: str | Path, *, format: str | None = None, **options: Any) -> FailureLog:
    """Return the failures in a log, whatever its format.

    Args:
        source: a file, plain or compressed.
        format: one of :data:`FAILURE_FORMATS`; by default guessed from the content.
        options: what the format's reader takes besides, such as ``nodes=`` (a companion file).

    Raises:
        InputError: there is no such file, format or option.
        FormatError: the file is not of the format, or of none that hpcai knows.
    """
    path = Path(source)
    reader = _reader(format or _guess(path), path)
    known = [name for name in inspect.signature(reader.read).parameters if name != "path"]
    for option in options:
        if option not in known:
            raise InputError(
                f"{path}: option {option!r} is not one of this format (it takes: {', '.join(known) or 'none'})"
            )
    log: FailureLog = reader.read(path, **options)
    return log


def _reader(name: str, path: Path) -> ModuleType:
    if name not in FAILURE_FORMATS:
        raise InputError(f"{path}: found format {name!r}, expected one of {', '.join(FAILURE_FORMATS)}")
    return import_module(f"hpcai.records.failure_readers.{name}")


def _guess(path: Path) -> str:
    """Return the format that the content of ``path`` is in; FormatError if it is none of FAILURE_FORMATS."""
    from hpcai.records.readers._source import head

    text = head(path)
    for name in FAILURE_FORMATS:
        if _reader(name, path).matches(text):
            return name
    lines = (line.strip() for line in text[:4096].decode("utf-8", "backslashreplace").splitlines())
    first = "binary data" if b"\0" in text else next((line for line in lines if line), "an empty file")
    shown = first if len(first) <= 60 else first[:57] + "..."
    raise FormatError(f"{path}: found {shown!r}, expected failures in one of: {', '.join(FAILURE_FORMATS)}")


def strings(values: Any) -> pd.Series[str]:
    """Return ``values`` as a column of text of a canonical table, '' where unknown."""
    return pd.Series(pa.array(values, type=pa.string(), from_pandas=True).fill_null("").to_pandas(), dtype="str")
