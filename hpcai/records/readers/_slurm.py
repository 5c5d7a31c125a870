"""Slurm's notations: states, durations, memory, trackable resources, node lists."""

from __future__ import annotations

import re
from itertools import product
from typing import Final

STATUS: Final = {
    "BOOT_FAIL": "node_fail",
    "CANCELLED": "cancelled",
    "COMPLETED": "completed",
    "COMPLETING": "completed",
    "CONFIGURING": "running",
    "DEADLINE": "timeout",
    "FAILED": "failed",
    "NODE_FAIL": "node_fail",
    "OUT_OF_MEMORY": "out_of_memory",
    "PENDING": "pending",
    "PREEMPTED": "preempted",
    "REQUEUED": "pending",
    "REVOKED": "cancelled",
    "RUNNING": "running",
    "SUSPENDED": "running",
    "TIMEOUT": "timeout",
}

# enum job_states of slurm.h; the low byte of the state in the database
STATUS_CODE: Final = {
    0: "pending",
    1: "running",
    2: "running",  # suspended
    3: "completed",
    4: "cancelled",
    5: "failed",
    6: "timeout",
    7: "node_fail",
    8: "preempted",
    9: "node_fail",  # boot failure
    10: "timeout",  # deadline
    11: "out_of_memory",
}

NO_LIMIT: Final = frozenset({"UNLIMITED", "PARTITION_LIMIT", "INVALID"})
MAX_NODES: Final = 1 << 17  # of one expression; more is a mistake

_UNITS: Final = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
_MEMORY: Final = re.compile(r"(\d+(?:\.\d+)?)([KMGTP]?)B?([nc]?)", re.IGNORECASE)
_DURATION: Final = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+(?:\.\d+)?))?(?::(\d+(?:\.\d+)?))?")
_ARRAY_TASK: Final = re.compile(r"\d+_")
_PART: Final = re.compile(r"\[([^\[\]]*)\]")


def status(state: str) -> str:
    """Return the canonical status of a state such as 'CANCELLED by 0'."""
    return STATUS.get(state.split(" ")[0].rstrip("+").upper(), "unknown")


def kind(job_id: str) -> str:
    """Return 'array' for a task of an array, as '519_2', else '': Slurm does not say more."""
    return "array" if _ARRAY_TASK.match(job_id) else ""


def duration(text: str) -> float:
    """Return the seconds of '[days-]hours:minutes:seconds', 'minutes:seconds' or 'days-hours[:minutes]'."""
    found = _DURATION.fullmatch(text)
    if not found or not (found[1] or found[3]):
        raise ValueError(text)
    fields = [float(part) for part in found.groups()[1:] if part is not None]
    if found[1]:
        hours, minutes, seconds = (*fields, 0.0, 0.0)[:3]
    else:
        hours, minutes, seconds = ((0.0, 0.0, *fields))[-3:]
    return float(found[1] or 0) * 86400 + hours * 3600 + minutes * 60 + seconds


def limit(text: str) -> float:
    """Return the seconds of a time limit: a duration, or a number of minutes; infinite if there is none."""
    if text.upper() in NO_LIMIT:
        return float("nan")
    return float(text) * 60 if text.isdecimal() else duration(text)


def memory(text: str, nodes: float = 1, cpus: float = 1) -> float:
    """Return the bytes of '2800Mc' (per CPU), '4Gn' (per node) or '500G' (in all); no unit means MiB."""
    found = _MEMORY.fullmatch(text)
    if not found:
        raise ValueError(text)
    times = {"n": max(nodes, 1), "c": max(cpus, 1), "": 1}[found[3].lower()]
    return float(found[1]) * 1024.0 ** (_UNITS[found[2].upper()] if found[2] else 2) * times


def resources(text: str) -> dict[str, str]:
    """Return what 'cpu=8,gres/gpu:v100=2,mem=4G' counts, by name; ValueError if it is not of that form."""
    pairs = (item.partition("=") for item in text.split(",") if item)
    counts = {}
    for name, equals, count in pairs:
        if not equals:
            raise ValueError(text)
        counts[name] = count
    return counts


def gpus(counts: dict[str, str]) -> tuple[float, str]:
    """Return the number of GPUs among ``counts`` and their models, separated by '|'."""
    typed = {
        name.removeprefix("gres/gpu:"): float(count) for name, count in counts.items() if name.startswith("gres/gpu:")
    }
    number = float(counts["gres/gpu"]) if "gres/gpu" in counts else sum(typed.values())
    return number, "|".join(sorted(name for name, count in typed.items() if count > 0))


def node_names(expression: str) -> list[str]:
    """Return the nodes of 'n[1-4,7],login1'; [] where none is named, ValueError if it cannot be read."""
    names: list[str] = []
    for item in _split_outside_brackets(expression):
        parts = _PART.split(item)  # text and bracketed ranges take turns
        choices = [_numbers(part) if i % 2 else [part] for i, part in enumerate(parts)]
        count = 1
        for choice in choices:
            count *= len(choice)
        if len(names) + count > MAX_NODES:
            raise ValueError(expression)
        names.extend("".join(combination) for combination in product(*choices))
    return names


def _split_outside_brackets(text: str) -> list[str]:
    items = re.findall(r"(?:[^,\[\]]|\[[^\[\]]*\])+", text)
    if sum(map(len, items)) + text.count(",") - sum(item.count(",") for item in items) != len(text):
        raise ValueError(text)
    return items


def _numbers(ranges: str) -> list[str]:
    """Return the numbers of '1-4,007', with their leading zeros."""
    numbers: list[str] = []
    for part in ranges.split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ValueError(ranges)
        stop = int(last) if dash else int(first)
        if stop - int(first) >= MAX_NODES or len(numbers) > MAX_NODES:
            raise ValueError(ranges)
        numbers.extend(f"{i:0{len(first)}d}" for i in range(int(first), stop + 1))
    return numbers
