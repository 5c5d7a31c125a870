"""Inferring a machine, describing a trace, splitting it in time."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcai.cluster import Machine
from hpcai.errors import InputError
from hpcai.records import Trace, describe, infer_machine, offered_load, read_trace, split
from hpcai.records.machine import peak_use
from hpcai.records.readers._table import canonical


def make(**columns: Any) -> Trace:
    trace = Trace.new("made", "test", {})
    n = len(columns["submit"])
    trace.jobs = canonical({name: np.array(values) for name, values in columns.items()}, np.arange(n))
    return trace


def test_peak_of_recorded_use_and_back_to_back_jobs_do_not_add_up() -> None:
    trace = make(submit=[0.0, 0, 0], start=[0.0, 10, 5], run_time=[10.0, 10, 1], processors=[3.0, 4, 2])
    assert peak_use(trace.jobs, np.array([3.0, 4, 2])) == 5
    assert infer_machine(trace).processors == 5


def test_at_least_the_largest_job() -> None:
    trace = make(submit=[0.0, 0], start=[0.0, np.nan], run_time=[10.0, np.nan], processors=[3.0, 40])
    assert infer_machine(trace).processors == 40


def test_without_starts_the_work_fills_80_percent() -> None:
    trace = make(submit=[0.0, 100.0], run_time=[400.0, 400.0], processors=[1.0, 1.0])
    assert infer_machine(trace).processors == 10


def test_gpu_jobs_need_a_machine_of_nodes() -> None:
    trace = make(
        submit=[0.0, 0],
        start=[0.0, 0],
        run_time=[10.0, 10],
        processors=[32.0, 8],
        gpus=[8.0, 1],
        nodes=[2.0, 1],
        memory=[2.0**31, 2.0**32],
    )
    machine = infer_machine(trace)
    assert (machine.total_gpus, machine.groups[0].gpus, machine.groups[0].cpus) == (12, 4, 16)
    assert machine.groups[0].memory_gib == 4
    alone = make(submit=[0.0, 100], run_time=[100.0, 100], gpus=[16.0, 4])
    assert (infer_machine(alone).total_gpus, infer_machine(alone).groups[0].gpus) == (32, 8)
    wide = infer_machine(make(submit=[0.0, 100], run_time=[100.0, 100], gpus=[1.0, 8], processors=[50.0, 8]))
    assert wide.groups[0].cpus == 50  # a job of unknown spread stays on as few nodes as have its GPUs


def test_jobs_that_name_gpu_models_find_them() -> None:
    kinds = np.array(["T4|V100", "V100", ""], dtype=object)
    trace = make(submit=[0.0, 1, 2], run_time=[1.0, 1, 1], gpus=[4.0, 16, 0], processors=[1.0, 1, 9], gpu_kind=kinds)
    groups = infer_machine(trace).groups
    assert [(group.gpu_kind, group.gpus) for group in groups] == [("", 0), ("T4", 8), ("V100", 8)]
    assert groups[2].count == 2


def test_no_size_at_all() -> None:
    with pytest.raises(InputError, match="no job has a size"):
        infer_machine(make(submit=[0.0]))


def test_recorded_jobs_fit_on_the_machine_that_they_show(recorded: Callable[[str], Path]) -> None:
    trace = read_trace(recorded("data/gpu/mit_supercloud_slurm_2021_a.csv.gz"))
    machine = trace.machine
    assert machine is not None
    share = trace.jobs["gpus"] / trace.jobs["nodes"]
    assert share.max() <= max(group.gpus for group in machine.groups)


def test_describe_is_json_and_right(sample: Callable[[str], Path]) -> None:
    summary = describe(read_trace(sample("swf")))
    json.dumps(summary, allow_nan=False)
    assert (summary["jobs"], summary["span"], summary["never_ran"]) == (3, 20, 0)
    assert summary["machine"]["offered_load"] == {"processors": (400 + 400 + 896) / (128 * 20), "gpus": None}
    assert summary["run_time"]["median"] == 50
    assert summary["wait"]["max"] == 5
    assert summary["distinct"]["user"] == 1
    assert summary["status"] == {"completed": 1.0}
    assert summary["requested_time"]["share"] == 1
    assert summary["first_submit"] == "2001-09-09T01:46:40+00:00"


def test_describe_of_nothing() -> None:
    summary = describe(make(submit=[]))
    json.dumps(summary, allow_nan=False)
    assert summary["jobs"] == 0
    assert summary["machine"] is None


def test_offered_load() -> None:
    trace = make(submit=[0.0, 100.0], run_time=[50.0, np.nan], processors=[4.0, 4.0])
    assert offered_load(trace.jobs, Machine.by_processors(8)) == {"processors": 0.25, "gpus": None}


@settings(max_examples=60, deadline=None)
@given(gaps=st.lists(st.integers(0, 3), min_size=30, max_size=200))
def test_parts_never_overlap_and_lose_nothing(gaps: list[int]) -> None:
    trace = make(submit=np.cumsum(gaps).astype(float).tolist())
    try:
        parts = split(trace)
    except InputError:
        return
    jobs = [part.jobs for part in parts.values()]
    assert sum(map(len, jobs)) == len(gaps)
    for earlier, later in pairwise(jobs):
        assert earlier["submit"].max() < later["submit"].min()
        assert list(later.index) == list(range(len(later)))


def test_split_shares_names_and_origin() -> None:
    trace = make(submit=[float(i) for i in range(100)])
    trace.origin = 7.0
    trace.bad_rows.add("x", [3])
    parts = split(trace, (0.5, 0.2, 0.3))
    assert {name: len(part.jobs) for name, part in parts.items()} == {"train": 50, "validation": 20, "test": 30}
    assert parts["test"].name == "made-test"
    assert parts["test"].origin == 7.0
    assert [part.bad_rows.total for part in parts.values()] == [1, 0, 0]
    assert len(trace.notes) == 0


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.5, 0.5, 0.0), (1.0, 1.0, 1.0), (-0.5, 0.5, 1.0)])
def test_split_refuses(fractions: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="fractions"):
        split(make(submit=[float(i) for i in range(100)]), fractions)


def test_split_of_too_few() -> None:
    with pytest.raises(InputError, match="too few"):
        split(make(submit=[0.0, 0.0, 0.0, 0.0]))
    with pytest.raises(InputError, match="too few"):
        split(make(submit=[]))
