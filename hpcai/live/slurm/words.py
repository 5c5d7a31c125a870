"""What Slurm's words for states and reasons mean here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

WAITS: Final = "PENDING"
HAS_NODES: Final = (
    "COMPLETING",
    "CONFIGURING",
    "RESIZING",
    "RUNNING",
    "SIGNALING",
    "STAGE_OUT",
    "STOPPED",
    "SUSPENDED",
)

# A job that waits for one of these may not start now, however free the machine is and whoever else waits.
NOT_YET: Final = frozenset(
    {
        "BeginTime",
        "Dependency",
        "DependencyNeverSatisfied",
        "JobArrayTaskLimit",
        "JobHeldAdmin",
        "JobHeldUser",
        "JobHoldMaxRequeue",
        "PartitionDown",
        "PartitionInactive",
    }
)

# A node of which one is said takes no new jobs.
TAKES_NO_JOBS: Final = frozenset(
    {
        *("BLOCKED", "DOWN", "DRAIN", "DRAINED", "DRAINING", "ERROR", "FAIL", "FAILING", "FUTURE", "INVAL"),
        *("INVALID", "INVALID_REG", "MAINT", "MAINTENANCE", "NOT_RESPONDING", "POWERING_DOWN", "REBOOT"),
        *("REBOOT_ISSUED", "RESERVED", "UNKNOWN"),
    }
)


def first_known(states: Iterable[str]) -> str:
    """Return the state of a job that says most of where it is: on nodes, or waiting; '' if it has ended."""
    said = set(states)
    return next((state for state in (*HAS_NODES, WAITS) if state in said), "")
