"""Power over time and energy of jobs from schedules: exact, conserved, in bins."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcai.cluster.spec import Machine, load_machine
from hpcai.records.schema import empty_jobs
from hpcai.simulation.energy.it_power import energy_by, it_power, placement


def _jobs(n: int, **columns: object) -> pd.DataFrame:
    return empty_jobs(n).assign(job_id=[f"j{i}" for i in range(n)], **columns)


def _schedule(submit: list[float], start: list[float], end: list[float], nodes: str = "") -> pd.DataFrame:
    return pd.DataFrame({"submit": submit, "start": start, "end": end, "nodes": [nodes] * len(submit)})


def test_two_jobs_on_a_machine_of_processors() -> None:
    machine = Machine.by_processors(64)
    jobs = _jobs(3, processors=[32, 32, 16])
    schedule = _schedule([0.0, 0.0, 50.0], [10.0, 20.0, np.nan], [110.0, 70.0, np.nan])
    power = it_power(schedule, jobs, machine)
    idle, full = (90 + 124) / 0.9408, (280 + 124) / 0.9408  # one node
    half = (idle + full) / 2
    assert power.time.tolist() == [0, 10, 20, 70, 110]
    assert power.watts == pytest.approx([idle, half, full, half])
    assert power.peak == pytest.approx(full)
    assert power.of_jobs == pytest.approx([0, full / 2, full, full / 2])
    assert power.job_energy == pytest.approx([100 * full / 2, 50 * full / 2, 0])
    assert power.means(np.array([0.0, 40.0, 110.0, 150.0])) == pytest.approx(
        [(10 * idle + 10 * half + 20 * full) / 40, (30 * full + 40 * half) / 70, 0]
    )


@st.composite
def _schedules(draw: st.DrawFn) -> tuple[pd.DataFrame, pd.DataFrame]:
    n = draw(st.integers(1, 30))
    submit = np.sort([draw(st.floats(0, 1e6)) for _ in range(n)])
    start = submit + [draw(st.floats(0, 1e5)) for _ in range(n)]
    end = start + [draw(st.floats(0, 1e6)) for _ in range(n)]
    gpus = [draw(st.sampled_from([0.0, 0.5, 1.0, 8.0, 64.0])) for _ in range(n)]
    nodes = [draw(st.sampled_from(["", "0", "3,130", "190,191"])) for _ in range(n)]
    recorded = [draw(st.sampled_from([np.nan, np.nan, 500.0, 1e5])) for _ in range(n)]
    jobs = _jobs(n, gpus=gpus, processors=[draw(st.integers(0, 40)) for _ in range(n)], power=recorded)
    return jobs, pd.DataFrame({"submit": submit, "start": start, "end": end, "nodes": nodes})


@settings(max_examples=60, deadline=None)
@given(_schedules(), st.floats(0.3, 1.0), st.floats(0, 1e6))
def test_energy_is_conserved(both: tuple[pd.DataFrame, pd.DataFrame], limit: float, since: float) -> None:
    jobs, schedule = both
    power = it_power(schedule, jobs, load_machine("mn-1"), limit=np.full(len(jobs), limit), seed=3, since=since)
    assert power.job_energy.sum() + power.idle_energy == pytest.approx(power.energy, rel=1e-9)
    edges = np.linspace(power.time[0], power.time[-1] + 1, 50)
    assert (power.means(edges) * np.diff(edges)).sum() == pytest.approx(power.energy, rel=1e-9)
    of_jobs = (power.means(edges, power.of_jobs) * np.diff(edges)).sum()
    assert of_jobs == pytest.approx(power.job_energy.sum(), rel=1e-9, abs=1e-6)
    assert (power.job_energy >= 0).all()


def test_a_job_draws_what_the_nodes_it_ran_on_draw() -> None:
    machine = load_machine("mn-1")  # nodes 0 to 127 P100, 128 to 191 V100
    jobs = _jobs(4, gpus=[8.0] * 4, gpu_kind=pd.Categorical(["", "", "", "V100"]))
    where = placement(jobs, machine, pd.Series(["5", "5,150", "", ""]))
    assert where == pytest.approx(np.array([[1, 0], [0.5, 0.5], [1024 / 1536, 512 / 1536], [0, 1]]))


def test_where_a_job_without_gpus_may_run_goes_by_processors() -> None:
    where = placement(_jobs(1, processors=[4]), load_machine("mn-1"))
    assert where == pytest.approx(np.array([[128 * 16, 64 * 36]]) / (128 * 16 + 64 * 36))


def test_energy_of_tenants_is_that_of_their_jobs() -> None:
    jobs = _jobs(3, tenant=pd.Categorical(["a", "", "a"]))
    assert energy_by(jobs, np.array([1.0, 2.0, 4.0]), "tenant").to_dict() == {"a": 5.0}
