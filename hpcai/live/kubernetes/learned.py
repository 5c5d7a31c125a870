"""Which node a bundle prefers for a pod, and what it thinks of stopping others: from the view to features and back."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpcai.live.bundle import Bundle
from hpcai.live.cluster.placement import PlacementPolicy, Step, count, features_of
from hpcai.live.cluster.preemption import Need, PreemptionPolicy, Victim
from hpcai.live.kubernetes.objects import Keys, Pod, gpus_in
from hpcai.live.kubernetes.placement import Floats, Mask
from hpcai.live.kubernetes.room_nodes import RoomNodes
from hpcai.live.kubernetes.verbs import HIGHEST, Costs, Marks
from hpcai.live.kubernetes.view import ClusterView
from hpcai.live.ranking import NoAnswerError
from hpcai.scheduling.gpu_cluster.work import CLASSES, NORMAL, PREEMPTIBLE

_log = logging.getLogger(__name__)

NO_LIMIT: Final = 86_400.0  # s that a pod without a limit is expected to take


class LivePlacement:
    """Costs of nodes by a bundle of the domain placement."""

    def __init__(self, bundle: Bundle) -> None:
        """Raises InputError if the bundle is another, or of another version."""
        self.policy = PlacementPolicy(bundle)
        self._nodes: RoomNodes | None = None

    def costs(self, view: ClusterView, pod: Pod, possible: Mask) -> Floats:
        """Return the cost of each node of ``view.room`` (nodes,), inf without room; only possible ones have any."""
        features, step = self.features(view, pod, possible)
        return self.policy.costs(features, step)

    def features(self, view: ClusterView, pod: Pod, possible: Mask) -> tuple[Floats, Step]:
        """Return GANG_FEATURES of each node, nan without room, and where the gang stands."""
        room = view.room
        if self._nodes is None or self._nodes.room is not room:
            self._nodes = RoomNodes.of(room, [view.nodes[name] for name in room.nodes])
        nodes = self._nodes.now(view.held, possible)
        mates = view.mates(pod)
        asked = self._nodes.pod(room.row(pod.amounts), pod.gpu_kind)
        placed = int(mates.placed.sum())
        count(nodes, asked, mates.left + placed)
        step = Step(mates.left, placed, _leaf(mates.placed, nodes.leaf, nodes.room[1]))
        target = self._nodes.target(view.asked, view.workload)
        return features_of(nodes, asked, target, step), step


def _leaf(placed: Floats, leaf: NDArray[np.int64], room: NDArray[np.int64]) -> int:
    """Return the leaf switch where a gang goes on: of those that it is under the roomiest; -1 if it is nowhere."""
    under = leaf[placed > 0]
    return int(under[room[under].argmax()]) if len(under) else -1


class LivePreemption:
    """Costs of stopping jobs by a bundle of the domain preemption."""

    def __init__(self, bundle: Bundle, now: Callable[[], float] = time.time) -> None:
        """Raises InputError if the bundle is another, or of another version."""
        self.policy = PreemptionPolicy(bundle)
        self._now = now

    def costs(self, view: ClusterView, pod: Pod, victims: Mapping[str, Sequence[str]]) -> dict[str, float]:
        """Return, by node, the cost of stopping all the jobs that its victims (uids) are of.

        A pod stands for its gang, which loses what it did as a whole. Raises KeyError if a victim is not known.
        """
        room, now = view.room, self._now()
        free = float(np.maximum(room.free[:, room.gpu], 0).sum())
        largest = float(room.capacity[:, room.gpu].sum(axis=1).max(initial=0.0))
        need = Need(view.mates(pod).left * gpus_in(pod.amounts, view.keys), free, largest)
        jobs = {name: view.jobs_of(uids) for name, uids in victims.items()}
        known = {job: pods for of_node in jobs.values() for job, pods in of_node.items()}
        places = {name: row for row, name in enumerate(room.nodes)}
        costs = self.policy.costs([victim_of(pods, places, view.keys, now) for pods in known.values()], need)
        cost = dict(zip(known, costs.tolist(), strict=True))
        return {name: sum(cost[job] for job in of_node) for name, of_node in jobs.items()}


def victim_of(pods: Sequence[Pod], places: Mapping[str, int], keys: Keys, now: float) -> Victim:
    """Return a job as the policy sees it; ``places`` are numbers of nodes.

    It began when its last pod did, has lost nothing before its earliest pod's latest checkpoint, and is of the highest
    class of its pods.
    """
    begun = max(_begun(pod, now) for pod in pods)
    saved = min(pod.checkpoint if pod.checkpoint >= _begun(pod, now) else _begun(pod, now) for pod in pods)
    limit = min((pod.limit for pod in pods if not math.isnan(pod.limit)), default=NO_LIMIT)
    return Victim(
        gpus=sum(gpus_in(pod.amounts, keys) for pod in pods),
        nodes=tuple(sorted(places.get(pod.node, -1) for pod in pods)),
        age=max(now - begun, 0.0),
        unsaved=max(now - saved, 0.0),
        estimate=limit,
        saves=all(pod.saves for pod in pods),
        stops=max(pod.restarts for pod in pods),
        rank=max(class_of(pod) for pod in pods),
    )


def _begun(pod: Pod, now: float) -> float:
    return now if math.isnan(pod.started) else pod.started


def class_of(pod: Pod) -> int:
    """Return the class of a pod, as its PriorityClass is called; else one of negative priority may be pre-empted."""
    if pod.qos in CLASSES:
        return CLASSES.index(pod.qos)
    return PREEMPTIBLE if pod.priority < 0 else NORMAL


@dataclass(frozen=True)
class Learned:
    """What the extender goes by beside its own rules."""

    placement: LivePlacement | None = None
    preemption: LivePreemption | None = None


BY_RULES: Final = Learned()


def learned_marks(placement: LivePlacement, usual: Marks, failed: Callable[[], None]) -> Marks:
    """Return what gives nodes 0..10 by a bundle, by ``usual`` for pods without GPUs and where the bundle fails."""

    def marks(view: ClusterView, pod: Pod, possible: Mask) -> NDArray[np.int64]:
        if gpus_in(pod.amounts, view.keys):
            try:
                return marks_of(placement.costs(view, pod, possible))
            except Exception as error:  # whatever a policy does wrong: pods have to be placed
                _log.warning("placement by the score, for the policy failed: %s: %s", type(error).__name__, error)
                failed()
        return usual(view, pod, possible)

    return marks


def marks_of(costs: Floats) -> NDArray[np.int64]:
    """Return 10 for the least cost alone, 9 to 1 for others in proportion, and 0 where there is no room.

    kube-scheduler draws lots among nodes of the same score, so none but the best may have the best one's.
    """
    roomy = np.isfinite(costs)
    if not roomy.any():
        raise NoAnswerError("no node has room by its count")
    least, most = costs[roomy].min(), costs[roomy].max()
    best = costs <= least + 1e-9 * max(1.0, abs(least))
    share = (most - np.where(roomy, costs, most)) / max(most - least, 1e-300)
    marks = 1 + np.floor(share * (HIGHEST - 2)).astype(np.int64)
    return np.where(best, HIGHEST, np.where(roomy, marks, 0))


def learned_costs(preemption: LivePreemption, failed: Callable[[], None]) -> Costs:
    """Return the costs of victims by a bundle; where it fails all cost the same."""

    def costs(view: ClusterView, pod: Pod, victims: Mapping[str, Sequence[str]]) -> Mapping[str, float]:
        try:
            return preemption.costs(view, pod, victims)
        except Exception as error:  # whatever a policy does wrong
            _log.warning("victims by fewest gangs alone, for the policy failed: %s: %s", type(error).__name__, error)
            failed()
            return dict.fromkeys(victims, 0.0)

    return costs
