"""The folder of an evaluation: a finished replay is on disk at once and whole, and a later run goes on."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hpcai.errors import InputError

KIND: Final = "hpcai evaluation"
RUN_FILE: Final = "run.json"
RESULT_FILES: Final = ("report.html", "metrics.csv", "groups.csv", "summary.json")
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
        return f"schedules/{_slug(self.trace)}/{_slug(self.policy)}.{self.backfill}.{self.window:03d}.parquet"


def _slug(name: str) -> str:
    """Return ``name`` as part of a file name; one that has to be changed gets a hash so as to stay unique."""
    plain = re.sub(r"[^A-Za-z0-9._+-]+", "_", name).strip("._")[:60]
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that after a crash it is there in full or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def check_same(path: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise InputError, naming the first difference, unless both identities of the folder ``path`` are equal."""
    for part, value in now.items():
        old = before.get(part)
        if isinstance(value, dict) and isinstance(old, dict):
            key = next((k for k in {**old, **value} if old.get(k) != value.get(k)), None)
            if key is not None:
                raise _differs(path, f"{part} {key}", old.get(key), value.get(key))
        elif old != value:
            raise _differs(path, part, old, value)


def _differs(path: Path, what: str, old: object, new: object) -> InputError:
    return InputError(
        f"{path}: cannot resume: {what} was {json.dumps(old)}, is now {json.dumps(new)}; "
        "give another folder, or leave out --resume to begin anew"
    )


class Folder:
    """An evaluation's folder. ``identity`` is what the results depend on: version, configuration, inputs."""

    def __init__(self, path: str | Path, identity: dict[str, Any], resume: bool) -> None:
        """Begin in ``path``, or go on with what lies there if ``resume``.

        Raises InputError if the folder holds something else, or results of another configuration or input.
        """
        self.path = Path(path)
        self._identity = json.loads(json.dumps(identity))
        self._started = _now()
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{path}: expected a folder, found a file")
        if self.path.is_dir() and any(self.path.iterdir()):
            earlier = self._earlier_run()
            if resume:
                check_same(self.path, earlier["identity"], self._identity)
                self._started = earlier["started"]
            else:
                self._clear()
        self._write_run(finished=None)

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
        for name in ("job_id", "submit", "start", "end", "processors", "gpus", "nodes", "killed"):
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

    def write(self, name: str, text: str) -> None:
        """Write one of the result files."""
        write_whole(self.path / name, text.encode())

    def finish(self) -> None:
        """Note that everything is written, and when."""
        self._write_run(finished=_now())

    def _earlier_run(self) -> dict[str, Any]:
        try:
            run = json.loads((self.path / RUN_FILE).read_text("utf-8"))
        except (OSError, ValueError):
            run = {}
        if not isinstance(run, dict) or run.get("kind") != KIND:
            raise InputError(f"{self.path}: expected an empty folder or an earlier evaluation, found other files")
        return run

    def _clear(self) -> None:
        """Remove an earlier evaluation's files and nothing else; its run file goes last, by replacement."""
        for schedule in (self.path / "schedules").glob("*/*.parquet"):
            schedule.unlink()
        for name in RESULT_FILES:
            (self.path / name).unlink(missing_ok=True)

    def _write_run(self, finished: str | None) -> None:
        run = {"kind": KIND, "identity": self._identity, "started": self._started, "finished": finished}
        self.write(RUN_FILE, json.dumps(run, indent=2) + "\n")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
