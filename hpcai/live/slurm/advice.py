"""When running jobs should write checkpoints, for their own use."""

from __future__ import annotations

from typing import Any, Final

from hpcai.configuration import seconds_in
from hpcai.errors import InputError
from hpcai.live.bundle import read_bundle
from hpcai.live.faults.advisor import OWN_CHOICE, Advisor
from hpcai.live.slurm.command_line import CommandLine
from hpcai.live.slurm.node_events import ACCOUNTING, events_since, live_log
from hpcai.live.slurm.shell import Shell

RUNNING: Final = "RUNNING"


def advice(
    bundle: str,
    digest: str | None = None,
    jobs: list[str] | None = None,
    events: list[str] | None = None,
    history: str = "180d",
    timeout: str = "30s",
) -> dict[str, Any]:
    """Return what every running job, or each of ``jobs``, should do, as plain data; times in s.

    Raises InputError if the bundle or an option cannot be used, or one of ``jobs`` does not run; SchedulerGoneError if
    Slurm does not answer.
    """
    past, limit = _seconds("history", history), _seconds("timeout", timeout)
    advisor = Advisor(read_bundle(bundle, digest))
    poll = CommandLine(how="nice", timeout=limit).poll()
    running = {job.id: job for job in poll.jobs if job.state == RUNNING and job.node_names}
    for name in jobs or ():
        if name not in running:
            raise InputError(f"--job {name}: expected a job that runs, found {', '.join(running) or 'none'}")
    since = poll.at - past
    log = live_log(poll.nodes, events_since(events or [ACCOUNTING], since, Shell(limit)), since, poll.at)
    found = [
        {"job": job.id, "nodes": list(job.node_names)}
        | advisor.advise(log, job.node_names, job.gpus, poll.at - log.origin)
        for job in running.values()
        if not jobs or job.id in jobs
    ]
    return {
        "at": round(poll.at, 3),
        "bundle": advisor.bundle.digest,
        "policy": advisor.parameters.kind,
        "fallback": OWN_CHOICE,
        "jobs": found,
    }


def _seconds(option: str, text: str) -> float:
    seconds = seconds_in(text)
    if not seconds:
        raise InputError(f"--{option}: expected a time such as 30s or 180d, found {text!r}")
    return seconds
