"""Jobs on a real Slurm for the tests: submitted, listed, waited for, cancelled."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path

from hpcai.live.slurm.client import How, SlurmClient, present_value
from tests.waiting import wait_until

FOREVER = "sleep 600"


def said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def submit(*options: str, run: str = FOREVER) -> str:
    """Submit a job and return its id."""
    return said("sbatch", "--parsable", "--output=/dev/null", *options, f"--wrap={run}").strip()


def queue(fields: str = "%i") -> list[str]:
    return said("squeue", "--noheader", f"--format={fields}").split()


wait_for = partial(wait_until, seconds=60, said=lambda: said("squeue"))


def cancel_all() -> None:
    subprocess.run(["scancel", "--user=root"], check=True)
    wait_for(lambda: not queue())


def start_in_order(client: SlurmClient, nodes: int, folder: Path) -> None:
    """Write an order of jobs that take all nodes and wait behind another, and see that they start in it."""
    folder.mkdir()
    whole = (f"--nodes={nodes}", "--exclusive")
    blocker = submit(*whole)
    wait_for(lambda: queue("%t") == ["R"])
    jobs = [submit(*whole, run=f"echo $SLURM_JOB_ID >> {folder}/started") for _ in range(4)]
    order = [jobs[i] for i in (2, 0, 3, 1)]
    values = {job: _value(client.how, place) for place, job in enumerate(order)}
    written = client.write(values)
    assert (set(written.accepted), written.failed) == (set(jobs), {})
    waiting = {job.id: job for job in client.poll().jobs if job.id in jobs}
    assert {job: present_value(waiting[job], client.how) for job in jobs} == values
    assert sorted(jobs, key=lambda job: -waiting[job].priority) == order
    subprocess.run(["scancel", blocker], check=True)
    wait_for(lambda: not queue())
    assert (folder / "started").read_text().split() == order


def _value(how: How, place: int) -> int:
    return {"site_factor": 50 - 10 * place, "nice": 10 * place, "priority": 1_000_050 - 10 * place}[how]
