"""A reader: the accounting of a site of ours, a table with semicolons, as a trace."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from hpcai.records.readers._delimited import has_columns, read_table
from hpcai.records.readers._source import load, text_lines
from hpcai.records.readers._table import NOT_A_NUMBER, finish, rebase
from hpcai.records.schema import Trace

COLUMNS = ("job", "owner", "queued", "began", "ended", "cards", "limit_min")


def matches(head: bytes) -> bool:
    """Whether it is a table with these columns: the format is guessed by asking each reader."""
    return has_columns(head, COLUMNS, delimiter=";")


def read(path: Path) -> Trace:
    """Return the trace in a file of the site; a row that cannot be understood is counted, not dropped in silence."""
    source = load(path)
    trace = Trace.new(source.name, "our-site", source.sha256)
    lines = text_lines(source, trace.bad_rows)
    table = read_table(path, lines, trace.bad_rows, required=COLUMNS, delimiter=";")
    trace.origin, submit, (start, end) = rebase(*(table.date(name) for name in ("queued", "began", "ended")))
    gpus = table.number("cards")
    columns = {"submit": submit, "start": start, "end": end, "run_time": end - start, "gpus": gpus}
    columns |= {"job_id": table.text("job"), "user": table.known("owner")}
    columns["requested_time"] = 60.0 * table.number("limit_min")
    problems = {NOT_A_NUMBER: table.wrong | np.isnan(gpus)}
    trace.jobs = finish(columns, lines=table.lines, bad=trace.bad_rows, problems=problems)
    return trace


if __name__ == "__main__":
    trace = read(Path(sys.argv[1]))
    print(trace.jobs[["job_id", "submit", "start", "run_time", "requested_time", "gpus"]].to_string(index=False))
    print("bad rows:", trace.bad_rows.count, trace.bad_rows.first_lines)
