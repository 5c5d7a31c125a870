"""A real Slurm read and written through all clients: they agree with one another and with what Slurm itself says."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest

from hpcai.cluster import Machine
from hpcai.errors import InputError
from hpcai.live.slurm.client import Before, How, SchedulerGoneError, SlurmClient, present_value
from hpcai.live.slurm.command_line import CommandLine
from hpcai.live.slurm.rest import Rest
from hpcai.live.slurm.state import live_state
from hpcai.live.state import LiveState
from hpcai.scheduling.policy import Policy
from hpcai.scheduling.snapshot import snapshot
from hpcai.scheduling.state import CPU, FIRST_GPU, GPU
from tests.live.slurm_cluster import Cluster
from tests.live.slurm_jobs import cancel_all, queue, said, start_in_order, submit, wait_for


@pytest.fixture(scope="module")
def token_file(gpu_slurm: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rest") / "token"
    path.write_text(f"SLURM_JWT={gpu_slurm.token()}\n")
    return path


@pytest.fixture
def rest(gpu_slurm: Cluster, token_file: Path) -> Iterator[Callable[..., Rest]]:
    """Clients of slurmrestd, closed in the end."""
    with ExitStack() as opened:

        def make(how: How = "nice", url: str = gpu_slurm.rest_url, token_file: Path = token_file) -> Rest:
            return opened.enter_context(Rest(url, how, user="root", token_file=token_file))

        yield make


@dataclass(frozen=True)
class Scene:
    """Jobs of every kind on a machine of which one node is drained; their ids."""

    two_gpus: str
    uneven: str
    processors: str
    two_at_once: str
    array: str
    large: str
    exclusive: str
    held: str
    later: str
    after: str


@pytest.fixture
def scene(gpu_slurm: Cluster) -> Iterator[Scene]:
    subprocess.run(["scontrol", "create", "partition=short", "nodes=n4", "maxtime=60"], check=True)
    subprocess.run(["scontrol", "update", "nodename=n3", "state=drain", "reason=a fan"], check=True)
    two = submit("--gpus-per-node=2", "--nodelist=n1", "--cpus-per-task=4", "--mem=8G", "--time=10")
    uneven = submit("--gpus=8", "--nodes=2", "--nodelist=n1,n2", "--ntasks=8", "--time=1-0")
    wait_for(lambda: queue("%t") == ["R", "R"])
    made = Scene(
        two_gpus=two,
        uneven=uneven,
        processors=submit("--ntasks=3", "--partition=short", "--time=30", "--mem-per-cpu=1G"),
        two_at_once=submit("--array=1-5%2", "--gpus=1", "--nodelist=n4"),
        array=submit("--array=1-4", "--nodes=3", "--gres=gpu:8"),
        large=submit("--nodes=3", "--gres=gpu:8", "--time=30", "--nice=5"),
        exclusive=submit("--exclusive", "--nodelist=n1", "--time=20"),
        held=submit("--hold"),
        later=submit("--begin=now+1hour"),
        after=submit(f"--dependency=afterok:{two}"),
    )
    wait_for(lambda: queue("%t%r").count("RNone") == 5 and "PDNone" not in queue("%t%r"))
    yield made
    cancel_all()
    subprocess.run(["scontrol", "delete", "partition=short"], check=True)
    subprocess.run(["scontrol", "update", "nodename=n3", "state=resume"], check=True)


def clients(cluster: Cluster, rest: Callable[..., Rest]) -> dict[str, SlurmClient]:
    socket = f"unix:{cluster.folder}/rest/slurmrestd.sock"
    text, json = CommandLine(form="text"), CommandLine(form="json")
    return {"text": text, "json": json, "rest": rest(), "socket": rest(url=socket)}


def assert_same(one: LiveState, other: LiveState) -> None:
    pd.testing.assert_frame_equal(one.waiting, other.waiting)
    pd.testing.assert_frame_equal(one.running, other.running)
    assert (one.machine, one.tasks) == (other.machine, other.tasks)


def node_says(name: str, key: str) -> int:
    found = re.search(rf"\b{key}=(?:gpu:)?(\d+)", said("scontrol", "--details", "show", "node", name))
    assert found
    return int(found[1])


def test_all_clients_read_the_same_state_and_it_is_slurms(gpu_slurm, scene, rest):
    polls = {name: client.poll() for name, client in clients(gpu_slurm, rest).items()}
    assert [poll.source for poll in polls.values()] == ["text", "json", "rest v0.0.38", "rest v0.0.38"]
    states = {name: live_state(poll, origin=polls["text"].at - 1000) for name, poll in polls.items()}
    state = states["text"]
    for other in states.values():
        assert_same(state, other)

    assert state.waiting["job_id"].tolist() == [scene.array, scene.large, scene.exclusive]  # a row for all of the array
    large = state.waiting.set_index("job_id").loc[scene.large]
    assert (large["gpus"], large["nodes"], large["requested_time"]) == (24, 3, 1800)
    assert state.waiting["processors"].tolist()[-1] == 64  # alone on its node
    running = state.running.set_index("job_id")
    assert set(running.index) == {
        *(scene.two_gpus, scene.uneven, scene.processors, f"{scene.two_at_once}_1", f"{scene.two_at_once}_2")
    }
    assert running.loc[scene.processors, "memory"] == 3 * 2**30
    assert running.loc[scene.two_gpus, "memory"] == 8 * 2**30
    assert running.loc[scene.uneven, "requested_time"] == 86400

    machine = state.machine
    assert [(group.count, group.cpus, group.gpus) for group in machine.groups] == [(3, 64, 8), (1, 64, 8)]
    assert {part.name: (part.groups, part.max_time) for part in machine.partitions} == {
        "main": (("gpu-1", "gpu-2"), None),
        "short": (("gpu-2",), 3600),
    }
    assert [reservation.nodes for reservation in machine.reservations] == [("gpu-1-0003",)]

    seen = snapshot(state.waiting, state.running, machine, Policy(ordering="fcfs"), state.now, state.tasks)
    for i, node in enumerate(gpu_slurm.setup.node_names):
        free = 8 - node_says(node, "GresUsed")
        assert seen.room[i, GPU] == 1000 * free
        assert (seen.room[i, FIRST_GPU:] > 0).sum() == free
    total = sum(node_says(node, "CPUAlloc") for node in gpu_slurm.setup.node_names)
    assert seen.room[:, CPU].sum() == pytest.approx(1000 * (4 * 64 - total), abs=10)


def test_a_machine_given_counts_by_processor_or_must_match(gpu_slurm, scene):
    poll = CommandLine().poll()
    state = live_state(poll, 0.0, Machine.by_processors(256))
    assert state.tasks == ()
    assert [reservation.processors for reservation in state.machine.reservations] == [64]
    snapshot(state.waiting, state.running, state.machine, Policy(ordering="fcfs"), state.now)
    machine = live_state(poll, 0.0).machine
    assert live_state(poll, 0.0, machine.model_copy(update={"reservations": ()})).machine == machine
    smaller = Machine(name="small", groups=(machine.groups[0],))
    with pytest.raises(InputError, match="small: has no node for 'n4'"):
        live_state(poll, 0.0, smaller)


def test_gpus_that_are_not_told_are_free_ones(gpu_slurm, scene):
    poll = CommandLine(form="text").poll()
    silent = replace(poll, jobs=tuple(replace(job, gpu_indices=()) for job in poll.jobs))
    state = live_state(silent, 0.0)
    taken: dict[int, int] = {}
    for tasks in state.tasks:
        for node, gpus in tasks:
            assert taken.get(node, 0) & gpus == 0
            taken[node] = taken.get(node, 0) | gpus
    assert sum(gpus.bit_count() for gpus in taken.values()) == state.running["gpus"].sum()


def test_jobs_start_in_the_order_that_was_written(rest, tmp_path):
    for how in ("nice", "priority"):
        start_in_order(rest(how), 4, tmp_path / how)


def priority_of(client: SlurmClient, job: str) -> int:
    return next(known.priority for known in client.poll().jobs if known.id == job)


@pytest.mark.parametrize("how", ["site_factor", "nice", "priority"])
def test_what_was_written_is_taken_back(gpu_slurm, how: How):
    submit("--nodes=4", "--exclusive")
    job = submit("--nodes=4", "--exclusive", "--nice=7")
    client = CommandLine(how)
    wait_for(lambda: "Resources" in queue("%r"))
    (before,) = (known for known in client.poll().jobs if known.id == job)
    client.write({job: 500})
    assert priority_of(client, job) != before.priority
    client.write({job: present_value(before, how)})
    assert priority_of(client, job) == before.priority
    if how == "priority":  # but it stays what was written, whatever becomes of its factors
        subprocess.run(["scontrol", "update", f"jobid={job}", "sitefactor=50"], check=True)
        assert priority_of(client, job) == before.priority
        earlier = Before(before.priority, before.nice, 500)
        assert client.put_back({job: earlier, "99999": earlier}).failed == {"99999": "Invalid job id specified"}
        assert priority_of(client, job) == before.priority + 50
    cancel_all()


def test_jobs_that_are_gone_do_not_stop_the_others(gpu_slurm, rest):
    submit("--nodes=4", "--exclusive")
    waiting = submit("--nodes=4", "--exclusive")
    array = submit("--array=1-4", "--nodes=4", "--exclusive")
    subprocess.run(["scancel", f"{array}_2"], check=True)
    gone = submit("--hold")
    subprocess.run(["scancel", gone], check=True)
    changes = {gone: 1, "99999": 2, waiting: 3, f"{array}_3": 5, array: 4, f"{array}_2": 6}
    for client in (CommandLine("nice"), rest("nice")):
        client.poll()
        written = client.write(changes)
        assert set(written.accepted) == {waiting, array, f"{array}_3"}
        assert set(written.failed) == {gone, "99999", f"{array}_2"}
        assert written.failed["99999"] == "Invalid job id specified"
        nice = {job.id: job.nice for job in client.poll().jobs}
        assert (nice[waiting], nice[array], nice[f"{array}_3"]) == (3, 4, 5)
    cancel_all()


def test_what_rest_cannot_do_is_said(gpu_slurm, rest, tmp_path):
    bad = tmp_path / "bad"
    bad.write_text("abc.def.ghi")
    with pytest.raises(InputError, match=r"v0\.0\.38 cannot change site_factor of a job, expected nice or priority"):
        rest("site_factor").poll()
    with pytest.raises(SchedulerGoneError, match=r"slurmrestd http:.*: jobs: "):  # 22.05 says no more than that
        rest(token_file=bad).poll()
    with pytest.raises(SchedulerGoneError, match="Connection refused"):
        rest(url="http://127.0.0.1:9").poll()


def test_no_answer_from_the_controller(gpu_slurm, monkeypatch, tmp_path):
    conf = tmp_path / "slurm.conf"
    text = gpu_slurm.conf.read_text().replace(f"SlurmctldPort={gpu_slurm.ports.controller}", "SlurmctldPort=9")
    conf.write_text(text + "MessageTimeout=2\n")
    monkeypatch.setenv("SLURM_CONF", str(conf))
    for form in ("json", "text"):
        with pytest.raises(SchedulerGoneError, match="squeue"):
            CommandLine("nice", form, timeout=5).poll()
    with pytest.raises(SchedulerGoneError, match="scontrol"):
        CommandLine("nice", timeout=5).write({"1": 1})
    with pytest.raises(InputError, match="/nowhere/squeue: cannot be run, expected Slurm's commands"):
        CommandLine(folder="/nowhere").poll()
