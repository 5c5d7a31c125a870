"""Waiting for cheap or clean hours, power limits and power budgets, in replays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpcai.cluster.power.limit import LOWEST
from hpcai.cluster.power.response import Response
from hpcai.cluster.spec import Machine, NodeGroup
from hpcai.errors import InputError
from hpcai.records.grid_signal import GridSignal
from hpcai.scheduling.policy import Policy
from hpcai.simulation import replay
from hpcai.simulation.energy.it_power import draw, it_power, placement
from hpcai.simulation.energy.response import replay_with
from hpcai.simulation.energy.shifting import eligible_from
from hpcai.simulation.energy.site import Site
from tests.workloads import table

HOUR = 3600.0
MACHINE = Machine(
    name="four nodes",
    groups=(
        NodeGroup(name="v", count=4, cpus=32, memory_gib=256, gpus=8, gpu_kind="V100", gpu_idle_w=40, gpu_max_w=300),
    ),
)


def _signal(values: list[float], kind: str = "carbon") -> GridSignal:
    frame = pd.DataFrame({"time": HOUR * np.arange(len(values)), "value": values})
    return GridSignal("made up", kind, "gCO2/kWh" if kind == "carbon" else "USD/MWh", frame, HOUR)  # type: ignore[arg-type]


def _day(days: int = 4) -> list[float]:
    """Low at night: from 0 to 5 o'clock 100, else 300 and more."""
    return [100.0 if hour < 5 else 300.0 + hour for hour in range(24)] * days


def _gpu_jobs(n: int, rng: np.random.Generator) -> pd.DataFrame:
    run = rng.integers(600, 8 * 3600, n).astype(float)
    return table(
        submit=np.sort(rng.integers(0, 2 * 86400, n)).astype(float),
        run_time=run,
        requested_time=2 * run,
        gpus=rng.choice([1.0, 2.0, 8.0, 16.0], n),
        processors=np.full(n, 8),
    )


def test_a_flexible_job_waits_for_the_low_hours_or_its_deadline() -> None:
    submit = HOUR * np.array([2.5, 10.25, 20.0, 20.0, 4.99])
    flexible = np.array([True, True, True, False, True])
    free = eligible_from(submit, flexible, _signal(_day()), 0.2, deadline=6 * HOUR)
    assert free / HOUR == pytest.approx([2.5, 16.25, 24.0, 20.0, 4.99])


def test_with_the_highest_quantile_nobody_waits() -> None:
    submit = HOUR * np.linspace(0, 48, 100)
    assert eligible_from(submit, np.ones(100, bool), _signal(_day()), 1.0, 86400.0).tolist() == submit.tolist()


def test_waiting_lowers_carbon_and_counts_as_wait() -> None:
    jobs = _gpu_jobs(40, np.random.default_rng(1))
    site = Site(carbon=_signal(_day(8)), origin=0.0)
    plain = replay_with(Response(), jobs, MACHINE, Policy(), site)
    shifted = replay_with(Response(shift="carbon", shift_quantile=0.2), jobs, MACHINE, Policy(), site)
    assert shifted["submit"].tolist() == jobs["submit"].tolist()
    assert (shifted["start"] - shifted["submit"]).mean() > (plain["start"] - plain["submit"]).mean()
    carbon = {name: _job_carbon(schedule, jobs, site) for name, schedule in (("plain", plain), ("shifted", shifted))}
    assert carbon["shifted"] < 0.9 * carbon["plain"]
    short = jobs["requested_time"] < HOUR
    assert short.any()


def _job_carbon(schedule: pd.DataFrame, jobs: pd.DataFrame, site: Site) -> float:
    machines = it_power(schedule, jobs, MACHINE)
    power = site.power(machines)
    idle = draw(jobs, MACHINE, placement(jobs, MACHINE)).model.idle
    return float(((power.it - idle) * power.carbon * np.diff(power.edges)).sum())


def test_only_long_jobs_and_no_services_are_held() -> None:
    jobs = table(
        submit=[6 * HOUR] * 3,
        run_time=[600.0, 2 * HOUR, 2 * HOUR],
        gpus=[1.0] * 3,
        kind=["batch", "service", "batch"],
    )
    site = Site(carbon=_signal(_day()), origin=0.0)
    schedule = replay_with(Response(shift="carbon"), jobs, MACHINE, Policy(), site)
    assert (schedule["start"] / HOUR).tolist() == [6, 6, 18]  # held to the deadline of 12 h


def test_nothing_done_is_the_replay_itself() -> None:
    jobs = _gpu_jobs(60, np.random.default_rng(2))
    plain = replay(jobs, MACHINE, Policy(ordering="sjf")).table
    for response in (Response(), Response(power_budget=1.0)):
        schedule = replay_with(response, jobs, MACHINE, Policy(ordering="sjf"), Site(origin=0.0))
        assert (schedule.pop("power_limit") == 1).all()
        pd.testing.assert_frame_equal(schedule, plain, check_dtype=False)


def test_a_fixed_limit_slows_who_draws_more_and_lowers_the_peak() -> None:
    jobs = _gpu_jobs(60, np.random.default_rng(3))
    site = Site(origin=0.0)
    limited = replay_with(Response(power_limit=0.5), jobs, MACHINE, Policy(), site)
    speed = draw(jobs, MACHINE, placement(jobs, MACHINE), limit=np.full(60, 0.5)).speed
    assert 0 < (speed < 1).sum() < 60
    assert (limited["end"] - limited["start"]).to_numpy() == pytest.approx(jobs["run_time"].to_numpy() / speed)
    peak = it_power(limited, jobs, MACHINE, limit=limited["power_limit"].to_numpy()).peak
    idle = draw(jobs, MACHINE, placement(jobs, MACHINE)).model
    most = idle.idle + (150 - 40) * 32 / 0.9408 + (idle.maximum - idle.idle - 260 * 32 / 0.9408)
    assert peak <= most
    assert peak < it_power(replay(jobs, MACHINE, Policy()).table, jobs, MACHINE).peak


@pytest.mark.parametrize("backfill", ["none", "easy", "conservative"])
def test_a_budget_is_kept_and_paid_for_in_run_time(backfill: str) -> None:
    jobs = _gpu_jobs(80, np.random.default_rng(4))
    jobs["power"] = 330.0 * jobs["gpus"]  # all alike
    policy = Policy(backfill=backfill)  # type: ignore[arg-type]
    machine = Machine(name="m", groups=(MACHINE.groups[0].model_copy(update={"node_idle_w": 900, "node_max_w": 900}),))
    free = it_power(replay(jobs, machine, policy).table, jobs, machine)
    idle = draw(jobs, machine, placement(jobs, machine)).model.idle
    budget = (idle + 0.7 * (free.peak - idle)) / free.maximum
    schedule = replay_with(Response(power_budget=budget), jobs, machine, policy, Site(origin=0.0))
    limit = schedule["power_limit"].to_numpy()
    held = it_power(schedule, jobs, machine, limit=limit)
    assert 0.95 * budget * held.maximum < held.peak <= budget * held.maximum * (1 + 1e-9)
    assert held.job_energy.sum() + held.idle_energy == pytest.approx(held.energy, rel=1e-9)
    slower = (schedule["end"] - schedule["start"]).to_numpy() > jobs["run_time"].to_numpy() * (1 + 1e-9)
    assert slower.sum() > 0
    assert (limit[slower] < 1).all()
    assert (limit[~slower] == 1).all()


def test_of_a_mix_frugal_jobs_are_spared_and_the_peak_falls_by_most_of_what_was_asked() -> None:
    jobs = _gpu_jobs(200, np.random.default_rng(7))
    free = it_power(replay(jobs, MACHINE, Policy()).table, jobs, MACHINE)
    drawn = draw(jobs, MACHINE, placement(jobs, MACHINE))
    budget = (drawn.model.idle + 0.8 * (free.peak - drawn.model.idle)) / free.maximum
    schedule = replay_with(Response(power_budget=budget), jobs, MACHINE, Policy(), Site(origin=0.0))
    limited = schedule["power_limit"].to_numpy() < 1
    held = it_power(schedule, jobs, MACHINE, limit=schedule["power_limit"].to_numpy())
    assert free.peak - held.peak > 0.7 * (free.peak - budget * free.maximum)
    hunger = drawn.power.gpu_dynamic / jobs["gpus"].to_numpy()
    assert hunger[limited].min() > np.quantile(hunger, 0.25)


def test_no_gpu_is_limited_below_what_drivers_accept() -> None:
    jobs = _gpu_jobs(80, np.random.default_rng(5))
    schedule = replay_with(Response(power_budget=0.05), jobs, MACHINE, Policy(), Site(origin=0.0))
    limited = schedule["power_limit"][schedule["power_limit"] < 1]
    assert limited.min() == pytest.approx(LOWEST)


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    jobs = _gpu_jobs(3, np.random.default_rng(6))
    with pytest.raises(InputError, match="shift 'price': expected a series of it, found none"):
        replay_with(Response(shift="price"), jobs, MACHINE, Policy(), Site(origin=0.0))
