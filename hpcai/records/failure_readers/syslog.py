"""System logs with the errors of NVIDIA's driver: ``... kernel: NVRM: Xid (PCI:0000:65:00): 79, ...``.

Lines as syslog writes them ("Jan  5 10:00:00 host kernel: ..."), which lack the year, or with ISO dates (rsyslog,
``journalctl -o short-iso``). Every host that wrote a line was watched. One fault is told many times over: an Xid of a
GPU that follows the same one within ``coalesce`` seconds repeats it.
"""

from __future__ import annotations

import calendar
import re
from pathlib import Path
from typing import Any, Final

import numpy as np

from hpcai.errors import FormatError, InputError
from hpcai.records.failure_readers._finish import finish
from hpcai.records.failure_readers._lines import NOT_A_LINE
from hpcai.records.failure_readers._xid import xid_of
from hpcai.records.failures import FailureLog
from hpcai.records.readers._delimited import unix_seconds
from hpcai.records.readers._source import load, text_lines
from hpcai.records.schema import BadRows

RETOLD: Final = "the same Xid of the same GPU again"

_UNDATED: Final = 2000  # a leap year, in which every day exists
_DATE: Final = r"([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d):(\d\d):(\d\d)|(\d{4}-\d\d-\d\d[T ][\d:.,]+(?:Z|[+-]\d\d:?\d\d)?)"
LINE: Final = re.compile(rf"(?:<\d+>)?(?:{_DATE}) (\S+) (.*)")
_XID: Final = re.compile(r"NVRM: Xid \((?:PCI:)?([0-9A-Fa-f:.]+)[^)]*\): (\d{1,4})\b[,:]? ?(.*)")
_MONTHS: Final = {name: number for number, name in enumerate(calendar.month_abbr) if name}


def matches(head: bytes) -> bool:
    """Whether most of its first twenty lines are of a system log."""
    lines = [line for line in head.decode("utf-8", "replace").splitlines()[:20] if line.strip()]
    return 2 * sum(LINE.match(line) is not None for line in lines) > len(lines)


def read(path: Path, *, year: int | None = None, coalesce: int = 60) -> FailureLog:
    """Return the log.

    Args:
        path: the lines.
        year: of the first line, where dates lack it; by default such a log has no date.
        coalesce: s within which an Xid of a GPU repeats the one before.
    """
    if year is not None and not 1970 <= year < 2200:
        raise InputError(f"{path}: found year={year}, expected one such as 2024")
    source = load(path)
    bad = BadRows()
    clock = _Clock(year or _UNDATED)
    rows: list[dict[str, Any]] = []
    hosts: dict[str, None] = {}
    for number, text in enumerate(text_lines(source, bad).decode("utf-8").split("\n"), start=1):
        match = LINE.match(text)
        time = np.nan if match is None else clock.seconds(match)
        if match is None or np.isnan(time):
            bad.add(NOT_A_LINE, [number] if text.strip() else [])
            continue
        hosts[match[7]] = None
        if found := _XID.search(match[8]):
            row = {"line": number, "node": match[7], "start": time, "gpu": found[1]}
            rows.append(row | xid_of(int(found[2]), found[3]))
    if not hosts:
        raise FormatError(f"{path}: found no line of a system log, expected lines with date and host")
    dated = clock.knows_year or year is not None
    zero = 0.0 if dated else clock.first
    events = {name: [row[name] for row in rows] for name in ("node", "component", "cause", "severity")}
    return finish(
        source,
        "syslog",
        events | {"start": np.array([row["start"] for row in rows]) - zero},
        lines=np.array([row["line"] for row in rows], dtype=np.int64),
        bad=bad,
        problems={RETOLD: _retold(rows, float(coalesce))},
        nodes={"node": list(hosts), "node_class": ["node"] * len(hosts)},
        observed=(clock.first - zero, clock.last - zero),
        dated=dated,
        notes=["only Xid errors of NVIDIA's driver are taken for failures; how long one lasts is not said"],
    )


class _Clock:
    """Turns dates of lines into seconds; a date without year is in that of the line before, or the next after December.

    ``first`` and ``last`` are those of all lines.
    """

    def __init__(self, year: int) -> None:
        self.first, self.last = np.inf, -np.inf
        self.knows_year = False
        self._year, self._month = year, 0

    def seconds(self, match: re.Match[str]) -> float:
        """Return the Unix seconds of a line that LINE matched; nan if there is no such date."""
        if match[6]:
            seconds, _ = unix_seconds([match[6].replace(",", ".")])
            time = float(seconds[0])
            self.knows_year = True
        else:
            time = self._yearless(match)
        if np.isfinite(time):
            self.first, self.last = min(self.first, time), max(self.last, time)
        return time

    def _yearless(self, match: re.Match[str]) -> float:
        month = _MONTHS.get(match[1], 0)
        day, hour, minute, second = (int(match[i]) for i in (2, 3, 4, 5))
        if not month or not 1 <= day <= calendar.monthrange(self._year, month)[1]:
            return np.nan
        if hour > 23 or minute > 59 or second > 60:
            return np.nan
        self._year += month == 1 and self._month == 12
        self._month = month
        return float(calendar.timegm((self._year, month, day, hour, minute, second)))


def _retold(rows: list[dict[str, Any]], within: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which rows follow the same Xid of the same GPU within seconds, a chain of them counted once."""
    before: dict[tuple[str, str, str], float] = {}
    retold = np.zeros(len(rows), dtype=bool)
    for i, row in enumerate(rows):
        key = (row["node"], row["gpu"], row["cause"])
        retold[i] = 0 <= row["start"] - before.get(key, -np.inf) <= within
        before[key] = row["start"]
    return retold
