"""What goes with a log of failures: a table of the nodes, and the dates between which it was kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hpcai.errors import InputError
from hpcai.records.failure_readers._finish import NOT_A_NUMBER
from hpcai.records.failures import NODE_COLUMNS, Floats
from hpcai.records.readers._delimited import Delimited, read_table, unix_seconds
from hpcai.records.readers._source import load, text_lines
from hpcai.records.schema import BadRows


def seconds_of(table: Delimited, name: str) -> Floats:
    """Return a column of dates or of numbers of seconds as seconds."""
    texts = [text for text in table.known(name) if text]
    is_date = any("-" in text[1:] and not text.lower().count("e") for text in texts[:1000])
    return table.date(name) if is_date else table.number(name)


def instant(path: Path, name: str, text: str) -> float:
    """Return the Unix seconds, or plain seconds, of the option ``name``. Raises InputError."""
    try:
        return float(text)
    except ValueError:
        seconds, wrong = unix_seconds([text])
    if wrong[0] or np.isnan(seconds[0]):
        raise InputError(f"{path}: found {name}={text!r}, expected a date or seconds")
    return float(seconds[0])


def nodes_table(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the columns of a table of nodes, rows that name none left out, and the file's hash.

    Raises InputError if a row cannot be read: a table of nodes is short, and written by hand.
    """
    source = load(path)
    bad = BadRows()
    table = read_table(path, text_lines(source, bad), bad, required=("node",))
    columns: dict[str, Any] = {}
    for column in NODE_COLUMNS:
        if column.name in table:
            is_time = column.name in ("in_service", "out_of_service")
            numbers = seconds_of if is_time else Delimited.number
            columns[column.name] = table.known(column.name) if column.dtype == "str" else numbers(table, column.name)
    bad.add(NOT_A_NUMBER, table.lines[table.wrong])
    if bad.total:
        line, reason = min((lines[0], reason) for reason, lines in bad.first_lines.items())
        raise InputError(f"{path}: line {line}: {reason}, expected a table of nodes")
    named = table.known("node") != ""
    return {name: np.asarray(values, dtype=object)[named] for name, values in columns.items()}, source.sha256
