"""Figures of papers on recorded failure logs come out of them again.

S&G: Schroeder and Gibson, "A large-scale study of failures in high-performance computing systems", DSN 2006, whose
system 20 is system 2 of the release. SC20: Ostrouchov et al., "GPU Lifetimes on Titan Supercomputer"; two thirds of the
GPUs are at hand, so that times between failures are half as long again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from hpcai.faults.dependence import offenders
from hpcai.faults.likelihood import fit, fit_family, interval
from hpcai.faults.outages import Durations, between, outages, repairs
from hpcai.faults.survival import first_failures, kaplan_meier
from hpcai.records.failure_selection import select
from hpcai.records.failures import FailureLog, read_failures

LOGS = Path(__file__).parents[2].parent / "shared" / "data" / "failures"
YEAR = 365.25 * 86400.0
OF_TITAN = 2 / 3  # of its GPUs


def recorded(name: str) -> FailureLog:
    path = LOGS / name
    if not path.exists():
        pytest.skip(f"the recorded log {name} is not part of the repository")
    return read_failures(path)


@pytest.fixture(scope="module")
def lanl() -> FailureLog:
    return recorded("lanl_failures_1996-2005.csv.gz")


@pytest.fixture(scope="module")
def titan() -> FailureLog:
    return recorded("titan_gpu_history_a.csv.gz")


def times_between(log: FailureLog, only: Sequence[str], since: str, until: str | None = None) -> Durations:
    part = select(log, only, since=since, until=until)
    return between(part, outages(part), np.ones(len(part.nodes), dtype=bool))


def variability(data: Durations) -> float:
    """Return the squared coefficient of variation."""
    known = data.value[data.ended]
    return float(known.var() / known.mean() ** 2)


def test_times_between_failures_of_a_system_are_weibull(lanl: FailureLog) -> None:
    """S&G: system 20 from 2000 on is Weibull of shape 0.78."""
    data = times_between(lanl, ["system=2"], "2000-01-01")
    best = fit(data)[0]
    assert best.lifetime.family == "weibull"
    low, high = interval(data, best, "shape")
    assert low < 0.79
    assert 0.76 < best.lifetime.shape < 0.84
    assert high < 0.85


def test_times_between_failures_of_a_node(lanl: FailureLog) -> None:
    """S&G: node 22, from 2000 on Weibull or gamma of shape 0.7, C2 1.9; before log-normal, C2 3.9."""
    late = times_between(lanl, ["node=2-22"], "2000-01-01")
    found = fit_family(late, "weibull")
    low, high = interval(late, found, "shape")
    assert low < 0.7 < high
    assert {one.lifetime.family for one in fit(late)[:2]} == {"weibull", "gamma"}
    assert variability(late) == pytest.approx(1.9, abs=0.15)
    early = times_between(lanl, ["node=2-22"], "1996-01-01", "2000-01-01")
    assert fit(early)[0].lifetime.family == "lognormal"
    assert variability(early) == pytest.approx(3.9, abs=0.4)


def test_many_early_failures_of_a_system_come_at_once(lanl: FailureLog) -> None:
    """S&G: more than 30 % of the times between failures of system 20 before 2000 are 0."""
    data = times_between(lanl, ["system=2"], "1996-01-01", "2000-01-01")
    assert np.mean(data.value == 0) > 0.3


def test_repairs_are_log_normal(lanl: FailureLog) -> None:
    """S&G: log-normal fits best; mean 355 min, median 54 min over all."""
    down, _ = repairs(lanl, outages(lanl))
    assert fit(down)[0].lifetime.family == "lognormal"
    minutes = (lanl.events["end"] - lanl.events["start"]) / 60
    assert minutes.mean() == pytest.approx(355, rel=0.02)
    assert minutes.median() == pytest.approx(54, rel=0.12)


def test_hardware_is_the_commonest_root_cause(lanl: FailureLog) -> None:
    """S&G: hardware is behind 30 to more than 60 % of the failures of a kind of system, most of any."""
    system = lanl.events["node"].map(lanl.nodes.set_index("node")["system"])
    root = lanl.events["cause"].str.split(": ").str[0]
    assert (root == "Hardware").mean() == pytest.approx(0.605, abs=0.005)
    shares = (root == "Hardware").groupby(system).mean()
    assert ((shares > 0.3) & (shares < 0.85)).sum() >= 21


def test_failures_of_nodes_are_not_poisson(lanl: FailureLog) -> None:
    """S&G: of the compute nodes of system 20, failures by node are not Poisson, for they vary too much."""
    part = select(lanl, ["system=2", "node_class=cpu1-128p-32GB"])
    found = offenders(part, outages(part), resamples=199)
    assert found.p_value <= 1 / 200
    assert found.negative_binomial_aic < found.poisson_aic - 100


def mtbf(log: FailureLog, batch: str, since: str, until: str) -> tuple[int, float]:
    """Return the errors of a batch, and the hours from one to the next, were all GPUs at hand."""
    part = select(log, [f"node_class={batch}"] if batch else [], since=since, until=until)
    hours = (part.observed[1] - part.observed[0]) / 3600
    return len(part.events), OF_TITAN * hours / len(part.events)


def test_new_gpus_of_titan_fail_twelve_times_more_seldom(titan: FailureLog) -> None:
    """SC20, section V: in the last quarter of 2018 a partition of old GPUs has 7.9 h between failures, of new 96 h."""
    _, old = mtbf(titan, "old", "2018-10-01", "2019-01-01")
    new_errors, new = mtbf(titan, "new", "2018-10-01", "2019-01-01")
    assert old == pytest.approx(7.9, rel=0.07)
    assert new == pytest.approx(96, rel=2 / np.sqrt(new_errors))
    assert new / old == pytest.approx(12, rel=2 / np.sqrt(new_errors))


def test_the_worst_quarter_of_titan(titan: FailureLog) -> None:
    """SC20, section V: 813 failures in the last quarter of 2016, one every 2.7 h."""
    errors, hours = mtbf(titan, "", "2016-10-01", "2017-01-01")
    assert errors / OF_TITAN == pytest.approx(813, rel=0.05)
    assert hours == pytest.approx(2.7, rel=0.05)


def test_upper_cages_of_titan_live_shorter() -> None:
    """SC20, section VI: survival falls from cage 0, where the cold air comes in, to cage 2 at the top."""
    log = recorded("titan_gpu_lifetimes_a.csv.gz")
    first = first_failures(log, outages(log))
    old = (log.nodes["node_class"] == "old").to_numpy()
    bounds = []
    for cage in range(3):
        rows = old & (log.nodes["place"] == f"cage {cage}").to_numpy()
        bounds.append(kaplan_meier(first.of(rows)).at(4 * YEAR))
    assert bounds[0][1] > bounds[1][2]  # intervals do not meet
    assert bounds[1][1] > bounds[2][2]
