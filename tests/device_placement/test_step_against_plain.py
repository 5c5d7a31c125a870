from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcai.device_placement.simulator import StepSimulator
from tests.device_placement.plain_step import PlainStep
from tests.device_placement.random_graphs import random_devices, random_graph


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 14), d=st.integers(1, 4), training=st.booleans())
def test_the_compiled_step_is_the_plain_one(seed, n, d, training):
    rng = np.random.default_rng(seed)
    kinds = ("V100", "CPU")[: 1 + seed % 2]
    graph = random_graph(rng, n, training=training, kinds=kinds)
    simulator = StepSimulator(graph, random_devices(rng, d, kinds=kinds))
    placement = rng.integers(0, d, n)
    plain, course = PlainStep(simulator, placement), simulator.course(placement)
    assert course.end.tolist() == [plain.end[i] for i in plain.all]
    arrivals = zip(course.what.tolist(), course.source.tolist(), course.target.tolist(), strict=True)
    assert dict(zip(arrivals, course.arrive.tolist(), strict=True)) == plain.arrive
    assert simulator.time(placement).peak == pytest.approx(plain.peak, abs=1e-6)
