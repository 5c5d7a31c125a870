"""The folder of a comparison: each replay is a Parquet file of its jobs, with what was measured in its metadata."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hpcai.evaluation.resumable import ResumableFolder, write_whole
from hpcai.evaluation.store import slug

RESULT_FILES: Final = ("report.html", "results.json")
_KEY: Final = b"hpcai.measured"


@dataclass(frozen=True)
class Cell:
    """One replay: a case under a discipline."""

    discipline: str
    case: str

    @property
    def path(self) -> str:
        """Where its jobs lie in the folder."""
        return f"jobs/{slug(self.discipline)}.{slug(self.case)}.parquet"


class ClusterFolder(ResumableFolder):
    """A comparison's folder."""

    kind = "hpcai cluster"
    holds = "comparison of disciplines"

    def has(self, cell: Cell) -> bool:
        """Whether a replay is there."""
        return (self.path / cell.path).is_file()

    def write_cell(self, cell: Cell, jobs: pd.DataFrame, measured: dict[str, Any]) -> None:
        """Write the jobs of a replay and what was measured of it, in whole or not at all."""
        table = pa.Table.from_pandas(jobs, preserve_index=False).replace_schema_metadata({_KEY: json.dumps(measured)})
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        write_whole(self.path / cell.path, buffer.getvalue())

    def measured(self, cell: Cell) -> dict[str, Any]:
        """Return what was measured of a replay."""
        result: dict[str, Any] = json.loads(pq.read_schema(self.path / cell.path).metadata[_KEY])
        return result

    def jobs(self, cell: Cell) -> pd.DataFrame:
        """Return the jobs of a replay."""
        with pq.ParquetFile(self.path / cell.path) as file:
            frame: pd.DataFrame = file.read().to_pandas()
        return frame

    def _clear(self) -> None:
        """Remove an earlier comparison's files and nothing else."""
        shutil.rmtree(self.path / "jobs", ignore_errors=True)
        for name in RESULT_FILES:
            (self.path / name).unlink(missing_ok=True)
