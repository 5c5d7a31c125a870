"""Jobs that have ended, as Slurm's accounting knows them: what a predictor of run times learns from."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pandas as pd

from hpcai.live.slurm.client import SchedulerGoneError
from hpcai.records import read_trace

EVERY: Final = 600.0  # s between two looks
DAYS: Final = 30
FIELDS: Final = (
    "JobID", "JobIDRaw", "User", "Account", "Partition", "QOS", "State", "Submit", "Eligible", "Start", "End",
    "TimelimitRaw", "AllocCPUS", "ReqCPUS", "AllocNodes", "ReqNodes", "AllocTRES", "ReqTRES", "ReqMem",
)  # fmt: skip


class Accounting:
    """Asks sacct now and then; SLURM_CONF and the rest of the environment say which Slurm."""

    def __init__(self, timeout: float = 60.0, days: int = DAYS) -> None:
        """``timeout`` in s; ``days`` is how far it looks back."""
        self._timeout, self._days = timeout, days
        self._known: tuple[float, float, pd.DataFrame | None] = (-EVERY, 0.0, None)

    def jobs(self, origin: float) -> pd.DataFrame | None:
        """Return the jobs that have ended, times in s from ``origin``; None if none has.

        Raises SchedulerGoneError if sacct fails.
        """
        at, then, jobs = self._known
        if time.monotonic() - at >= EVERY or then != origin:
            jobs = self._read(origin)
            self._known = (time.monotonic(), origin, jobs)
        return jobs

    def _read(self, origin: float) -> pd.DataFrame | None:
        since = (datetime.now() - timedelta(days=self._days)).strftime("%Y-%m-%dT%H:%M:%S")
        command = ["sacct", "--allusers", "--parsable2", "--allocations", "--starttime", since]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "sacct.txt"
            with open(path, "wb") as out:
                try:
                    done = subprocess.run(
                        [*command, f"--format={','.join(FIELDS)}"],
                        stdout=out, stderr=subprocess.PIPE, timeout=self._timeout, check=False,
                        env=os.environ | {"LC_ALL": "C.UTF-8", "SLURM_TIME_FORMAT": "%s"},  # in s, not local
                    )  # fmt: skip
                except (OSError, subprocess.TimeoutExpired) as error:
                    raise SchedulerGoneError(f"sacct: {error}") from error
            if done.returncode:
                raise SchedulerGoneError(f"sacct: {done.stderr.decode(errors='replace').strip()}")
            if len(path.read_bytes().splitlines()) < 2:  # a header, and nobody has run yet
                return None
            trace = read_trace(path, format="sacct")
        jobs = trace.jobs[trace.jobs["end"].notna() & trace.jobs["run_time"].notna()].reset_index(drop=True)
        shift = trace.origin - origin if trace.origin == trace.origin else 0.0
        return jobs.assign(**{name: jobs[name] + shift for name in ("submit", "start", "end")})
