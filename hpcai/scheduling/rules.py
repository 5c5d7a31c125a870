"""What a clock calls: submissions, completions, reservations and the pass, on either kind of machine.

Which kind is known when the functions are compiled, by the type of the state: code for nodes is compiled only
when a machine counted by node comes up. ``submit``, ``finish``, ``reserve`` and ``schedule`` work in compiled
code; :func:`on_event` gives the same to Python.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import types
from numba.extending import overload

from hpcai.scheduling._jit import jit
from hpcai.scheduling.node_passes import finish_tasks, reserve_nodes, schedule_nodes
from hpcai.scheduling.passes import finish_job, reserve_processors, schedule_processors
from hpcai.scheduling.queue import enqueue
from hpcai.scheduling.state import State


def submit(st: State, j: int, now: float) -> None:
    """Job ``j`` joins the queue."""


def finish(st: State, j: int, now: float) -> None:
    """Job ``j`` ends and releases what it holds."""


def reserve(st: State, now: float) -> None:
    """Put the reservations of this instant in force, and those that are over out of force."""


def schedule(st: State, now: float) -> None:
    """Run one pass; the started jobs are ``st.started[: st.scalars[0].started]``."""


def _counted_by_node(state: Any) -> bool:
    return not isinstance(state.types[state.fields.index("room")], types.NoneType)


# Numba asks that an implementation's parameters look just like those of the overload, hence the nested functions.


@overload(submit)
def _submit(st: Any, j: Any, now: Any) -> Callable[..., None]:
    def rule(st: Any, j: Any, now: Any) -> None:
        enqueue(st, j, now)

    return rule


@overload(finish)
def _finish(st: Any, j: Any, now: Any) -> Callable[..., None]:
    finish_it = finish_tasks if _counted_by_node(st) else finish_job

    def rule(st: Any, j: Any, now: Any) -> None:
        finish_it(st, j, now)

    return rule


@overload(reserve)
def _reserve(st: Any, now: Any) -> Callable[..., None]:
    reserve_it = reserve_nodes if _counted_by_node(st) else reserve_processors

    def rule(st: Any, now: Any) -> None:
        reserve_it(st, now)

    return rule


@overload(schedule)
def _schedule(st: Any, now: Any) -> Callable[..., None]:
    schedule_it = schedule_nodes if _counted_by_node(st) else schedule_processors

    def rule(st: Any, now: Any) -> None:
        schedule_it(st, now)

    return rule


# Kinds of event for Python's one entry point. It is a single function because every compiled entry point carries
# a copy of the whole pass, and because crossing into compiled code has a price at every event.
SUBMITTED, ENDED, RESERVED, CHANGED = 0, 1, 2, 3


@jit
def on_event(st: State, kind: int, j: int, now: float, run_pass: bool) -> int:
    """Let an event take effect: job ``j`` is submitted or has ended, reservations begin or end, or whatever.

    Run the pass if asked to, and return how many jobs it started: ``st.started[:n]``.
    """
    if kind == SUBMITTED:
        submit(st, j, now)
    elif kind == ENDED:
        finish(st, j, now)
    elif kind == RESERVED:
        reserve(st, now)
    if not run_pass:
        return 0
    schedule(st, now)
    return int(st.scalars[0].started)
