"""The state of a cluster as it stands now, from tables of who waits and who runs: what a live scheduler knows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpcai.cluster.spec import Machine
from hpcai.jit import jit
from hpcai.scheduling.kinds import by_kind
from hpcai.scheduling.node_passes import start_tasks
from hpcai.scheduling.policy import Policy
from hpcai.scheduling.processor_passes import start_job
from hpcai.scheduling.queue import enqueue, lay_order
from hpcai.scheduling.rules import reserve
from hpcai.scheduling.state import State, make_state

Tasks = Sequence[tuple[int, int]]
"""Where a running job's tasks are: for each the node's index and a bit mask of its GPUs there."""


def snapshot(
    waiting: pd.DataFrame,
    running: pd.DataFrame,
    machine: Machine,
    policy: Policy,
    now: float,
    tasks: Sequence[Tasks] = (),
    past: pd.DataFrame | None = None,
) -> State:
    """Return the state at ``now`` (s), about to make a pass.

    Both are canonical tables; ``running`` says in ``start`` when each job started. On a machine counted by node
    ``tasks`` says where each of them runs, in the same order. Run times may be unknown: nothing reads them. ``past``
    are jobs that have ended, from which a predictor learns.
    """
    jobs, order = joined(waiting, running)
    state = make_state(jobs, machine, policy, past=past, observed=True)
    row = np.empty(len(jobs), dtype=np.int64)
    row[order] = np.arange(len(jobs))
    begun = np.argsort(running["start"].to_numpy(), kind="stable")
    for i in begun.tolist():
        if machine.by_node:
            _write_tasks(state, int(row[i]), tasks[i])
        _restore(state, int(row[i]), float(running["start"].iloc[i]))
    for j in np.sort(row[len(running) :]).tolist():
        enqueue(state, j, float(state.jobs["submit"][j]))
    _settle(state, now)
    return state


def joined(waiting: pd.DataFrame, running: pd.DataFrame) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Return the jobs of a snapshot in the order of its state, and which row of running, then waiting, each is."""
    jobs = pd.concat([running, waiting], ignore_index=True)
    order = np.argsort(jobs["submit"].to_numpy(), kind="stable").astype(np.int64)
    return jobs.iloc[order], order


def _write_tasks(state: State, j: int, tasks: Tasks) -> None:
    first = int(state.jobs["entries"][j])
    for k, (node, gpus) in enumerate(tasks):
        state.entries[first + k] = (node, gpus)


_start = by_kind(start_job, start_tasks)


@jit
def _restore(st: State, j: int, start: float) -> None:
    """Job ``j`` has been running since ``start``."""
    s = st.scalars[0]
    enqueue(st, j, st.jobs[j].submit)
    if s.dynamic:
        lay_order(st, start)  # of this one job
    _start(st, 0 if s.dynamic else st.places[j].position, start)
    s.started = 0


@jit
def _settle(st: State, now: float) -> None:
    reserve(st, now)
