"""What the extender answers: filter, prioritize and preempt, as kube-scheduler asks and reads them.

Source: k8s.io/kube-scheduler/extender/v1, types.go. Its fields have no JSON names, so Go's own, capitalised, are used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hpcai.live.kubernetes.objects import NOT_UNDERSTOOD, Pod, pod_of
from hpcai.live.kubernetes.placement import Mask, Score, fits
from hpcai.live.kubernetes.view import ClusterView

HIGHEST: Final = 10  # score that an extender may give
_SAME: Final = 1e-9  # difference of costs that is none, relative where they are beyond 1

Arguments = Mapping[str, Any]
Victims = dict[str, tuple[list[str], int]]  # by node: uids, and how many disruption budgets they would break
Answer = Callable[[ClusterView, Arguments], Any]


class RequestError(ValueError):
    """A request is not what kube-scheduler sends; the message says what was expected."""


@dataclass(frozen=True)
class Candidates:
    """The nodes of a request, and whether it had them whole (``nodeCacheCapable: false``) or by name."""

    names: list[str]
    items: list[Any] | None

    @classmethod
    def of(cls, arguments: Arguments) -> Candidates:
        """Return the nodes that a request names."""
        names, nodes = arguments.get("NodeNames"), arguments.get("Nodes")
        if isinstance(names, list):
            items = None
        else:
            items = nodes.get("items") if isinstance(nodes, dict) else None
            try:
                names = [item["metadata"]["name"] for item in items or []]
            except NOT_UNDERSTOOD as error:
                raise RequestError("Nodes: expected a list of nodes with names") from error
            if not isinstance(items, list):
                raise RequestError("NodeNames, Nodes: expected one of the two")
        if not all(isinstance(name, str) for name in names):
            raise RequestError("NodeNames: expected a list of names")
        return cls(names, items)


def filter_nodes(view: ClusterView, arguments: Arguments) -> dict[str, Any]:
    """Return the nodes with room for the pod; one that is not known yet is left to kube-scheduler."""
    pod, asked = _pod(view, arguments), Candidates.of(arguments)
    request = view.room.row(pod.amounts)
    roomy, large = fits(view.room.free, request), fits(view.room.capacity, request)
    rows = view.rows(asked.names)
    kept = [i for i, row in enumerate(rows) if row < 0 or roomy[row]]
    left = [
        (name, bool(large[row])) for name, row in zip(asked.names, rows, strict=True) if row >= 0 and not roomy[row]
    ]
    return {
        "NodeNames": None if asked.items is not None else [asked.names[i] for i in kept],
        "Nodes": None if asked.items is None else {"metadata": {}, "items": [asked.items[i] for i in kept]},
        "FailedNodes": {name: "not enough free for the pod" for name, could in left if could},
        "FailedAndUnresolvableNodes": {name: "too small for the pod" for name, could in left if not could},
        "Error": "",
    }


Marks = Callable[[ClusterView, Pod, Mask], NDArray[np.int64]]
"""From the view, a pod and the nodes that come into question (nodes,) to 0..10 for each node."""
Costs = Callable[[ClusterView, Pod, Mapping[str, Sequence[str]]], Mapping[str, float]]
"""From the view, a pod and the victims' uids by node to the cost of stopping them, by node."""


def marks_by(score: Score) -> Marks:
    """Return what gives each node 0..10 by ``score``."""

    def marks(view: ClusterView, pod: Pod, possible: Mask) -> NDArray[np.int64]:
        scores = score(view.room, view.room.row(pod.amounts), view.mates(pod), possible)
        return np.round(scores * HIGHEST).astype(np.int64)

    return marks


def prioritizer(marks: Marks) -> Answer:
    """Return the answer that gives each node 0..10 by ``marks``."""

    def prioritize(view: ClusterView, arguments: Arguments) -> list[dict[str, Any]]:
        """Return a score for each node; 0 for one that is not known."""
        pod, asked = _pod(view, arguments), Candidates.of(arguments)
        rows = view.rows(asked.names)
        possible = np.zeros(len(view.room.nodes), dtype=bool)
        possible[[row for row in rows if row >= 0]] = True
        whole = marks(view, pod, possible).tolist()
        return [{"Host": n, "Score": whole[row] if row >= 0 else 0} for n, row in zip(asked.names, rows, strict=True)]

    return prioritize


def preempter(costs: Costs | None) -> Answer:
    """Return the answer that keeps, of the nodes that :func:`fewest_broken` does, those with the least costs."""

    def preempt(view: ClusterView, arguments: Arguments) -> dict[str, Any]:
        """Return the nodes that are kept, with their victims as they came."""
        pod = _pod(view, arguments)
        kept = fewest_broken(view, pod, _victims(arguments))
        if costs is not None and len(kept) > 1:
            cost = costs(view, pod, {node: uids for node, (uids, _) in kept.items()})
            least = min(cost.values())
            kept = {node: kept[node] for node in kept if cost[node] <= least + _SAME * max(1.0, abs(least))}
        return {
            "NodeNameToMetaVictims": {
                node: {"Pods": [{"UID": uid} for uid in uids], "NumPDBViolations": violations}
                for node, (uids, violations) in kept.items()
            }
        }

    return preempt


def fewest_broken(view: ClusterView, pod: Pod, victims: Victims) -> Victims:
    """Return the nodes where the pod fits once the victims are gone, of those the ones that break fewest gangs."""
    room = view.room
    request = room.row(pod.amounts)
    possible = {}
    for node, (uids, violations) in victims.items():
        (row,) = view.rows([node])
        if row < 0 or fits((room.free[row] + view.freed(uids))[None, :], request)[0]:
            possible[node] = (uids, violations)
    broken = {node: len(view.gangs_of(uids)) for node, (uids, _) in possible.items()}
    fewest = min(broken.values(), default=0)
    return {node: possible[node] for node in possible if broken[node] == fewest}


def bind_arguments(arguments: Arguments) -> tuple[str, str, str, str]:
    """Return namespace, pod, uid and node of a request to bind."""
    found = tuple(arguments.get(key) for key in ("PodNamespace", "PodName", "PodUID", "Node"))
    namespace, pod, uid, node = found
    if not (isinstance(namespace, str) and isinstance(pod, str) and isinstance(uid, str) and isinstance(node, str)):
        raise RequestError("PodNamespace, PodName, PodUID, Node: expected text for each")
    return namespace, pod, uid, node


def _pod(view: ClusterView, arguments: Arguments) -> Pod:
    try:
        return pod_of(arguments["Pod"], view.keys)
    except NOT_UNDERSTOOD as error:
        raise RequestError("Pod: expected a pod as Kubernetes describes one") from error


def _victims(arguments: Arguments) -> Victims:
    """Return the uids of the victims on each node, and how many disruption budgets they would break."""
    metas, whole = arguments.get("NodeNameToMetaVictims"), arguments.get("NodeNameToVictims")
    try:
        if metas:
            return {str(n): ([str(p["UID"]) for p in v["Pods"] or []], _breaks(v)) for n, v in metas.items()}
        if whole or whole == {}:
            return {
                str(n): ([str(p["metadata"]["uid"]) for p in v["Pods"] or []], _breaks(v)) for n, v in whole.items()
            }
    except NOT_UNDERSTOOD as error:
        raise RequestError("NodeNameToVictims, NodeNameToMetaVictims: expected victims of each node") from error
    if metas == {}:
        return {}
    raise RequestError("NodeNameToVictims, NodeNameToMetaVictims: expected one of the two")


def _breaks(victims: Mapping[str, Any]) -> int:
    return int(victims.get("NumPDBViolations") or 0)
