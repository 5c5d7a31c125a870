"""What a clock calls when something happens, on either kind of machine."""

from __future__ import annotations

from hpcai.jit import jit
from hpcai.scheduling.kinds import by_kind
from hpcai.scheduling.node_passes import finish_tasks, reserve_nodes
from hpcai.scheduling.passes import schedule
from hpcai.scheduling.processor_passes import finish_job, reserve_processors
from hpcai.scheduling.queue import enqueue
from hpcai.scheduling.state import State

# For compiled code: ``finish(st, j, now)`` when a job ends, ``reserve(st, now)`` when reservations begin or end.
finish = by_kind(finish_job, finish_tasks)
reserve = by_kind(reserve_processors, reserve_nodes)

# Kinds of event for Python's one entry point. It is a single function because every compiled entry point carries
# a copy of the whole pass, and because crossing into compiled code has a price at every event.
SUBMITTED, ENDED, RESERVED, CHANGED = 0, 1, 2, 3


@jit
def on_event(st: State, kind: int, j: int, now: float, run_pass: bool) -> int:
    """Let an event take effect: job ``j`` is submitted or has ended, reservations begin or end, or whatever.

    Run the pass if asked to, and return how many jobs it started: ``st.started[:n]``.
    """
    if kind == SUBMITTED:
        enqueue(st, j, now)
    elif kind == ENDED:
        finish(st, j, now)
    elif kind == RESERVED:
        reserve(st, now)
    if not run_pass:
        return 0
    schedule(st, now)
    return int(st.scalars[0].started)
