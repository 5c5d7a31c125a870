"""What age and memory save in replays of drawn faults, and what is learned from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import gamma

from hpcai.faults.checkpoints.by_age import Hazard, Lazy, Renewal
from hpcai.faults.checkpoints.constant import ConstantRate
from hpcai.faults.checkpoints.faults import Faults
from hpcai.faults.checkpoints.job import CheckpointedJob
from hpcai.faults.checkpoints.recent import Past, fit_memory
from hpcai.faults.lifetimes import Lifetime
from hpcai.simulation.faults.tuning import learn, wasted

MTBF = 100_000.0


@pytest.mark.parametrize(("shape", "write"), [(0.5, 60.0), (0.5, 6000.0), (0.7, 600.0), (3.0, 600.0)])
def test_the_renewal_optimum_wastes_least_of_all(shape: float, write: float) -> None:
    lifetime = Lifetime("weibull", MTBF / float(gamma(1 + 1 / shape)), shape)
    time = np.cumsum(lifetime.sample(15_000, np.random.default_rng(0)))
    past = Past([Faults.all_global(time)], CheckpointedJob(write), 0.0, float(time[-1]))
    policies = [ConstantRate(MTBF), Hazard(lifetime)] + ([Lazy(MTBF, shape)] if shape < 1 else [])
    least = wasted(Renewal(lifetime), past)[0]
    assert least < 0.985 * wasted(ConstantRate(MTBF), past)[0]
    assert all(least <= 1.012 * wasted(policy, past)[0] for policy in policies)


def bursts(n: int, seed: int) -> Past:
    """Faults that come in calm and in stormy weeks."""
    rng = np.random.default_rng(seed)
    time = np.cumsum(rng.exponential(np.where(np.arange(n) // 30 % 2, MTBF / 20, MTBF)))
    return Past([Faults.all_global(time)], CheckpointedJob(600.0, 600.0), 10 * MTBF, float(time[-1]))


def test_what_is_learned_saves_where_it_was_not_learned() -> None:
    past, later = bursts(300, 1), bursts(600, 2)
    daly = ConstantRate(past.mtbf)
    memory = fit_memory([past])
    bends = learn([past], [memory], generations=12, population=8)
    fitted, learned = (replace(memory, bends=b).policy(1 / past.mtbf) for b in (memory.bends, bends))
    assert wasted(learned, past)[0] <= wasted(fitted, past)[0]
    assert wasted(learned, later)[0] < 0.97 * wasted(daly, later)[0]
    assert wasted(daly, later, parts=7).shape == (7,)
