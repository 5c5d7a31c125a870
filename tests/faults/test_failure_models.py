"""Distributions of lifetimes, and logs that are drawn from fitted models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpcai.errors import InputError
from hpcai.faults.fitted import ClassModel, FittedFailures
from hpcai.faults.lifetimes import FAMILIES, Lifetime, log_density, log_survival

DAY = 86400.0
LIFETIMES = [Lifetime("exponential", 5.0), Lifetime("weibull", 5.0, 0.7), Lifetime("lognormal", 5.0, 1.2)]
LIFETIMES += [Lifetime("gamma", 5.0, 0.6), Lifetime("weibull", 5.0, 2.5), Lifetime("gamma", 5.0, 3.0)]


def a_model() -> FittedFailures:
    cpu = ClassModel(
        nodes=10,
        failures=20,
        mtbf=10 * DAY,
        uptime=Lifetime("weibull", 8 * DAY, 0.7),
        settled=Lifetime("weibull", 8 * DAY, 0.7),
        repair=Lifetime("lognormal", 3600.0, 1.5),
        components={"memory": 3, "cpu": 1},
    )
    gpu = ClassModel(nodes=2, failures=9, mtbf=3 * DAY, uptime=Lifetime("gamma", 6 * DAY, 0.5))
    return FittedFailures(name="site", classes={"cpu": cpu, "gpu": gpu}, source={"log.csv": "0" * 64})


@pytest.mark.parametrize("lifetime", LIFETIMES, ids=str)
def test_as_scipy_has_it(lifetime: Lifetime) -> None:
    time = np.geomspace(1e-3, 60.0, 40)
    scipy = lifetime.frozen
    np.testing.assert_allclose(lifetime.survival(time), scipy.sf(time), rtol=1e-10)
    np.testing.assert_allclose(
        log_density(lifetime.family, time, lifetime.shape, lifetime.scale), scipy.logpdf(time), rtol=1e-9
    )
    np.testing.assert_allclose(
        log_survival(lifetime.family, time, lifetime.shape, lifetime.scale), scipy.logsf(time), rtol=1e-9, atol=1e-15
    )
    np.testing.assert_allclose(lifetime.hazard(time), scipy.pdf(time) / scipy.sf(time), rtol=1e-9)
    assert lifetime.mean == pytest.approx(scipy.mean())
    assert lifetime.quantile(0.5) == pytest.approx(scipy.median())


@pytest.mark.parametrize("lifetime", LIFETIMES, ids=str)
def test_draws(lifetime: Lifetime) -> None:
    rng = np.random.default_rng(1)
    n = 20_000
    drawn = np.sort(lifetime.sample(n, rng))
    uniform = np.abs(lifetime.frozen.cdf(drawn) - (np.arange(n) + 0.5) / n).max()
    assert uniform < 1.95 / np.sqrt(n)  # Kolmogorov-Smirnov at 0.1 %
    second_moment = lifetime.frozen.moment(2)
    rest = lifetime.residual(n, rng)
    assert rest.mean() == pytest.approx(second_moment / (2 * lifetime.mean), abs=4 * rest.std() / np.sqrt(n))
    age = np.full(n, 3.0)
    longer = np.sort(lifetime.remaining(age, rng))
    conditional = 1 - lifetime.survival(3.0 + longer) / lifetime.survival(3.0)
    assert np.abs(conditional - (np.arange(n) + 0.5) / n).max() < 1.95 / np.sqrt(n)


def test_hazard_falls_where_the_shape_is_below_one() -> None:
    time = np.geomspace(0.1, 50, 20)
    for family in ("weibull", "gamma"):
        assert (np.diff(Lifetime(family, 5.0, 0.7).hazard(time)) < 0).all()
        assert (np.diff(Lifetime(family, 5.0, 1.6).hazard(time)) > 0).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_hazard_is_finite_at_zero(family: str) -> None:
    shape = 1.0 if family == "exponential" else 0.5
    assert np.isfinite(Lifetime(family, 5.0, shape).hazard(0.0))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("pareto", 1.0), "found family 'pareto', expected one of exponential"),
        (("weibull", 0.0), "found scale 0.0, expected a positive number"),
        (("weibull", 1.0, float("nan")), "found shape nan"),
        (("exponential", 1.0, 2.0), "found shape 2 of an exponential"),
    ],
)
def test_impossible_lifetimes(arguments: tuple[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Lifetime(*arguments)


@pytest.mark.parametrize("name", ["model.yaml", "model.json"])
def test_saved_and_loaded(tmp_path: Path, name: str) -> None:
    model = a_model()
    model.save(tmp_path / name)
    assert FittedFailures.load(tmp_path / name) == model


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("weibull", "pareto", "found family 'pareto'"),
        ("mtbf: 864000.0", "mtbf: -1", "classes.cpu.mtbf"),
        ("memory: 3.0", "memory: .nan", "classes.cpu.components.memory"),
        ("failures: 20", "failure: 20", "classes.cpu.fail"),
    ],
)
def test_a_damaged_model(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = tmp_path / "model.yaml"
    a_model().save(path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=words) as caught:
        FittedFailures.load(path)
    assert str(caught.value).startswith(str(path))


def test_a_log_is_drawn_from_the_models() -> None:
    nodes = {f"n{i:03d}": "cpu" if i % 4 else "gpu" for i in range(200)}
    model = a_model()
    log = model.sample(nodes, 400 * DAY, seed=3)
    assert log.equals(model.sample(nodes, 400 * DAY, seed=3))
    assert not log.equals(model.sample(nodes, 400 * DAY, seed=4))
    events = log.events
    assert events["start"].is_monotonic_increasing
    assert events["start"].between(0, 400 * DAY).all()
    kind = events["node"].map(nodes)
    for name, fitted in model.classes.items():
        cycle = fitted.uptime.mean + (0 if fitted.repair is None else fitted.repair.mean)
        count = sum(kind == name)
        expected = sum(value == name for value in nodes.values()) * 400 * DAY / cycle
        assert count == pytest.approx(expected, rel=5 * 1.6 / np.sqrt(expected))  # counts vary more than Poisson's
    assert events["end"][kind == "gpu"].isna().all()
    memory = (events["component"][kind == "cpu"] == "memory").mean()
    assert memory == pytest.approx(0.75, abs=0.03)
    assert list(log.nodes["node"]) == sorted(nodes)


def test_new_nodes_of_falling_hazard_fail_more_often_at_first() -> None:
    nodes = dict.fromkeys([f"n{i}" for i in range(2000)], "gpu")
    new = a_model().sample(nodes, 2 * DAY, seed=0, settled=False)
    settled = a_model().sample(nodes, 2 * DAY, seed=0)
    assert len(new.events) > 1.2 * len(settled.events)


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(InputError, match="found class 'tpu', expected one of cpu, gpu"):
        a_model().sample({"n": "tpu"}, DAY, seed=0)
    with pytest.raises(InputError, match="expected positive seconds"):
        a_model().sample({"n": "cpu"}, -1.0, seed=0)
    assert a_model().sample({}, DAY, seed=0).events.empty
