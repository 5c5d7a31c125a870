"""A replay in which a learned network takes the decisions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from hpcai.cluster.spec import Machine
from hpcai.jit import announce_compilation
from hpcai.scheduling.network import Network, load_network
from hpcai.scheduling.policy import Policy
from hpcai.scheduling.state import State
from hpcai.simulation.batch import advance, lane_of, make_seen, stack
from hpcai.simulation.episode import LOAD, Episodes, Setting
from hpcai.simulation.rewards import Reward

_TOLD_EVERY = 500  # decisions


def setting_of(policy: Policy, network: Network) -> Setting:
    """Return how a network takes decisions under a policy; nothing is rewarded."""
    meta = network.meta
    reward = Reward(relative=False)
    return Setting(policy, meta.window, meta.decide, meta.defer, reward, meta.classes)


def run(
    jobs: pd.DataFrame,
    machine: Machine,
    policy: Policy,
    past: pd.DataFrame | None = None,
    origin: float = float("nan"),
    progress: Callable[[int], object] | None = None,
) -> State:
    """Return the state at the end of the replay of ``jobs`` (sorted by submit) under a policy with a network.

    ``origin`` is the Unix time of second 0: a network may look at the time of day.

    Raises InputError if the network's file cannot be used, or the jobs cannot be played.
    """
    network = load_network(policy.network or "")
    if past is None or not policy.learns:  # nothing but a predictor looks at it
        past = jobs.iloc[:0]
    log = pd.concat([past, jobs], ignore_index=True) if len(past) else jobs
    episodes = Episodes(
        log, machine, setting_of(policy, network), length=len(jobs), firsts=np.array([len(past)]), origin=origin
    )
    lanes, seen = stack(episodes, 1), make_seen(1, network.meta.window)
    announce_compilation(advance)
    action, window = np.array([LOAD]), np.array([0])
    advance(lanes, episodes.pool, action, window, seen, 0, 1)
    window[0] = -1
    decisions = 0
    while not seen.done[0]:
        action[0] = network.choose(seen.jobs[0], seen.machine[0], seen.legal[0])
        advance(lanes, episodes.pool, action, window, seen, 0, 1)
        decisions += 1
        if progress is not None and decisions % _TOLD_EVERY == 0:
            progress(int(lanes.events.counts["ended"][0, 0]))
    return lane_of(lanes, 0).state
