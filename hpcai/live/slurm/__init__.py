"""Slurm: reading it into a live state, and writing an order of its queue."""

from hpcai.live.slurm.client import How, Job, Node, Poll, SchedulerGoneError, SlurmClient, Written, present_value
from hpcai.live.slurm.command_line import CommandLine
from hpcai.live.slurm.layout import Layout, layout
from hpcai.live.slurm.rest import Rest
from hpcai.live.slurm.state import live_state, may_start

__all__ = [
    "CommandLine",
    "How",
    "Job",
    "Layout",
    "Node",
    "Poll",
    "Rest",
    "SchedulerGoneError",
    "SlurmClient",
    "Written",
    "layout",
    "live_state",
    "may_start",
    "present_value",
]
