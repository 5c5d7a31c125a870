"""Numbers that others agree on, queueing theory, and the decay of use by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hpcai.cluster import Machine
from hpcai.records.machine import machine_of
from hpcai.scheduling.policy import Policy
from hpcai.simulation import replay
from tests.workloads import starts, table

# --- lublin_256 -----------------------------------------------------------------------------------------------

# Mean wait (s), mean bounded slowdown with a floor of 10 s, makespan (s). The first two rows are what RLScheduler,
# AccaSim and plain loops agree on; the third is what both clocks, the oracle and a plain C loop agree on here.
LUBLIN = {
    "fcfs": (Policy(backfill="none"), 2388443.7601, 66502.4755, 12482549.0),
    "easy, exact": (Policy(backfill="easy", estimate="actual"), 97155.9945, 590.053777, 8730698.0),
    "easy, 5 times": (
        Policy(backfill="easy", estimate="actual", estimate_multiplier=5.0),
        75048.5924,
        633.428785,
        8879789.0,
    ),
}


@pytest.mark.parametrize("engine", ["compiled", "simpy"])
@pytest.mark.parametrize("case", LUBLIN)
def test_lublin_256(recorded_swf, case, engine):
    policy, wait, slowdown, makespan = LUBLIN[case]
    trace = recorded_swf("lublin_256")
    done = replay(trace.jobs, machine_of(trace)[0], policy, engine=engine).table
    waits, runs = done["start"] - done["submit"], done["end"] - done["start"]
    assert waits.mean() == pytest.approx(wait, abs=5e-5)
    assert np.maximum((waits + runs) / np.maximum(runs, 10), 1).mean() == pytest.approx(slowdown, rel=2e-9, abs=5e-5)
    span = done["end"].max() - done["submit"].min()
    assert span == makespan
    if case == "fcfs":
        assert (done["processors"] * runs).sum() / (256 * span) == pytest.approx(0.654908, abs=5e-7)


# --- queueing theory ------------------------------------------------------------------------------------------


def erlang_c(servers: int, offered: float) -> float:
    """The probability that a customer of M/M/c has to wait."""
    below = sum(offered**k / math.factorial(k) for k in range(servers))
    all_busy = offered**servers / math.factorial(servers) * servers / (servers - offered)
    return all_busy / (below + all_busy)


@pytest.mark.parametrize(("servers", "load"), [(1, 0.6), (1, 0.8), (4, 0.8), (16, 0.9)])
def test_mean_wait_of_a_queue_with_poisson_arrivals(servers, load):
    """M/M/c: the mean wait is C(c, a) / (c mu - lambda); and Little's law: queue length = arrival rate * wait."""
    n, warm_up, batches = 200_000, 20_000, 20
    rng = np.random.default_rng(17)
    rate = servers * load  # with a mean run time of 1
    jobs = table(
        submit=np.cumsum(rng.exponential(1 / rate, n)),
        run_time=rng.exponential(1.0, n),
        processors=np.ones(n, dtype=int),
    )
    done = replay(jobs, Machine.by_processors(servers), Policy(backfill="none")).table
    submit, start = done["submit"].to_numpy()[warm_up:], done["start"].to_numpy()[warm_up:]
    wait = start - submit

    expected = erlang_c(servers, rate) / (servers - rate)
    means = wait.reshape(batches, -1).mean(axis=1)
    error = means.std(ddof=1) / math.sqrt(batches)  # batches of 9,000 jobs: much longer than waits correlate
    assert error < 0.1 * expected  # sharp enough to tell
    assert abs(means.mean() - expected) < 4 * error

    # The length of the queue from the first of these submissions to the last, from the log of its ups and downs.
    times = np.concatenate((submit, start))
    steps = np.concatenate((np.ones(len(submit)), -np.ones(len(start))))
    order = np.argsort(times, kind="stable")
    length = np.cumsum(steps[order])
    until = submit[-1]
    edges = np.minimum(times[order], until)
    mean_length = (length[:-1] * np.diff(edges)).sum() / (until - submit[0])
    little = (len(submit) / (until - submit[0])) * wait.mean()
    # The two differ by those who wait at the end only.
    assert mean_length == pytest.approx(little, rel=0.01)
    assert mean_length == pytest.approx(rate * expected, abs=4 * error * rate)


# --- use decays -----------------------------------------------------------------------------------------------


def test_fair_share_by_hand():
    """Half-life 100 s, 1 processor. u decays as u' = r - u ln 2 / 100.

    ada runs from 0 to 100: at 100 her use is (100 / ln 2) (1 - 1/2) = 50 / ln 2 = 72.1.
    Submitted meanwhile: ada again, bob, each 100 s. At 100 bob has used nothing: he runs to 200. At 200 ada's use
    has halved to 36.1, bob's is 72.1; so ada runs, and bob's second job, though submitted before hers, waits.
    At 300 ada's is 36.1 / 2 + 72.1 = 90.2, bob's 36.1. He runs.
    """
    jobs = table(
        submit=[0.0, 1.0, 2.0, 3.0, 4.0],
        run_time=[100.0] * 5,
        processors=[1] * 5,
        user=["ada", "bob", "bob", "ada", "ada"],
    )
    policy = Policy(ordering="fair-share", backfill="none", usage_half_life=100.0)
    assert starts(jobs, Machine.by_processors(1), policy) == [0, 100, 300, 200, 400]


@pytest.mark.parametrize(("half_life", "first"), [(10.0, "ada"), (10_000.0, "bob")])
def test_half_life_decides_how_long_use_counts(half_life, first):
    """ada used 100 s long ago, bob 50 s of late: with 10 s of half-life hers is forgotten, with 10,000 s it is not."""
    jobs = table(
        submit=[0.0, 500.0, 510.0, 511.0],
        run_time=[100.0, 50.0, 10.0, 10.0],
        processors=[1] * 4,
        user=["ada", "bob", "ada", "bob"],
    )
    policy = Policy(ordering="fair-share", backfill="none", usage_half_life=half_life)
    begun = starts(jobs, Machine.by_processors(1), policy)
    assert begun[2:] == ([550, 560] if first == "ada" else [560, 550])


def test_running_jobs_count_as_use():
    """ada's job is still running when the others are looked at: bob, who runs nothing, is first."""
    jobs = table(
        submit=[0.0, 0.0, 1.0, 2.0],
        run_time=[100.0, 10.0, 5.0, 5.0],
        processors=[1] * 4,
        user=["ada", "cyd", "ada", "bob"],
    )
    policy = Policy(ordering="fair-share", backfill="none")
    assert starts(jobs, Machine.by_processors(2), policy) == [0, 0, 15, 10]


def test_only_those_who_have_jobs_share():
    """Users of the log without a job in the replay change nothing, wherever they stand among its categories."""
    jobs = table(
        submit=np.arange(12.0),
        run_time=[3.0, 50.0] * 6,
        processors=[1, 2] * 6,
        user=["ada", "bob", "cyd"] * 4,
    )
    policy = Policy(ordering="multifactor", backfill="none")
    alone = starts(jobs, Machine.by_processors(2), policy)
    jobs["user"] = jobs["user"].cat.set_categories([*"0123456789", *jobs["user"].cat.categories])
    assert starts(jobs, Machine.by_processors(2), policy) == alone
