"""Checkpoint policies that go by age or by recent faults: limits, optimality, and what fits find in drawn faults."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gamma

from hpcai.errors import InputError
from hpcai.faults.checkpoints.by_age import Hazard, Lazy, Renewal
from hpcai.faults.checkpoints.constant import ConstantRate
from hpcai.faults.checkpoints.faults import ELSEWHERE, GLOBAL, Faults, seen_rates
from hpcai.faults.checkpoints.job import CheckpointedJob
from hpcai.faults.checkpoints.observation import (
    OBSERVED,
    OTHER_AGE,
    OWN_AGE,
    OWN_RATES,
    SCALES,
    fresh_observation,
    note_fault,
    pass_time,
)
from hpcai.faults.checkpoints.recent import Memory, Past, fit_forgetting, fit_memory
from hpcai.faults.checkpoints.rule import interval_by
from hpcai.faults.checkpoints.waste import best_interval, daly_interval, young_interval
from hpcai.faults.lifetimes import Lifetime

MTBF = 100_000.0
JOB = CheckpointedJob(write=300.0, restart=300.0)
HOUR = 3600.0


def weibull(shape: float) -> Lifetime:
    return Lifetime("weibull", MTBF / float(gamma(1 + 1 / shape)), shape)


def at_age(age: float) -> np.ndarray:
    seen = fresh_observation()
    seen[OWN_AGE] = age
    return seen


def test_at_a_constant_hazard_each_is_the_closed_form() -> None:
    constant = Lifetime("exponential", MTBF)
    for age in (10.0, 5000.0, 3 * MTBF):
        seen = at_age(age)
        assert Hazard(constant).checkpoint_interval(JOB, seen) == pytest.approx(young_interval(300.0, MTBF), rel=1e-3)
        assert Renewal(constant).checkpoint_interval(JOB, seen) == pytest.approx(best_interval(300.0, MTBF), rel=0.02)
        assert Lazy(MTBF, 1.0).checkpoint_interval(JOB, seen) == pytest.approx(daly_interval(300.0, MTBF))


@pytest.mark.parametrize("policy", [Lazy(MTBF, 0.6), Hazard(weibull(0.6)), Renewal(weibull(0.6))])
def test_intervals_grow_where_the_hazard_falls(policy) -> None:
    intervals = [policy.checkpoint_interval(JOB, at_age(age)) for age in (100.0, 1e4, 1e5, 1e6)]
    assert intervals == sorted(intervals)
    assert intervals[-1] > 1.5 * intervals[0]


def test_lazy_by_hand_and_what_it_refuses() -> None:
    first = daly_interval(300.0, MTBF)
    assert Lazy(MTBF, 0.6).checkpoint_interval(JOB, at_age(32 * first)) == pytest.approx(4 * first, rel=1e-6)
    assert Lazy(MTBF, 0.6).checkpoint_interval(JOB, at_age(1.0)) == pytest.approx(first)
    with pytest.raises(InputError, match=r"lazy checkpoints: expected a shape in \(0, 1\], found 1.4"):
        Lazy(MTBF, 1.4).checkpoint_interval(JOB, at_age(1.0))


def test_more_nodes_fail_as_often_as_one_of_a_shorter_life() -> None:
    ten = CheckpointedJob(write=300.0, restart=300.0, nodes=10)
    for policy in (Hazard, Renewal):
        short = Lifetime("weibull", weibull(0.6).scale / 10, 0.6)
        found = policy(weibull(0.6)).checkpoint_interval(ten, at_age(1e4))
        assert found == pytest.approx(policy(short).checkpoint_interval(JOB, at_age(1e4)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e6), st.booleans()), max_size=30), st.floats(0, 9e5))
def test_rates_are_sums_over_past_faults(strikes: list[tuple[float, bool]], begin: float) -> None:
    ordered = sorted(strikes)
    time = np.array([t for t, _ in ordered])
    own = np.array([o for _, o in ordered], dtype=bool)
    faults = Faults(time, np.where(own, GLOBAL, ELSEWHERE).astype(np.int8))
    rates, integrals = seen_rates(faults, begin, 1e6)
    scales = np.array(SCALES)
    rows = [i for i in range(len(time)) if own[i] and begin <= time[i] < 1e6]
    for row, i in zip(rates, rows, strict=True):
        for kind, mine in ((slice(0, len(scales)), own[:i]), (slice(len(scales), None), ~own[:i])):
            age = (time[i] - time[:i][mine])[:, None]
            np.testing.assert_allclose(row[kind], (np.exp(-age / scales) / scales).sum(axis=0), rtol=1e-9)
    for kind, mine in ((slice(0, len(scales)), own), (slice(len(scales), None), ~own)):
        struck = time[mine & (time < 1e6)][:, None]
        since = np.maximum(struck, begin)
        whole = np.exp(-(since - struck) / scales) - np.exp(-(1e6 - struck) / scales)
        np.testing.assert_allclose(integrals[kind], whole.sum(axis=0), rtol=1e-8, atol=1e-9)


def test_an_observation_counts_own_and_other_faults_apart() -> None:
    seen = fresh_observation(1e-5, 2e-5)
    assert seen.shape == (OBSERVED,)
    note_fault(seen, True)
    pass_time(seen, HOUR)
    note_fault(seen, False)
    assert (seen[OWN_AGE], seen[OTHER_AGE]) == (HOUR, 0.0)
    assert seen[OWN_RATES] == pytest.approx((1e-5 + 1 / HOUR) * np.exp(-1))


def hawkes(weight: float, scale: float, mean: float, end: float, seed: int = 0) -> Faults:
    """Faults of which each begets ``weight`` more, exponentially later (drawn by their branching)."""
    rng = np.random.default_rng(seed)
    generation = rng.uniform(0, end, rng.poisson(end * mean * (1 - weight)))
    everything = []
    while len(generation):
        everything.append(generation)
        children = np.repeat(generation, rng.poisson(weight, len(generation)))
        generation = children + rng.exponential(scale, len(children))
    time = np.sort(np.concatenate(everything))
    return Faults.all_global(time[time < end])


def test_a_memory_finds_how_faults_beget_faults() -> None:
    faults = hawkes(0.5, SCALES[1], 1 / MTBF, 3000 * MTBF)
    past = Past([faults], JOB, 10 * MTBF, 3000 * MTBF)
    found = fit_memory([past])
    assert sum(found.weights) == pytest.approx(1.0)
    assert found.weights[2] == pytest.approx(0.45, abs=0.08)  # the tenth that is kept is taken off
    assert found.weights[0] == pytest.approx(0.55, abs=0.08)
    assert past.mtbf == pytest.approx(MTBF, rel=0.1)
    quiet, struck = fresh_observation(), fresh_observation()
    note_fault(struck, True)
    policy = found.policy(1 / past.mtbf)
    assert policy.checkpoint_interval(JOB, quiet) > 1.2 * policy.checkpoint_interval(JOB, struck)


def test_forgetting_finds_a_rate_that_drifts_and_trusts_the_prior_where_it_does_not() -> None:
    rng = np.random.default_rng(0)
    steady = Faults.all_global(np.cumsum(rng.exponential(MTBF, 2000)))
    turns = np.cumsum(rng.exponential(np.where(np.arange(2000) // 200 % 2, MTBF / 6, MTBF)))
    calm = fit_forgetting(Past([steady], JOB, 10 * MTBF, steady.time[-1]))
    alert = fit_forgetting(Past([Faults.all_global(turns)], JOB, 10 * MTBF, turns[-1]))
    assert calm.constant > 0.5 * calm.mean
    assert alert.constant < 0.5 * alert.mean


def test_other_nodes_count_by_the_share_of_the_job() -> None:
    job = CheckpointedJob(write=300.0, nodes=4, others=12)
    memory = Memory((0.5, *(0.0,) * 6, 0.5, *(0.0,) * 5))
    seen = fresh_observation(0.0, 12e-5)  # each other node 1e-5
    assert memory.policy(1e-5).checkpoint_interval(job, seen) == pytest.approx(daly_interval(300.0, 1 / 4e-5))


def test_policies_decide_as_their_rules_do() -> None:
    seen = at_age(12345.0)
    for policy in (ConstantRate(MTBF), Hazard(weibull(0.7)), Memory((1.0, *(0.0,) * 12)).policy(1 / MTBF)):
        rule = policy.rule(JOB)
        assert policy.checkpoint_interval(JOB, seen) == interval_by(rule.kind, rule.numbers, JOB.write, seen)


def test_no_fault_no_fit() -> None:
    with pytest.raises(InputError, match="no fault strikes a job from 0 to 100 s: nothing to fit to"):
        fit_memory([Past([Faults.all_global(np.array([200.0]))], JOB, 0.0, 100.0)])
