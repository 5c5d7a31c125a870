"""Gangs on failing nodes: by hand, conservation of node time, and that drains and preferences do what they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcai.errors import InputError
from hpcai.faults.checkpoints.waste import exact_waste
from hpcai.simulation.faults.drain_replay import (
    DRAINED,
    FAULTS,
    FREE,
    LOST,
    SWAPS,
    USEFUL,
    WAITING,
    GangSetting,
    NodeFaults,
    play_gangs,
)

PAIR = GangSetting(nodes=2, gangs=1, interval=10.0, write=2.0, restart=3.0, down=1.0)


def faults(*falls: tuple[float, int, float]) -> NodeFaults:
    time, node, repair = zip(*falls, strict=True) if falls else ((), (), ())
    return NodeFaults(np.array(time, float), np.array(node, np.int64), np.array(repair, float))


def play(setting, of, epochs, drained=None, keys=None, nodes=3) -> np.ndarray:
    steps = len(epochs) - 1
    none = np.zeros((steps, nodes), dtype=bool)
    order = np.tile(np.arange(float(nodes)), (steps, 1))
    return play_gangs(
        setting, of, np.array(epochs, float), none if drained is None else drained, order if keys is None else keys
    )


def test_a_gang_loses_the_work_since_its_checkpoint_and_takes_another_node() -> None:
    # reads to 3, works to 13, saved by 15, works to 20: node 0 falls; down to 21, reads to 24, works to 30
    row = play(PAIR, faults((20.0, 0, 100.0)), [0, 30])[0]
    assert row.tolist() == [2 * 16.0, 2 * 2.0, 2 * 5.0, 2 * (3.0 + 4.0), 0.0, 10.0, 0.0, 20.0, 1.0, 0.0]


def test_without_another_node_it_waits_for_the_repair() -> None:
    row = play(PAIR, faults((20.0, 0, 8.0)), [0, 40], nodes=2)[0]
    # whole again at 28, reads to 31, works to 40
    assert row[[USEFUL, LOST, WAITING]].tolist() == [2 * 19.0, 2 * 5.0, 8.0]


def test_a_drained_node_is_swapped_for_a_preferred_one_that_is_free() -> None:
    drained = np.array([[False, False, False], [True, False, False], [True, True, False]])
    keys = np.array([[0.0, 1.0, 2.0], [9.0, 1.0, 2.0], [9.0, 8.0, 2.0]])
    rows = play(PAIR, faults(), [0, 20, 60, 100], drained, keys)
    assert rows[:, SWAPS].tolist() == [0.0, 1.0, 0.0]  # at 60 no node is free that is not drained
    assert rows[:, DRAINED].tolist() == [0.0, 40.0, 40.0]
    assert rows[0, FREE] == 20.0


def test_the_waste_of_one_gang_is_the_exact_form() -> None:
    rng = np.random.default_rng(0)
    n, mtbf = 40_000, 20_000.0
    time = np.cumsum(rng.exponential(mtbf / 4, n))
    of = NodeFaults(time, rng.integers(0, 4, n), np.zeros(n))
    setting = GangSetting(nodes=4, gangs=1, interval=1500.0, write=300.0, restart=200.0, down=0.0)
    rows = play(setting, of, np.linspace(0, time[-1], 101), nodes=4)
    shares = 1 - rows[:, USEFUL] / rows[:, :8].sum(axis=1)
    error = shares.std(ddof=1) / 10
    assert shares.mean() == pytest.approx(float(exact_waste(1500.0, 300.0, mtbf / 4, 200.0)), abs=4 * error)


def test_to_keep_gangs_off_a_weak_node_pays() -> None:
    rng = np.random.default_rng(1)
    falls = [(t, i % 2, 1.0) for i, t in enumerate(np.cumsum(rng.exponential(200.0, 100)))]
    epochs = np.arange(0.0, 15000.0, 500.0)
    keys = np.tile(np.array([5.0, 5.0, 1.0, 1.0]), (len(epochs) - 1, 1))
    careless = play(PAIR, faults(*falls), epochs, nodes=4)
    careful = play(PAIR, faults(*falls), epochs, keys=keys, nodes=4)
    assert careful[:, USEFUL].sum() > 1.01 * careless[:, USEFUL].sum()
    assert careful[:, FAULTS].sum() == 0


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 4), st.integers(0, 60)), max_size=25),
    st.integers(1, 2),
    st.integers(1, 2),
    st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=5),
    st.integers(0, 9999),
)
def test_no_node_time_is_lost(falls, size, gangs, drains, seed) -> None:
    ordered = sorted((float(t), node, float(repair)) for t, node, repair in falls)
    setting = GangSetting(size, gangs, interval=10.0, write=2.0, restart=3.0, down=1.0)
    epochs = np.linspace(7.0, 310.0, len(drains) + 1)
    keys = np.random.default_rng(seed).random((len(drains), 5))
    rows = play(setting, faults(*ordered), epochs, np.array(drains), keys, nodes=5)
    assert rows[:, :8].sum() == pytest.approx(5 * 303.0)
    total = rows.sum(axis=0)
    assert (total >= -1e-9).all()


def test_gangs_must_fit() -> None:
    with pytest.raises(InputError, match="2 gangs of 2: expected at most 3 nodes in all"):
        play(GangSetting(2, 2, 1.0, 1.0, 1.0, 1.0), faults(), [0, 1])
