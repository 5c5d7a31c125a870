"""Replaying a log on a GPU cluster: what became of each job, and all that happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpcai.cluster.spec import Machine
from hpcai.errors import InputError
from hpcai.jit import announce_compilation
from hpcai.scheduling.gpu_cluster.discipline import Discipline
from hpcai.scheduling.gpu_cluster.state import ENDED, Cluster, make_cluster
from hpcai.scheduling.gpu_cluster.work import Workload, make_workload
from hpcai.simulation.gpu_cluster.clock import FULL, run_until

EVENTS: Final = ("start", "end", "stop", "resize", "signal")
PATIENCE: Final = 8  # logs in which no job ends, after which there is no hope


@dataclass(frozen=True)
class Outcome:
    """What a replay gave: ``jobs`` a row each in the workload's order, ``events`` in order of time."""

    workload: Workload
    jobs: pd.DataFrame
    events: pd.DataFrame


def replay_cluster(
    jobs: pd.DataFrame,
    machine: Machine,
    discipline: Discipline,
    *,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Outcome:
    """Return what becomes of ``jobs`` (canonical table, runnable on ``machine``, by submission).

    ``progress`` is told how many jobs have been submitted. Raises InputError if jobs are left that never start.
    """
    workload = make_workload(jobs, machine, discipline)
    cluster = make_cluster(workload, machine, discipline, seed=seed)
    announce_compilation(run_until)
    events = run_through(cluster, progress)
    unfinished = int(np.isnan(cluster.run["ended"]).sum())
    if unfinished:
        first = int(np.flatnonzero(np.isnan(cluster.run["ended"]))[0])
        raise InputError(
            f"job {jobs['job_id'].iloc[first]!r}: never starts under this discipline (and {unfinished - 1} more); "
            "expected a quota and a machine that it fits into"
        )
    return Outcome(workload, outcome_of(cluster), events_of(events))


def run_through(cluster: Cluster, progress: Callable[[int], None] | None = None) -> NDArray[np.void]:
    """Let a cluster run until nothing more happens; return its log, LOG (events,).

    Raises InputError if jobs stop each other for ever.
    """
    parts: list[NDArray[np.void]] = []
    idle = 0
    step = (cluster.work["submit"][-1] - cluster.work["submit"][0]) / 50 if len(cluster.work) else 0.0
    until = cluster.work["submit"][0] if len(cluster.work) and progress is not None else np.inf
    while True:
        why = run_until(cluster, until)
        at = cluster.at[0]
        if at["logged"]:
            parts.append(cluster.log[: at["logged"]].copy())
            at["logged"] = 0
        if progress is not None:
            progress(int(at["submitted"]))
        if why == FULL:
            idle = 0 if ENDED in parts[-1]["what"] else idle + 1
            if idle == PATIENCE:
                raise InputError(
                    f"after {cluster.at[0]['now']:.0f} s jobs stop each other for ever: expected a longer 'quantum', "
                    "checkpoints more often than that, or 'saves: all'"
                )
            continue
        if until == np.inf:
            return np.concatenate(parts) if parts else cluster.log[:0].copy()
        until = until + max(step, 1.0) if at["submitted"] < len(cluster.work) else np.inf


def outcome_of(cluster: Cluster) -> pd.DataFrame:
    """Return what became of each job: times in s, GPU-seconds held, lost and spent on overhead."""
    run = cluster.run
    return pd.DataFrame(
        {
            "submit": cluster.work["submit"],
            "start": run["started"],
            "end": run["ended"],
            "gpus": cluster.work["tasks"] * cluster.work["gpu"] / 1000,
            "rank": cluster.work["rank"],
            "tenant": cluster.work["tenant"],
            "work": cluster.work["work"],
            "busy": cluster.work["busy"],
            "attained": run["attained"],
            "lost": run["lost"],
            "overhead": run["overhead"],
            "stops": run["stops"],
        }
    )


def events_of(log: NDArray[np.void]) -> pd.DataFrame:
    """Return a log as a table: time (s), job (row), what, pods it has then, GPU-s lost, and for which job."""
    table = pd.DataFrame({name: log[name] for name in ("time", "job", "what", "tasks", "lost", "by")})
    return table.assign(what=pd.Categorical(np.array(EVENTS)[log["what"]], categories=list(EVENTS)))
