"""What a plant was told and said, step by step, as a table: to look at, and to learn from.

One row a step (Parquet): ``step``, counted from the start of the weather; what was known before it, by the names of
SURROUNDINGS; what the plant was told, by the names of SETPOINTS with ``set_`` before them, empty where it was left to
itself; and its READINGS.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpcai.cooling.interface import READINGS, SETPOINTS, Floats
from hpcai.cooling.observation import SURROUNDINGS
from hpcai.errors import InputError
from hpcai.simulation.cooling.hall import Record

_READINGS = [point.name for point in READINGS]
_SETPOINTS = [f"set_{point.name}" for point in SETPOINTS]
_SURROUNDINGS = [point.name for point in SURROUNDINGS]


@dataclass(frozen=True)
class Log:
    """A record as something to learn from; its first step, of which the readings before are unknown, is left out."""

    name: str
    observations: Floats  # (steps, len(OBSERVED)), before each step
    setpoints: Floats  # (steps, len(SETPOINTS))
    readings: Floats  # (steps, len(READINGS)), after it
    steps: NDArray[np.int64]  # (steps,) numbers, from the start of the weather

    @property
    def follows(self) -> NDArray[np.bool_]:
        """(steps - 1,) Whether a step follows at once on the one before it, from the second step on."""
        return np.asarray(np.diff(self.steps) == 1)


def table_of(record: Record, surroundings: Floats) -> pd.DataFrame:
    """Return a record as a table; ``surroundings`` (steps, len(SURROUNDINGS)) are the hall's."""
    steps = record.steps
    columns = np.column_stack((steps, surroundings[steps], record.setpoints, record.readings))
    table = pd.DataFrame(columns, columns=["step", *_SURROUNDINGS, *_SETPOINTS, *_READINGS])
    return table.astype({"step": np.int64})


def read_log(path: str | Path) -> Log:
    """Return a table as something to learn from. Raises InputError if it is none."""
    try:
        table = pd.read_parquet(path)
    except Exception as error:  # pyarrow raises errors of many kinds
        raise InputError(f"{path}: expected a Parquet file: {str(error).splitlines()[0]}") from error
    missing = [name for name in ("step", *_SURROUNDINGS, *_SETPOINTS, *_READINGS) if name not in table]
    if missing:
        raise InputError(f"{path}: expected a record of a plant, found no column {missing[0]}")
    readings, known = table[_READINGS].to_numpy(np.float64), table[_SURROUNDINGS].to_numpy(np.float64)
    if not (np.isfinite(readings).all() and np.isfinite(known).all()):
        raise InputError(f"{path}: expected a number for each reading, found some missing")
    return Log(
        name=str(path),
        observations=np.column_stack((readings[:-1], known[1:])),
        setpoints=table[_SETPOINTS].to_numpy(np.float64)[1:],
        readings=readings[1:],
        steps=table["step"].to_numpy(np.int64)[1:],
    )
