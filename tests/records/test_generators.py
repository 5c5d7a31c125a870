"""The models: their statistics, seeds, loads, and how well the mix can be fitted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ks_2samp

from hpcai.cluster import Machine, NodeGroup
from hpcai.errors import InputError
from hpcai.records import Trace, generate, offered_load, read_trace
from hpcai.records.generators import KINDS, deep_learning, lublin
from hpcai.records.generators._cycle import Cycle
from hpcai.records.generators._heavy_tail import HeavyTail, LogNormal, Pareto
from hpcai.records.generators._mix import HUMAN_LIMITS
from hpcai.records.generators.fit import fit, goodness_of_fit

GPUS = Machine(name="gpus", groups=(NodeGroup(name="a", count=32, cpus=64, memory_gib=512, gpus=8),))


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides(kind: str) -> None:
    assert generate(kind, 500, seed=0).equals(generate(kind, 500, seed=0))
    assert not generate(kind, 500, seed=0).jobs.equals(generate(kind, 500, seed=1).jobs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("load", [0.5, 1.2])
def test_the_load_is_reached(kind: str, load: float) -> None:
    machine = Machine.by_processors(256) if kind == "lublin" else GPUS
    trace = generate(kind, 5000, load=load, machine=machine)
    reached = offered_load(trace.jobs, machine)
    assert reached["processors" if kind == "lublin" else "gpus"] == pytest.approx(load, rel=0.01)
    assert trace.machine == machine
    assert trace.jobs["submit"].is_monotonic_increasing


def test_generate_refuses(tmp_path: Path) -> None:
    for arguments, message in (
        (("x", 5), "generator 'x': expected one of lublin"),
        (("lublin", 0), "jobs 0: expected at least 1"),
    ):
        with pytest.raises(InputError, match=message):
            generate(*arguments)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="load -1: expected a number above 0"):
        generate("lublin", 5, load=-1)
    with pytest.raises(InputError, match="needs a machine"):
        generate("deep-learning", 5, load=0.5)
    (tmp_path / "p.yaml").write_text("failed: 2\n")
    with pytest.raises(InputError, match=r"p\.yaml: failed: Input should be less than or equal to 1"):
        generate("deep-learning", 5, parameters=tmp_path / "p.yaml")
    (tmp_path / "p.yaml").write_text("fialed: 0.2\n")
    with pytest.raises(InputError, match=r"p\.yaml: fialed: Extra inputs"):
        generate("deep-learning", 5, parameters=tmp_path / "p.yaml")
    with pytest.raises(InputError, match="cannot be read"):
        generate("lublin", 5, parameters=tmp_path / "nothing.yaml")


def test_cycle_keeps_time_after_each_period_and_inverts() -> None:
    cycle = Cycle([1, 3, 2, 4], 100.0)
    times = np.linspace(0, 999, 77)
    assert cycle.to_operational(np.array([0.0, 100.0, 300.0])).tolist() == [0.0, 100.0, 300.0]
    assert cycle.to_clock(cycle.to_operational(times)) == pytest.approx(times)
    steady = cycle.to_clock(np.arange(0, 10000, 0.5))
    counts = np.bincount((steady % 100 // 25).astype(int))
    assert counts / counts.sum() == pytest.approx([0.1, 0.3, 0.2, 0.4], abs=0.01)


def test_lublin_is_the_public_models_output(recorded: Callable[[str], Path]) -> None:
    """The file holds 10000 jobs of the authors' program without types, for 256 nodes."""
    theirs = read_trace(recorded("data/swf/lublin_256.swf.gz")).jobs
    machine = Machine.by_processors(256)
    ours = lublin.generate(lublin.Parameters(types={"all": lublin.TYPELESS}), 30000, seed=1, machine=machine).jobs
    for column in ("run_time", "processors"):
        assert ks_2samp(ours[column], theirs[column], method="asymp").statistic < 0.02, column
    gaps = ks_2samp(np.diff(ours["submit"]), np.diff(theirs["submit"]), method="asymp").statistic
    assert gaps < 0.03
    # the program drops the fraction of a second at each arrival, so its clock lags half a second a job behind
    drift = 0.5 * np.arange(len(theirs))
    assert ks_2samp(ours["submit"] % 86400, (theirs["submit"] + drift) % 86400, method="asymp").statistic < 0.03


def test_lublin_sizes_and_types() -> None:
    jobs = generate("lublin", 40000, seed=3).jobs
    shares = jobs["queue"].value_counts(normalize=True)
    assert shares["interactive"] > 0.7
    for name, kind in (("interactive", lublin.INTERACTIVE), ("batch", lublin.BATCH)):
        size = jobs.loc[jobs["queue"] == name, "processors"]
        assert (size == 1).mean() == pytest.approx(kind.serial, abs=0.02)
        assert size.isin([2.0**k for k in range(8)]).mean() > kind.serial + kind.power_of_two - 0.02
    assert jobs["processors"].max() <= 128
    assert jobs["run_time"].max() <= np.exp(lublin.MAX_LOG_RUN_TIME)
    large = jobs["processors"] > 32
    assert jobs.loc[large, "run_time"].median() > 5 * jobs.loc[~large, "run_time"].median()


def test_lublin_daily_weights() -> None:
    weights = lublin.daily_weights(lublin.BATCH)
    assert len(weights) == 48
    assert (weights > 0).all()
    assert 24 < np.argmax(weights) < 36  # the early afternoon


def test_deep_learning_mix() -> None:
    trace = generate("deep-learning", 60000, seed=2)
    jobs, parameters = trace.jobs, deep_learning.Parameters()
    sizes = jobs["gpus"].value_counts(normalize=True)
    assert sizes[1] == pytest.approx(parameters.sizes[1] / sum(parameters.sizes.values()), abs=0.01)
    assert set(sizes.index) <= {2.0**k for k in range(8)}
    assert (jobs["submit"] % 1 == 0).all()
    assert jobs["run_time"].max() <= parameters.longest
    assert jobs["status"].isin(["completed", "failed", "cancelled", "timeout"]).all()
    assert (jobs["status"] == "failed").mean() == pytest.approx(0.2, abs=0.02)
    assert jobs["run_time"].isna().mean() == pytest.approx(0.01, abs=0.003)
    assert set(jobs["requested_time"].dropna()) <= set(HUMAN_LIMITS)
    assert not (jobs["run_time"] > jobs["requested_time"]).any()
    ended = jobs[jobs["status"] == "timeout"]
    assert (ended["run_time"] == ended["requested_time"]).all()
    days = np.bincount((jobs["submit"] // 86400 % 7).astype(int))
    assert days[5:].mean() < 0.7 * days[:5].mean()
    assert jobs["tenant"].nunique() == 12
    assert jobs["tenant"].value_counts().iloc[0] > 3 * jobs["tenant"].value_counts().iloc[-1]


def test_no_job_is_larger_than_the_machine() -> None:
    small = Machine(name="s", groups=(NodeGroup(name="a", count=2, cpus=64, memory_gib=512, gpus=8),))
    assert generate("deep-learning", 2000, machine=small).jobs["gpus"].max() <= 16
    with pytest.raises(InputError, match="no job of the mix fits"):
        generate("deep-learning", 10, machine=Machine.by_processors(8))


def test_heavy_tail_fits_what_it_draws() -> None:
    truth = HeavyTail(
        bulk=(LogNormal(weight=0.5, median=10.0, sigma=0.5), LogNormal(weight=0.5, median=1000.0, sigma=1.0)),
        tail=Pareto(share=0.01, start=20000.0, alpha=1.5, largest=1e6),
        zeros=0.1,
    )
    values = truth.sample(np.random.default_rng(0), 20000)
    fitted = HeavyTail.fit(values)
    again = fitted.sample(np.random.default_rng(1), 20000)
    assert ks_2samp(values, again, method="asymp").statistic < 0.02
    assert fitted.zeros == pytest.approx(0.1, abs=0.01)
    assert fitted.tail is not None
    assert fitted.tail.largest <= 1e6


@pytest.mark.parametrize("values", [[], [0.0, 0.0], [5.0], [5.0] * 300, [1e-9, 1e9]])
def test_heavy_tail_of_odd_values(values: list[float]) -> None:
    fitted = HeavyTail.fit(np.array(values))
    assert np.isfinite(fitted.sample(np.random.default_rng(0), 100)).all()


def test_fit_of_a_generated_trace_is_close(tmp_path: Path) -> None:
    trace = generate("deep-learning", 8000, seed=5, machine=GPUS)
    parameters, goodness = fit(trace)
    assert max(goodness.distances.values()) < 0.12
    assert goodness.distances.keys() == {
        *("interarrival", "run_time", "size", "requested_over_run_time", "arrivals_per_hour", "hour_of_day"),
    }
    parameters.save(tmp_path / "p.yaml")
    assert deep_learning.Parameters.load(tmp_path / "p.yaml") == parameters
    assert parameters.tenants == 12
    assert parameters.failed == pytest.approx(0.2, abs=0.03)
    assert (parameters.cpus_per_gpu, parameters.gpus_per_node) == (8, 8)


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("swf/CTC-SP2-1996-3.1-cln.swf.gz", {"interarrival": 0.05, "run_time": 0.1, "size": 0.02}),
        ("gpu/philly-2017-vcs-a.csv.gz", {"interarrival": 0.1, "run_time": 0.1, "size": 0.02, "hour_of_day": 0.05}),
        ("gpu/mit_supercloud_slurm_2021_a.csv.gz", {"run_time": 0.1, "size": 0.05}),
    ],
)
def test_fit_of_recorded_traces(recorded: Callable[[str], Path], name: str, limits: dict[str, float]) -> None:
    _, goodness = fit(read_trace(recorded(f"data/{name}")))
    for marginal, limit in limits.items():
        assert goodness.distances[marginal] < limit


def test_fit_needs_jobs() -> None:
    with pytest.raises(InputError, match="at least 100 are needed"):
        fit(generate("deep-learning", 50))
    with pytest.raises(InputError, match="at least 100 are needed"):
        fit(Trace.new("empty", "", {}))


def test_a_trace_fits_itself() -> None:
    trace = generate("lublin", 1000)
    assert set(goodness_of_fit(trace, trace).distances.values()) == {0.0}
