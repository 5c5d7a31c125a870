from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcai.cluster import Machine
from hpcai.errors import InputError
from hpcai.records.schema import empty_jobs
from hpcai.scheduling.formula import STATIC_VARIABLES
from hpcai.scheduling.jobs import demand, estimates, features, job_array, node_capacity, replayable
from hpcai.scheduling.policy import Policy
from tests.workloads import SMALL_CLUSTER, table

NAN = math.nan
GIB = 2.0**30
A, B, C = 1, 2, 4  # the groups of SMALL_CLUSTER
EIGHT = Machine.model_validate(
    {"name": "eight", "groups": [{"name": "g", "count": 4, "cpus": 64, "memory_gib": 512, "gpus": 8}]}
)
NO_GPUS = Machine.model_validate({"name": "plain", "groups": [{"name": "p", "count": 4, "cpus": 16, "memory_gib": 64}]})
TEN = Machine.by_processors(10)


def one(machine: Machine, **columns: object) -> tuple[int, int, int, int]:
    """Tasks of one job, and the CPU, memory and GPU of each."""
    need = demand(table(**{name: [value] for name, value in columns.items()}), machine)
    return int(need.size[0]), int(need.cpu[0]), int(need.memory[0]), int(need.gpu[0])


@pytest.mark.parametrize(
    ("gpus", "nodes", "tasks", "each"),
    [
        (12.0, 0, 2, 6000),  # as few equal tasks as possible
        (8.0, 0, 1, 8000),
        (9.0, 0, 3, 3000),
        (13.0, 0, 13, 1000),
        (32.0, 0, 4, 8000),
        (1.0, 0, 1, 1000),
        (12.0, 3, 3, 4000),
        (16.0, 1, 2, 8000),  # more than the nodes that the log speaks of have
        (10.0, 3, 5, 2000),  # 10 cannot be shared out equally over 3 or 4
        (3.0, 4, 4, 750),  # more tasks than GPUs: equal shares
        (2.5, 0, 3, 833),  # shares of one GPU each
        (2.5, 4, 4, 625),
        (1.5, 1, 2, 750),
        (0.46, 0, 1, 460),
        (0.46, 1, 1, 460),
        (0.5, 2, 2, 250),
        (0.0004, 1, 1, 0),  # below a thousandth
    ],
)
def test_gpus_are_divided_into_equal_tasks(gpus: float, nodes: int, tasks: int, each: int) -> None:
    size, cpu, _, gpu = one(EIGHT, gpus=gpus, nodes=nodes, processors=1)
    assert (size, gpu) == (tasks, each)
    assert cpu == math.ceil(1000 / tasks)


@pytest.mark.parametrize(
    ("processors", "nodes", "tasks", "each"),
    [(16, 0, 1, 16000), (17, 0, 2, 8500), (40, 0, 3, 13334), (10, 3, 3, 3334), (4, 4, 4, 1000), (64, 2, 4, 16000)],
)
def test_cpus_are_divided_into_equal_tasks(processors: int, nodes: int, tasks: int, each: int) -> None:
    assert one(NO_GPUS, processors=processors, nodes=nodes) == (tasks, each, 0, 0)


@given(
    gpus=st.one_of(st.integers(0, 40).map(float), st.integers(1, 4000).map(lambda milli: milli / 1000)),
    processors=st.integers(0, 256),
    nodes=st.integers(0, 6),
    memory=st.one_of(st.just(NAN), st.integers(0, 10**12).map(float)),
)
@settings(max_examples=150, deadline=None)
def test_tasks_are_equal_and_together_hold_what_the_job_holds(
    gpus: float, processors: int, nodes: int, memory: float
) -> None:
    tasks, cpu, each, gpu = one(EIGHT, gpus=gpus, processors=processors, nodes=nodes, memory=memory)
    if gpus == 0 and processors == 0:
        assert tasks == 0  # the log does not say
        return
    assert tasks >= 1
    assert gpu <= 8000
    assert gpu < 1000 or gpu % 1000 == 0
    if gpus == int(gpus) and tasks <= max(gpus, 1):
        assert tasks * gpu == gpus * 1000
    else:
        assert gpus * 1000 - tasks < tasks * gpu <= gpus * 1000 + 0.5
    assert processors * 1000 <= tasks * cpu < processors * 1000 + tasks
    wanted = 0 if math.isnan(memory) else memory
    assert wanted * (1 - 1e-12) <= tasks * each < wanted + tasks + 1


def test_memory_is_shared_by_the_tasks_and_unknown_memory_is_none() -> None:
    assert one(EIGHT, processors=4, nodes=2, memory=4 * GIB) == (2, 2000, int(2 * GIB), 0)
    assert one(EIGHT, processors=3, nodes=3, memory=10.0) == (3, 1000, 4, 0)
    assert one(EIGHT, processors=1, memory=NAN) == (1, 1000, 0, 0)


@pytest.mark.parametrize(
    ("partition", "kind", "groups"),
    [
        ("", "", A | B),  # the nodes c have no GPUs
        ("a", "", A),
        ("elsewhere", "", A | B),  # a partition that the machine does not name
        ("", "A", A),
        ("", "a", A),
        ("", "b", B),
        ("", "A|B", A | B),
        ("", " a | B ", A | B),
        ("", "A|V100", A),
        ("", "V100", 0),
        ("a", "A|B", A),
        ("a", "B", 0),
    ],
)
def test_groups_by_partition_and_gpu_kind(partition: str, kind: str, groups: int) -> None:
    others = {"partition": [partition, "a"], "gpu_kind": [kind, "B"]}
    need = demand(table(processors=[1, 1], gpus=[1.0, 1.0], **others), SMALL_CLUSTER)
    assert need.groups.tolist() == [groups, 0]


def test_a_partition_of_several_groups() -> None:
    machine = SMALL_CLUSTER.model_dump() | {"partitions": [{"name": "both", "groups": ["c", "a", "c"]}]}
    need = demand(table(processors=[1], partition=["both"]), Machine.model_validate(machine))
    assert need.groups.tolist() == [A | C]


def test_processors_of_a_machine_counted_by_processor() -> None:
    jobs = table(processors=[4, 0, 0, 0, 3], gpus=[0.0, 2.0, 2.5, 0.0, 8.0], nodes=[2, 1, 0, 3, 1])
    need = demand(jobs, TEN)
    assert need.size.tolist() == [4, 2, 3, 0, 3]  # a log of GPUs alone: these are the processors
    for other in (need.cpu, need.memory, need.gpu, need.groups):
        assert other.tolist() == [0] * 5


@pytest.mark.parametrize(("gpus", "groups"), [(65, 1), (1, 64)])
def test_a_machine_of_too_many_parts(gpus: int, groups: int) -> None:
    parts = [{"name": f"g{i}", "count": 1, "cpus": 8, "memory_gib": 8, "gpus": gpus} for i in range(groups)]
    machine = Machine.model_validate({"name": "odd", "groups": parts})
    with pytest.raises(InputError, match=f"machine odd: {gpus} GPUs in a node, {groups} node groups; expected at most"):
        demand(table(processors=[1]), machine)


def test_a_machine_of_as_many_parts_as_can_be() -> None:
    parts = [{"name": f"g{i}", "count": 1, "cpus": 8, "memory_gib": 8, "gpus": 64} for i in range(63)]
    need = demand(table(processors=[1], gpus=[64.0]), Machine.model_validate({"name": "odd", "groups": parts}))
    assert (need.size.tolist(), need.gpu.tolist(), need.groups.tolist()) == ([1], [64000], [2**63 - 1])


def test_capacity_of_the_nodes() -> None:
    cpu, memory, gpus, group = node_capacity(SMALL_CLUSTER)
    assert cpu.tolist() == [8000] * 3 + [16000] * 2 + [32000]
    assert memory.tolist() == [64 * GIB] * 3 + [32 * GIB] * 2 + [128 * GIB]
    assert gpus.tolist() == [4, 4, 4, 4, 4, 0]
    assert group.tolist() == [0, 0, 0, 1, 1, 2]


@pytest.mark.parametrize("machine", [TEN, SMALL_CLUSTER], ids=["processors", "nodes"])
def test_no_jobs(machine: Machine) -> None:
    nothing = empty_jobs(0)
    assert len(demand(nothing, machine).size) == 0
    kept, left_out = replayable(nothing, machine)
    assert (len(kept), left_out) == (0, {})
    array = job_array(nothing, machine, Policy(dependencies=True))
    assert len(array) == 0
    assert features(nothing, machine, Policy(), array).shape == (len(STATIC_VARIABLES), 0)


def test_what_is_left_out_is_counted_by_its_first_reason() -> None:
    jobs = table(
        run_time=[5.0, NAN, NAN, 1.0, 1.0, 0.0, 2.0, NAN],
        processors=[10, 1, 99, 0, 11, 1, 200, 0],
    )
    kept, left_out = replayable(jobs, TEN)
    assert kept["job_id"].tolist() == ["1", "6"]
    assert left_out == {"never ran": 3, "no size": 1, "larger than the machine": 2}
    assert kept.equals(jobs.iloc[[0, 5]])


def test_reasons_that_do_not_occur_are_not_named() -> None:
    assert replayable(table(run_time=[1.0, 2.0], processors=[1, 10]), TEN)[1] == {}
    assert replayable(table(run_time=[1.0, NAN], processors=[1, 10]), TEN)[1] == {"never ran": 1}


@pytest.mark.parametrize(
    ("job", "fits"),
    [
        ({"processors": 32}, True),  # on c alone
        ({"processors": 8, "nodes": 1, "gpus": 4.0, "partition": "a"}, True),
        ({"processors": 9, "nodes": 1, "partition": "a"}, True),  # as two tasks: a node has 8
        ({"processors": 25, "partition": "a"}, False),
        ({"processors": 8, "nodes": 8, "gpus": 0.0}, True),  # several tasks on one node
        ({"gpus": 20.0, "nodes": 5}, True),
        ({"gpus": 24.0, "nodes": 6}, False),
        ({"gpus": 12.0, "nodes": 3, "gpu_kind": "A"}, True),
        ({"gpus": 12.0, "nodes": 3, "gpu_kind": "B"}, False),
        ({"gpus": 8.0, "nodes": 2, "gpu_kind": "B"}, True),
        ({"gpus": 1.0, "gpu_kind": "V100"}, False),
        ({"gpus": 1.0, "gpu_kind": "B", "partition": "a"}, False),
        ({"processors": 1, "memory": 128 * GIB}, True),
        ({"processors": 1, "memory": 129 * GIB}, False),
        ({"processors": 1, "gpus": 1.0, "memory": 65 * GIB}, False),  # c has the memory, but no GPU
        ({"processors": 1, "gpus": 1.0, "memory": 33 * GIB, "gpu_kind": "B"}, False),
        ({"processors": 2, "nodes": 2, "memory": 64 * GIB, "gpu_kind": "B"}, True),
        ({"processors": 1, "gpus": 0.4, "nodes": 1}, True),
        # Shares of 0.6: one to a GPU, 8 GPUs of kind B.
        ({"gpus": 4.8, "nodes": 8, "gpu_kind": "B"}, True),
        ({"gpus": 5.4, "nodes": 9, "gpu_kind": "B"}, False),
    ],
)
def test_who_fits_an_empty_machine_counted_by_node(job: dict[str, object], fits: bool) -> None:
    jobs = table(run_time=[1.0], **{name: [value] for name, value in job.items()})
    kept, left_out = replayable(jobs, SMALL_CLUSTER)
    assert len(kept) == fits
    assert left_out == ({} if fits else {"larger than the machine": 1})


def test_a_job_of_unknown_size_on_nodes() -> None:
    jobs = table(run_time=[1.0, 1.0], nodes=[2, 0], memory=[1.0, NAN])
    assert replayable(jobs, SMALL_CLUSTER)[1] == {"no size": 2}


@pytest.mark.parametrize("multiplier", [1.0, 0.5, 3.0])
def test_estimates(multiplier: float) -> None:
    jobs = table(run_time=[10.0, 20.0, 30.0, 0.0], requested_time=[15.0, NAN, 12.0, 0.0])
    requested = estimates(jobs, Policy(estimate_multiplier=multiplier))
    assert requested.tolist() == [15.0 * multiplier, 20.0 * multiplier, 12.0 * multiplier, 0.0]
    actual = estimates(jobs, Policy(estimate="actual", estimate_multiplier=multiplier))
    assert actual.tolist() == [10.0 * multiplier, 20.0 * multiplier, 30.0 * multiplier, 0.0]


@pytest.mark.parametrize("machine", [TEN, SMALL_CLUSTER], ids=["processors", "nodes"])
def test_jobs_are_killed_at_their_limit_only_if_the_policy_says_so(machine: Machine) -> None:
    jobs = table(
        submit=[1.0, 2.0, 3.0],
        run_time=[10.0, 20.0, 30.0],
        requested_time=[15.0, NAN, 12.0],
        processors=[1, 1, 1],
    )
    free = job_array(jobs, machine, Policy(estimate_multiplier=2))
    assert free["run"].tolist() == [10.0, 20.0, 30.0]
    killed = job_array(jobs, machine, Policy(kill_at_limit=True, estimate_multiplier=2))
    assert killed["run"].tolist() == [10.0, 20.0, 12.0]  # the limit itself, not the multiplied belief
    for array in (free, killed):
        assert array["submit"].tolist() == [1.0, 2.0, 3.0]
        assert array["estimate"].tolist() == [30.0, 40.0, 24.0]


def test_dependencies_are_rows_of_the_preceding_jobs() -> None:
    jobs = table(
        run_time=[1.0] * 6,
        processors=[1] * 6,
        preceding_job=["", "1", "9", "2", "2", "5"],
        think_time=[NAN, 5.0, 7.0, NAN, -1.0, 0.0],
    )
    array = job_array(jobs, TEN, Policy(dependencies=True))
    assert array["after"].tolist() == [-1, 0, -1, 1, 1, 4]
    assert array["think"].tolist() == [0.0, 5.0, 7.0, 0.0, 0.0, 0.0]
    ignored = job_array(jobs, TEN, Policy())
    assert ignored["after"].tolist() == [-1] * 6
    assert ignored["think"].tolist() == [0.0] * 6


def test_dependencies_are_rows_of_what_is_left_of_the_table() -> None:
    jobs = table(run_time=[1.0, NAN, 1.0, 1.0], processors=[1] * 4, preceding_job=["", "1", "1", "2"])
    kept, _ = replayable(jobs, TEN)
    assert job_array(kept, TEN, Policy(dependencies=True))["after"].tolist() == [-1, 0, -1]


def test_of_two_jobs_of_one_name_the_first_is_meant() -> None:
    jobs = table(processors=[1] * 3, run_time=[1.0] * 3, preceding_job=["", "", "x"]).assign(
        job_id=pd.array(["x", "x", "y"], dtype="str")
    )
    assert job_array(jobs, TEN, Policy(dependencies=True))["after"].tolist() == [-1, -1, 0]


@pytest.mark.parametrize(
    ("by", "accounts"), [("user", [0, 1, 0, 2]), ("group", [0, 0, 1, 0]), ("tenant", [0, 0, 0, 0])]
)
def test_whose_use_is_counted(by: str, accounts: list[int]) -> None:
    jobs = table(processors=[1] * 4, user=["cyd", "ada", "cyd", "bob"], group=["x", "x", "y", "x"])
    assert job_array(jobs, TEN, Policy.model_validate({"fairshare_by": by}))["account"].tolist() == accounts


def test_accounts_are_numbered_among_these_jobs_alone() -> None:
    jobs = table(processors=[1] * 3, user=["ada", "bob", "cyd"]).iloc[[2, 1]]
    assert job_array(jobs, TEN, Policy())["account"].tolist() == [0, 1]


def test_records_of_jobs_on_nodes() -> None:
    jobs = table(run_time=[1.0] * 4, processors=[4, 2, 4, 4], gpus=[8.0, 0.5, 8.0, 8.0], nodes=[2, 1, 2, 4])
    array = job_array(jobs, SMALL_CLUSTER, Policy())
    assert array["size"].tolist() == [2, 1, 2, 4]
    assert array["bulk"].tolist() == [8000, 500, 8000, 8000]  # thousandths of GPUs of all tasks
    assert array["entries"].tolist() == [0, 2, 3, 5]
    shape = array["shape"]
    assert shape[0] == shape[2]
    assert sorted(set(shape.tolist())) == [0, 1, 2]
    no_gpus = job_array(table(processors=[4, 6], nodes=[2, 1]), NO_GPUS, Policy())
    assert no_gpus["bulk"].tolist() == [4000, 6000]  # of CPUs where there are no GPUs


def row(values: np.ndarray, name: str) -> list[float]:
    return values[list(STATIC_VARIABLES).index(name)].tolist()


def test_variables_of_a_formula_by_processor() -> None:
    jobs = table(submit=[3.0, 4.0], run_time=[7.0, 8.0], processors=[5, 2], memory=[NAN, 9.0], qos=["high", "low"])
    policy = Policy(estimate_multiplier=2, qos_priority={"high": 0.75})
    values = features(jobs, TEN, policy, job_array(jobs, TEN, policy))
    expected = {
        "submit": [3.0, 4.0],
        "requested_time": [14.0, 16.0],
        "remaining_time": [14.0, 16.0],
        "size": [5.0, 2.0],
        "size_fraction": [0.5, 0.2],
        "processors": [5.0, 2.0],
        "gpus": [0.0, 0.0],
        "nodes": [1.0, 1.0],
        "memory": [0.0, 9.0],
        "partition_priority": [1.0, 1.0],
        "qos_priority": [0.75, 0.0],
    }
    assert {name: row(values, name) for name in STATIC_VARIABLES} == expected


def test_size_on_nodes_is_the_largest_share_in_gpus() -> None:
    # 20 GPUs, 88 CPUs, 384 GiB in all.
    jobs = table(processors=[22, 1, 1], gpus=[1.0, 5.0, 0.5], memory=[NAN, 4 * GIB, 96 * GIB], partition=["", "a", ""])
    machine = SMALL_CLUSTER.model_dump() | {"partitions": [{"name": "a", "groups": ["a"], "priority": 0.5}]}
    cluster = Machine.model_validate(machine)
    values = features(jobs, cluster, Policy(), job_array(jobs, cluster, Policy()))
    assert row(values, "size") == pytest.approx([5.0, 5.0, 5.0])
    assert row(values, "size_fraction") == pytest.approx([0.25, 0.25, 0.25])
    assert row(values, "partition_priority") == [1.0, 0.5, 1.0]


def test_tasks_are_sized_by_the_nodes_that_a_job_may_use() -> None:
    machine = Machine.model_validate(
        {
            "name": "two kinds",
            "groups": [
                {"name": "wide", "count": 1, "cpus": 16, "memory_gib": 64, "gpus": 8, "gpu_kind": "A"},
                {"name": "slim", "count": 4, "cpus": 16, "memory_gib": 64, "gpus": 4, "gpu_kind": "B"},
                {"name": "cpu", "count": 1, "cpus": 128, "memory_gib": 64},
            ],
        }
    )
    jobs = table(
        submit=[0.0] * 4,
        run_time=[1.0] * 4,
        gpus=[8.0, 8.0, 2.0, 1.0],
        gpu_kind=["B", "", "", ""],
        processors=[8, 8, 20, 48],
    )
    need = demand(jobs, machine)
    # 8 GPUs of kind B need two nodes; 20 CPUs with GPUs do not fit on the big node that has none, but on two of 16;
    # 48 CPUs beside one GPU are three tasks that share it.
    assert need.size.tolist() == [2, 1, 2, 3]
    assert need.gpu.tolist() == [4000, 8000, 1000, 333]
    assert replayable(jobs, machine)[1] == {}


def test_only_a_job_ahead_can_precede() -> None:
    jobs = table(submit=[0.0, 1.0, 2.0], run_time=[1.0] * 3, processors=[1] * 3, preceding_job=["1", "3", "2"])
    array = job_array(jobs, Machine.by_processors(1), Policy(dependencies=True))
    assert array["after"].tolist() == [-1, -1, 1]
