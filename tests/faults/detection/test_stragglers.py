"""Slow ranks are found, and chance is told from slowness as rarely wrong as is asked."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from hpcai.errors import InputError
from hpcai.faults.detection.stragglers import StragglerRule, find_stragglers

STEP = 600.0
RANKS = 8


def table(times: np.ndarray, job: str = "j") -> pd.DataFrame:
    """Compute times (samples, ranks) as telemetry."""
    samples, ranks = times.shape
    return pd.DataFrame(
        {
            "node": np.tile([f"n{i}" for i in range(ranks)], samples),
            "time": np.repeat((np.arange(samples) + 1) * STEP, ranks),
            "job": job,
            "compute_time": times.ravel(),
        }
    )


def noise(rng, samples: int = 144, ranks: int = RANKS) -> np.ndarray:
    return np.exp(rng.normal(0, 0.01, (samples, ranks)))


def test_a_slow_rank_is_found_while_it_is_slow():
    times = noise(np.random.default_rng(0))
    times[48:96, 3] *= 1.2
    (found,) = find_stragglers(table(times))
    assert (found.job, found.node) == ("j", "n3")
    assert (found.begin, found.end) == (48 * STEP, 96 * STEP)
    assert found.slower == pytest.approx(0.2, abs=0.01)


def test_a_job_that_is_slow_as_a_whole_has_no_straggler():
    times = noise(np.random.default_rng(1))
    times[50:] *= 3.0
    assert find_stragglers(table(times)) == []


def test_what_is_slower_for_sure_but_hardly_is_no_straggler():
    times = noise(np.random.default_rng(2)) ** 0.1
    times[:, 5] *= 1.01
    assert find_stragglers(table(times)) == []
    (found,) = find_stragglers(table(times), StragglerRule(slower=0.005))
    assert found.node == "n5"


@pytest.mark.parametrize("kind", ["normal", "heavy"])
def test_false_alarms_are_as_rare_as_is_asked(kind):
    """100 days of jobs whose ranks are alike, whatever their times are distributed like; 0.5 a day are allowed."""
    rng = np.random.default_rng(3)
    days = [noise(rng) if kind == "normal" else 1 + rng.pareto(1.5, (144, RANKS)) for _ in range(100)]
    rule = StragglerRule(false_alarms=0.5, slower=0.0, apart=0.0)
    found = find_stragglers(pd.concat([table(times, f"j{k}") for k, times in enumerate(days)]), rule)
    assert 0.1 < len(found) / len(days) < 0.5


def test_times_needed_keep_the_chance_of_any_rank_below_the_rate():
    rule = StragglerRule(window=20, false_alarms=0.1)
    needed = rule.times_needed(16, 3600.0)
    allowed = 0.1 / 24 / 16
    assert binom.sf(needed - 1, 20, 0.25) <= allowed < binom.sf(needed - 2, 20, 0.25)


def test_short_jobs_and_few_ranks_are_not_judged():
    times = noise(np.random.default_rng(4))
    times[:, 0] *= 2
    assert find_stragglers(table(times[:11])) == []
    assert find_stragglers(table(times[:, :3])) == []
    found = find_stragglers(pd.concat([table(times[:48], "a"), table(times[48:96], "b")]))
    assert [one.job for one in found] == ["a", "b"]


def test_bad_input_is_told():
    with pytest.raises(InputError, match="found no compute_time of a job"):
        find_stragglers(table(np.full((20, 4), np.nan)))
    with pytest.raises(InputError, match="expected a window of 2 samples or more"):
        StragglerRule(window=1)
