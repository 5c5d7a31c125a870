"""The folder of an evaluation: a finished replay is on disk at once and whole, and a later run goes on."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hpcai.evaluation.resumable import ResumableFolder, write_whole
from hpcai.launching import WORKERS

RESULT_FILES: Final = ("report.html", "metrics.csv", "groups.csv", "summary.json")
SCHEDULE_COLUMNS: Final = ("job_id", "submit", "start", "end", "processors", "gpus", "nodes", "killed")
_METRICS_KEY: Final = b"hpcai.metrics"


@dataclass(frozen=True)
class Cell:
    """One replay: a window of a trace under one policy and backfilling."""

    trace: str
    policy: str
    backfill: str
    window: int

    @property
    def path(self) -> str:
        """Where its schedule lies in the folder."""
        return f"schedules/{slug(self.trace)}/{slug(self.policy)}.{self.backfill}.{self.window:03d}.parquet"


def slug(name: str) -> str:
    """Return ``name`` as part of a file name; one that has to be changed gets a hash so as to stay unique."""
    plain = re.sub(r"[^A-Za-z0-9._+-]+", "_", name).strip("._")[:60]
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


class Cells:
    """The finished replays in a folder; workers may write theirs side by side."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def has(self, cell: Cell) -> bool:
        """Whether the cell's schedule is there."""
        return (self.path / cell.path).is_file()

    def write_cell(self, cell: Cell, schedule: pd.DataFrame, metrics: dict[str, float]) -> None:
        """Write a schedule as Parquet; its metrics travel in the file's metadata."""
        columns: dict[str, Any] = {
            name: pa.DictionaryArray.from_arrays(np.zeros(len(schedule), np.int8), [getattr(cell, name)])
            for name in ("trace", "policy", "backfill")
        }
        columns["window"] = np.full(len(schedule), cell.window, np.int32)
        for name in (*SCHEDULE_COLUMNS, *(["power_limit"] if "power_limit" in schedule else [])):
            columns[name] = pa.array(schedule[name], from_pandas=False)
        table = pa.table(columns).replace_schema_metadata({_METRICS_KEY: json.dumps(metrics)})
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        write_whole(self.path / cell.path, buffer.getvalue())

    def metrics(self, cell: Cell) -> dict[str, float]:
        """Return the metrics of a finished cell."""
        metadata = pq.read_schema(self.path / cell.path).metadata
        result: dict[str, float] = json.loads(metadata[_METRICS_KEY])
        return result

    def schedule(self, cell: Cell, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the schedule of a finished cell, or some columns of it."""
        with pq.ParquetFile(self.path / cell.path) as file:
            frame: pd.DataFrame = file.read(columns=columns).to_pandas()
        return frame


class Folder(ResumableFolder, Cells):
    """An evaluation's folder."""

    kind = "hpcai evaluation"
    holds = "evaluation"

    def _clear(self) -> None:
        """Remove an earlier evaluation's files and nothing else; its run file goes last, by replacement."""
        for schedule in (self.path / "schedules").glob("*/*.parquet"):
            schedule.unlink()
        for name in RESULT_FILES:
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(self.path / WORKERS, ignore_errors=True)
