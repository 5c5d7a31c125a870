"""The timeline of a site in a Parquet file that grows while the site runs, in constant memory."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hpcai.errors import InputError
from hpcai.simulation.site.timeline import COLUMNS, OWN_COLUMNS

Rows = np.ndarray[Any, np.dtype[np.float64]]


class Recorder:
    """Writes chunks of a timeline as row groups; a context manager, so that the file is whole even if a run is not."""

    def __init__(self, path: str | Path) -> None:
        """Open the file. Raises InputError if it cannot be written."""
        fields = [
            pa.field(name, pa.float64(), metadata={"meaning": OWN_COLUMNS[name]} if name in OWN_COLUMNS else None)
            for name in COLUMNS
        ]
        self._schema = pa.schema(fields)
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(str(path), self._schema, compression="zstd")
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error

    def write(self, rows: Rows) -> None:
        """Append a chunk, (rows, columns)."""
        columns = [pa.array(rows[:, i]) for i in range(rows.shape[1])]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
