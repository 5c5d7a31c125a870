"""What a clock calls: submissions, completions, reservations and the pass, on either kind of machine.

Which kind is known when the functions are compiled, by the type of the state: code for nodes is compiled only
when a machine counted by node comes up. ``submit``, ``finish``, ``reserve`` and ``schedule`` work in compiled
code; :func:`rules_for` gives the same four for Python.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from numba import types
from numba.extending import overload, register_jitable

from hpcai.scheduling._jit import jit, jit_allocating
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
    return not isinstance(state.types[state.fields.index("nodes")], types.NoneType)


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


def _on_submit(st: State, j: int, now: float, run_pass: bool) -> int:
    """Job ``j`` is submitted; run the pass if asked to and return how many jobs it started."""
    submit(st, j, now)
    return _on_change(st, now, run_pass)


def _on_finish(st: State, j: int, now: float, run_pass: bool) -> int:
    """Job ``j`` ends; run the pass if asked to and return how many jobs it started."""
    finish(st, j, now)
    return _on_change(st, now, run_pass)


def _on_reserve(st: State, now: float, run_pass: bool) -> int:
    """Reservations begin or end; run the pass if asked to and return how many jobs it started."""
    reserve(st, now)
    return _on_change(st, now, run_pass)


@register_jitable
def _on_change(st: State, now: float, run_pass: bool) -> int:
    """Run the pass if asked to; return how many jobs it started."""
    if not run_pass:
        return 0
    schedule(st, now)
    return int(st.scalars[0].started)


class Rules(NamedTuple):
    """The rules as functions to call from Python, one call an event: crossing into compiled code has a price."""

    on_submit: Callable[[State, int, float, bool], int]
    on_finish: Callable[[State, int, float, bool], int]
    on_reserve: Callable[[State, float, bool], int]
    on_change: Callable[[State, float, bool], int]


_RULES_FOR_PROCESSORS = Rules(jit(_on_submit), jit(_on_finish), jit(_on_reserve), jit(_on_change))
_RULES_FOR_NODES = Rules(
    jit_allocating(_on_submit), jit_allocating(_on_finish), jit_allocating(_on_reserve), jit_allocating(_on_change)
)


def rules_for(state: State) -> Rules:
    """Return the rules for the kind of machine that ``state`` describes."""
    return _RULES_FOR_PROCESSORS if state.nodes is None else _RULES_FOR_NODES
