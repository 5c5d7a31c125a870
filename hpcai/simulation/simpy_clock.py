"""The SimPy clock: the same replay as events of an environment that other processes can share.

It calls the same functions on the same arrays as the compiled clock. Events are Timeouts with callbacks, no
process per job; submissions are chained, so that the event queue holds the running jobs and one arrival.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush
from typing import Any, Final

import numpy as np
import simpy
from simpy.events import NORMAL, Event, EventPriority, Timeout

from hpcai.jit import announce_compilation
from hpcai.scheduling.rules import CHANGED, ENDED, RESERVED, SUBMITTED, on_event
from hpcai.scheduling.state import State

# SimPy handles events of one time by priority (URGENT 0, NORMAL 1): a pass comes after all others.
PASS_PRIORITY: Final = EventPriority(2)


def call_at(env: simpy.Environment, time: float, callback: Callable[[Event], None], value: Any = None) -> None:
    """Have ``callback`` called at exactly ``time``: a Timeout's delay, added to now, may miss it by a rounding."""
    event = Event(env)
    event._ok, event._value = True, value
    event.callbacks.append(callback)
    heappush(env._queue, (time, NORMAL, next(env._eid), event))


class JobFlow:
    """Jobs flow through a cluster: submission, passes, completion, on a SimPy environment.

    ``on_start`` and ``on_end`` are called with the job's row, for whatever is coupled in. Other processes may
    call :meth:`request_pass` after changing what is free.
    """

    def __init__(
        self,
        env: simpy.Environment,
        state: State,
        on_start: Callable[[int], object] | None = None,
        on_end: Callable[[int], object] | None = None,
    ) -> None:
        self.env = env
        self.state = state
        self.on_start = on_start
        self.on_end = on_end
        self._pass_due = False
        self._run = state.jobs["run"].tolist()
        self._submit = state.jobs["submit"].tolist()
        self._think = state.jobs["think"].tolist()
        after = state.jobs["after"]
        self._followers: dict[int, list[int]] = {}
        for j in np.flatnonzero(after >= 0).tolist():
            self._followers.setdefault(int(after[j]), []).append(j)
        self._arrivals = iter(np.flatnonzero(after < 0).tolist())
        announce_compilation(on_event)
        on_event(state, RESERVED, -1, -np.inf, False)
        for edge in np.unique([state.windows["start"], state.windows["end"]]).tolist():
            if env.now <= edge < np.inf:
                call_at(self.env, edge, self._reserve)
        self._chain_arrival()

    def request_pass(self) -> None:
        """Have one scheduling pass run at this instant, after every other event of it."""
        if self._may_pass():
            self._begin(on_event(self.state, CHANGED, -1, self.env.now, True))

    def _may_pass(self) -> bool:
        """Return whether a pass may run at once; if something else is due at this instant, defer it to the end."""
        if self._pass_due:
            return False
        env = self.env
        if env.peek() > env.now:
            return True
        self._pass_due = True
        event = Event(env)
        event._ok, event._value = True, None
        event.callbacks.append(self._pass)
        env.schedule(event, PASS_PRIORITY)
        return False

    def _chain_arrival(self) -> None:
        j = next(self._arrivals, None)
        if j is not None:
            call_at(self.env, self._submit[j], self._arrive, j)

    def _arrive(self, event: Event) -> None:
        self._chain_arrival()
        self._follow(event)

    def _follow(self, event: Event) -> None:
        self._begin(on_event(self.state, SUBMITTED, event._value, self.env.now, self._may_pass()))

    def _end(self, event: Event) -> None:
        j: int = event._value
        if self.on_end is not None:
            self.on_end(j)
        for follower in self._followers.get(j, ()):
            call_at(self.env, self.env.now + self._think[follower], self._follow, follower)
        self._begin(on_event(self.state, ENDED, j, self.env.now, self._may_pass()))

    def _reserve(self, event: Event) -> None:
        self._begin(on_event(self.state, RESERVED, -1, self.env.now, self._may_pass()))

    def _pass(self, event: Event) -> None:
        self._pass_due = False
        self.request_pass()  # deferred again if something more has come up at this instant

    def _begin(self, n: int) -> None:
        """Let the ``n`` jobs that the pass has started run."""
        if n:
            for j in self.state.started[:n].tolist():
                if self.on_start is not None:
                    self.on_start(j)
                Timeout(self.env, self._run[j], j).callbacks.append(self._end)


def run(state: State) -> None:
    """Run the replay to its end on a SimPy environment of its own; the schedule is in ``state``."""
    if len(state.jobs) == 0:
        return
    env = simpy.Environment(initial_time=min(0.0, float(state.jobs["submit"][0])))
    JobFlow(env, state)
    env.run()
