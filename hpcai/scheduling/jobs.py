"""From the canonical table to the arrays that a replay works on: who can run, and what each job needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpcai.cluster.spec import Machine
from hpcai.errors import InputError
from hpcai.scheduling.formula import PREDICTED_VARIABLES, STATIC_VARIABLES
from hpcai.scheduling.policy import Policy

SLOWDOWN_FLOOR: Final = 10.0  # s; of the run time in the bounded slowdown
MILLI: Final = 1000  # CPUs and GPUs of a node are counted in thousandths
MOST_GPUS, MOST_GROUPS = 64, 63  # of a node, of a machine: they are bits of an integer

JOB = np.dtype(
    [
        ("submit", "f8"),  # s
        ("run", "f8"),  # s, as it will run
        ("estimate", "f8"),  # s, as the scheduler believes
        ("size", "i8"),  # processors; on a machine counted by node: tasks
        ("bulk", "i8"),  # processors; by node, thousandths of GPUs (CPUs) of all tasks
        ("needs", "i8"),  # what must be free for it to start, in the unit of bulk: that and its headroom
        ("cpu", "i8"),  # thousandths of a CPU, each task
        ("memory", "i8"),  # bytes, each task
        ("gpu", "i8"),  # thousandths of a GPU, each task: a multiple of 1000, or below 1000 a share of one
        ("groups", "i8"),  # bit g: may run on node group g
        ("shape", "i8"),  # jobs of one shape need the same of the same nodes
        ("entries", "i8"),  # where its tasks' places begin in State.entries
        ("account", "i8"),  # whose use it counts to
        ("after", "i8"),  # row of the job that must end before it is submitted, or -1
        ("think", "f8"),  # s from that end to the submission
    ],
    align=True,
)


@dataclass(frozen=True)
class Demand:
    """What each job needs of a machine; arrays of shape (jobs,)."""

    size: NDArray[np.int64]  # processors or tasks; 0: the log does not say
    cpu: NDArray[np.int64]
    memory: NDArray[np.int64]
    gpu: NDArray[np.int64]
    groups: NDArray[np.int64]


def demand(jobs: pd.DataFrame, machine: Machine) -> Demand:
    """Return what each job needs of ``machine`` (docs/semantics.md, 'Machines counted by node').

    Raises InputError if the machine has more node groups, or GPUs in a node, than can be told apart.
    """
    n = len(jobs)
    zeros = np.zeros(n, dtype=np.int64)
    gpus = jobs["gpus"].to_numpy()
    if not machine.by_node:
        processors = jobs["processors"].to_numpy()
        # A GPU log on a machine counted by processor: its GPUs are the processors.
        size = np.where(processors > 0, processors, np.ceil(gpus).astype(np.int64))
        return Demand(size, zeros, zeros, zeros, zeros)
    node_gpus = max(group.gpus for group in machine.groups)
    if node_gpus > MOST_GPUS or len(machine.groups) > MOST_GROUPS:
        raise InputError(
            f"machine {machine.name}: {node_gpus} GPUs in a node, {len(machine.groups)} node groups; "
            f"expected at most {MOST_GPUS} and {MOST_GROUPS}"
        )
    cpu = jobs["processors"].to_numpy() * MILLI
    gpu = np.round(gpus * MILLI).astype(np.int64)
    memory = np.nan_to_num(jobs["memory"].to_numpy(), nan=0.0)
    with_gpus = sum(1 << g for g, group in enumerate(machine.groups) if group.gpus)
    groups = _allowed_groups(jobs, machine) & np.where(gpu > 0, with_gpus, -1)
    tasks = np.maximum(jobs["nodes"].to_numpy(), 1)
    for wanted, of_group in ((cpu, [g.cpus for g in machine.groups]), (gpu, [g.gpus for g in machine.groups])):
        tasks = np.maximum(tasks, -(-wanted // np.maximum(_largest_node(groups, of_group) * MILLI, MILLI)))
    tasks = _divide_gpus(tasks, gpu)
    known = (cpu > 0) | (gpu > 0)
    return Demand(
        size=np.where(known, tasks, 0),
        cpu=-(-cpu // tasks),
        memory=np.ceil(memory / tasks).astype(np.int64),
        gpu=gpu // tasks,
        groups=groups,
    )


def _divide_gpus(tasks: NDArray[np.int64], gpu: NDArray[np.int64]) -> NDArray[np.int64]:
    """Raise ``tasks`` to the next number that gives every task the same whole number of GPUs, or a share.

    A job with fewer GPUs than tasks takes an equal share of a GPU for each.
    """
    tasks = tasks.copy()
    whole = gpu // MILLI
    mixed = (gpu > MILLI) & (gpu % MILLI != 0)  # 2.5 GPUs: equal shares below one
    tasks[mixed] = np.maximum(tasks[mixed], whole[mixed] + 1)
    while True:
        uneven = (whole > 0) & ~mixed & (tasks < whole) & (whole % tasks != 0)
        if not uneven.any():
            break
        tasks[uneven] += 1
    return tasks


def _largest_node(groups: NDArray[np.int64], amounts: list[int]) -> NDArray[np.int64]:
    """Return the largest of the amounts (one for each node group) among the groups of each mask."""
    largest = np.zeros(len(groups), dtype=np.int64)
    for g, amount in enumerate(amounts):
        largest = np.maximum(largest, np.where((groups >> g) & 1 == 1, amount, 0))
    return largest


def _allowed_groups(jobs: pd.DataFrame, machine: Machine) -> NDArray[np.int64]:
    """Return the bit mask of node groups that each job may use by its partition and GPU kinds."""
    everywhere = (1 << len(machine.groups)) - 1
    index = {group.name: 1 << g for g, group in enumerate(machine.groups)}
    by_partition = {part.name: sum(index[name] for name in set(part.groups)) for part in machine.partitions}

    def kinds_mask(kinds: str) -> int:
        wanted = {kind.strip().lower() for kind in kinds.split("|")}
        return sum(1 << g for g, group in enumerate(machine.groups) if group.gpu_kind.lower() in wanted)

    partition = jobs["partition"].map(lambda name: by_partition.get(name, everywhere)).astype(np.int64)
    kind = jobs["gpu_kind"].map(lambda kinds: kinds_mask(kinds) if kinds else everywhere).astype(np.int64)
    mask: NDArray[np.int64] = partition.to_numpy() & kind.to_numpy()
    return mask


def node_capacity(machine: Machine) -> tuple[NDArray[np.int64], ...]:
    """Return CPU (thousandths), memory (bytes), GPUs and group of every node; each (nodes,)."""
    counts = [group.count for group in machine.groups]
    columns = (
        [group.cpus * MILLI for group in machine.groups],
        [int(group.memory_gib * 2**30) for group in machine.groups],
        [group.gpus for group in machine.groups],
        list(range(len(machine.groups))),
    )
    return tuple(np.repeat(np.array(column, dtype=np.int64), counts) for column in columns)


def _fits_empty(need: Demand, machine: Machine) -> NDArray[np.bool_]:
    """Return whether each job fits on the machine with nothing else on it."""
    if not machine.by_node:
        return need.size <= machine.total_cpus
    room = np.zeros(len(need.size), dtype=np.int64)
    for g, group in enumerate(machine.groups):
        each = np.full(len(need.size), np.iinfo(np.int64).max)
        for wanted, capacity in (
            (need.cpu, group.cpus * MILLI),
            (need.memory, int(group.memory_gib * 2**30)),
        ):
            each = np.where(wanted > 0, np.minimum(each, capacity // np.maximum(wanted, 1)), each)
        share = np.maximum(need.gpu, 1)
        by_gpu = np.where(need.gpu < MILLI, group.gpus * (MILLI // share), group.gpus * MILLI // share)
        each = np.where(need.gpu > 0, np.minimum(each, by_gpu), each)
        allowed = (need.groups >> g) & 1 == 1
        room += np.where(allowed, np.minimum(each, need.size) * group.count, 0)
    return room >= need.size


def sized_and_fitting(jobs: pd.DataFrame, machine: Machine) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which of ``jobs`` say what they need, and which would fit on the empty machine; (jobs,) both."""
    need = demand(jobs, machine)
    return need.size > 0, _fits_empty(need, machine)


def replayable(jobs: pd.DataFrame, machine: Machine) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the rows of ``jobs`` that a replay on ``machine`` can run, and how many were left out by reason."""
    sized, fits = sized_and_fitting(jobs, machine)
    ran = np.isfinite(jobs["run_time"].to_numpy())
    left_out = {
        "never ran": int((~ran).sum()),
        "no size": int((ran & ~sized).sum()),
        "larger than the machine": int((ran & sized & ~fits).sum()),
    }
    return jobs[ran & sized & fits], {reason: count for reason, count in left_out.items() if count}


def estimates(jobs: pd.DataFrame, policy: Policy) -> NDArray[np.float64]:
    """Return what the scheduler believes of each job's run time, in s; until it is predicted, what was requested."""
    run = jobs["run_time"].to_numpy()
    requested = jobs["requested_time"].to_numpy()
    perfect = policy.estimate == "actual" or (policy.estimate == "predicted" and policy.predictor == "actual")
    believed = run if perfect else np.where(np.isnan(requested), run, requested)
    return believed * policy.estimate_multiplier


def job_array(jobs: pd.DataFrame, machine: Machine, policy: Policy) -> NDArray[np.void]:
    """Return the jobs as an array of JOB records, in the table's order."""
    need = demand(jobs, machine)
    array = np.zeros(len(jobs), dtype=JOB)
    run = jobs["run_time"].to_numpy()
    requested = jobs["requested_time"].to_numpy()
    array["submit"] = jobs["submit"].to_numpy()
    array["run"] = np.fmin(run, requested) if policy.kill_at_limit else run
    array["estimate"] = estimates(jobs, policy)
    array["account"] = pd.factorize(jobs[policy.fairshare_by])[0]  # of these jobs only, whoever else is in the log
    for name in ("size", "cpu", "memory", "gpu", "groups"):
        array[name] = getattr(need, name)
    array["bulk"] = array["size"]
    if machine.by_node:
        array["bulk"] *= array["gpu" if machine.total_gpus else "cpu"]
        array["shape"] = _shapes(need)
        array["entries"] = np.concatenate(([0], np.cumsum(need.size)[:-1])) if len(jobs) else 0
    array["needs"] = array["bulk"]
    array["after"] = -1
    if policy.dependencies:
        row = pd.Series(np.arange(len(jobs)), index=jobs["job_id"].to_numpy())
        row = row[~row.index.duplicated()]
        after = row.reindex(jobs["preceding_job"].to_numpy()).fillna(-1).to_numpy(dtype=np.int64)
        # Only a job submitted before can precede: one that named itself, or a ring, would wait for ever.
        array["after"] = np.where(after < np.arange(len(jobs)), after, -1)
        array["think"] = np.maximum(np.nan_to_num(jobs["think_time"].to_numpy(), nan=0.0), 0.0)
    return array


def _shapes(need: Demand) -> NDArray[np.int64]:
    """Number the jobs' distinct needs from 0."""
    columns = np.column_stack((need.size, need.cpu, need.memory, need.gpu, need.groups))
    return np.unique(columns, axis=0, return_inverse=True)[1].reshape(-1)


def features(jobs: pd.DataFrame, machine: Machine, policy: Policy, array: NDArray[np.void]) -> NDArray[np.float64]:
    """Return the static variables of formulas, a row each in the order of STATIC_VARIABLES; (v, jobs)."""
    size = _dominant_size(array, machine)
    capacity = (machine.total_gpus or machine.total_cpus) if machine.by_node else machine.total_cpus
    partition = {part.name: part.priority for part in machine.partitions}
    rows = {
        "submit": array["submit"],
        "requested_time": array["estimate"],
        "remaining_time": array["estimate"],
        "size": size,
        "size_fraction": size / capacity,
        "processors": jobs["processors"].to_numpy(dtype=float),
        "gpus": jobs["gpus"].to_numpy(),
        "nodes": np.maximum(jobs["nodes"].to_numpy(dtype=float), 1.0),
        "memory": np.nan_to_num(jobs["memory"].to_numpy(), nan=0.0),
        "partition_priority": jobs["partition"].map(lambda name: partition.get(name, 1.0)).to_numpy(dtype=float),
        "qos_priority": jobs["qos"].map(lambda name: policy.qos_priority.get(name, 0.0)).to_numpy(dtype=float),
    }
    return np.ascontiguousarray([rows[name] for name in STATIC_VARIABLES], dtype=np.float64).reshape(
        len(STATIC_VARIABLES), len(jobs)
    )


def predicted_features(array: NDArray[np.void]) -> NDArray[np.float64]:
    """Return the variables of formulas that a perfect predictor gives, in the order of PREDICTED_VARIABLES; (v, jobs).

    Any other predictor writes its own as jobs wait.
    """
    run = array["run"].astype(np.float64)
    rows = dict.fromkeys(PREDICTED_VARIABLES, run) | {"slowdown_rate": 1.0 / np.maximum(run, SLOWDOWN_FLOOR)}
    return np.ascontiguousarray([rows[name] for name in PREDICTED_VARIABLES])


def _dominant_size(array: NDArray[np.void], machine: Machine) -> NDArray[np.float64]:
    """Return processors; by node, the largest of the job's shares of the machine times its GPUs (or CPUs)."""
    tasks = array["size"].astype(float)
    if not machine.by_node:
        return tasks
    cpu, memory, gpus, _ = node_capacity(machine)
    share = tasks * array["cpu"] / cpu.sum()
    share = np.maximum(share, tasks * array["memory"] / memory.sum())
    if gpus.sum():
        share = np.maximum(share, tasks * array["gpu"] / (gpus.sum() * MILLI))
    size: NDArray[np.float64] = share * (machine.total_gpus or machine.total_cpus)
    return size
