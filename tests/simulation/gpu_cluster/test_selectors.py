"""Jobs that name a partition, and nodes without GPUs on a GPU cluster."""

from __future__ import annotations

import pytest

from hpcai.cluster.spec import Machine, NodeGroup, Partition
from hpcai.scheduling.gpu_cluster.discipline import Discipline
from hpcai.scheduling.jobs import replayable
from hpcai.simulation.gpu_cluster.replay import replay_cluster
from tests.simulation.gpu_cluster.test_replay import table

MIXED = Machine(
    name="mixed",
    groups=(
        NodeGroup(name="old", count=1, cpus=16, memory_gib=64, gpus=8, gpu_kind="P100"),
        NodeGroup(name="new", count=1, cpus=16, memory_gib=64, gpus=8, gpu_kind="V100"),
        NodeGroup(name="plain", count=2, cpus=16, memory_gib=64),
    ),
    partitions=(
        Partition(name="gpu", groups=("old", "new")),
        Partition(name="old", groups=("old",)),
        Partition(name="cpu", groups=("plain",)),
        Partition(name="wide", groups=("old", "plain")),
    ),
)
CPUS = {"gpus": 0.0, "gpu_kind": "", "processors": 16}
GPUS = {"gpus": 8.0, "pods": 1, "gpu_kind": ""}


def starts(*rows: dict[str, object], **settings: object) -> list[float]:
    jobs = table(*rows)
    jobs["processors"] = [row.get("processors", 1) for row in rows]
    kept, left_out = replayable(jobs, MIXED)
    assert not left_out
    discipline = Discipline.model_validate({"restart": 0, "preemption": "none", **settings})
    return replay_cluster(kept, MIXED, discipline).jobs["start"].tolist()


@pytest.mark.parametrize("placement", ["pack", "spread", "first-fit", "best-fit", "topology-aware", "fgd"])
def test_cpu_jobs_of_a_partition_keep_off_nodes_with_gpus(placement):
    cpu = CPUS | {"partition": "cpu"}
    assert starts(cpu, cpu, cpu, placement=placement) == [0, 0, 100]
    anywhere = CPUS | {"partition": ""}
    assert starts(anywhere, anywhere, anywhere, anywhere, anywhere, placement=placement) == [0, 0, 0, 0, 100]


def test_gpu_jobs_of_a_partition_have_its_gpus_alone():
    old = GPUS | {"partition": "old"}
    assert starts(old, old, GPUS | {"partition": "gpu"}) == [0, 100, 0]
    assert starts(old, GPUS | {"partition": "no such"}, GPUS) == [0, 0, 100]
    wide = GPUS | {"partition": "wide"}  # nodes without GPUs are none for it
    assert starts(wide, wide) == [0, 100]


def test_a_job_of_one_partition_is_no_way_for_another():
    """Who is stopped is on nodes where the other may be."""
    jobs = [
        GPUS | {"partition": "old", "qos": "preemptible"},
        GPUS | {"gpu_kind": "V100", "qos": "preemptible", "run_time": 50.0},
        GPUS | {"partition": "old", "submit": 10.0},
    ]
    outcome = replay_cluster(table(*jobs), MIXED, Discipline(restart=0, communication=False)).jobs
    assert outcome["stops"].tolist() == [1, 0, 0]
    assert outcome["start"].tolist() == [0, 0, 10]


def test_a_partition_without_what_a_job_asks_for_leaves_it_out():
    _, left_out = replayable(table(GPUS | {"partition": "cpu"}), MIXED)
    assert left_out == {"larger than the machine": 1}
