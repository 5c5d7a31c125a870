"""The reference site's days: what its jobs add up to, that they fit, and that parameters do what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpcai.cluster import Machine, NodeGroup, load_machine
from hpcai.errors import InputError
from hpcai.records import Trace, generate, offered_load, read_trace
from hpcai.records.generators._mix import HUMAN_LIMITS
from hpcai.records.generators._site import MODELS, GrandChallenges
from hpcai.records.generators.reference_site import Parameters
from hpcai.records.generators.reference_site import generate as site
from hpcai.records.schema import JOB_KINDS, PRIORITY_CLASSES

GIB = 2.0**30


@pytest.fixture(scope="module")
def week() -> Trace:
    return generate("reference-site", 9800, seed=1)


def gpu_hours(jobs: pd.DataFrame) -> pd.Series[Any]:
    return jobs["gpus"] * jobs["run_time"] / 3600


def places(machine: Machine, job: pd.Series[Any]) -> int:
    """Return how many pods of ``job`` the empty machine has room for at once."""
    pods = max(int(job["pods"]), 1)
    need = (job["processors"] / pods, job["memory"] / pods / GIB, job["gpus"] / pods)
    total = 0
    for group in machine.groups:
        if job["gpus"] and job["gpu_kind"] not in ("", group.gpu_kind):
            continue
        room = zip((group.cpus, group.memory_gib, group.gpus), need, strict=True)
        total += group.count * min(int(have / want + 1e-9) for have, want in room if want > 0)
    return total


@pytest.mark.parametrize(
    "machine",
    [
        load_machine("mn-1"),
        load_machine("mn-1b"),
        Machine(
            name="odd",
            groups=(
                NodeGroup(name="a", count=5, cpus=12, memory_gib=100, gpus=6, gpu_kind="A"),
                NodeGroup(name="b", count=3, cpus=2, memory_gib=30, gpus=4, gpu_kind="V100"),
                NodeGroup(name="c", count=2, cpus=64, memory_gib=256),
            ),
        ),
    ],
    ids=lambda machine: machine.name,
)
def test_every_job_fits_the_empty_machine(machine: Machine) -> None:
    jobs = generate("reference-site", 3000, seed=2, machine=machine, load=3).jobs
    for _, job in jobs.iterrows():
        assert 1 <= job["pods"] <= places(machine, job), job.to_dict()
    assert (jobs["nodes"] <= machine.total_nodes).all()
    elastic = jobs[jobs["kind"] == "elastic"]
    assert len(elastic) > 50
    assert ((elastic["min_gpus"] <= elastic["gpus"]) & (elastic["gpus"] <= elastic["max_gpus"])).all()
    assert (elastic["max_gpus"] <= machine.total_gpus).all()
    for column in ("min_gpus", "max_gpus"):
        assert (elastic[column] % (elastic["gpus"] / elastic["pods"]) == 0).all()


def test_a_week_is_a_week_of_the_reference_site(week: Trace) -> None:
    jobs, hours = week.jobs, gpu_hours(week.jobs)
    assert week.machine == load_machine("mn-1")
    assert jobs["submit"].max() == pytest.approx(7 * 86400, rel=0.001)
    assert offered_load(jobs, load_machine("mn-1"))["gpus"] == pytest.approx(0.9, rel=0.001)
    assert set(jobs["kind"]) == set(JOB_KINDS)
    assert set(jobs["qos"]) == set(PRIORITY_CLASSES)
    by_class = hours.groupby(jobs["qos"], observed=True).sum() / hours.sum()
    assert by_class["preemptible"] == pytest.approx(0.5, abs=0.08)
    assert 0.03 < by_class["grand-challenge"] < 0.12
    by_kind = hours.groupby(jobs["kind"], observed=True).sum() / hours.sum()
    assert by_kind["gang"] > by_kind["batch"] > by_kind["elastic"] > by_kind["array"]
    small = jobs["gpus"].between(0.1, 1)
    assert small.mean() > 0.6
    assert hours[small].sum() < 0.2 * hours.sum()
    assert {0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 1536} <= set(jobs["gpus"])
    assert jobs["tenant"].nunique() == 24
    busiest = hours.groupby(jobs["tenant"], observed=True).sum().sort_values(ascending=False) / hours.sum()
    assert 0.1 < busiest.iloc[0] < 0.45
    mixes = pd.crosstab(jobs["tenant"], jobs["kind"], normalize="index")
    assert mixes["service"].max() > 3 * mixes["service"].min()


def test_the_sample_is_what_its_provenance_says() -> None:
    assert read_trace("mn-1-day.parquet").jobs.equals(generate("reference-site", 1400, seed=1).jobs)


def test_days_nights_and_weekends(week: Trace) -> None:
    submit = week.jobs["submit"]
    hour = np.bincount((submit // 3600 % 24).astype(int), minlength=24)
    assert hour[10:18].mean() > 2 * hour[1:7].mean()
    day = np.bincount((submit // 86400).astype(int))[:7]
    assert day[5:].mean() < 0.75 * day[:5].mean()


def test_run_times_have_a_heavy_tail_and_users_ask_for_more(week: Trace) -> None:
    jobs = week.jobs
    assert jobs["run_time"].mean() > 2 * jobs["run_time"].median()
    assert jobs["run_time"].max() > 24 * jobs["run_time"].median()
    assert set(jobs["requested_time"]) <= set(HUMAN_LIMITS)
    assert not (jobs["run_time"] > jobs["requested_time"]).any()
    assert 0.1 < (jobs["run_time"] / jobs["requested_time"]).median() < 0.4
    ended = jobs["run_time"] == jobs["requested_time"]
    assert (jobs.loc[jobs["status"] == "timeout"].index == jobs.index[ended & (jobs["status"] == "timeout")]).all()
    assert (jobs["status"] == "failed").mean() == pytest.approx(0.12, abs=0.03)


def test_grand_challenges_take_every_gpu_once_a_day(week: Trace) -> None:
    jobs = week.jobs[week.jobs["qos"] == "grand-challenge"]
    assert (jobs["submit"] // 86400).tolist() == list(range(7))
    assert jobs["submit"].mod(86400).std() > 3600
    assert (jobs["gpus"] == 1536).all()
    assert (jobs["pods"] == 192).all()
    assert (jobs["kind"] == "gang").all()
    assert jobs["run_time"].between(0.5 * 3600, 3 * 3600).all()
    assert (jobs["status"] == "completed").all()


@pytest.mark.parametrize(("part", "gpus"), [({"gpu_kind": "V100"}, 512), ({"share": 0.5}, 768)])
def test_a_grand_challenge_may_take_a_part(part: dict[str, Any], gpus: int) -> None:
    parameters = Parameters(grand_challenge=GrandChallenges(per_day=2, **part))
    jobs = site(parameters, 2800, seed=3).jobs
    jobs = jobs[jobs["qos"] == "grand-challenge"]
    assert (len(jobs), set(jobs["gpus"]), set(jobs["gpu_kind"])) == (4, {gpus}, {part.get("gpu_kind", "")})


def test_what_goes_with_the_kinds(week: Trace) -> None:
    jobs = week.jobs
    gangs = jobs[(jobs["kind"] == "gang") & (jobs["qos"] != "grand-challenge")]
    assert set(gangs["gpus"] / gangs["pods"]) == {4, 8}
    assert set(gangs["model"]) <= set(MODELS)
    services = jobs[jobs["kind"] == "service"]
    assert (services["pods"] == 1).all()
    assert (services["gpus"] <= 1).all()
    assert services["busy"].between(0.05, 0.9).all()
    busy = services.groupby("queue", observed=True)[["busy", "run_time"]].median()
    assert busy.loc["notebook", "busy"] < 0.4 < busy.loc["ci", "busy"]
    assert busy.loc["ci", "run_time"] < 1200 < 4 * 3600 < busy.loc["notebook", "run_time"]
    assert jobs.loc[jobs["kind"] != "service", "busy"].isna().all()
    assert jobs["scaling"].notna().equals(jobs["kind"] == "elastic")
    assert (jobs.loc[jobs["gpus"] == 0, "queue"] == "data").all()


def test_tasks_of_an_array_are_alike(week: Trace) -> None:
    jobs = week.jobs[week.jobs["kind"] == "array"]
    array = jobs["job_id"].str.split("_").str[0]
    assert week.jobs["job_id"].is_unique
    like = ["submit", "gpus", "gpu_kind", "user", "qos", "requested_time", "memory", "checkpoint_interval"]
    assert (jobs[like].astype(str).groupby(array).nunique() == 1).all().all()
    assert jobs.groupby(array).size().median() > 5
    assert jobs.groupby(array)["run_time"].nunique().max() > 5


def test_checkpoints(week: Trace) -> None:
    jobs = week.jobs
    training = jobs[jobs["kind"].isin(["batch", "gang", "elastic", "array"]) & ~jobs["queue"].isin(["data"])]
    assert np.isinf(training["checkpoint_interval"]).mean() == pytest.approx(0.2, abs=0.05)
    assert training["on_signal"].mean() == pytest.approx(0.4, abs=0.05)
    some = np.isfinite(jobs["checkpoint_interval"])
    assert jobs.loc[some, "checkpoint_interval"].between(900, 14400).all()
    assert jobs["checkpoint_bytes"].notna().equals(some | (jobs["on_signal"] == 1))
    assert jobs.loc[some, "checkpoint_bytes"].between(0.0999 * GIB, 20 * GIB).all()
    size = jobs.groupby("model", observed=True)["checkpoint_bytes"].median() / GIB
    assert size["gpt2-xl"] > 3 * size["bert-large"] > 3 * size["resnet50"]


@pytest.mark.parametrize("share", [0.0, 0.8, 1.0])
def test_communication_is_the_share_of_jobs_that_communicate_much(share: float) -> None:
    jobs = site(Parameters(communication=share), 6000, seed=4).jobs
    jobs = jobs[(jobs["gpus"] > 1) & (jobs["queue"] == "training")]
    heavy = jobs["model"].astype("str").map(lambda name: MODELS[name].heavy).astype(float)
    assert heavy.mean() == pytest.approx(share, abs=0.05)


def test_parameters_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    Parameters(jobs_per_day=500, tenants=4).save(path)
    assert Parameters.load(path) == Parameters(jobs_per_day=500, tenants=4)
    trace = generate("reference-site", 1000, parameters=path)
    assert trace.jobs["submit"].max() == pytest.approx(2 * 86400, rel=0.001)
    assert trace.jobs["tenant"].nunique() == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("busy: 1", "busy: Extra inputs"),
        ("cpus: [0.9, 0.2]", "cpus: found 0.9 to 0.2"),
        ("gang: {weight: 1, gpus: {2.5: 1}, run_time: {bulk: []}, preemptible: 0}", "run_time.bulk"),
        ("grand_challenge: {model: none}", "grand_challenge.model: 'none' is not one of models"),
        ("gpu_kinds: {P100: 0}", "the weights add up to 0"),
        ("models: {a: {weight: 1, heavy: true, checkpoint_gib: 1}}\ngrand_challenge: {model: a}", "has heavy: False"),
    ],
)
def test_parameters_that_make_no_mix(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        generate("reference-site", 100, parameters=tmp_path / "p.yaml")


def test_what_cannot_be_generated() -> None:
    with pytest.raises(InputError, match="need nodes with GPUs"):
        generate("reference-site", 100, machine=Machine.by_processors(64))
    with pytest.raises(InputError, match="the machine has no 'H100'"):
        site(Parameters(grand_challenge=GrandChallenges(gpu_kind="H100")), 100)
    with pytest.raises(InputError, match=r"load: 2000 jobs ask for .* GPU hours however long they run"):
        site(Parameters(grand_challenge=GrandChallenges(per_day=24)), 2000, load=0.1)
