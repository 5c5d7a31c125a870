"""Splitting a trace in time: what is learnt on must come before what it is judged on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal

import numpy as np
import pandas as pd

from hpcai.errors import InputError
from hpcai.records.schema import BadRows, Trace

PARTS: Final = ("train", "validation", "test")
Part = Literal["train", "validation", "test", "all"]


def split(trace: Trace, fractions: Sequence[float] = (0.6, 0.1, 0.3), names: Sequence[str] = PARTS) -> dict[str, Trace]:
    """Return parts of ``trace`` by submission time, each a share of its jobs, in the order of ``names``.

    Every job of a part was submitted before every job of the next: jobs submitted at one instant are never
    parted. Times still count from the origin of the whole. Bad rows stay with the first part.

    Raises InputError if the fractions are not positive, do not add up to 1, or a part would be empty.
    """
    if len(fractions) != len(names):
        raise InputError(f"fractions: expected {len(names)} numbers ({', '.join(names)}), found {len(fractions)}")
    if not all(fraction > 0 for fraction in fractions) or not math.isclose(sum(fractions), 1, abs_tol=1e-6):
        raise InputError(f"fractions {list(fractions)}: expected positive numbers that add up to 1")
    submit = trace.jobs["submit"].to_numpy()
    cuts = np.rint(np.cumsum(fractions) * len(submit)).astype(int)
    cuts[:-1] = [np.searchsorted(submit, submit[min(cut, len(submit) - 1)]) for cut in cuts[:-1]] if len(submit) else 0
    edges = [0, *cuts.tolist()]
    parts = {}
    for name, first, last in zip(names, edges, edges[1:], strict=False):
        if last <= first:
            raise InputError(f"{trace.name}: {len(submit)} jobs are too few, or too close, for a part {name!r}")
        jobs = trace.jobs.iloc[first:last].reset_index(drop=True)
        note = f"{name} part: jobs {first + 1} to {last} of {len(submit)} by submission"
        bad = trace.bad_rows if first == 0 else BadRows()
        parts[name] = replace(trace, name=f"{trace.name}-{name}", jobs=jobs, bad_rows=bad, notes=[*trace.notes, note])
    return parts


def part_bounds(trace: Trace, jobs: pd.DataFrame, part: Part) -> tuple[int, int]:
    """Return which rows ``[first, last)`` of ``jobs``, the replayable ones of ``trace``, belong to a part.

    Parts are those of :func:`split`: train is the first 60 % of all submissions, validation the
    next 10 %, test the last 30 %, and no two share an instant. Raises InputError if a part would be empty.
    """
    if part == "all":
        return 0, len(jobs)
    instants = split(trace)[part].jobs["submit"]
    submit = jobs["submit"].to_numpy(np.float64)
    first = np.searchsorted(submit, float(instants.iloc[0]), side="left")
    last = np.searchsorted(submit, float(instants.iloc[-1]), side="right")
    return int(first), int(last)
