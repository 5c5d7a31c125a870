"""How jobs share links: max-min fair with demand caps, or each confined to its part; a fluid model.

A job's traffic comes in bursts, one an allreduce; here it flows evenly, at its average over a step. A job that gets
the rate r of its demand d does steps at the part r / d of the speed that it has alone.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcai.cluster.network.fabric import Fabric
from hpcai.jit import jit

_SLACK: Final = 1e-9  # relative: a link at its capacity by rounding is not overloaded


class Flows(NamedTuple):
    """The flows of F jobs; the links of flow f are ``links[first[f] : first[f] + number[f]]``, none of them twice."""

    first: NDArray[np.int64]  # (F,)
    number: NDArray[np.int64]  # (F,) how many links
    links: NDArray[np.int64]  # (K,) ids of links
    held: NDArray[np.float64]  # (K,) GPUs that the job has behind each, for isolation
    demand: NDArray[np.float64]  # (F,) B/s on each of its links, as when alone
    rate: NDArray[np.float64]  # (F,) B/s on each of its links, at most the demand: the result


class Filling(NamedTuple):
    """Room to work in; what it holds between calls does not matter."""

    load: NDArray[np.float64]  # (L,) B/s on each link at full demand, then what is left of its capacity
    open: NDArray[np.int64]  # (L,) flows on it whose rate is not settled
    crowded: NDArray[np.int64]  # (L,) the links overloaded at full demand
    kept: NDArray[np.int64]  # (K,) those of them that each flow uses, from its first on
    keeps: NDArray[np.int64]  # (F,) how many
    waiting: NDArray[np.int64]  # (F,) flows whose rate is not settled


def make_flows(flows: int, links: int) -> Flows:
    """Return empty flows: ``flows`` of them at most, with ``links`` ids of links in all."""
    return Flows(
        first=np.zeros(flows, dtype=np.int64),
        number=np.zeros(flows, dtype=np.int64),
        links=np.zeros(links, dtype=np.int64),
        held=np.zeros(links),
        demand=np.zeros(flows),
        rate=np.zeros(flows),
    )


def make_filling(fabric: Fabric, flows: Flows) -> Filling:
    """Return the room that :func:`max_min` needs."""
    links = fabric.capacity.shape[0]
    return Filling(
        load=np.zeros(links),
        open=np.zeros(links, dtype=np.int64),
        crowded=np.zeros(links, dtype=np.int64),
        kept=np.zeros_like(flows.links),
        keeps=np.zeros_like(flows.first),
        waiting=np.zeros_like(flows.first),
    )


@jit
def max_min(fabric: Fabric, flows: Flows, ids: NDArray[np.int64], room: Filling) -> int:
    """Write the max-min fair rates of the flows ``ids`` (n,) to ``flows.rate``; return how many links are overloaded.

    Progressive filling: all rates rise together until each flow has its demand or meets a full link. Links that
    would carry the full demand of all never stop a flow and are left out first.
    """
    crowded = overloaded(fabric, flows, ids, room)
    if crowded == 0:
        return 0
    waiting = involve(flows, ids, room)
    while waiting > 0:
        level = np.inf
        for k in range(crowded):
            link = room.crowded[k]
            if room.open[link] > 0:
                level = min(level, room.load[link] / room.open[link])
        settled = settle_satisfied(flows, room, waiting, level)
        if settled == waiting:
            settled = settle_stopped(flows, room, waiting, level)
        waiting = settled
    return crowded


@jit
def overloaded(fabric: Fabric, flows: Flows, ids: NDArray[np.int64], room: Filling) -> int:
    """Give every flow its demand, sum the load of each link, list those overloaded; return how many."""
    links = fabric.capacity.shape[0]
    for link in range(links):
        room.load[link] = 0.0
    for f in ids:
        flows.rate[f] = flows.demand[f]
        for k in range(flows.first[f], flows.first[f] + flows.number[f]):
            room.load[flows.links[k]] += flows.demand[f]
    crowded = 0
    for link in range(links):
        room.open[link] = -1
        if room.load[link] > fabric.capacity[link] * (1 + _SLACK):
            room.crowded[crowded] = link
            room.load[link] = fabric.capacity[link]
            room.open[link] = 0
            crowded += 1
    return crowded


@jit
def involve(flows: Flows, ids: NDArray[np.int64], room: Filling) -> int:
    """List the flows that use an overloaded link, and which; return how many."""
    waiting = 0
    for f in ids:
        first, found = flows.first[f], 0
        if flows.demand[f] > 0:
            for k in range(first, first + flows.number[f]):
                link = flows.links[k]
                if room.open[link] >= 0:
                    room.kept[first + found] = link
                    room.open[link] += 1
                    found += 1
        room.keeps[f] = found
        if found > 0:
            room.waiting[waiting] = f
            waiting += 1
    return waiting


@jit
def settle_satisfied(flows: Flows, room: Filling, waiting: int, level: float) -> int:
    """Settle the flows whose demand is below ``level``, which no link can stop; return how many still wait."""
    left = 0
    for w in range(waiting):
        f = room.waiting[w]
        if flows.demand[f] <= level:
            settle(flows, room, f, flows.demand[f])
        else:
            room.waiting[left] = f
            left += 1
    return left


@jit
def settle_stopped(flows: Flows, room: Filling, waiting: int, level: float) -> int:
    """Settle the flows on links that are full once all rates are at ``level``; return how many still wait."""
    bound = level * (1 + _SLACK)
    for w in range(waiting):  # mark first: settling changes what a link has left
        f = room.waiting[w]
        first = flows.first[f]
        stopped = False
        for k in range(first, first + room.keeps[f]):
            link = room.kept[k]
            stopped |= room.load[link] <= bound * room.open[link]
        flows.rate[f] = level if stopped else -1.0
    left = 0
    for w in range(waiting):
        f = room.waiting[w]
        if flows.rate[f] >= 0:
            settle(flows, room, f, level)
        else:
            room.waiting[left] = f
            left += 1
    return left


@jit
def settle(flows: Flows, room: Filling, f: int, rate: float) -> None:
    """Settle the rate of flow ``f`` and take it from its overloaded links."""
    flows.rate[f] = rate
    for k in range(flows.first[f], flows.first[f] + room.keeps[f]):
        link = room.kept[k]
        room.load[link] = max(room.load[link] - rate, 0.0)
        room.open[link] -= 1


@jit
def isolated(fabric: Fabric, flows: Flows, ids: NDArray[np.int64]) -> None:
    """Write to ``flows.rate`` what the flows ``ids`` get if each is confined to its GPUs' part of each link.

    A job with h of the G GPUs behind a link gets at most h / G of its capacity, whoever else is there or not.
    """
    for f in ids:
        rate = flows.demand[f]
        for k in range(flows.first[f], flows.first[f] + flows.number[f]):
            link = flows.links[k]
            rate = min(rate, fabric.capacity[link] * flows.held[k] / fabric.gpus[link])
        flows.rate[f] = rate


@jit
def speed_of(flows: Flows, f: int) -> float:
    """Return the part of its speed alone that the job of flow ``f`` has, in 0..1."""
    return flows.rate[f] / flows.demand[f] if flows.demand[f] > 0 else 1.0
