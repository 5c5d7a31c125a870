"""From logs to outages, curves, rates and measures of dependence, by hand and against chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from hpcai.errors import InputError
from hpcai.faults.dependence import autocorrelation, counts, dispersion, gini, neighbours, offenders
from hpcai.faults.fit_log import fit_log, models
from hpcai.faults.fitted import ClassModel, FittedFailures
from hpcai.faults.lifetimes import Lifetime
from hpcai.faults.outages import Durations, between, exposure, outages, repairs, uptimes
from hpcai.faults.survival import first_failures, kaplan_meier, log_rank, rate_by_age
from hpcai.records.failures import FailureLog, strings

DAY = 86400.0


def a_log(
    events: list[tuple[str, float, float]],
    nodes: dict[str, tuple[float, float]],
    until: float = 1000.0,
    component: list[str] | None = None,
    **columns: list[str],
) -> FailureLog:
    """A log of (node, start, end), and of nodes with entry into and end of service."""
    names = [name for name, _, _ in events]
    table = pd.DataFrame(
        {
            "node": strings(names),
            "component": strings(component or ["cpu"] * len(names)),
            "start": np.array([start for _, start, _ in events], dtype=np.float64),
            "end": np.array([end for _, _, end in events], dtype=np.float64),
            "cause": strings(["x"] * len(names)),
            "severity": strings(["fatal"] * len(names)),
        }
    )
    frame = pd.DataFrame(
        {"node": strings(list(nodes))}
        | {
            name: strings(columns.get(name, [""] * len(nodes)))
            for name in ("node_class", "system", "rack", "place", "switch")
        }
    )
    service = np.array(list(nodes.values()), dtype=np.float64)
    frame = frame.assign(in_service=service[:, 0], out_of_service=service[:, 1], processors=np.nan, gpus=np.nan)
    return FailureLog("log", table, frame, observed=(0.0, until))


NAN = np.nan
EVENTS = [("a", 100.0, 150.0), ("a", 120.0, 130.0), ("a", 150.0, 180.0), ("b", 400.0, 450.0), ("a", 700.0, NAN)]
NODES = {"a": (0.0, NAN), "b": (200.0, 600.0), "c": (-500.0, NAN)}


def test_overlapping_failures_are_one_outage() -> None:
    of = outages(a_log(EVENTS, NODES))
    assert of.node.tolist() == [0, 0, 1]
    assert of.start.tolist() == [100.0, 700.0, 400.0]
    np.testing.assert_array_equal(of.end, [180.0, NAN, 450.0])
    assert of.ends_known


def test_times_up_and_down_by_hand() -> None:
    log = a_log(EVENTS, NODES)
    of = outages(log)
    up, node = uptimes(log, of)
    found = sorted(zip(node.tolist(), up.value.tolist(), up.ended.tolist(), strict=True))
    assert found == [
        (0, 100.0, True),
        (0, 520.0, True),  # and down from 700 on
        (1, 150.0, False),  # from its repair until it left service
        (1, 200.0, True),
        (2, 1000.0, False),  # never failed; watched from 0 on
    ]
    down, node = repairs(log, of)
    assert list(zip(node.tolist(), down.value.tolist(), down.ended.tolist(), strict=True)) == [
        (0, 80.0, True),
        (0, 300.0, False),
        (1, 50.0, True),
    ]
    every = between(log, of, np.ones(3, bool))
    assert every.value.tolist() == [300.0, 300.0, 300.0]
    assert every.ended.tolist() == [True, True, False]
    assert exposure(log) == 1000 + 400 + 1000


def test_a_log_without_ends_has_no_repairs() -> None:
    log = a_log([(name, start, NAN) for name, start, _ in EVENTS], NODES)
    of = outages(log)
    assert not of.ends_known
    assert len(repairs(log, of)[0]) == 0
    up, node = uptimes(log, of)
    assert sorted(up.value[node == 0].tolist()) == [20.0, 30.0, 100.0, 300.0, 550.0]


def test_failures_out_of_service_do_not_count() -> None:
    log = a_log([*EVENTS, ("b", 800.0, 900.0), ("b", 100.0, 120.0)], NODES)
    assert outages(log).start.tolist() == outages(a_log(EVENTS, NODES)).start.tolist()
    with pytest.raises(InputError, match="found no failure while its node was in service"):
        outages(a_log([("b", 800.0, 900.0)], NODES))


def test_severities() -> None:
    log = a_log(EVENTS, NODES)
    log.events["severity"] = "info"
    with pytest.raises(InputError, match=r"found no failure of severity fatal, expected some \(there are: 5 info\)"):
        outages(log)
    assert len(outages(log, ["info"]).node) == 3


def test_resolution_of_a_log() -> None:
    assert outages(a_log([("a", 60.0, 120.0), ("a", 600.0, 660.0)], NODES)).resolution == 60
    assert outages(a_log([("a", 61.0, 120.0), ("a", 600.0, 660.0)], NODES)).resolution == 1
    assert outages(a_log([("a", 60.5, 120.0), ("a", 600.3, 660.0)], NODES)).resolution == 0


def test_kaplan_meier_by_hand() -> None:
    curve = kaplan_meier(Durations(np.array([1.0, 2.0, 3.0, 4.0]), np.array([True, False, True, False])))
    assert curve.at(0.5) == (1.0, 1.0, 1.0)
    assert curve.at(1.0)[0] == pytest.approx(3 / 4)
    assert curve.at(3.5)[0] == pytest.approx(3 / 4 * 1 / 2)
    low, high = curve.at(1.0)[1:]
    assert low < 3 / 4 < high


def test_kaplan_meier_holds_the_truth_and_ranks_differ() -> None:
    rng = np.random.default_rng(0)
    life, other = Lifetime("weibull", 100.0, 0.8), Lifetime("weibull", 200.0, 0.8)
    samples = []
    for kind in (life, other):
        value, until = kind.sample(400, rng), rng.uniform(0, 400, 400)
        samples.append(Durations(np.minimum(value, until), value <= until))
    for time in (20.0, 100.0, 250.0):
        _, low, high = kaplan_meier(samples[0]).at(time)
        assert low - 0.03 < float(life.survival(time)) < high + 0.03
    assert log_rank(*samples) < 1e-4
    half = np.arange(400) % 2 == 0
    assert log_rank(samples[0].of(half), samples[0].of(~half)) > 0.01


def test_first_failures_by_component() -> None:
    log = a_log(EVENTS, NODES, component=["cpu", "cpu", "cpu", "gpu", "gpu"])
    of = outages(log)
    assert first_failures(log, of).value.tolist() == [100.0, 200.0, 1000.0]
    gpu = first_failures(log, of, "gpu")
    assert gpu.value.tolist() == [700.0, 200.0, 1000.0]
    assert gpu.ended.tolist() == [True, True, False]


def test_rate_by_age_by_hand() -> None:
    log = a_log(EVENTS, NODES)
    found = rate_by_age(log, outages(log), [0.0, 150.0, 500.0, 2000.0])
    assert found.failures.tolist() == [1, 1, 1]
    assert found.at_risk.tolist() == [150.0 + 150.0, 350.0 + 250.0, 500.0 + 1000.0]  # c is 500 to 1500 old
    np.testing.assert_allclose(found.rate, [1 / 300, 1 / 600, 1 / 1500])
    assert (found.low < found.rate).all()
    assert (found.rate < found.high).all()


def test_rate_by_age_holds_a_constant_rate() -> None:
    model = _model(Lifetime("exponential", 50 * DAY))
    log = model.sample({f"n{i}": "all" for i in range(100)}, 300 * DAY, seed=2)
    found = rate_by_age(log, outages(log), DAY * np.arange(0.0, 301.0, 30.0))
    true = 1 / (50 * DAY)
    assert np.mean((found.low <= true) & (true <= found.high)) >= 0.8


def _model(uptime: Lifetime, repair: Lifetime | None = None) -> FittedFailures:
    kind = ClassModel(nodes=1, failures=1, mtbf=1.0, uptime=uptime, repair=repair, components={"cpu": 3.0, "gpu": 1.0})
    return FittedFailures(name="made", classes={"all": kind})


def test_dispersion_of_chance_and_of_bursts() -> None:
    rng = np.random.default_rng(1)
    steady = np.sort(rng.uniform(0, 1000, 5000))
    found = dispersion(steady, 0.0, 1000.0, 1.0)
    assert found is not None
    assert found.low < found.index < found.high
    burst = dispersion(np.repeat(rng.uniform(0, 1000, 500), 10), 0.0, 1000.0, 1.0)
    assert burst is not None
    assert burst.index == pytest.approx(10, rel=0.2)
    assert dispersion(steady, 0.0, 1000.0, 500.0) is None
    assert counts(np.array([0.0, 1.5, 1.9]), 0.0, 3.0, 1.0).tolist() == [1, 2, 0]


def test_autocorrelation() -> None:
    wave = np.round(10 + 10 * np.sin(np.arange(700) * 2 * np.pi / 7)).astype(np.int64)
    found = autocorrelation(wave, 7)
    assert found[6] > 0.9
    assert found[3] < -0.8
    assert np.isnan(autocorrelation(np.ones(50, dtype=np.int64), 3)).all()


def test_gini_by_hand() -> None:
    assert gini(np.array([1, 1, 1, 1])) == 0
    assert gini(np.array([0, 0, 0, 4])) == pytest.approx(3 / 4)
    assert gini(np.array([0, 0])) == 0


def test_repeated_offenders_against_chance() -> None:
    nodes = {f"n{i:03d}": "all" for i in range(150)}
    fair = _model(Lifetime("exponential", 20 * DAY)).sample(nodes, 400 * DAY, seed=1)
    found = offenders(fair, outages(fair), resamples=199)
    assert found.by_chance[1] <= found.gini <= found.by_chance[2]
    assert found.p_value > 0.02
    assert found.spread < 0.15
    bad = fair.events["node"].isin(list(nodes)[:100])
    unfair = FailureLog("", fair.events[~bad], fair.nodes, observed=fair.observed)
    found = offenders(unfair, outages(unfair), resamples=199)
    assert found.p_value < 0.01
    assert found.negative_binomial_aic < found.poisson_aic - 10


def test_neighbours_against_chance() -> None:
    rng = np.random.default_rng(3)
    nodes = {f"n{i:03d}": (0.0, NAN) for i in range(64)}
    racks = [f"r{i // 8}" for i in range(64)]
    apart = [(f"n{rng.integers(64):03d}", float(start), NAN) for start in np.sort(rng.uniform(0, 1e6, 400))]
    together = []
    for start in np.sort(rng.uniform(0, 1e6, 100)):
        rack = rng.integers(8)
        together += [(f"n{8 * rack + i:03d}", float(start) + i, NAN) for i in rng.permutation(8)[:4]]
    for events, related in ((apart, False), (sorted(together, key=lambda event: event[1]), True)):
        log = a_log(events, nodes, 1e6, rack=racks)
        found = neighbours(log, outages(log), "rack", 60.0, resamples=99)
        assert found is not None
        assert (found.p_value < 0.02) == related
        if related:
            assert found.pairs >= 100 * 6 * 0.95  # four of a rack are six pairs; few bursts overlap
            assert found.pairs > 3 * found.by_chance[2]
    assert neighbours(log, outages(log), "switch", 60.0) is None


def test_a_log_drawn_from_models_is_fitted_by_them() -> None:
    """Sampling and fitting undo one another, within the intervals and with most nodes censored."""
    true = _model(Lifetime("weibull", 40 * DAY, 0.8), Lifetime("lognormal", 7200.0, 1.0))
    log = true.sample({f"n{i:03d}": "all" for i in range(120)}, 200 * DAY, seed=11, settled=False)
    (found,) = fit_log(log, resamples=19)
    up, repair = found.quantities["uptime"], found.quantities["repair"]
    assert (up.best.lifetime.family, repair.best.lifetime.family) == ("weibull", "lognormal")
    assert up.shape[0] < 0.8 < up.shape[1]
    assert up.scale[0] < 40 * DAY < up.scale[1]
    assert repair.shape[0] < 1.0 < repair.shape[1]
    assert repair.scale[0] < 7200 < repair.scale[1]
    assert found.components["cpu"] == pytest.approx(0.75, abs=0.06)
    assert found.mtbf_interval[0] < found.mtbf < found.mtbf_interval[1]
    saved = models(log, [found])
    assert saved.classes["all"].uptime == up.best.lifetime
    again = saved.sample({f"n{i:03d}": "all" for i in range(1200)}, 200 * DAY, seed=3)
    assert len(again.events) == pytest.approx(10 * found.failures, rel=0.06)


def test_a_settled_machine_fails_as_often_as_its_log_however_its_fits_go_on() -> None:
    """A few nodes fail all the time, the others never: the best fit's mean is far beyond the log."""
    rng = np.random.default_rng(1)
    times = np.sort(rng.uniform(0, 100 * DAY, 300))
    events = [(f"n{rng.integers(3):03d}", float(time), NAN) for time in times]
    log = a_log(events, {f"n{i:03d}": (0.0, NAN) for i in range(100)}, 100 * DAY)
    (found,) = fit_log(log, resamples=9)
    assert found.quantities["uptime"].best.lifetime.mean > 10 * found.mtbf
    model = models(log, [found])
    assert model.classes["all"].settled.mean == pytest.approx(found.mtbf, rel=0.01)
    drawn = model.sample({f"n{i:04d}": "all" for i in range(1000)}, 100 * DAY, seed=2)
    assert len(drawn.events) == pytest.approx(3000, rel=0.2)


def test_groups() -> None:
    log = a_log(EVENTS, NODES, component=["cpu", "cpu", "cpu", "gpu", "gpu"], node_class=["x", "y", "y"])
    assert [(group.name, group.nodes, group.failures) for group in fit_log(log, resamples=9)] == [
        ("x", 1, 2),
        ("y", 2, 1),
    ]
    assert [group.name for group in fit_log(log, "system", resamples=9)] == ["all"]
    by_part = fit_log(log, "component", resamples=9)
    assert [(group.name, group.nodes, group.failures) for group in by_part] == [("cpu", 3, 1), ("gpu", 3, 2)]
    with pytest.raises(InputError, match="found grouping 'rack', expected one of node_class, system, component"):
        fit_log(log, "rack")


def test_mtbf_interval_is_wider_where_nodes_differ() -> None:
    nodes = {f"n{i:03d}": "all" for i in range(60)}
    log = _model(Lifetime("exponential", 10 * DAY)).sample(nodes, 100 * DAY, seed=5)
    (fair,) = fit_log(log, resamples=9)
    low, high = fair.mtbf_interval
    exact = stats.chi2.ppf([0.975, 0.025], 2 * fair.failures + 1)
    expected = 2 * 60 * 100 * DAY / exact
    assert high - low == pytest.approx(expected[1] - expected[0], rel=0.35)
