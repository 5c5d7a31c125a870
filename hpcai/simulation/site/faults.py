"""Faults of the nodes of a GPU cluster on a SimPy environment: nodes fall, crews repair them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
import simpy
from simpy.events import Event

from hpcai.simulation.faults.outages import Outage, check_outages
from hpcai.simulation.simpy_clock import call_at
from hpcai.simulation.site.flow import SiteFlow
from hpcai.simulation.site.rules.nodes import fail_node, repair_node


class NodeFaults:
    """Outages strike the nodes of a cluster, whose jobs die with them; ``crews`` repair so many at a time."""

    def __init__(
        self, env: simpy.Environment, flow: SiteFlow, outages: Sequence[Outage], crews: int | None = None
    ) -> None:
        """Take outages in order of time. Raises InputError if one is of a node that there is not."""
        nodes = flow.cluster.nodes
        check_outages(outages, len(nodes.cpu))
        self.env, self.flow = env, flow
        self.down = np.zeros(len(nodes.cpu), dtype=np.bool_)
        self.struck = 0  # outages that found a node up
        self.node_seconds = 0.0  # that nodes were down, by now less those that still are
        self._since = np.zeros(len(nodes.cpu))
        self._socket_cpu = nodes.socket_cpu.copy()
        self._broken: deque[Outage] = deque()
        self._crews_free = np.inf if crews is None else crews
        self._coming = iter(outages)
        self._chain()

    def down_seconds(self) -> float:
        """Return for how long nodes were down by now, of all nodes together (s)."""
        return self.node_seconds + float((self.env.now - self._since[self.down]).sum())

    def _chain(self) -> None:
        outage = next(self._coming, None)
        if outage is not None:
            call_at(self.env, max(outage.time, self.env.now), self._strike, outage)

    def _strike(self, event: Event) -> None:
        outage: Outage = event._value
        self._chain()
        fallen = tuple(node for node in outage.nodes if not self.down[node])
        if not fallen:
            return
        self.struck += 1
        for node in fallen:
            fail_node(self.flow.cluster, node, self.env.now)
            self.down[node], self._since[node] = True, self.env.now
        self._broken.append(Outage(outage.time, fallen, outage.repair, outage.component))
        self._send_crews()
        self.flow.refresh()

    def _send_crews(self) -> None:
        while self._broken and self._crews_free > 0:
            outage = self._broken.popleft()
            self._crews_free -= 1
            call_at(self.env, self.env.now + outage.repair, self._repaired, outage)

    def _repaired(self, event: Event) -> None:
        outage: Outage = event._value
        for node in outage.nodes:
            repair_node(self.flow.cluster, node, self.env.now, self._socket_cpu)
            self.down[node] = False
            self.node_seconds += self.env.now - self._since[node]
        self._crews_free += 1
        self._send_crews()
        self.flow.refresh()
