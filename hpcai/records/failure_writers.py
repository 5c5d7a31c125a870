"""Writing failure logs: Parquet for all that a log holds, CSV of its events for other tools."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from hpcai.errors import InputError
from hpcai.records.failure_readers._canonical import KEY, describe_log
from hpcai.records.failures import FailureLog
from hpcai.records.writers import atomic


def write_failures(log: FailureLog, path: Path | str) -> None:
    """Write ``log`` in the format that the suffix names, .parquet or .csv.

    Parquet keeps everything: :func:`hpcai.records.failures.read_failures` gives an equal log back. CSV has the events,
    with dates if the log has an origin; ``nodes`` are written beside it as NAME.nodes.csv. Raises InputError.
    """
    name = str(path)
    if name.endswith(".parquet"):
        table = pa.Table.from_pandas(log.events, preserve_index=False)
        table = table.replace_schema_metadata({KEY: json.dumps(describe_log(log)).encode()})
        with atomic(path) as file:
            pyarrow.parquet.write_table(table, file, compression="zstd")
    elif name.endswith(".csv"):
        for frame, target in ((log.events, name), (log.nodes, f"{name.removesuffix('.csv')}.nodes.csv")):
            with atomic(target) as file:
                file.write(_with_dates(frame, log.origin).to_csv(index=False).encode())
    else:
        raise InputError(f"{name}: expected a file name that ends in .parquet or .csv")


def _with_dates(frame: pd.DataFrame, origin: float) -> pd.DataFrame:
    """Return the table with Unix times where the log has an origin."""
    times = [name for name in ("start", "end", "in_service", "out_of_service") if name in frame]
    return frame if pd.isna(origin) else frame.assign(**{name: frame[name] + origin for name in times})
