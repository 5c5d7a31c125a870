"""Lines of numbers separated by blanks, split and converted by compiled code."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

_NEWLINE: Final = 10
_BLANK: Final = 32  # this character and all below it separate fields
_EXACT: Final = 1 << 53  # integers up to here, over powers of ten up to 22, divide to the nearest float64
_POWERS: Final = 10.0 ** np.arange(23)


@dataclass(frozen=True)
class NumberLines:
    """What stands on the lines that are neither empty nor comments, in order."""

    values: npt.NDArray[np.float64]  # (width, n_rows); nan: no such field, or not a finite number
    lines: npt.NDArray[np.int64]  # (n_rows,) line numbers, from 1
    fields: npt.NDArray[np.int64]  # (n_rows,) how many fields the line has, those beyond width included


def parse(data: bytes, width: int, comment: bytes) -> NumberLines:
    """Return the first ``width`` fields of every line that does not begin with ``comment``."""
    capacity = data.count(b"\n") + 1
    values = np.full((width, capacity), np.nan)
    lines, fields, offsets = (np.zeros(capacity, dtype=np.int64) for _ in range(3))
    buffer = np.frombuffer(data, dtype=np.uint8)
    n = _parse(buffer, comment[0], _POWERS, values, lines, fields, offsets)
    result = NumberLines(values[:, :n], lines[:n], fields[:n])
    _parse_rare(data, offsets[:n], result)
    return result


def _parse_rare(data: bytes, offsets: npt.NDArray[np.int64], result: NumberLines) -> None:
    """Fill in the numbers that the compiled code leaves to Python: long mantissas and large exponents."""
    width = len(result.values)
    present = np.arange(width)[:, None] < result.fields
    for row in np.flatnonzero((np.isnan(result.values) & present).any(axis=0)):
        end = data.find(b"\n", offsets[row])
        tokens = data[offsets[row] : end if end >= 0 else None].split()[:width]
        for i, token in enumerate(tokens):
            result.values[i, row] = _number(token)


def _number(token: bytes) -> float:
    try:
        value = float(token)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


_bytes = numba.types.Array(numba.uint8, 1, "C", readonly=True)
_integers = numba.int64[::1]


@numba.njit(  # the signature compiles it, or loads it from the cache, once and for all at import
    numba.int64(_bytes, numba.int64, numba.float64[::1], numba.float64[:, ::1], *[_integers] * 3), cache=True
)
def _parse(
    data: Any, comment: int, powers: Any, values: Any, lines: Any, fields: Any, offsets: Any
) -> int:  # pragma: no cover - compiled
    """Fill the arrays and return the number of rows; nan stands for what is not a short plain number."""
    n, width = len(data), len(values)
    i, line, row = 0, 1, 0
    while i < n:
        offsets[row] = i
        field = 0
        while i < n and data[i] != _NEWLINE:
            if data[i] <= _BLANK:
                i += 1
                continue
            if field == 0 and data[i] == comment:
                while i < n and data[i] != _NEWLINE:
                    i += 1
                break
            sign = 1.0
            if data[i] == 45 or data[i] == 43:  # - +
                if data[i] == 45:
                    sign = -1.0
                i += 1
            mantissa, digits, decimals, points = 0, 0, 0, 0
            while i < n:
                c = data[i]
                if 48 <= c <= 57:
                    if digits < 18:
                        mantissa = mantissa * 10 + (c - 48)
                    digits += 1
                    decimals += points
                elif c == 46:  # .
                    points += 1
                else:
                    break
                i += 1
            plain = i >= n or data[i] <= _BLANK
            while i < n and data[i] > _BLANK:
                i += 1
            if field < width and plain and 0 < digits <= 18 and points <= 1 and mantissa <= _EXACT:
                values[field, row] = sign * mantissa / powers[decimals]
            field += 1
        if field > 0:
            lines[row] = line
            fields[row] = field
            row += 1
        line += 1
        i += 1
    return row
