"""What it costs to stop a job for another, as a bundle says: the features of the simulator, the costs of its graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from hpcai.cluster.spec import Machine, NodeGroup
from hpcai.errors import InputError
from hpcai.jit import jit
from hpcai.live.bundle import Bundle
from hpcai.live.cluster.weighted import WeightedCosts
from hpcai.scheduling.gpu_cluster.discipline import VICTIM_FEATURES, Discipline
from hpcai.scheduling.gpu_cluster.state import RUN, RUNNING, Cluster, make_cluster
from hpcai.scheduling.gpu_cluster.victims import victim_feature
from hpcai.scheduling.gpu_cluster.work import NORMAL, WORK, Workload
from hpcai.scheduling.jobs import MILLI
from hpcai.scheduling.placement.pods import PLACE, POD

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Victim:
    """A job that runs and may be stopped; times in s."""

    gpus: float  # of all its pods
    nodes: tuple[int, ...]  # of each pod, those on one node beside each other
    age: float  # since its latest start
    unsaved: float  # since its latest checkpoint
    estimate: float  # that it is expected to take in all
    saves: bool = False  # writes a checkpoint when told to stop
    stops: int = 0
    rank: int = NORMAL  # place of its class in work.CLASSES


@dataclass(frozen=True)
class Need:
    """For whom somebody is stopped: GPUs it asks for, GPUs that are free, and the most GPUs of a node."""

    gpus: float
    free: float
    node_gpus: float


class PreemptionPolicy:
    """The policy of a bundle of the domain preemption."""

    def __init__(self, bundle: Bundle) -> None:
        """Raises InputError if the bundle is another, or of another version."""
        self.weighted = WeightedCosts(bundle, "preemption", VICTIM_FEATURES)
        try:
            self.discipline = Discipline.model_validate(bundle.manifest.policy.get("discipline"))
        except ValidationError as error:
            message = error.errors()[0]["msg"]
            raise InputError(f"bundle {bundle.where}: its discipline is not of this version: {message}") from error
        self.empty = empty_cluster(self.discipline)

    def costs(self, victims: Sequence[Victim], need: Need) -> Floats:
        """Return the cost of stopping each."""
        if not victims:
            return np.zeros(0)
        return self.weighted.costs(features_of(with_victims(self.empty, victims, need)))


def empty_cluster(discipline: Discipline) -> Cluster:
    """Return a cluster under a discipline for :func:`with_victims` to fill."""
    machine = Machine(name="live", groups=(NodeGroup(name="live", count=1, cpus=1, memory_gib=1, gpus=1),))
    nobody = Workload(np.zeros(0, dtype=WORK), np.zeros(0, dtype=POD), ("",), ())
    return make_cluster(nobody, machine, discipline)


def with_victims(empty: Cluster, victims: Sequence[Victim], need: Need) -> Cluster:
    """Return a cluster at second 0 in which job 0 asks and ``victims``, the jobs that follow, run."""
    n = len(victims) + 1
    work, run = np.zeros(n, dtype=WORK), np.zeros(n, dtype=RUN)
    work["checkpoint"], run["signal"], run["deadline"], run["busy_until"] = np.inf, np.inf, np.inf, -np.inf
    work["rank"][0], work["gpu"][0], run["tasks"][0] = NORMAL, round(need.gpus * MILLI), 1
    places: list[int] = []
    for v, victim in enumerate(victims, 1):
        left = max(victim.estimate - victim.age, 0.0)
        work["entries"][v], work["gpu"][v] = len(places), round(victim.gpus * MILLI / len(victim.nodes))
        work["work"][v] = work["estimate"][v] = victim.estimate
        work["on_signal"][v], work["rank"][v] = victim.saves, victim.rank
        run["status"][v], run["tasks"][v], run["stops"][v] = RUNNING, len(victim.nodes), victim.stops
        run["begun"][v], run["unsaved"][v], run["remaining"][v] = -victim.age, victim.unsaved, left
        run["risk"][v] = victim.unsaved * victim.gpus
        places.extend(victim.nodes)
    held = np.zeros(len(places), dtype=PLACE)
    held["node"] = places
    at = empty.at.copy()
    at["now"], at["free"] = 0.0, round(need.free * MILLI)
    most = np.array([1.0, 1.0, max(need.node_gpus * MILLI, 1.0)])
    return empty._replace(work=work, run=run, places=held, at=at, nodes=empty.nodes._replace(most=most))


def features_of(st: Cluster) -> Floats:
    """Return VICTIM_FEATURES of stopping each job but the first for the first: (jobs - 1, features)."""
    seen = np.empty((len(st.work) - 1, len(VICTIM_FEATURES)))
    _look(st, seen)
    return seen


@jit
def _look(st: Cluster, out: Any) -> None:
    for v in range(out.shape[0]):
        for k in range(out.shape[1]):
            out[v, k] = victim_feature(st, 0, v + 1, k)
