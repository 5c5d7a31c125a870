"""Gangs on a machine whose nodes fail, and nodes that are kept away from them, in machine code.

As many gangs as fit run without end, each on a fixed number of nodes, with checkpoints at one interval. Which nodes are
drained, and which a gang prefers, is said anew at every epoch. A node that fails is down until it is repaired; its gang
loses the work since its last checkpoint and waits until it is whole again. A drained node gets no gang, and leaves the
one that it has when a node that is preferred to it is free: the gang then writes a checkpoint and restarts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcai.errors import InputError
from hpcai.jit import jit

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
Mask = NDArray[np.bool_]

USEFUL, CHECKPOINTING, LOST, RESTARTING, WAITING, DOWN, DRAINED, FREE, FAULTS, SWAPS = range(10)
"""Columns of a replay: node-seconds by kind, whose first eight sum to all of them, and numbers of faults that struck
gangs and of nodes swapped out of them."""
COLUMNS: Final = (
    *("useful", "checkpointing", "lost", "restarting", "waiting", "down", "drained", "free"),
    *("faults", "swaps"),
)


@dataclass(frozen=True)
class GangSetting:
    """Gangs of ``nodes`` nodes, ``gangs`` of them; ``interval`` is the work between checkpoints; times in s."""

    nodes: int
    gangs: int
    interval: float
    write: float
    restart: float
    down: float  # from a fault to the restart

    def __post_init__(self) -> None:
        if self.nodes < 1 or self.gangs < 1 or not self.interval > 0:
            raise InputError(f"{self.gangs} gangs of {self.nodes} nodes, interval {self.interval}: expected above 0")


class Gangs(NamedTuple):
    """The state: N nodes, K gangs."""

    gang: Whole  # (N,) of each node, or -1
    back: Floats  # (N,) s, until when it is down; -inf: it is up
    drained: Mask  # (N,)
    key: Floats  # (N,) lower is preferred
    members: Whole  # (K,)
    since: Floats  # (K,) s, from when it computes; inf: it waits
    costs: Floats  # (4,) interval, write, restart, down


@jit
def _settle(st: Gangs, k: int, now: float, row: Floats, size: int, falls: bool) -> None:
    """Gang ``k`` stops computing at ``now``: with a fall all since the last checkpoint is lost."""
    spent = now - st.since[k]
    if spent <= 0.0:  # it was still restarting, which was counted in full
        row[RESTARTING] += size * spent
        return
    cycle = st.costs[0] + st.costs[1]
    whole = np.floor(spent / cycle)
    rest = spent - whole * cycle
    row[USEFUL] += size * whole * st.costs[0]
    row[CHECKPOINTING] += size * whole * st.costs[1]
    worked = min(rest, st.costs[0])
    row[LOST if falls else USEFUL] += size * worked
    row[CHECKPOINTING] += size * (rest - worked)


@jit
def _credit(st: Gangs, now: float, row: Floats, size: int) -> None:
    """Count the work of running gangs up to their last checkpoint."""
    cycle = st.costs[0] + st.costs[1]
    for k in range(st.since.shape[0]):
        if st.since[k] < now:
            whole = np.floor((now - st.since[k]) / cycle)
            row[USEFUL] += size * whole * st.costs[0]
            row[CHECKPOINTING] += size * whole * st.costs[1]
            st.since[k] += whole * cycle


@jit
def _best_free(st: Gangs) -> int:
    """Return the free node that is preferred, or -1."""
    best = -1
    for i in range(st.gang.shape[0]):
        free = st.gang[i] < 0 and st.back[i] == -np.inf and not st.drained[i]
        if free and (best < 0 or st.key[i] < st.key[best]):
            best = i
    return best


@jit
def _fill(st: Gangs, now: float, size: int, pause: float, row: Floats) -> None:
    """Make gangs whole, in order, and let those that are restart after ``pause``."""
    for k in range(st.members.shape[0]):
        if st.since[k] < np.inf:
            continue
        while st.members[k] < size:
            node = _best_free(st)
            if node < 0:
                break
            st.gang[node] = k
            st.members[k] += 1
        if st.members[k] == size:
            st.since[k] = now + pause + st.costs[2]
            row[RESTARTING] += size * (pause + st.costs[2])


@jit
def _swap(st: Gangs, now: float, size: int, row: Floats) -> None:
    """Drained nodes leave their gangs as far as preferred nodes are free."""
    for i in range(st.gang.shape[0]):
        k = st.gang[i]
        if k < 0 or not st.drained[i]:
            continue
        node = _best_free(st)
        if node < 0 or st.key[node] >= st.key[i]:
            continue
        row[SWAPS] += 1
        st.gang[node], st.gang[i] = k, -1
        if st.since[k] <= now:
            _settle(st, k, now, row, size, False)
            st.since[k] = now + st.costs[1] + st.costs[2]
            row[CHECKPOINTING] += size * st.costs[1]
            row[RESTARTING] += size * st.costs[2]


@jit
def _pass(st: Gangs, seconds: float, row: Floats) -> None:
    """Count the nodes that do nothing for ``seconds``, by why."""
    for i in range(st.gang.shape[0]):
        k = st.gang[i]
        if st.back[i] > -np.inf:
            row[DOWN] += seconds
        elif k >= 0:
            row[WAITING] += seconds if st.since[k] == np.inf else 0.0
        else:
            row[DRAINED if st.drained[i] else FREE] += seconds


@jit
def _fall(st: Gangs, node: int, now: float, repair: float, size: int, row: Floats) -> None:
    """A node falls, and its gang with it."""
    st.back[node] = max(st.back[node], now + repair)
    k = st.gang[node]
    if k < 0:
        return
    st.gang[node] = -1
    st.members[k] -= 1
    if st.since[k] < np.inf:
        row[FAULTS] += 1
        _settle(st, k, now, row, size, True)
        st.since[k] = np.inf


@jit
def _play_epoch(
    st: Gangs, size: int, time: Floats, node: Whole, repair: Floats, n: int, now: float, end: float, row: Floats
) -> int:
    """Play from ``now``, before which fault ``n`` is the next, to ``end``; return the next fault after it."""
    _swap(st, now, size, row)
    _fill(st, now, size, 0.0, row)
    while now < end:
        falls = n < time.shape[0] and time[n] < end
        then = _next_return(st, now, time[n] if falls else end)
        _pass(st, then - now, row)
        now = then
        _return_repaired(st, now)
        pause = 0.0
        if falls and time[n] <= now:
            _fall(st, node[n], now, repair[n], size, row)
            n += 1
            pause = st.costs[3]
        _fill(st, now, size, pause, row)
    _credit(st, now, row, size)
    return n


@jit
def _stop(st: Gangs, size: int, now: float, row: Floats) -> None:
    """All gangs stop; nothing is lost."""
    for k in range(st.members.shape[0]):
        if st.since[k] < np.inf:
            _settle(st, k, now, row, size, False)
            st.since[k] = np.inf


@jit
def _next_return(st: Gangs, now: float, then: float) -> float:
    """Return when the first node is repaired, at the latest ``then``."""
    for i in range(st.back.shape[0]):
        if st.back[i] > -np.inf:
            then = min(then, max(st.back[i], now))
    return then


@jit
def _return_repaired(st: Gangs, now: float) -> None:
    """Nodes that are repaired by ``now`` are up."""
    for i in range(st.back.shape[0]):
        if st.back[i] <= now:
            st.back[i] = -np.inf


@dataclass(frozen=True)
class NodeFaults:
    """Which node fails when (s, ascending), and for how long it is down (s), (n,) each."""

    time: Floats
    node: Whole
    repair: Floats


class GangMachine:
    """A machine with its gangs, played from epoch to epoch."""

    def __init__(self, setting: GangSetting, nodes: int, faults: NodeFaults, begin: float) -> None:
        """Begin at ``begin`` (s), when faults before it may still keep nodes down.

        Raises InputError if the gangs need more nodes than there are.
        """
        if setting.nodes * setting.gangs > nodes:
            raise InputError(f"{setting.gangs} gangs of {setting.nodes}: expected at most {nodes} nodes in all")
        self.setting, self.faults, self.now = setting, faults, begin
        self._next = int(np.searchsorted(faults.time, begin))
        back = np.full(nodes, -np.inf)
        until = faults.time[: self._next] + faults.repair[: self._next]
        np.maximum.at(back, faults.node[: self._next], np.where(until > begin, until, -np.inf))
        self.state = Gangs(
            gang=np.full(nodes, -1),
            back=back,
            drained=np.zeros(nodes, dtype=np.bool_),
            key=np.zeros(nodes),
            members=np.zeros(setting.gangs, dtype=np.int64),
            since=np.full(setting.gangs, np.inf),
            costs=np.array([setting.interval, setting.write, setting.restart, setting.down]),
        )

    def play(self, until: float, drained: Mask, key: Floats) -> Floats:
        """Go on to ``until`` (s); return where the node time went, float64[len(COLUMNS)], in node-seconds.

        ``drained`` nodes (bool[nodes]) get no gang; of others those of lower ``key`` (float64[nodes]) are preferred.
        Work since a gang's last checkpoint counts later.
        """
        row = np.zeros(len(COLUMNS))
        self.state.drained[:], self.state.key[:] = drained, key
        of, size = self.faults, self.setting.nodes
        self._next = _play_epoch(self.state, size, of.time, of.node, of.repair, self._next, self.now, until, row)
        self.now = until
        return row

    def stop(self) -> Floats:
        """All gangs stop; return the work since their last checkpoints as :meth:`play` does."""
        row = np.zeros(len(COLUMNS))
        _stop(self.state, self.setting.nodes, self.now, row)
        return row


def play_gangs(setting: GangSetting, faults: NodeFaults, epochs: Floats, drained: Mask, keys: Floats) -> Floats:
    """Return where the node time goes between two epochs, float64[epochs - 1, len(COLUMNS)], in node-seconds.

    Args:
        setting: the gangs.
        faults: of the machine's nodes.
        epochs: times of decision (s, ascending), the last is the end, float64[epochs].
        drained: which nodes are drained from each epoch on, bool[epochs - 1, nodes].
        keys: lower is preferred, float64[epochs - 1, nodes].

    Raises InputError if the gangs need more nodes than there are.
    """
    machine = GangMachine(setting, drained.shape[1], faults, float(epochs[0]))
    rows = [machine.play(float(end), *how) for end, *how in zip(epochs[1:], drained, keys, strict=True)]
    rows[-1] += machine.stop()
    return np.stack(rows)
