"""What a policy sees of a live cluster at one moment, before anything is decided: for its scores, and for nothing else.

The same functions fill the same columns in training and in a replay; only who is asked differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpcai.cluster.spec import Machine
from hpcai.jit import announce_compilation
from hpcai.scheduling.decisions import look, make_decision
from hpcai.scheduling.features import JOB_FEATURES, MACHINE_FEATURES, observe, traits
from hpcai.scheduling.formula import DYNAMIC_VARIABLES, PREDICTED_VARIABLES, STATIC_VARIABLES
from hpcai.scheduling.policy import Policy
from hpcai.scheduling.snapshot import Tasks, joined, snapshot
from hpcai.scheduling.state import State

VARIABLES = STATIC_VARIABLES | PREDICTED_VARIABLES | DYNAMIC_VARIABLES
"""What formulas may name, and what it means, in the order of the rows of Outlook.variables."""


@dataclass(frozen=True)
class Outlook:
    """The waiting jobs in the order of the policy's own ordering; k of the n are in the window of a network."""

    rows: NDArray[np.int64]  # (n,) of the waiting table
    variables: NDArray[np.float64]  # (VARIABLES, n) of formulas
    jobs: NDArray[np.float32]  # (k, JOB_FEATURES)
    machine: NDArray[np.float32]  # (MACHINE_FEATURES,)


def outlook(
    waiting: pd.DataFrame,
    running: pd.DataFrame,
    machine: Machine,
    policy: Policy,
    now: float,
    tasks: Sequence[Tasks] = (),
    past: pd.DataFrame | None = None,
    *,
    origin: float = 0.0,
    window: int = 1,
    classes: tuple[str, ...] = (),
) -> Outlook:
    """Return what ``policy`` sees at ``now``; see :func:`hpcai.scheduling.snapshot.snapshot` for the first seven.

    ``origin`` is the Unix time of second 0; ``window`` and ``classes`` are a network's. Raises InputError as making a
    state does.
    """
    announce_compilation(look)
    state = snapshot(waiting, running, machine, policy, now, tasks, past)
    decision = make_decision(min(window, len(waiting)), "next", False)
    look(state, decision, now)
    jobs, order = joined(waiting, running)
    trait = traits(jobs, machine, policy, state.features, classes)
    seen = np.zeros((len(decision.slots), len(JOB_FEATURES)), dtype=np.float32)
    site = np.zeros(len(MACHINE_FEATURES), dtype=np.float32)
    observe(state, decision, trait, origin, now, seen, site)
    queue = _in_order(state)
    return Outlook(order[queue] - len(running), _variables(state, queue, now), seen, site)


def _in_order(state: State) -> NDArray[np.int64]:
    """Return the rows of the waiting jobs in the state, first in order first."""
    if state.scalars["dynamic"][0]:
        return state.queue[: int(state.scalars["waiting"][0])].copy()
    waits = ~np.isnan(state.submit) & np.isnan(state.start)
    rows = state.places["job"].astype(np.int64)
    return rows[waits[rows]]


def _variables(state: State, queue: NDArray[np.int64], now: float) -> NDArray[np.float64]:
    """Return the value of every variable for the jobs of ``queue``; use is nan where the ordering does not name it."""
    share = np.full(len(queue), np.nan)
    if state.usage.shape[1]:
        used, whole = state.accounts["usage"][state.jobs["account"][queue]], state.accounts["usage"][-1]
        share = used / whole if whole > 0 else np.zeros(len(queue))
    fairshare = 2.0 ** (-share * float(state.scalars["accounts"][0]))
    dynamic = np.stack((np.full(len(queue), now), now - state.submit[queue], share, fairshare))
    return np.concatenate((state.features[:, queue], dynamic))
