"""A graph whose operators are merged two by two, and which stays without cycles."""

from __future__ import annotations

import numpy as np

from hpcai.device_placement.graph import Floats, Ints, OperatorGraph


class Quotient:
    """The groups of a graph's operators, by the number of one of their operators, and the edges between groups."""

    def __init__(self, graph: OperatorGraph) -> None:
        n = len(graph)
        self.graph = graph
        self.count = n
        self.successors: list[set[int]] = [set() for _ in range(n)]
        self.predecessors: list[set[int]] = [set() for _ in range(n)]
        for source, target in graph.edges.tolist():
            self.successors[source].add(target)
            self.predecessors[target].add(source)
        self.share = _shares(graph)  # (2, n) of all seconds, and of all memory
        self.runs_on = np.isfinite(graph.forward)  # (m, n)
        self._into = list(range(n))

    def find(self, operator: int) -> int:
        """Return the group of an operator."""
        while self._into[operator] != operator:
            self._into[operator] = self._into[self._into[operator]]
            operator = self._into[operator]
        return operator

    def groups(self) -> list[int]:
        """Return the groups, in the order of their numbers."""
        return [i for i, into in enumerate(self._into) if i == into]

    def members(self) -> Ints:
        """Return (n,) the group of each operator, numbered from 0 in the order of their first operators."""
        found = [self.find(i) for i in range(len(self._into))]
        number: dict[int, int] = {}
        return np.array([number.setdefault(group, len(number)) for group in found], np.int64)

    def may_merge(self, u: int, v: int, largest: float) -> bool:
        """Whether two groups are of one pass, some device can run both, and both shares of the two are small enough."""
        return bool(
            self.graph.phase[u] == self.graph.phase[v]
            and (self.runs_on[:, u] & self.runs_on[:, v]).any()
            and (self.share[:, u] + self.share[:, v] <= largest).all()
        )

    def detour(self, u: int, v: int) -> bool:
        """Whether there is a path from ``u`` to ``v`` beside their edge, so that merging them would make a cycle."""
        reached = self.successors[u] - {v}
        ahead = list(reached)
        while ahead:
            for target in self.successors[ahead.pop()]:
                if target == v:
                    return True
                if target not in reached:
                    reached.add(target)
                    ahead.append(target)
        return False

    def only_way(self, u: int, v: int) -> bool:
        """Whether all that leaves ``u`` goes to ``v``, or all that enters ``v`` comes from ``u``: no detour then."""
        return len(self.successors[u]) == 1 or len(self.predecessors[v]) == 1

    def merge(self, u: int, v: int) -> int:
        """Make one group of two and return it; the caller has seen to it that there is no detour."""
        if len(self.successors[u]) + len(self.predecessors[u]) < len(self.successors[v]) + len(self.predecessors[v]):
            u, v = v, u
        for target in self.successors[v]:
            self.predecessors[target].remove(v)
            self.predecessors[target].add(u)
        for source in self.predecessors[v]:
            self.successors[source].remove(v)
            self.successors[source].add(u)
        self.successors[u] = (self.successors[u] | self.successors[v]) - {u, v}
        self.predecessors[u] = (self.predecessors[u] | self.predecessors[v]) - {u, v}
        self.share[:, u] += self.share[:, v]
        self.runs_on[:, u] &= self.runs_on[:, v]
        self._into[v] = u
        self.count -= 1
        return u

    def order(self) -> list[int]:
        """Return the groups in a topological order that follows one branch to its end before it takes up the next."""
        waits = {group: len(self.predecessors[group]) for group in self.groups()}
        stack = [group for group in reversed(waits) if waits[group] == 0]
        found = []
        while stack:
            group = stack.pop()
            found.append(group)
            for target in sorted(self.successors[group], reverse=True):
                waits[target] -= 1
                if waits[target] == 0:
                    stack.append(target)
        return found


def _shares(graph: OperatorGraph) -> Floats:
    """Return (2, n) each operator's share of all seconds, on its fastest device, and of weights and activations."""
    amounts = np.array([(graph.forward + graph.backward).min(axis=0), graph.weights + graph.activations])
    total = amounts.sum(axis=1, keepdims=True)
    shares: Floats = np.divide(amounts, total, out=np.zeros_like(amounts), where=total > 0)
    return shares
