"""What Slurm said, as recorded on a private cluster (22.05) or in the notation of newer versions, without a Slurm."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from hpcai.cluster import Machine
from hpcai.errors import FormatError, InputError
from hpcai.live.slurm import from_json, from_text
from hpcai.live.slurm.amounts import amounts, gpu_indices, gres_gpus
from hpcai.live.slurm.changes import in_order
from hpcai.live.slurm.client import Job, Node, PartitionSeen, Poll, SchedulerGoneError, present_value
from hpcai.live.slurm.command_line import CommandLine
from hpcai.live.slurm.layout import layout
from hpcai.live.slurm.rest import Rest
from hpcai.live.slurm.state import live_state, may_start
from hpcai.live.slurm.tasks import equal_shares
from hpcai.live.slurm.words import TAKES_NO_JOBS

SAMPLES = Path(__file__).with_name("slurm_samples")
GIB = 2.0**30


def sample(name: str) -> str:
    return (SAMPLES / name).read_text()


def from_squeue() -> dict[str, Job]:
    jobs = from_text.with_indices(from_text.jobs(sample("squeue.txt")), sample("scontrol-job.txt"))
    return {job.id: job for job in from_text.with_site_factors(jobs, sample("sprio.txt"))}


def from_squeue_json(document: Any) -> dict[str, Job]:
    return {job.id: job for job in from_json.jobs(document, "squeue --json")}


def poll_of(jobs: dict[str, Job], at: float = 1795597550.0) -> Poll:
    nodes, partitions = sample("scontrol-node.txt"), sample("scontrol-partition.txt")
    return Poll(at, "text", tuple(jobs.values()), from_text.nodes(nodes), from_text.partitions(partitions))


# ---- jobs


def test_jobs_as_text():
    jobs = from_squeue()
    assert jobs["562"] == Job(
        id="562", number=562, user="alice", account="alice", partition="main", qos="normal", state="PENDING",
        reason="Resources", submit=1795597543, eligible=1795597543, start=None, time_limit=1800, cpus=3, nodes=3,
        gpus=24, gpu_kind="", memory=300 * 2**20, exclusive=False, node_names=(), gpu_indices=(), priority=1000007,
        nice=-7, site_factor=0, array_id="", array_tasks="",
    )  # fmt: skip
    uneven = jobs["560"]
    assert (uneven.state, uneven.start, uneven.time_limit) == ("RUNNING", 1795597542, 86400)
    assert (uneven.node_names, uneven.gpu_indices) == (("n1", "n2"), ((2, 3, 4, 5, 6, 7), (0, 1)))
    assert equal_shares(uneven) == 4
    assert (jobs["561_2"].number, jobs["561_2"].array_id, jobs["561_2"].gpu_indices) == (568, "561", ((1,),))
    assert (jobs["561"].array_tasks, jobs["561"].eligible) == ("3-5%2", None)
    assert (jobs["566"].time_limit, jobs["563"].exclusive) == (None, True)


def test_jobs_as_json_are_the_same():
    text, found = from_squeue(), from_squeue_json(json.loads(sample("squeue.json")))
    # JSON has no site factors, and text has a sentence where there is one for the reason.
    assert found == {id: replace(job, site_factor=None, reason=found[id].reason) for id, job in text.items()}
    assert [id for id in found if found[id].reason != text[id].reason] == ["563"]


def newer(record: dict[str, Any]) -> dict[str, Any]:
    """Return a job in the notation of Slurm 23.02 and later."""

    def number(value: Any, unset: bool = False) -> dict[str, Any]:
        return {"set": value is not None and not unset, "infinite": False, "number": value or 0}

    numbers = ("array_job_id", "array_task_id", "cpus", "eligible_time", "node_count", "priority", "start_time")
    changed = {key: number(record[key]) for key in (*numbers, "submit_time", "tasks", "time_limit")}
    if record["time_limit"] is None:
        changed["time_limit"] = {"set": False, "infinite": True, "number": 0}
    if record["nice"] is not None and record["nice"] > 2**31:
        changed["nice"] = record["nice"] - 2**32
    changed["job_state"] = [record["job_state"]]
    changed["shared"] = [record["shared"]] if record["shared"] else []
    return record | changed


def test_jobs_in_the_notation_of_newer_versions():
    document = json.loads(sample("squeue.json"))
    as_new = {"jobs": [newer(record) for record in document["jobs"]]}
    assert from_squeue_json(as_new) == from_squeue_json(document)
    completing = newer(document["jobs"][1]) | {"job_state": ["COMPLETED", "COMPLETING"], "site_factor": 9}
    (job,) = from_json.jobs({"jobs": [completing]}, "rest")
    assert (job.state, job.site_factor) == ("COMPLETING", 9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cpu=8,mem=4G,node=2,billing=8,gres/gpu=16", (8, 2, 16, "", 4 * GIB)),
        ("cpu=8,mem=4G,node=2,gres/gpu:a100=4,gres/gpu=4", (8, 2, 4, "a100", 4 * GIB)),
        ("cpu=1,mem=100M,node=1", (1, 1, 0, "", 100 * 2**20)),
        ("", (0, 0, 0, "", None)),
        ("N/A", (0, 0, 0, "", None)),
    ],
)
def test_amounts_of_a_job(text, expected):
    assert amounts(text) == expected


def test_gpus_that_are_not_tracked_are_those_asked_for():
    assert amounts("cpu=4,node=2", [("gres:gpu:a100:4", 2)]) == (4, 2, 8, "a100", None)
    assert amounts("cpu=4,node=2,gres/gpu=8", [("gres/gpu:h100:4", 2)])[2:4] == (8, "h100")
    assert amounts("cpu=4", [("N/A", 1), ("gres:gpu", 2), ("gres:shard:3", 1)])[2:4] == (2, "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gpu:8", (8, "")),
        ("gpu:a100:4(S:0-1)", (4, "a100")),
        ("gpu:1g.5gb:7(S:0,1),shard:16,gpu:a100:2", (9, "1g.5gb")),
        ("(null)", (0, "")),
        ("craynetwork:4", (0, "")),
    ],
)
def test_gpus_of_a_node(text, expected):
    assert gres_gpus(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gpu:2(IDX:0-1)", (0, 1)),
        ("gpu:a100:3(IDX:0,2-3)", (0, 2, 3)),
        ("gpu:a100:1(IDX:0),gpu:v100:1(IDX:5)", (0, 5)),
        ("gpu:2", None),
        ("gpu:2(IDX:N/A)", None),
        ("", ()),
    ],
)
def test_indices_of_gpus(text, expected):
    assert gpu_indices(text) == expected


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("12|12|N/A", r"squeue: found '12\|12\|N/A', expected 24 fields: JobID, ArrayJobID"),
        (sample("squeue.txt").splitlines()[0].replace("cpu=3", "cpu"), r"squeue: job 562: found"),
        (sample("squeue.txt").splitlines()[0].replace("|30:00|", "|soon|"), r"squeue: job 562: found soon in"),
    ],
)
def test_lines_that_are_no_jobs(line, what):
    with pytest.raises(FormatError, match=what):
        from_text.jobs(line)


def test_a_job_name_cannot_give_itself_gpus():
    line = (
        sample("scontrol-job.txt").splitlines()[0].replace("=wrap", "=x  Nodes=n2 CPU_IDs=0 Mem=1 GRES=gpu:2(IDX:6-7)")
    )
    jobs = from_text.with_indices(from_text.jobs(sample("squeue.txt")), line)
    assert {job.id: job.gpu_indices for job in jobs}["559"] == ((0, 1),)


def test_json_that_is_not_slurms():
    with pytest.raises(FormatError, match="rest: found no list of jobs, expected Slurm's JSON"):
        from_json.jobs({"pods": []}, "rest")


# ---- nodes and partitions


def test_nodes_and_partitions_as_text_and_as_json():
    nodes = from_text.nodes(sample("scontrol-node.txt"))
    assert nodes == from_json.nodes(json.loads(sample("rest-nodes.json")), "rest")
    assert nodes[2] == Node("n3", frozenset({"IDLE", "DRAIN"}), 64, 500 * GIB, 8, "", ("main",))
    partitions = from_text.partitions(sample("scontrol-partition.txt"))
    assert set(partitions) == set(from_json.partitions(json.loads(sample("rest-partitions.json")), "rest"))
    assert partitions[1] == PartitionSeen("short", "n4", 3600.0, 1)


def test_nodes_in_the_notation_of_newer_versions():
    node = {"name": "a1", "state": ["DOWN", "NOT_RESPONDING"], "cpus": 8, "effective_cpus": 6, "real_memory": 1024,
            "gres": "gpu:h100:4(S:0-1)", "partitions": ["big", "all"]}  # fmt: skip
    (seen,) = from_json.nodes({"nodes": [node]}, "rest")
    assert seen == Node("a1", frozenset({"DOWN", "NOT_RESPONDING"}), 6, GIB, 4, "h100", ("all", "big"))
    partition = {"name": "all", "nodes": {"configured": "a[1-9]"}, "priority": {"job_factor": 3, "tier": 1},
                 "maximums": {"time": {"set": True, "infinite": False, "number": 90}}}  # fmt: skip
    assert from_json.partitions({"partitions": [partition]}, "rest") == (PartitionSeen("all", "a[1-9]", 5400.0, 3),)


@pytest.mark.parametrize(
    ("state", "usable"),
    [("IDLE", True), ("MIXED+PLANNED", True), ("IDLE+CLOUD+POWERED_DOWN", True), ("ALLOCATED+COMPLETING", True),
     ("DOWN*", False), ("IDLE*", False), ("MIXED+DRAIN", False), ("MAINT", False), ("IDLE+RESERVED", False)],
)  # fmt: skip
def test_states_of_nodes(state, usable):
    line = sample("scontrol-node.txt").splitlines()[0].replace("State=MIXED", f"State={state}")
    assert TAKES_NO_JOBS.isdisjoint(from_text.nodes(line)[0].states) == usable


# ---- the live state


def test_the_state_of_the_sample():
    state = live_state(poll_of(from_squeue()), origin=1795590000.0)
    assert state.now == 7550
    assert state.waiting["job_id"].tolist() == ["562", "563", "566"]
    assert state.waiting["requested_time"].tolist() == [1800, 1200, 365 * 86400]
    assert state.waiting["submit"].tolist() == [7543, 7543, 7544]
    assert state.running["job_id"].tolist() == ["559", "560", "561_1", "561_2"]
    assert state.tasks == [[(0, 0b11)], [(0, 0b1100), (0, 0b110000), (0, 0b11000000), (1, 0b11)], [(3, 1)], [(3, 2)]]
    assert layout(poll_of(from_squeue())).names == ("n1", "n2", "n3", "n4")


def test_no_jobs_at_all():
    state = live_state(poll_of({}), origin=0.0)
    assert (len(state.waiting), len(state.running), list(state.tasks)) == (0, 0, [])


def test_jobs_that_may_start():
    job = from_squeue()["562"]
    assert may_start(job)
    assert may_start(replace(job, reason="None"))
    for reason in ("Dependency", "BeginTime", "JobHeldUser", "JobHeldAdmin", "JobArrayTaskLimit"):
        assert not may_start(replace(job, reason=reason))
    assert not may_start(replace(job, priority=0))
    assert not may_start(replace(job, state="RUNNING"))


def test_a_job_that_gave_its_nodes_back_runs_no_more():
    jobs = {id: replace(job, node_names=(), gpu_indices=()) for id, job in from_squeue().items() if job.start}
    assert len(live_state(poll_of(jobs), 0.0).running) == 0


def test_memory_that_slurm_does_not_count():
    jobs = {id: replace(job, memory=None) if job.node_names else job for id, job in from_squeue().items()}
    assert live_state(poll_of(jobs), 0.0).waiting["memory"].isna().all()


def test_like_nodes_are_a_group():
    def node(name: str, kind: str, gpus: int, partitions: tuple[str, ...], state: str = "IDLE") -> Node:
        return Node(name, frozenset({state}), 32, 64 * GIB, gpus, kind, partitions)

    nodes = (
        *(node("c10", "", 0, ("all",)), node("c2", "", 0, ("all",)), node("g1", "a100", 4, ("all", "gpu"))),
        *(node("g2", "a100", 4, ("all", "gpu"), "DOWN"), node("g3", "v100", 4, ("all", "gpu"))),
    )
    partitions = (PartitionSeen("all", "", None, 1), PartitionSeen("gpu", "", 3600.0, 4))
    found = layout(Poll(0.0, "text", (), nodes, partitions))
    assert found.names == ("c2", "c10", "g1", "g2", "g3")
    assert found.machine.node_names == ("cpu-1-0001", "cpu-1-0002", "a100-2-0001", "a100-2-0002", "v100-3-0001")
    assert [(part.name, part.groups, part.priority) for part in found.machine.partitions] == [
        ("all", ("cpu-1", "a100-2", "v100-3"), 0.25),
        ("gpu", ("a100-2", "v100-3"), 1.0),
    ]
    assert [reservation.nodes for reservation in found.machine.reservations] == [("a100-2-0002",)]
    with pytest.raises(InputError, match=r"group 'cpu-1' has 2 nodes of 32 CPUs and 0 GPUs, expected 1 as Slurm has"):
        layout(Poll(0.0, "text", (), nodes[1:], partitions), found.machine)
    with pytest.raises(InputError, match=r"Slurm \(text\): has no nodes"):
        layout(Poll(0.0, "text", (), (), ()))
    assert layout(Poll(0.0, "text", (), nodes, ()), Machine.by_processors(64)).machine.reservations[0].processors == 32


# ---- writing


def test_changes_are_checked_and_arrays_come_before_their_tasks():
    assert in_order({"7_3": 1, "9": 2, "7": -3}, "nice") == [("9", 2), ("7", -3), ("7_3", 1)]
    for job in ("", "12 Priority=1", "12\nshutdown", "1_2_3", "x", "0", "9_[1-2]"):
        with pytest.raises(InputError, match="not a job of Slurm, expected digits"):
            in_order({job: 1}, "nice")
    for how, value in (("priority", 0), ("priority", -1), ("nice", 2**31), ("site_factor", 1.5), ("nice", True)):
        with pytest.raises(InputError, match="expected a whole number from"):
            in_order({"1": value}, how)


def fake(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A folder of commands that print the samples, of a squeue that knows no JSON."""
    text, job, node = SAMPLES / "squeue.txt", SAMPLES / "scontrol-job.txt", SAMPLES / "scontrol-node.txt"
    no_json = "echo \"squeue: unrecognized option '--json'\" >&2; exit 1"
    fake(tmp_path, "squeue", f'case "$*" in *--json*) {no_json};; *) cat {text};; esac')
    fake(tmp_path, "sprio", f"cat {SAMPLES / 'sprio.txt'}")
    partition = SAMPLES / "scontrol-partition.txt"
    fake(tmp_path, "scontrol", f'case "$*" in *job) cat {job};; *node) cat {node};; *) cat {partition};; esac')
    return tmp_path


def test_text_is_read_where_there_is_no_json(commands):
    client = CommandLine(folder=str(commands))
    poll = client.poll()
    assert poll.source == "text"
    assert {job.id: job for job in poll.jobs} == from_squeue()
    with pytest.raises(SchedulerGoneError, match="squeue --json: squeue: unrecognized option"):
        CommandLine(form="json", folder=str(commands)).poll()


def test_one_scontrol_writes_all_and_single_failures_are_told(commands):
    heard = commands / "heard"
    complaints = [
        *("Invalid job id specified for job 12", "Job has already finished for job 13"),
        *("20_1: Job has already finished", "20_2,4-5: No error", "21_3: Job has already finished"),
        "22_[1-6%2]: Access/permission denied",
    ]
    (commands / "complaints").write_text("\n".join(complaints))
    fake(commands, "scontrol", f"cat > {heard}; cat {commands / 'complaints'} >&2; exit 1")
    changes = {"11": 1, "12": 2, "13": 3, "20": 4, "21_3": 5, "21": 6, "22": 7}
    written = CommandLine("site_factor", folder=str(commands)).write(changes)
    assert written.accepted == ("11", "20", "21")
    assert written.failed == {
        "12": "Invalid job id specified",
        "13": "Job has already finished",
        "22": "Access/permission denied",
        "21_3": "Job has already finished",
    }
    assert heard.read_text().splitlines()[0] == "update JobId=11 SiteFactor=1"
    assert heard.read_text().splitlines()[-1] == "update JobId=21_3 SiteFactor=5"
    assert CommandLine("nice", folder="/nowhere").write({}).accepted == ()


@pytest.mark.parametrize(
    "script",
    [
        "echo 'Unable to contact slurm controller (connect failure) for job 1' >&2; exit 1",
        "echo 'slurm_update error: Unable to contact slurm controller (connect failure)' >&2; exit 1",
        "exit 1",
        "sleep 9",
    ],
)
def test_no_answer(commands, script):
    fake(commands, "scontrol", script)
    with pytest.raises(SchedulerGoneError, match="scontrol"):
        CommandLine("nice", folder=str(commands), timeout=0.5).write({"1": 1})


def test_the_present_value_takes_a_change_back():
    job = from_squeue()["562"]
    assert [present_value(job, how) for how in ("site_factor", "nice", "priority")] == [0, -7, 1000007]
    assert present_value(replace(job, site_factor=None), "site_factor") == 0


# ---- REST


def service(replies: Callable[[str, str, Any], Any]) -> tuple[httpx.MockTransport, list[tuple[str, str, Any]]]:
    """Return a slurmrestd that answers what ``replies`` says to method, path and body; and what it was asked."""
    asked: list[tuple[str, str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["X-SLURM-USER-TOKEN"] == "a.b.c"
        body = json.loads(request.content) if request.content else None
        asked.append((request.method, request.url.path, body))
        reply = replies(*asked[-1])
        return (
            httpx.Response(404, text="Unable find requested URL") if reply is None else httpx.Response(200, json=reply)
        )

    return httpx.MockTransport(answer), asked


def spec(versions: tuple[int, ...], *keys: str) -> dict[str, Any]:
    schema = {"schema": {"$ref": "#/components/schemas/change"}}
    change = {"post": {"requestBody": {"content": {"application/json": schema}}}}
    paths = {f"/slurm/v0.0.{n}/{what}": change for n in versions for what in ("jobs/", "job/{job_id}")}
    return {"paths": paths, "components": {"schemas": {"change": {"properties": {key: {} for key in keys}}}}}


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JWT", "a.b.c")


def test_the_newest_version_is_used_and_may_know_site_factors(token):
    def replies(method: str, path: str, body: Any) -> Any:
        if path == "/openapi/v3":
            return spec((39, 41, 40), "nice", "priority", "site_factor")
        gone = {"error": "Invalid job id specified", "error_number": 2017}
        return {"errors": [gone] if path.endswith("/8") else [], "warnings": []}

    transport, asked = service(replies)
    with Rest("http://slurm:6820", "site_factor", transport=transport) as rest:
        written = rest.write({"7": 5, "8": -3})
    assert (written.accepted, written.failed) == (("7",), {"8": "Invalid job id specified"})
    assert ("POST", "/slurm/v0.0.41/job/7", {"site_factor": 5}) in asked


def test_versions_are_tried_where_nothing_says_which_there_are(token):
    samples = {"jobs": "squeue.json", "nodes": "rest-nodes.json", "partitions": "rest-partitions.json"}

    def replies(method: str, path: str, body: Any) -> Any:
        name = path.removeprefix("/slurm/v0.0.38/")
        return {"errors": []} if name == "ping" else json.loads(sample(samples[name])) if name in samples else None

    transport, asked = service(replies)
    with Rest("unix:/run/slurmrestd.sock", transport=transport) as rest:
        poll = rest.poll()
        assert rest.poll().jobs == poll.jobs
    assert poll.source == "rest v0.0.38"
    assert poll.nodes == poll_of({}).nodes
    assert len(poll.jobs) == 10
    assert [path for _, path, _ in asked].count("/openapi/v3") == 1
    transport, _ = service(lambda *_: None)
    none = r"serves none of v0\.0\.36 to v0\.0\.44"
    with Rest("http://slurm", transport=transport) as rest, pytest.raises(InputError, match=none):
        rest.poll()


def test_tokens(monkeypatch, tmp_path):
    def refused(what: str, **options: Any) -> None:
        transport, _ = service(lambda *_: None)
        with Rest("http://slurm", transport=transport, **options) as rest, pytest.raises(InputError, match=what):
            rest.poll()

    monkeypatch.delenv("SLURM_JWT", raising=False)
    refused("environment variable SLURM_JWT: no token there, expected what scontrol token prints")
    refused(r"token file .*/none: cannot be read", token_file=tmp_path / "none")
    (tmp_path / "odd").write_text("a b\nX-Other: 1")
    refused(r"token file .*/odd: no token there", token_file=tmp_path / "odd")
    with pytest.raises(InputError, match=r"slurmrestd 'ftp://x': expected http://host:port or unix:/path"):
        Rest("ftp://x")


# ---- where tasks are


def running(gpus: float, indices: tuple[tuple[int, ...], ...], nodes: int = 2, cpus: int = 4) -> list[tuple[int, int]]:
    """Return the tasks of one job on the first ``nodes`` nodes of the sample, after another on GPUs 0 and 1 of n1."""
    first = from_squeue()["559"]
    names = ("n1", "n2", "n4")[:nodes]
    job = replace(first, id="9", number=9, gpus=gpus, nodes=nodes, cpus=cpus, node_names=names, gpu_indices=indices)
    state = live_state(poll_of({"559": first, "9": job} if gpus < 16 else {"9": job}), 0.0)
    return list(dict(zip(state.running["job_id"], state.tasks, strict=True))["9"])


def test_tasks_of_uneven_jobs_keep_every_gpu():
    assert running(4, ((2, 3, 4), (0,))) == [(0, 0b100), (0, 0b1000), (0, 0b10000), (1, 0b1)]
    assert running(6, ((2, 3, 4, 5), (0, 1))) == [(0, 0b1100), (0, 0b110000), (1, 0b11)]
    assert running(16, (tuple(range(8)), tuple(range(8)))) == [(0, 0xFF), (1, 0xFF)]


def test_tasks_of_jobs_that_slurm_says_little_of():
    assert running(4, ()) == [(0, 0b1100), (1, 0b11)]
    assert running(0, ()) == [(0, 0), (1, 0)]
    assert running(1, ((5,), ())) == [(0, 1 << 5), (1, 0)]
    assert running(1, ()) == [(0, 0b100), (1, 0b1)]
    assert running(16, (), nodes=1) == [(0, 0xFF), (0, 0)]  # it has given a node back already
