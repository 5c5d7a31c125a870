"""Max-min fair shares: feasible, Pareto-optimal, fair, equal to the demand where nothing is overloaded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcai.cluster.network.fabric import Fabric
from hpcai.cluster.network.fair_share import isolated, make_filling, make_flows, max_min, speed_of

CLOSE = 1e-6


def fabric(capacity, gpus=8.0):
    links = len(capacity)
    zeros = np.zeros(1)
    return Fabric(
        np.array(capacity, dtype=float), np.full(links, gpus), np.zeros(1, np.int64), zeros, zeros, zeros, 0, 0
    )


def flows_of(wanted):
    flows = make_flows(len(wanted), sum(len(links) for links, _ in wanted))
    at = 0
    for f, (links, demand) in enumerate(wanted):
        flows.first[f], flows.number[f], flows.demand[f] = at, len(links), demand
        flows.links[at : at + len(links)] = links
        flows.held[at : at + len(links)] = 2
        at += len(links)
    return flows


def share(capacity, wanted, ids=None):
    where, flows = fabric(capacity), flows_of(wanted)
    ids = np.arange(len(wanted)) if ids is None else np.array(ids)
    crowded = max_min(where, flows, ids, make_filling(where, flows))
    return flows.rate, crowded


@pytest.mark.parametrize(("capacity", "wanted", "rates"), [
    ([10], [([0], 3), ([0], 4)], [3, 4]),
    ([10], [([0], 30), ([0], 4)], [6, 4]),
    ([10], [([0], 30), ([0], 40), ([0], 1)], [4.5, 4.5, 1]),
    ([1, 2], [([0, 1], 9), ([0], 9), ([1], 9)], [0.5, 0.5, 1.5]),  # Bertsekas and Gallager, Data Networks, 6.5.2
    ([1, 1, 1], [([0, 1, 2], 9), ([0], 9), ([1], 9), ([2], 9)], [0.5, 0.5, 0.5, 0.5]),
    ([10], [([0], 0), ([], 5), ([0], 12)], [0, 5, 10]),
    ([np.inf], [([0], 1e12)], [1e12]),
])  # fmt: skip
def test_known_shares(capacity, wanted, rates):
    assert share(capacity, wanted)[0].tolist() == pytest.approx(rates)


def test_flows_that_are_not_named_neither_get_nor_take():
    rate, crowded = share([10], [([0], 8), ([0], 8), ([0], 8)], ids=[0, 2])
    assert rate.tolist() == [5, 0, 5]
    assert crowded == 1


@st.composite
def networks(draw):
    links = draw(st.integers(1, 8))
    capacity = draw(st.lists(st.floats(0.1, 100), min_size=links, max_size=links))
    flow = st.tuples(st.sets(st.integers(0, links - 1), max_size=links).map(sorted), st.floats(0, 100))
    return capacity, draw(st.lists(flow, min_size=1, max_size=12))


def loads(capacity, wanted, rate):
    return [sum(r for (links, _), r in zip(wanted, rate, strict=True) if k in links) for k in range(len(capacity))]


@settings(deadline=None, max_examples=300)
@given(networks())
def test_feasible_pareto_optimal_and_max_min_fair(network):
    capacity, wanted = network
    rate, _ = share(capacity, wanted)
    load = loads(capacity, wanted, rate)
    assert all(x <= c * (1 + CLOSE) for x, c in zip(load, capacity, strict=True))
    for (links, demand), own in zip(wanted, rate, strict=True):
        assert 0 <= own <= demand
        # at its demand, or on a full link where none has more: then no one's rate can be raised but at the cost of
        # someone with less, which is max-min fairness, and no one's at no cost, which is Pareto-optimality
        assert own >= demand * (1 - CLOSE) or any(
            load[k] >= capacity[k] * (1 - CLOSE)
            and all(own >= r * (1 - CLOSE) for (other, _), r in zip(wanted, rate, strict=True) if k in other)
            for k in links
        )


@given(networks())
@settings(deadline=None)
def test_demand_where_nothing_is_overloaded(network):
    capacity, wanted = network
    full = loads(capacity, wanted, [demand for _, demand in wanted])
    enough = [max(c, x) for c, x in zip(capacity, full, strict=True)]
    rate, crowded = share(enough, wanted)
    assert crowded == 0
    assert rate.tolist() == [demand for _, demand in wanted]


@given(networks(), st.randoms())
@settings(deadline=None)
def test_the_order_of_flows_does_not_matter(network, random):
    capacity, wanted = network
    ids = list(range(len(wanted)))
    random.shuffle(ids)
    assert share(capacity, wanted, ids)[0].tolist() == pytest.approx(share(capacity, wanted)[0].tolist())
    moved, _ = share(capacity, [wanted[f] for f in ids])
    assert moved.tolist() == pytest.approx(share(capacity, wanted)[0][ids].tolist())


@given(networks())
@settings(deadline=None)
def test_isolation_confines_each_flow_to_its_part(network):
    capacity, wanted = network
    where, flows = fabric(capacity), flows_of(wanted)
    isolated(where, flows, np.arange(len(wanted)))
    for f, (links, demand) in enumerate(wanted):
        assert flows.rate[f] == pytest.approx(min([demand, *(capacity[k] * 2 / 8 for k in links)]))
        assert speed_of(flows, f) == pytest.approx(flows.rate[f] / demand if demand else 1.0)
