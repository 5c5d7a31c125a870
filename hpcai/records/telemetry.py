"""Telemetry of nodes: one canonical table of samples, whatever collected them, as Parquet or CSV."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from hpcai.arrays import file_hash
from hpcai.errors import FormatError, InputError
from hpcai.records.schema import Column
from hpcai.records.writers import atomic

TELEMETRY_COLUMNS: Final = (
    Column("node", "str", "", "name of the node"),
    Column("time", "float64", "s", "when it was sampled, from the origin"),
    Column("job", "str", "", "job that ran on the node, of which it is a rank; '' if none"),
    Column("temperature", "float64", "°C", "of the warmest GPU, or of the CPU where there is none"),
    Column("power", "float64", "W", "of the node"),
    Column("ecc_errors", "float64", "", "corrected memory errors since the sample before"),
    Column("link_downs", "float64", "", "times that a network link went down since the sample before"),
    Column("compute_time", "float64", "s", "of a step of the job, what the node computed before it waited for others"),
)
METRICS: Final = tuple(column.name for column in TELEMETRY_COLUMNS if column.name not in ("node", "time", "job"))
_NEEDED: Final = ("node", "time")
_ORIGIN: Final = b"hpcai.origin"


@dataclass
class Telemetry:
    """Samples sorted by time (ties by node); ``origin`` is the Unix time of second 0, nan if unknown.

    ``table`` has the columns of :data:`TELEMETRY_COLUMNS`; what was not sampled is nan.
    """

    table: pd.DataFrame
    origin: float = float("nan")
    sha256: dict[str, str] = field(default_factory=dict)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that were sampled at all."""
        return tuple(name for name in METRICS if self.table[name].notna().any())


def telemetry_of(columns: Any, where: str = "telemetry") -> pd.DataFrame:
    """Return the canonical table of columns by name. Raises FormatError if one is missing or has another kind."""
    frame = pd.DataFrame(columns)
    missing = [name for name in _NEEDED if name not in frame.columns]
    if missing:
        raise FormatError(f"{where}: found no column {missing[0]!r}, expected {', '.join(_NEEDED)} and metrics")
    known = {column.name for column in TELEMETRY_COLUMNS}
    unknown = [str(name) for name in frame.columns if name not in known]
    if unknown:
        raise FormatError(f"{where}: found column {unknown[0]!r}, expected some of {', '.join(sorted(known))}")
    made = {column.name: _as_column(frame, column, where) for column in TELEMETRY_COLUMNS}
    table = pd.DataFrame(made)
    times = table["time"].to_numpy(np.float64)
    if not np.isfinite(times).all() or (table["node"] == "").any():
        row = int(np.flatnonzero(~np.isfinite(times) | (table["node"] == "").to_numpy())[0])
        raise FormatError(f"{where}: row {row + 1}: found no node or time")
    return table.sort_values(["time", "node"], kind="stable", ignore_index=True)


def _as_column(frame: pd.DataFrame, column: Column, where: str) -> Any:
    if column.name not in frame.columns:
        return "" if column.dtype == "str" else np.nan
    values = frame[column.name]
    if column.dtype == "str":
        return values.astype("str").fillna("")
    try:
        return values.astype(np.float64)
    except (ValueError, TypeError) as error:
        raise FormatError(f"{where}: column {column.name}: expected numbers: {error}") from error


def read_telemetry(path: str | Path) -> Telemetry:
    """Return the table in a .parquet or .csv file. Raises InputError or FormatError if there is none."""
    where = str(path)
    digest = file_hash(path)
    try:
        if where.endswith(".parquet"):
            with pa.parquet.ParquetFile(path) as file:
                found = file.read()
        elif where.endswith((".csv", ".csv.gz")):
            found = pa.csv.read_csv(path)
        else:
            raise InputError(f"{where}: expected a file name that ends in .parquet, .csv or .csv.gz")
    except pa.ArrowException as error:
        raise FormatError(f"{where}: cannot be read: {str(error).splitlines()[0]}") from error
    origin = (found.schema.metadata or {}).get(_ORIGIN, b"nan")
    return Telemetry(telemetry_of(found.to_pandas(), where), float(origin), {Path(path).name: digest})


def write_telemetry(telemetry: Telemetry, path: str | Path) -> None:
    """Write the table as Parquet, which :func:`read_telemetry` reads again."""
    table = pa.Table.from_pandas(telemetry.table, preserve_index=False)
    table = table.replace_schema_metadata({_ORIGIN: repr(float(telemetry.origin))})
    with atomic(path) as file:
        pa.parquet.write_table(table, file, compression="zstd")
