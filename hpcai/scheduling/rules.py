"""What a clock calls: submissions, completions, reservations and the pass, on either kind of machine."""

from __future__ import annotations

from hpcai.scheduling._jit import jit
from hpcai.scheduling.node_passes import finish_tasks, schedule_nodes
from hpcai.scheduling.passes import finish_job, schedule_processors
from hpcai.scheduling.queue import enqueue
from hpcai.scheduling.state import State


@jit
def submit(st: State, j: int, now: float) -> None:
    """Job ``j`` joins the queue."""
    enqueue(st, j, now)


@jit
def finish(st: State, j: int, now: float) -> None:
    """Job ``j`` ends and releases what it holds."""
    if st.scalars[0].by_node:
        finish_tasks(st, j, now)
    else:
        finish_job(st, j, now)


@jit
def reserve(st: State, now: float) -> None:
    """Put the reservations of this instant in force, and those that are over out of force."""
    s = st.scalars[0]
    s.reserved = 0
    for i in range(st.nodes.shape[0]):
        st.nodes[i].reserved = 0
    for w in range(st.windows.shape[0]):
        if st.windows[w].start <= now < st.windows[w].end:
            s.reserved += st.windows[w].processors
            for i in range(st.nodes.shape[0]):
                st.nodes[i].reserved += st.window_nodes[w, i]


@jit
def schedule(st: State, now: float) -> None:
    """Run one pass; the started jobs are ``st.started[: st.scalars[0].started]``."""
    if st.scalars[0].by_node:
        schedule_nodes(st, now)
    else:
        schedule_processors(st, now)
