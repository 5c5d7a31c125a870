"""System logs line by line: raw, or as loghub's structured CSV with the same fields."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hpcai.records.readers._delimited import first_line, has_columns, read_table
from hpcai.records.readers._source import Source, text_lines
from hpcai.records.schema import BadRows

NOT_A_LINE: Final = "not a line of this log"


def fields(
    source: Source, bad: BadRows, line: re.Pattern[str], columns: Sequence[str]
) -> tuple[Mapping[str, Any], npt.NDArray[np.int64]]:
    """Return the named fields of every line and their numbers.

    ``line`` has a group for each of ``columns``; a table has columns of those names instead.
    """
    data = text_lines(source, bad)
    if has_columns(data[:65536], columns):
        table = read_table(source.path, data, bad, required=columns)
        return {name: np.asarray(table.text(name), dtype=object) for name in columns}, table.lines
    found, numbers, wrong = [], [], []
    for number, text in enumerate(data.decode("utf-8").split("\n"), start=1):
        if match := line.match(text):
            found.append(match.groups())
            numbers.append(number)
        elif text.strip():
            wrong.append(number)
    bad.add(NOT_A_LINE, wrong)
    values = zip(*found, strict=True) if found else ([] for _ in columns)
    table_of_lines = {name: np.array(list(v), dtype=object) for name, v in zip(columns, values, strict=True)}
    return table_of_lines, np.array(numbers, dtype=np.int64)


def looks_like(head: bytes, line: re.Pattern[str], columns: Sequence[str]) -> bool:
    """Whether the first line is one of the raw log, or the header of its structured form."""
    return has_columns(head, columns) or line.match(first_line(head)[0]) is not None
