"""Lines of numbers separated by blanks: all at once where every line is sound, else line by line."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

NUMBER: Final = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class NumberLines:
    """What stands on the lines that are neither empty nor comments, in order."""

    values: npt.NDArray[np.float64]  # (width, n_rows); nan: no such field, or not a finite number
    lines: npt.NDArray[np.int64]  # (n_rows,) line numbers, from 1
    fields: npt.NDArray[np.int64]  # (n_rows,) how many fields the line has, those beyond width included


def parse(data: bytes, width: int, comment: bytes) -> NumberLines:
    """Return the first ``width`` fields of every line that does not begin with ``comment``."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return _all_at_once(data, width, comment) or _line_by_line(data, width, comment)


def _all_at_once(data: bytes, width: int, comment: bytes) -> NumberLines | None:
    """Return the lines if all have as many fields as the first, at least ``width``, all numbers; else None."""
    first = _first_row(data, comment)
    if len(first) < width or b"\0" in data:
        return None
    try:
        table = pd.read_csv(
            io.BytesIO(data),
            sep=r"\s+",
            header=None,
            names=list(range(len(first))),
            usecols=list(range(width)),
            dtype=np.float64,
            comment=comment.decode(),
            quoting=csv.QUOTE_NONE,
            encoding="latin-1",  # of comments; all else is digits
        )
    except (ValueError, OverflowError):  # among them pandas' ParserError
        return None
    values = np.ascontiguousarray(table.to_numpy().T)
    if not np.isfinite(values).all():
        return None
    lines = _row_lines(data, comment, values.shape[1])
    if len(lines) != values.shape[1]:
        return None
    return NumberLines(values, lines, np.full(len(lines), len(first)))


def _first_row(data: bytes, comment: bytes) -> list[bytes]:
    start = 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = end if end >= 0 else len(data)
        line = data[start:end].lstrip()
        if line and not line.startswith(comment):
            return line.split()
        start = end + 1
    return []


def _row_lines(data: bytes, comment: bytes, n: int) -> npt.NDArray[np.int64]:
    """Return the numbers of the lines that are rows, of which there should be ``n``."""
    last = data.count(b"\n") + (not data.endswith(b"\n"))
    above = data[: data.rfind(comment) + 1].count(b"\n") + 1 if comment in data else 0
    if last - above == n:  # no line between the comments at the top and the last is blank
        return np.arange(above + 1, last + 1)
    lines = (line.lstrip() for line in data.split(b"\n"))
    return np.array([i for i, line in enumerate(lines, 1) if line and not line.startswith(comment)], dtype=np.int64)


def _line_by_line(data: bytes, width: int, comment: bytes) -> NumberLines:
    rows, lines, fields = [], [], []
    for number, line in enumerate(data.split(b"\n"), start=1):
        tokens = line.split()
        if tokens and not tokens[0].startswith(comment):
            row = _numbers(tokens[:width])
            rows.append(row + [math.nan] * (width - len(row)))
            lines.append(number)
            fields.append(len(tokens))
    values = np.array(rows, dtype=np.float64).reshape(len(rows), width).T
    values = np.where(np.isfinite(values), values, np.nan)
    return NumberLines(values, np.array(lines, dtype=np.int64), np.array(fields, dtype=np.int64))


def _numbers(tokens: list[bytes]) -> list[float]:
    try:
        numbers = [float(token) for token in tokens]
    except ValueError:
        numbers = []
    if numbers and not any(b"_" in token for token in tokens):  # Python reads 1_000
        return numbers
    return [float(token) if NUMBER.fullmatch(token) else math.nan for token in tokens]
