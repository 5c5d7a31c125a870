"""Checking what is to be written to Slurm before any of it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from hpcai.errors import InputError
from hpcai.live.slurm.client import How

_ID: Final = re.compile(r"[1-9]\d*(_\d+)?")
_RANGES: Final[Mapping[How, tuple[int, int]]] = {
    "site_factor": (-(2**31) + 10, 2**31 - 10),
    "nice": (-(2**31) + 10, 2**31 - 10),
    "priority": (1, 2**32 - 10),  # 0 would hold the job
}


def in_order(changes: Mapping[str, int], how: How) -> list[tuple[str, int]]:
    """Return the changes in the order to write them: a whole array before its tasks, which keep their own value.

    Raises InputError if an id is not a job's, or a value not one that Slurm takes.
    """
    low, high = _RANGES[how]
    for job, value in changes.items():
        if not _ID.fullmatch(job):
            raise InputError(f"job {job!r}: not a job of Slurm, expected digits, or digits_digits for a task")
        if type(value) is not int or not low <= value <= high:
            raise InputError(f"job {job}: {how} {value!r}, expected a whole number from {low} to {high}")
    return sorted(changes.items(), key=lambda change: "_" in change[0])
