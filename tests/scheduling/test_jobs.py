"""What each job needs of a machine, and which jobs a replay can run."""

from __future__ import annotations

import numpy as np
import pytest

from hpcai.cluster import Machine
from hpcai.errors import InputError
from hpcai.scheduling.jobs import demand, estimates, job_array, replayable
from hpcai.scheduling.policy import Policy
from tests.workloads import SMALL_CLUSTER, table

GIB = 2**30


def one(machine: Machine, **columns: object) -> tuple[int, int, int, int, int]:
    """Tasks, CPUs and GPUs of each in thousandths, memory of each, groups, of one job."""
    need = demand(table(**{name: [value] for name, value in {"submit": 0.0, **columns}.items()}), machine)
    return tuple(int(array[0]) for array in (need.size, need.cpu, need.gpu, need.memory, need.groups))


def nodes_of(cpus: int = 8, gpus: int = 4) -> Machine:
    return Machine.model_validate(
        {
            "name": "m",
            "groups": [{"name": "n", "count": 100, "cpus": cpus, "memory_gib": 64, "gpus": gpus}],
        }
    )


# --- on processors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "size"),
    [
        ({"processors": 3}, 3),
        ({"processors": 3, "gpus": 8.0}, 3),  # the log says how many processors
        ({"gpus": 8.0}, 8),  # a log of GPUs alone: they are the processors
        ({"gpus": 2.25}, 3),
        ({"gpus": 0.1}, 1),
        ({}, 0),
    ],
)
def test_processors(columns, size):
    assert one(Machine.by_processors(16), **columns)[0] == size


# --- on nodes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "tasks", "cpu", "gpu"),
    [
        ({"processors": 3}, 1, 3000, 0),
        ({"processors": 6, "nodes": 2}, 2, 3000, 0),
        ({"processors": 7, "nodes": 2}, 2, 3500, 0),
        ({"processors": 10, "nodes": 3}, 3, 3334, 0),  # rounded up to a thousandth
        ({"processors": 20}, 3, 6667, 0),  # more than a node's 8 CPUs: as few nodes as possible
        ({"gpus": 4.0}, 1, 0, 4000),
        ({"gpus": 8.0}, 2, 0, 4000),
        ({"gpus": 8.0, "nodes": 4}, 4, 0, 2000),
        ({"gpus": 6.0}, 2, 0, 3000),
        ({"gpus": 5.0}, 5, 0, 1000),  # 5 is prime: only five equal tasks
        ({"gpus": 9.0}, 3, 0, 3000),
        ({"gpus": 8.0, "nodes": 3}, 4, 0, 2000),  # 8 cannot be shared by 3
        ({"gpus": 2.0, "nodes": 5}, 2, 0, 1000),  # no task without a GPU
        ({"gpus": 0.46}, 1, 0, 460),
        ({"gpus": 1.0}, 1, 0, 1000),
        ({"gpus": 2.5}, 3, 0, 833),  # shares of equal size, below one GPU each
        ({"gpus": 0.5, "nodes": 2}, 2, 0, 250),
        ({"gpus": 8.0, "processors": 12}, 2, 6000, 4000),
    ],
)
def test_tasks(columns, tasks, cpu, gpu):
    assert one(nodes_of(), **columns)[:3] == (tasks, cpu, gpu)


def test_a_cpu_job_takes_no_gpu_and_a_machine_without_gpus_counts_cpus():
    assert one(nodes_of(gpus=0), processors=9)[:3] == (2, 4500, 0)


def test_memory_is_shared_by_the_tasks_and_unknown_is_none():
    assert one(nodes_of(), processors=4, nodes=4, memory=10.0 * GIB)[3] == 2.5 * GIB
    assert one(nodes_of(), processors=4, nodes=3, memory=10.0)[3] == 4
    assert one(nodes_of(), processors=4, nodes=4)[3] == 0


def test_partitions_and_gpu_kinds_say_which_groups():
    a, b, c = 1, 2, 4
    everywhere = a | b | c
    job = {"processors": 1}
    assert one(SMALL_CLUSTER, **job)[4] == everywhere
    assert one(SMALL_CLUSTER, **job, partition="a")[4] == a
    assert one(SMALL_CLUSTER, **job, partition="elsewhere")[4] == everywhere  # the machine knows no such partition
    assert one(SMALL_CLUSTER, **job, gpu_kind="B")[4] == b
    assert one(SMALL_CLUSTER, **job, gpu_kind="b")[4] == b
    assert one(SMALL_CLUSTER, **job, gpu_kind="a | b")[4] == a | b
    assert one(SMALL_CLUSTER, **job, gpu_kind="Z")[4] == 0
    assert one(SMALL_CLUSTER, **job, gpu_kind="B", partition="a")[4] == 0


def test_a_partition_may_name_a_group_twice():
    data = SMALL_CLUSTER.model_dump()
    data["partitions"] = [{"name": "a", "groups": ["a", "a"]}]
    assert one(Machine.model_validate(data), processors=1, partition="a")[4] == 1


@pytest.mark.parametrize(("groups", "gpus"), [(1, 65), (64, 1)])
def test_more_than_can_be_told_apart_is_an_input_error(groups, gpus):
    machine = Machine.model_validate(
        {
            "name": "m",
            "groups": [{"name": f"n{i}", "count": 1, "cpus": 1, "memory_gib": 1, "gpus": gpus} for i in range(groups)],
        }
    )
    jobs = table(submit=[0.0], run_time=[1.0], gpus=[1.0])
    with pytest.raises(InputError, match=r"machine m: \d+ GPUs in a node, \d+ node groups; expected at most 64 and 63"):
        replayable(jobs, machine)


# --- who can be replayed --------------------------------------------------------------------------------------


def test_left_out_are_counted_by_reason_once_each():
    jobs = table(
        submit=np.arange(8.0),
        run_time=[1.0, np.nan, 0.0, 5.0, np.nan, 1.0, np.inf, 1.0],
        processors=[16, 4, 1, 0, 0, 17, 1, 16],
    )
    kept, left_out = replayable(jobs, Machine.by_processors(16))
    assert kept["job_id"].tolist() == ["1", "3", "8"]
    assert left_out == {"never ran": 3, "no size": 1, "larger than the machine": 1}


def test_nothing_left_out_nothing_counted():
    kept, left_out = replayable(table(submit=[0.0], run_time=[1.0], processors=[1]), Machine.by_processors(1))
    assert (len(kept), left_out) == (1, {})


@pytest.mark.parametrize(
    ("columns", "fits"),
    [
        ({"gpus": 20.0, "nodes": 5}, True),  # 3 nodes of group a and 2 of b, 4 GPUs each
        ({"gpus": 24.0, "nodes": 6}, False),
        ({"gpus": 12.0, "nodes": 3, "gpu_kind": "A"}, True),
        ({"gpus": 16.0, "nodes": 4, "gpu_kind": "A"}, False),
        ({"gpus": 8.0, "nodes": 1}, True),  # more than a node has: two tasks
        ({"gpus": 1.0, "partition": "a", "gpu_kind": "B"}, False),
        ({"processors": 32}, True),  # only on the node of group c
        ({"processors": 32, "gpus": 1.0}, False),
        ({"processors": 1, "memory": 128.0 * GIB}, True),
        ({"processors": 1, "memory": 129.0 * GIB}, False),
        ({"gpus": 1.0, "memory": 65.0 * GIB}, False),
        ({"gpus": 0.6}, True),
        ({"gpus": 0.5, "gpu_kind": "Z"}, False),
    ],
)
def test_fits_on_the_empty_cluster(columns, fits):
    jobs = table(**{name: [value] for name, value in {"submit": 0.0, "run_time": 1.0, **columns}.items()})
    assert (len(replayable(jobs, SMALL_CLUSTER)[0]) == 1) == fits


# --- estimates and accounts -----------------------------------------------------------------------------------


def test_estimates():
    jobs = table(
        submit=[0.0, 1, 2], run_time=[10.0, 10.0, 10.0], requested_time=[30.0, np.nan, 5.0], processors=[1] * 3
    )
    assert estimates(jobs, Policy()).tolist() == [30, 10, 5]
    assert estimates(jobs, Policy(estimate="actual")).tolist() == [10, 10, 10]
    assert estimates(jobs, Policy(estimate_multiplier=2.0)).tolist() == [60, 20, 10]
    array = job_array(jobs, Machine.by_processors(1), Policy(kill_at_limit=True))
    assert array["run"].tolist() == [10, 10, 5]
    assert array["estimate"].tolist() == [30, 10, 5]


@pytest.mark.parametrize("column", ["user", "group", "tenant"])
def test_use_is_counted_by_account(column):
    jobs = table(submit=[0.0, 1, 2, 3], run_time=[1.0] * 4, processors=[1] * 4, **{column: ["x", "y", "x", ""]})
    account = job_array(jobs, Machine.by_processors(1), Policy(fairshare_by=column))["account"]
    assert account[0] == account[2]
    assert sorted(set(account.tolist())) == [0, 1, 2]
    later = job_array(jobs.iloc[1:2], Machine.by_processors(1), Policy(fairshare_by=column))["account"]
    assert later.tolist() == [0]  # those who have no job here do not count


def test_dependencies_are_rows():
    jobs = table(submit=[0.0, 1, 2, 3], run_time=[1.0] * 4, processors=[1] * 4)
    jobs["preceding_job"] = ["", "1", "77", "2"]
    jobs["think_time"] = [5.0, np.nan, 3.0, -1.0]
    one_processor = Machine.by_processors(1)
    array = job_array(jobs, one_processor, Policy(dependencies=True))
    assert array["after"].tolist() == [-1, 0, -1, 1]
    assert array["think"].tolist() == [5, 0, 3, 0]
    assert (job_array(jobs, one_processor, Policy())["after"] == -1).all()
