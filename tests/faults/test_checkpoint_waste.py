"""Closed forms of checkpointing: worked numbers, limits, and where their minima are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcai.errors import InputError
from hpcai.faults.checkpoints.constant import ConstantRate, Fixed, TwoLevel
from hpcai.faults.checkpoints.cost import Storage, state_bytes
from hpcai.faults.checkpoints.job import CheckpointedJob
from hpcai.faults.checkpoints.observation import fresh_observation
from hpcai.faults.checkpoints.two_level import best_two_level, first_order_two_level, two_level_waste
from hpcai.faults.checkpoints.waste import (
    best_interval,
    daly_first_interval,
    daly_interval,
    exact_waste,
    first_order_waste,
    young_interval,
)


def test_intervals_by_hand() -> None:
    assert young_interval(300.0, 24 * 3600.0) == pytest.approx(7200.0)  # sqrt(2 * 300 * 86400)
    assert daly_first_interval(300.0, 24 * 3600.0) == pytest.approx(6900.0)
    x = np.sqrt(300 / 172800)
    assert daly_interval(300.0, 86400.0) == pytest.approx(7200 * (1 + x / 3 + x * x / 9) - 300)
    assert daly_interval(200.0, 90.0) == 90.0  # checkpoints dearer than two faults: one a fault


@given(st.floats(1.0, 3600.0), st.floats(10.0, 1000.0))
def test_the_best_interval_is_the_minimum_and_daly_is_next_to_it(write: float, ratio: float) -> None:
    mtbf = write * ratio
    best = best_interval(write, mtbf)
    around = exact_waste(best * np.array([0.98, 1.0, 1.02]), write, mtbf, 60.0, 30.0)
    assert around[1] <= around[0]
    assert around[1] <= around[2]
    assert float(exact_waste(daly_interval(write, mtbf), write, mtbf, 60.0, 30.0)) <= around[1] * 1.001


def test_first_order_meets_the_exact_form_where_faults_are_rare() -> None:
    far, near = (
        abs(first_order_waste(t, 10.0, mtbf, 20.0, 5.0) / exact_waste(t, 10.0, mtbf, 20.0, 5.0) - 1)
        for mtbf, t in ((1e4, young_interval(10.0, 1e4)), (1e8, young_interval(10.0, 1e8)))
    )
    assert near < 1e-3 < far


def test_one_level_is_the_case_of_every_first() -> None:
    job = CheckpointedJob(write=120.0, restart=200.0, down=60.0, local_restart=200.0)
    both = two_level_waste(3000.0, 1, job, 30000.0, 60000.0)
    assert both == pytest.approx(float(exact_waste(3000.0, 120.0, 20000.0, 200.0, 60.0)), rel=1e-12)


def test_two_levels_to_first_order_and_their_best() -> None:
    job = CheckpointedJob(write=100.0, restart=100.0, local_write=5.0, local_restart=5.0)
    interval, every = best_two_level(job, 1e6, 1e7)
    least = two_level_waste(interval, every, job, 1e6, 1e7)
    assert first_order_two_level(interval, every, job, 1e6, 1e7) == pytest.approx(least, rel=0.02)
    assert every == pytest.approx(np.sqrt(95 * 1e7 / (5 * 1e6)), abs=1.0)
    for other in ((interval * 1.1, every), (interval, every + 2), (interval, every - 2)):
        assert two_level_waste(*other, job, 1e6, 1e7) > least
    assert TwoLevel(1e6, 1e7).rule(job).every == every


def test_policies_scale_with_nodes_and_say_what_is_wrong() -> None:
    job, seen = CheckpointedJob(write=300.0, nodes=10), fresh_observation()
    assert ConstantRate(864000.0, "young").checkpoint_interval(job, seen) == pytest.approx(7200.0)
    assert Fixed().checkpoint_interval(job, seen) == np.inf
    with pytest.raises(InputError, match="mtbf -1: expected more than 0 s"):
        ConstantRate(-1)
    with pytest.raises(InputError, match=r"job write: expected 0 s or more, found -3"):
        CheckpointedJob(write=-3)
    with pytest.raises(InputError, match="storage shared 0: expected a bandwidth above"):
        Storage(0)


def test_what_a_checkpoint_costs() -> None:
    storage = Storage(shared=100e9, node_link=2e9, local=1e9)
    size = state_bytes(7e9)  # 98 GB
    assert storage.write_time(size, nodes=8) == pytest.approx(98 / 16)
    assert storage.write_time(size, nodes=100) == pytest.approx(0.98)
    assert storage.write_time(size, nodes=100, writers=4) == pytest.approx(3.92)
    assert storage.local_write_time(size, nodes=8) == pytest.approx(98 / 8)
