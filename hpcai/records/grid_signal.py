"""What the electricity grid says hour by hour: its price and its carbon intensity, as one canonical series.

A value holds from its time to the next. Known are the tables of market operators (price in USD/MWh or EUR/MWh), of
Electricity Maps and of the EIA (gCO2/kWh), of Wiesner et al., "Let's Wait Awhile", Middleware 2021, and of REE e.sios;
of any other table a column named after price or carbon intensity is taken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from hpcai.errors import FormatError, InputError
from hpcai.records.calendar import DAY, WEEK, YEAR, at_like_time
from hpcai.records.readers._observed import Observed, ascending_times, check_rows, numbered_rows
from hpcai.records.readers._source import read_text, stem
from hpcai.records.schema import Column

Floats = npt.NDArray[np.float64]
Kind = Literal["price", "carbon"]

GRID_COLUMNS: Final = (
    Column("time", "float64", "s", "Unix time from which the value holds, until the next row's"),
    Column("value", "float64", "", "price or carbon intensity, in the unit of the signal"),
)

CARBON_UNIT: Final = "gCO2/kWh"
_TIME: Final = ("datetime (utc)", "datetime", "timestamp", "time", "date", "datetime (local)")
_LIFE_CYCLE: Final = re.compile(r"\(lca\)|life.?cycle", re.IGNORECASE)
_PRICE: Final = re.compile(r"price", re.IGNORECASE)
_CARBON: Final = re.compile(r"carbon.?intensity|^avg_ci$|co2", re.IGNORECASE)


@dataclass(frozen=True)
class GridSignal:
    """A price or carbon series; ``frame`` has the columns of GRID_COLUMNS and a row every ``step`` seconds.

    ``filled`` counts the steps that the file lacked; they lie in a straight line between their neighbours.
    """

    name: str
    kind: Kind
    unit: str  # "USD/MWh", "EUR/MWh", "gCO2/kWh"
    frame: pd.DataFrame
    step: float  # s
    filled: int = 0
    notes: list[str] = field(default_factory=list)
    sha256: dict[str, str] = field(default_factory=dict)

    @property
    def start(self) -> float:
        """Unix time of the first value."""
        return float(self.frame["time"].iloc[0])

    @property
    def end(self) -> float:
        """Unix time to which the last value holds."""
        return float(self.frame["time"].iloc[-1]) + self.step

    def at(self, times: Floats) -> Floats:
        """Return the values at Unix ``times``; another year is served by like weeks of this one.

        Raises InputError if a time lies outside the series and the series is shorter than a year.
        """
        outside = (times < self.start) | (times >= self.end)
        if outside.any():
            if self.end - self.start < YEAR - WEEK:
                first = _date(float(np.asarray(times)[outside][0]))
                span = f"from {_date(self.start)} to {_date(self.end)}"
                raise InputError(f"{self.name}: found values {span}, expected some at {first}, or a year of them")
            times = at_like_time(times, self.start, self.end, whole=WEEK)
        rows = np.floor((times - self.start) / self.step).astype(np.int64)
        return self.frame["value"].to_numpy(np.float64)[np.minimum(rows, len(self.frame) - 1)]


def read_grid_signal(path: str | Path, *, direct: bool = False) -> GridSignal:
    """Return the series in a table of delimited text, plain or compressed.

    Where a file has carbon intensity both of the life cycle and of combustion alone, the former is taken, or with
    ``direct`` the latter. Times without a zone are UTC. Missing steps are filled if the gap is at most 6 hours. Raises
    FormatError or InputError, one line with file, line, found and expected.
    """
    path = Path(path)
    text, sha256 = read_text(path, "a series of prices or carbon intensities")
    lines = text.splitlines()
    delimiter = ";" if lines[0].count(";") > lines[0].count(",") else ","
    heading, *rows = numbered_rows(path, lines, 0, delimiter)
    when, what, kind, unit = _columns(path, heading[1], direct)
    check_rows(path, len(heading[1]), rows)
    numbers = np.array([number for number, _ in rows])
    seconds, zone = ascending_times(path, numbers, [row[when] for _, row in rows])
    step = float(np.median(np.diff(seconds)))
    observed = Observed(path, seconds, numbers, {kind: _values(path, numbers, [row[what] for _, row in rows], kind)})
    grid = np.arange(seconds[0], seconds[-1] + step / 2, step)
    values, filled = observed.on_grid(kind, grid)
    notes = [] if zone or "utc" in heading[1][when].lower() else ["its times name no zone, taken as UTC"]
    frame = pd.DataFrame({"time": grid, "value": values})
    return GridSignal(stem(path), kind, unit, frame, step, filled, notes, {path.name: sha256})


def _columns(path: Path, heading: list[str], direct: bool) -> tuple[int, int, Kind, str]:
    """Return the places of time and value, and the kind and unit of the value."""
    plain = [name.strip().lower() for name in heading]
    when = next((plain.index(name) for name in _TIME if name in plain), None)
    prices = [i for i, name in enumerate(plain) if _PRICE.search(name)]
    carbon = [i for i, name in enumerate(plain) if _CARBON.search(name)]
    if when is None or not (prices or carbon or "value" in plain):
        raise FormatError(
            f"{path}: line 1: found columns {', '.join(heading[:4])}, expected a time, and a price or carbon intensity"
        )
    if carbon:
        life_cycle = [i for i in carbon if _LIFE_CYCLE.search(plain[i])]
        others = [i for i in carbon if i not in life_cycle]
        chosen = (others or life_cycle) if direct else (life_cycle or others)
        return when, chosen[0], "carbon", CARBON_UNIT
    place = prices[0] if prices else plain.index("value")
    unit = re.search(r"(EUR|USD|€|\$)/MWh", heading[place])
    if unit is None and prices:
        raise InputError(f"{path}: line 1: found column {heading[place]!r}, expected USD/MWh or EUR/MWh in its name")
    currency = {"€": "EUR", "$": "USD"}.get(unit.group(1), unit.group(1)) if unit else "EUR"  # e.sios says only 'value'
    return when, place, "price", f"{currency}/MWh"


def _values(path: Path, numbers: Any, texts: list[str], kind: Kind) -> Floats:
    values: Floats = np.array(pd.to_numeric(pd.Series(texts), errors="coerce"), np.float64)
    for i in np.flatnonzero(~np.isfinite(values) | ((values < 0) & (kind == "carbon"))):
        if not (np.isnan(values[i]) and texts[i].strip().lower() in ("", "nan", "null", "none")):
            expected = "a number" if kind == "price" else "a number from 0 up"
            raise InputError(f"{path}: line {numbers[i]}: found {texts[i]!r} for {kind}, expected {expected}")
    return values


def _date(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M")


def describe(signal: GridSignal) -> dict[str, Any]:
    """Return what a series is like, as plain data; by hour of the day (UTC) its means."""
    values = signal.frame["value"]
    low, p10, median, p90, high = (float(q) for q in np.quantile(values, (0, 0.1, 0.5, 0.9, 1)))
    hour = (signal.frame["time"] % DAY // 3600).astype(int)
    return {
        "name": signal.name,
        "kind": signal.kind,
        "unit": signal.unit,
        "start": _date(signal.start),
        "end": _date(signal.end),
        "step": signal.step,
        "values": len(values),
        "filled": signal.filled,
        "min": low,
        "p10": p10,
        "median": median,
        "mean": float(values.mean()),
        "p90": p90,
        "max": high,
        "by_hour": [float(mean) for mean in values.groupby(hour).mean()],
        "notes": signal.notes,
        "sha256": signal.sha256,
    }
