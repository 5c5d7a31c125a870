"""Replay a table of jobs on a machine under a policy, on either clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpcai.cluster.spec import Machine
from hpcai.errors import InputError
from hpcai.scheduling.policy import Policy
from hpcai.scheduling.state import State, make_state
from hpcai.simulation import compiled, learned, simpy_clock

Engine = Literal["compiled", "simpy"]


@dataclass(frozen=True)
class Schedule:
    """Who ran when and where.

    ``table`` has a row per job in the order of the jobs given: job_id, submit, start, end (s; start and end nan
    if it never started), processors, gpus, nodes (indices joined by commas; empty on a machine counted by
    processor), killed (ended at its requested time).
    """

    table: pd.DataFrame
    policy: Policy


def replay(
    jobs: pd.DataFrame,
    machine: Machine,
    policy: Policy,
    *,
    past: pd.DataFrame | None = None,
    origin: float = float("nan"),
    engine: Engine = "compiled",
    progress: Callable[[int], object] | None = None,
) -> Schedule:
    """Return the schedule of ``jobs`` on ``machine`` under ``policy`` (docs/semantics.md).

    ``jobs`` are rows of a canonical table, all of them replayable (:func:`hpcai.scheduling.jobs.replayable`).
    ``past`` are earlier jobs of the same log: a predictor knows those of them that had ended before the first
    submission, as recorded; nothing else depends on it. ``origin`` is the Unix time of second 0, which only networks
    look at. ``engine`` is the clock: both give the same schedule.
    ``progress`` is called with the jobs ended so far (compiled clock only). Raises InputError for an unknown
    ordering, a formula that cannot be read, or a predictor that is missing or cannot be used.
    """
    by_submit = np.argsort(jobs["submit"].to_numpy(), kind="stable")
    state = final_state(jobs.iloc[by_submit], machine, policy, past, origin, engine, progress)
    back = np.empty_like(by_submit)
    back[by_submit] = np.arange(len(by_submit))
    return Schedule(schedule_table(jobs, machine, policy, state, back), policy)


def final_state(
    jobs: pd.DataFrame,
    machine: Machine,
    policy: Policy,
    past: pd.DataFrame | None = None,
    origin: float = float("nan"),
    engine: Engine = "compiled",
    progress: Callable[[int], object] | None = None,
) -> State:
    """Return the state at the end of a replay of ``jobs``, sorted by submit; see :func:`replay`."""
    if policy.network is not None:
        if engine != "compiled":
            raise InputError(f"engine {engine!r}: expected 'compiled', on which networks decide")
        return learned.run(jobs, machine, policy, past, origin, progress)
    state = make_state(jobs, machine, policy, past=past)
    if engine == "compiled":
        compiled.run(state, progress)
    else:
        simpy_clock.run(state)
    return state


def schedule_table(
    jobs: pd.DataFrame, machine: Machine, policy: Policy, state: State, row: NDArray[np.intp]
) -> pd.DataFrame:
    """Return the schedule's table; ``row`` says where in ``state`` each job of ``jobs`` is."""
    start = state.start[row]
    run = state.jobs["run"][row]
    return pd.DataFrame(
        {
            "job_id": jobs["job_id"].array,
            "submit": state.submit[row],
            "start": start,
            "end": start + run,
            "processors": state.jobs["size"][row] if not machine.by_node else jobs["processors"].to_numpy(),
            "gpus": jobs["gpus"].to_numpy(),
            "nodes": _node_lists(state, row) if machine.by_node else pd.array([""] * len(jobs), dtype="str"),
            "killed": policy.kill_at_limit & (run < jobs["run_time"].to_numpy()),
        },
        index=jobs.index,
    )


def _node_lists(state: State, row: NDArray[np.intp]) -> list[str]:
    """Return the nodes of every job as indices joined by commas; empty if it never started."""
    lists = []
    for j in row.tolist():
        first, size = state.jobs["entries"][j], state.jobs["size"][j]
        nodes = state.entries["node"][first : first + size].tolist()
        lists.append("" if np.isnan(state.start[j]) else ",".join(map(str, dict.fromkeys(nodes))))
    return lists
