"""Kubernetes, openb, Philly, Helios, Acme, PAI."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpcai.errors import FormatError, InputError
from hpcai.records import read_trace
from hpcai.records.readers.kubernetes import quantity

Recorded = Callable[[str], Path]
Sample = Callable[[str], Path]


@pytest.mark.parametrize(
    ("text", "value"),
    [("500m", 0.5), ("2", 2), ("64Gi", 64 * 2**30), ("1e3", 1000), ("1G", 1e9), ("128974848", 128974848), (4, 4)],
)
def test_quantity(text: Any, value: float) -> None:
    assert quantity(text) == value


def test_kubernetes_fields(sample: Sample) -> None:
    trace = read_trace(sample("kubernetes"))
    job = trace.jobs.iloc[0]
    assert (job["job_id"], job["tenant"], job["user"], job["queue"]) == ("vision/train-0", "vision", "alice", "gold")
    assert (job["submit"], job["start"], job["end"], job["run_time"]) == (0, 120, 3720, 3600)
    assert (job["processors"], job["gpus"], job["gpu_kind"]) == (4, 2, "A100")  # the init container needs 4 CPUs
    assert job["memory"] == 2.5 * 2**30
    assert (job["qos"], job["status"], job["nodes"]) == ("high", "completed", 1)
    assert trace.machine is not None
    assert (trace.machine.total_cpus, trace.machine.total_gpus) == (64, 8)
    assert trace.machine.groups[0].gpu_kind == "A100"


@pytest.fixture
def pods(sample: Sample, tmp_path: Path) -> Callable[[Callable[[list[Any]], None]], Path]:
    """Write a list of three like pods after a change."""

    def write(change: Callable[[list[Any]], None]) -> Path:
        pod = json.loads(sample("kubernetes").read_text())["items"][0]
        items = []
        for i in range(3):
            items.append(copy.deepcopy(pod))
            items[-1]["metadata"]["name"] = f"train-{i}"
        change(items)
        path = tmp_path / "three.json"
        path.write_text(json.dumps({"kind": "PodList", "items": items}))
        return path

    return write


def test_kubernetes_gang(pods: Callable[[Callable[[list[Any]], None]], Path]) -> None:
    path = pods(lambda items: None)
    jobs = read_trace(path).jobs
    assert (jobs["kind"].tolist(), jobs["pods"].tolist()) == (["batch"] * 3, [1] * 3)
    for gang, name in (("owner", "vision/Job/train"), ("job", "vision/train")):
        jobs = read_trace(path, gang=gang).jobs
        assert jobs["job_id"].tolist() == [name]
        assert (jobs["nodes"][0], jobs["gpus"][0], jobs["processors"][0]) == (3, 6, 12)
        assert (jobs["kind"][0], jobs["pods"][0]) == ("gang", 3)


def test_kubernetes_kinds(pods: Callable[[Callable[[list[Any]], None]], Path]) -> None:
    def change(items: list[Any]) -> None:
        items[0]["metadata"]["annotations"] = {"batch.kubernetes.io/job-completion-index": "0"}
        items[1]["metadata"]["ownerReferences"] = [{"kind": "StatefulSet", "name": "notebook"}]
        items[2]["metadata"].pop("ownerReferences")

    assert read_trace(pods(change)).jobs["kind"].tolist() == ["array", "service", ""]

    def serve(items: list[Any]) -> None:
        for item in items:
            item["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "web"}]

    assert read_trace(pods(serve), gang="owner").jobs["kind"].tolist() == ["service"]


def test_kubernetes_states(pods: Callable[[Callable[[list[Any]], None]], Path]) -> None:
    def change(items: list[Any]) -> None:
        items[0]["status"] = {"phase": "Pending"}
        items[1]["status"]["phase"] = "Failed"
        items[1]["status"]["containerStatuses"][0]["state"]["terminated"]["reason"] = "OOMKilled"
        items[2]["metadata"].pop("creationTimestamp")

    trace = read_trace(pods(change))
    assert trace.jobs["status"].tolist() == ["pending", "out_of_memory"]
    assert math.isnan(trace.jobs["run_time"][0])
    assert trace.bad_rows.first_lines == {"not a pod as Kubernetes describes one": [3]}


def test_kubernetes_cut_short(sample: Sample) -> None:
    path = sample("kubernetes")
    path.write_text(path.read_text()[:-200])
    with pytest.raises(FormatError, match="line 1: not JSON"):
        read_trace(path)


def test_openb_fields(sample: Sample) -> None:
    shared, never = read_trace(sample("openb")).jobs.to_dict("records")
    assert (shared["job_id"], shared["gpus"], shared["gpu_kind"]) == ("p0", 0.46, "V100|T4")
    assert (shared["submit"], shared["start"], shared["end"], shared["run_time"]) == (0, 7, 100, 93)
    assert (shared["processors"], shared["memory"], shared["qos"]) == (12, 16 * 2**30, "LS")
    assert (never["gpus"], never["status"]) == (2, "cancelled")
    assert math.isnan(never["run_time"])


def test_openb_recorded(recorded: Recorded) -> None:
    trace = read_trace(recorded("data/gpu/openb_pod_list_default.csv.gz"))
    assert (len(trace.jobs), trace.bad_rows.total) == (8152, 0)
    assert trace.machine is not None
    assert (trace.machine.total_nodes, trace.machine.total_gpus) == (1523, 6212)
    assert trace.sha256.keys() == {"openb_pod_list_default.csv.gz", "openb_node_list_all_node.csv"}
    gpu_nodes = recorded("data/gpu/openb_node_list_gpu_node.csv")
    machine = read_trace(recorded("data/gpu/openb_pod_list_gpushare100.csv.gz"), nodes=gpu_nodes).machine
    assert machine is not None
    assert (machine.total_nodes, machine.total_gpus) == (1213, 6212)


def test_openb_without_times_is_refused(recorded: Recorded) -> None:
    with pytest.raises(FormatError, match="without times, which cannot be replayed"):
        read_trace(recorded("data/gpu/openb_pod_list_multigpu50.csv.gz"))


def test_philly_csv(sample: Sample) -> None:
    trace = read_trace(sample("philly"))
    job = trace.jobs.iloc[0]
    assert (job["gpus"], job["run_time"], job["tenant"], job["job_id"]) == (8, 20, "7f", "1")
    assert trace.origin == 1504521041
    assert trace.machine is None


def test_philly_recorded(recorded: Recorded) -> None:
    trace = read_trace(recorded("data/gpu/philly-2017-vcs-a.csv.gz"))
    assert (len(trace.jobs), trace.bad_rows.total, trace.jobs["tenant"].nunique()) == (55285, 0, 9)


def test_philly_json(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    conftest = Path(__file__).with_name("conftest.py")
    module = next(p for p in request.config.pluginmanager.get_plugins() if getattr(p, "__file__", "") == str(conftest))
    never = {**module.PHILLY_JOB, "jobid": "b", "attempts": [], "status": "Killed"}
    unfinished = {**module.PHILLY_JOB, "jobid": "c"}
    unfinished["attempts"] = [{**module.PHILLY_JOB["attempts"][0], "end_time": None}]
    path = tmp_path / "cluster_job_log"
    path.write_text(json.dumps([module.PHILLY_JOB, never, {"jobid": "x"}, unfinished]))
    (tmp_path / "cluster_machine_list").write_text("machineId,number of GPUs, single GPU mem\nm1,8, 24GB\nm2,2, 12GB\n")
    trace = read_trace(path)
    ran, killed, running = trace.jobs.to_dict("records")
    assert (ran["gpus"], ran["nodes"], ran["status"], ran["user"]) == (4, 2, "completed", "ce2f4c")
    assert (ran["start"], ran["run_time"]) == (30, 3600)
    assert (killed["status"], killed["gpus"]) == ("cancelled", 0)
    assert math.isnan(running["run_time"])
    assert trace.bad_rows.first_lines == {"not a job as Philly records one": [3]}
    assert trace.machine is not None
    assert trace.machine.total_gpus == 10


def test_helios(sample: Sample) -> None:
    ran, never = read_trace(sample("helios")).jobs.to_dict("records")
    assert (ran["job_id"], ran["tenant"], ran["gpus"], ran["nodes"], ran["run_time"]) == ("1425511", "vcJ", 16, 2, 60)
    assert (ran["start"], never["status"]) == (10, "cancelled")
    assert math.isnan(never["run_time"])


def test_acme_takes_the_run_time_from_the_dates(sample: Sample) -> None:
    job = read_trace(sample("acme")).jobs.iloc[0]
    assert (job["run_time"], job["start"], job["queue"], job["status"]) == (8, 10, "Pretrain", "failed")
    assert (job["gpus"], job["processors"], job["nodes"], job["memory"]) == (64, 960, 8, 8000 * 2**30)


def test_tiresias(sample: Sample) -> None:
    job = read_trace(sample("tiresias")).jobs.iloc[1]
    assert (job["job_id"], job["gpus"], job["submit"], job["run_time"], job["queue"]) == ("1", 8, 30, 147, "vgg11")
    assert job["model"] == "vgg11"


def test_gavel(sample: Sample) -> None:
    trace = read_trace(sample("gavel"))
    alone, together = trace.jobs.to_dict("records")
    assert (alone["job_id"], alone["submit"], alone["run_time"], alone["gpus"]) == ("1", 0, 100, 1)
    assert (alone["model"], alone["queue"], alone["kind"]) == ("resnet50", "ResNet-50 (batch size 128)", "batch")
    assert (together["submit"], together["run_time"], together["gpus"], together["pods"]) == (11.5, 20, 4, 4)
    assert (together["model"], together["kind"]) == ("lm", "gang")
    assert trace.bad_rows.first_lines == {"no throughput of its type on as many GPUs": [3]}
    assert trace.sha256.keys() == {"list.trace", "oracle_throughputs.json"}
    slow = read_trace(sample("gavel"), gpu="k80")
    assert (slow.jobs["run_time"].tolist(), slow.bad_rows.total) == ([14.0], 2)


def test_gavel_with_weights_and_goals(sample: Sample, tmp_path: Path) -> None:
    path = sample("gavel")
    path.write_text("LM (batch size 10)\tpython main.py\t--steps\t1\t600\t4\t1.0\t-1.0\t11.5\n")
    job = read_trace(path).jobs.iloc[0]
    assert (job["submit"], job["run_time"], job["gpus"]) == (11.5, 20, 4)


def test_gavel_needs_throughputs(recorded: Recorded, sample: Sample) -> None:
    with pytest.raises(InputError, match=r"in steps, not in time.*throughputs="):
        read_trace(recorded("data/gpu/gavel_philly_0e4a51.trace.gz"))
    with pytest.raises(InputError, match=r"gpu 'a100': expected one of the tables that it has \(v100, k80\)"):
        read_trace(sample("gavel"), gpu="a100")


def test_gavel_recorded(recorded: Recorded, tmp_path: Path) -> None:
    path = recorded("data/gpu/gavel_philly_0e4a51.trace.gz")
    speeds = {
        f"('LM (batch size {batch})', {gpus})": {"null": 50.0} for batch in (5, 10, 20, 40, 80) for gpus in (1, 2, 4, 8)
    }
    (tmp_path / "speeds.json").write_text(json.dumps({"v100": speeds}))
    trace = read_trace(path, throughputs=tmp_path / "speeds.json")
    assert (len(trace.jobs), trace.bad_rows.total) == (213, 1181 - 213)
    assert set(trace.jobs["model"]) == {"lm"}
    assert set(trace.jobs["gpus"]) == {1, 2, 4, 8}


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("helios_earth_vc3sl_sequence.csv.gz", "counts of jobs and GPUs by the minute"),
        ("philly_node_sequence.csv.gz", "counts of nodes by the minute"),
        ("lucid_colocate_info.csv", "slow-downs of pairs of models"),
        ("helios_earth_vc_gpu_number.csv", "GPUs of virtual clusters by the day"),
        ("acme_cluster_summary.csv", "sums over whole clusters"),
        ("openb_node_list_gpu_node.csv", "nodes .openb.: they go with the list of pods"),
        ("spot_gpu_2026_node_info.csv", "nodes .Alibaba 2026."),
    ],
)
def test_what_is_no_log_of_jobs(recorded: Recorded, name: str, what: str) -> None:
    with pytest.raises(FormatError, match=f"found {what}.*, expected a log of jobs"):
        read_trace(recorded(f"data/gpu/{name}"))


def test_pai(sample: Sample) -> None:
    trace = read_trace(sample("pai"))
    job = trace.jobs.iloc[0]
    assert (job["submit"], job["start"], job["run_time"]) == (100, 110, 551306)
    assert (job["processors"], job["gpus"], job["gpu_kind"], job["nodes"]) == (14, 1.0, "T4", 3)
    assert job["memory"] == 3 * 29.296875 * 2**30
    assert trace.bad_rows.first_lines == {"no task in the task table, so no size": [2]}


def test_pai_needs_its_task_table(sample: Sample) -> None:
    path = sample("pai")
    (path.parent / "pai_task_table.csv").unlink()
    with pytest.raises(InputError, match=r"pai_task_table\.csv, which is not beside it"):
        read_trace(path)


def test_pai_machine(sample: Sample) -> None:
    path = sample("pai")
    (path.parent / "spec.csv").write_text("82e5,T4,96,512,2\n82e6,CPU,96,512,0\n82e7,T4,96,512,2\n")
    machine = read_trace(path, nodes=path.parent / "spec.csv").machine
    assert machine is not None
    assert [(group.gpu_kind, group.count, group.gpus) for group in machine.groups] == [("", 1, 0), ("T4", 2, 2)]
