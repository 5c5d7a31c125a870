"""From the canonical table to the jobs of a GPU cluster: kinds and classes, pods, ranges, checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpcai.cluster.spec import Machine
from hpcai.scheduling.gpu_cluster.discipline import Discipline
from hpcai.scheduling.gpu_cluster.static_order import static_order
from hpcai.scheduling.jobs import MILLI, demand
from hpcai.scheduling.placement import make_pods
from hpcai.scheduling.placement.nodes import gpu_kinds

CLASSES: Final = ("preemptible", "normal", "grand-challenge")
PREEMPTIBLE, NORMAL, CHALLENGE = range(3)

WORK = np.dtype(
    [
        ("submit", "f8"),  # s
        ("work", "f8"),  # s it runs at its recorded size, undisturbed
        ("estimate", "f8"),  # s, as the scheduler believes
        ("order", "f8"),  # its place in a static order, lowest first
        ("rank", "i8"),  # place of its class in CLASSES
        ("tenant", "i8"),
        ("type", "i8"),  # of its pods
        ("shape", "i8"),  # jobs of one shape fare alike: as many pods of one type, class, and tenant if it matters
        ("tasks", "i8"),  # pods as recorded
        ("least", "i8"),  # an elastic job's fewest pods, else tasks
        ("most", "i8"),  # and most
        ("entries", "i8"),  # where its pods' places begin
        ("gpu", "i8"),  # thousandths of GPUs of one pod
        ("scaling", "f8"),  # parallel part of Amdahl's law
        ("service", "b1"),  # runs by the clock, whatever it is given
        ("pairs", "b1"),  # takes half a GPU, at full speed while it has it alone
        ("busy", "f8"),  # part of the time in which its GPUs are in use
        ("checkpoint", "f8"),  # s of running between checkpoints; inf: none
        ("writes", "f8"),  # bytes of a checkpoint
        ("on_signal", "b1"),  # writes one when told to stop
        ("model", "i8"),  # that it trains, -1: none
        ("size", "f8"),  # part of the machine's GPUs, for multifactor
    ],
    align=True,
)


@dataclass(frozen=True)
class Workload:
    """The jobs of a cluster for compiled code, in the table's order, with what their numbers stand for."""

    work: NDArray[np.void]  # WORK (J,)
    types: NDArray[np.void]  # POD (T,)
    tenants: tuple[str, ...]
    models: tuple[str, ...]


def make_workload(jobs: pd.DataFrame, machine: Machine, discipline: Discipline) -> Workload:
    """Return the jobs of the canonical table, which must be runnable on ``machine`` (jobs.replayable)."""
    need = _needs(jobs, machine)
    array = np.zeros(len(jobs), dtype=WORK)
    run = jobs["run_time"].to_numpy(dtype=float)
    requested = jobs["requested_time"].to_numpy(dtype=float)
    kind = jobs["kind"].astype(str).to_numpy()
    array["submit"] = jobs["submit"].to_numpy()
    array["work"] = np.maximum(run, 1e-3)  # an empty job still has an end
    array["estimate"] = np.maximum(np.where(np.isnan(requested), run, requested), 1e-3)
    array["order"] = static_order(jobs, machine, discipline)
    array["rank"] = jobs["qos"].astype(str).map(lambda name: CLASSES.index(name) if name in CLASSES else NORMAL)
    codes, tenants = pd.factorize(jobs["tenant"].astype(str))
    array["tenant"] = codes
    models = sorted({name for name in jobs["model"].astype(str) if name})
    array["model"] = jobs["model"].astype(str).map(lambda name: models.index(name) if name else -1)
    array["service"] = kind == "service"
    array["busy"] = np.nan_to_num(jobs["busy"].to_numpy(dtype=float), nan=1.0)
    interval = jobs["checkpoint_interval"].to_numpy(dtype=float)
    array["checkpoint"] = np.where(interval > 0, interval, discipline.checkpoint)
    array["writes"] = np.nan_to_num(jobs["checkpoint_bytes"].to_numpy(dtype=float), nan=0.0)
    array["on_signal"] = (jobs["on_signal"].to_numpy() > 0) | (discipline.saves == "all")
    array["scaling"] = np.nan_to_num(jobs["scaling"].to_numpy(dtype=float), nan=1.0)
    for name in ("tasks", "least", "most"):
        array[name] = need[name]
    array["pairs"] = discipline.share_gpus & (need["tasks"] == 1) & (need["gpu"] == MILLI) & (kind != "service")
    need["gpu"] = np.where(array["pairs"], MILLI // 2, need["gpu"])
    array["gpu"] = need["gpu"]
    array["size"] = array["tasks"] * array["gpu"] / max(machine.total_gpus * MILLI, 1)
    pods = make_pods(need, gpu_kinds(machine))
    array["type"] = pods.type
    tenant = array["tenant"] if discipline.quotas else np.zeros_like(array["tenant"])
    alike = np.column_stack((pods.type, need[["tasks", "least"]], array["rank"], tenant))
    array["shape"] = np.unique(alike, axis=0, return_inverse=True)[1].reshape(-1)
    array["entries"] = np.concatenate(([0], np.cumsum(array["most"])[:-1])) if len(array) else 0
    return Workload(array, pods.types, tuple(str(name) for name in tenants), tuple(models))


def by_pods(jobs: pd.DataFrame) -> pd.DataFrame:
    """Return the jobs with as many nodes as pods, where these are known: so jobs.replayable sees them as they run.

    An elastic job's pods have one GPU each, unless the log says how many pods there are.
    """
    pods, gpus = jobs["pods"].to_numpy(), jobs["gpus"].to_numpy(dtype=float)
    pods = np.where(_is_elastic(jobs) & (pods == 0), np.maximum(np.round(gpus), 1).astype(np.int64), pods)
    return jobs.assign(nodes=np.where(pods > 0, pods, jobs["nodes"].to_numpy()))


def _is_elastic(jobs: pd.DataFrame) -> NDArray[np.bool_]:
    elastic: NDArray[np.bool_] = jobs["max_gpus"].notna().to_numpy() & (jobs["gpus"].to_numpy() > 0)
    return elastic


def _needs(jobs: pd.DataFrame, machine: Machine) -> pd.DataFrame:
    """Return what one pod of each job needs (make_pods), and how many pods it has: tasks, least, most."""
    elastic = _is_elastic(jobs)
    need = demand(by_pods(jobs), machine)
    in_partition = demand(by_pods(jobs.assign(gpu_kind="")), machine).groups  # a GPU kind binds the GPUs of a job alone
    tasks = np.maximum(need.size, 1)
    each = np.maximum(need.gpu, 1) / MILLI

    def pods_of(column: str) -> NDArray[np.int64]:
        wanted = np.where(elastic, jobs[column].to_numpy(dtype=float) / each, tasks)
        return np.maximum(np.round(np.where(np.isnan(wanted), tasks, wanted)), 1).astype(np.int64)

    return pd.DataFrame(
        {
            "cpu": need.cpu,
            "memory": need.memory,
            "gpu": need.gpu,
            "gpu_kind": jobs["gpu_kind"].astype(str).to_numpy(),
            "barred": ~in_partition & ((1 << len(machine.groups)) - 1),
            "tasks": tasks,
            "least": np.minimum(pods_of("min_gpus"), tasks),
            "most": np.maximum(pods_of("max_gpus"), tasks),
        }
    )
