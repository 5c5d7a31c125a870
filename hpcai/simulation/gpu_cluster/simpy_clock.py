"""A GPU cluster on a SimPy environment that other processes share: failures, power, cooling, control ticks.

It calls the same functions on the same arrays as the compiled clock, one moment at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import simpy
from simpy.events import Event

from hpcai.jit import announce_compilation
from hpcai.scheduling.gpu_cluster.state import Cluster
from hpcai.simulation.gpu_cluster.clock import happen, next_time
from hpcai.simulation.simpy_clock import call_at


class ClusterFlow:
    """Jobs flow through a cluster on an environment.

    ``on_event`` is called with each entry of the log (state.LOG), for whatever is coupled in. Whoever changes what a
    cluster can do calls :meth:`refresh` afterwards.
    """

    moment: ClassVar[Callable[..., object]] = staticmethod(happen)  # the compiled function of :meth:`refresh`

    def __init__(
        self, env: simpy.Environment, cluster: Cluster, on_event: Callable[[Any], object] | None = None
    ) -> None:
        self.env, self.cluster, self.on_event = env, cluster, on_event
        self._latest = 0  # the number of the event that counts; earlier ones are out of date
        announce_compilation(self.moment)
        self._chain()

    def refresh(self) -> None:
        """Look at everything again at this instant."""
        happen(self.cluster, self.env.now)
        self._tell()
        self._chain()

    def _chain(self) -> None:
        time = next_time(self.cluster)
        self._latest += 1
        if time < np.inf:
            call_at(self.env, time, self._on_time, self._latest)

    def _on_time(self, event: Event) -> None:
        if event._value == self._latest:
            self.refresh()

    def _tell(self) -> None:
        at = self.cluster.at[0]
        if self.on_event is not None:
            for entry in self.cluster.log[: at["logged"]]:
                self.on_event(entry)
        at["logged"] = 0
