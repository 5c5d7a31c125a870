"""The power of the machines over time, and the energy of each job, from any schedule.

Power changes only where a job starts or ends, so every integral is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from hpcai.cluster.power.limit import limited
from hpcai.cluster.power.model import JobPower, PowerModel, job_power, power_model
from hpcai.cluster.power.use import drawn_use
from hpcai.cluster.spec import Machine
from hpcai.scheduling.jobs import demand, node_capacity

Floats = npt.NDArray[np.float64]

KWH: Final = 3.6e6  # J


@dataclass(frozen=True)
class Draw:
    """What each job of a table would draw on the groups of a machine; arrays are (jobs,) or (jobs, groups).

    ``speed`` is that under the power limit, 1 where none binds.
    """

    model: PowerModel
    power: JobPower
    speed: Floats


def model_for(machine: Machine, jobs: pd.DataFrame) -> PowerModel:
    """Return the power of ``machine``; where a log of GPU jobs knows no processors, it counts GPUs by that name."""
    gpus_alone = bool((jobs["gpus"] > 0).any() and not (jobs["processors"] > 0).any())
    return power_model(machine, of_gpus=gpus_alone)


def draw(jobs: pd.DataFrame, machine: Machine, where: Floats, *, limit: Floats | None = None, seed: int = 0) -> Draw:
    """Return the power of ``jobs``, rows of the canonical table.

    A power that the log recorded goes first. Else the use of GPUs and of the processors beside them is drawn from what
    was measured elsewhere (:mod:`hpcai.cluster.power.use`), times ``busy`` where the log says it; a job without GPUs is
    taken to use its processors in full, or for the part ``busy`` of its time.

    Args:
        jobs: the table.
        machine: that they run on.
        where: share of each job on each node group, (jobs, groups); see :func:`placement`.
        limit: power limit on each job's GPUs, as a share of the most they can draw, (jobs,); None is none.
        seed: of the draw.
    """
    model = model_for(machine, jobs)
    gpus = jobs["gpus"].to_numpy(np.float64)
    processors = jobs["processors"].to_numpy(np.float64)
    busy = np.nan_to_num(jobs["busy"].to_numpy(np.float64), nan=1.0)
    names = jobs["job_id"].to_numpy(object)
    recorded = jobs["power"].to_numpy(np.float64)
    gpu_use = drawn_use(names, "gpu", seed) * busy
    cpu_use = np.where(gpus > 0, drawn_use(names, "cpu", seed), 1.0) * busy
    power = job_power(model, where, gpus, processors, gpu_use, cpu_use, recorded)
    if limit is None:
        return Draw(model, power, np.ones(len(jobs)))
    most = gpus * (where @ np.array([group.gpu_dynamic for group in model.groups]))
    in_use = np.clip(np.divide(power.gpu_dynamic, most, out=np.zeros_like(most), where=most > 0), 0.0, 1.0)
    held_back, speed = limited(in_use, limit, where, model)
    factor = np.divide(held_back, in_use, out=np.ones_like(in_use), where=in_use > 0)
    return Draw(model, JobPower(power.idle, power.gpu_dynamic * factor, power.cpu_dynamic * speed), speed)


def placement(jobs: pd.DataFrame, machine: Machine, nodes: pd.Series[str] | None = None) -> Floats:
    """Return the share of each job on each node group, (jobs, groups).

    By ``nodes``, indices joined by commas as in a schedule; where those are not known by the GPUs (processors) of the
    groups that a job may use.
    """
    if not machine.by_node or len(machine.groups) == 1:
        return np.ones((len(jobs), 1))
    groups = demand(jobs, machine).groups
    allowed = (groups[:, None] >> np.arange(len(machine.groups))) & 1
    gpus = np.array([float(group.count * group.gpus) for group in machine.groups])
    cpus = np.array([float(group.count * group.cpus) for group in machine.groups])
    where: Floats = allowed.astype(np.float64) * np.where(jobs["gpus"].to_numpy()[:, None] > 0, gpus, cpus)
    of_node = node_capacity(machine)[3]
    for i, taken in enumerate([] if nodes is None else nodes.to_numpy(object)):
        if taken:
            where[i] = np.bincount(of_node[np.array(taken.split(","), dtype=np.int64)], minlength=len(machine.groups))
    shares: Floats = where / np.maximum(where.sum(axis=1, keepdims=True), 1e-300)
    return shares


@dataclass(frozen=True)
class ItPower:
    """The power of the machines from ``time[0]`` to ``time[-1]``: ``watts[i]`` from ``time[i]`` to ``time[i + 1]``.

    ``of_jobs`` is the part of it that jobs answer for, idle power of what they occupy with it; ``job_energy`` (jobs,)
    is that of each job over all the time, ``idle_energy`` what nobody answers for (J).
    """

    time: Floats  # s, (n + 1,)
    watts: Floats  # W at the plug, (n,)
    of_jobs: Floats  # W at the plug, (n,)
    job_energy: Floats  # J
    idle_energy: float  # J
    maximum: float  # W, of the machine with everything in full use

    @property
    def energy(self) -> float:
        """All of it (J)."""
        return float(np.dot(self.watts, np.diff(self.time)))

    @property
    def peak(self) -> float:
        """The highest power (W)."""
        return float(self.watts.max(initial=0.0))

    @property
    def duration(self) -> float:
        """The time that it is known for (s)."""
        return float(self.time[-1] - self.time[0])

    def means(self, edges: Floats, watts: Floats | None = None) -> Floats:
        """Return the mean power (W) between neighbours of ``edges`` (s, ascending, (m + 1,)); outside it is 0.

        That of the machines, or of the step function ``watts`` over the same time, such as ``of_jobs``.
        """
        watts = self.watts if watts is None else watts
        return step_means(self.time, watts, edges)


def step_means(time: Floats, values: Floats, edges: Floats) -> Floats:
    """Return the means of a step function between neighbours of ``edges`` (m + 1,), (m,); outside its time it is 0.

    ``values[i]`` holds from ``time[i]`` to ``time[i + 1]``; ``edges`` ascend.
    """
    until = np.concatenate([[0.0], np.cumsum(values * np.diff(time))])
    result: Floats = np.diff(np.interp(edges, time, until)) / np.diff(edges)
    return result


def it_power(
    schedule: pd.DataFrame,
    jobs: pd.DataFrame,
    machine: Machine,
    *,
    limit: Floats | None = None,
    seed: int = 0,
    since: float | None = None,
) -> ItPower:
    """Return the power of the machines under a schedule from ``since``, by default the first submission, to its end.

    ``schedule`` has submit, start, end and nodes of each row of ``jobs``, as a replay gives it; a job that never
    started draws nothing. ``limit`` and ``seed`` are as in :func:`draw`.
    """
    drawn = draw(jobs, machine, placement(jobs, machine, schedule["nodes"]), limit=limit, seed=seed)
    start, end = (schedule[name].to_numpy(np.float64) for name in ("start", "end"))
    ran = np.isfinite(start) & np.isfinite(end)
    first = float(schedule["submit"].min()) if since is None else since
    last = max(float(end[ran].max(initial=first)), first)
    start, end = np.clip(start, first, last), np.clip(end, first, last)
    time, dynamic, of_jobs = _steps(start[ran], end[ran], drawn.power.dynamic[ran], drawn.power.total[ran], first, last)
    held = np.where(ran, end - start, 0.0)
    energy = drawn.power.total * held
    idle_of_jobs = float((drawn.power.idle * held).sum())
    idle = drawn.model.idle * (last - first) - idle_of_jobs
    return ItPower(time, drawn.model.idle + dynamic, of_jobs, energy, idle, drawn.model.maximum)


def _steps(
    start: Floats, end: Floats, dynamic: Floats, total: Floats, first: float, last: float
) -> tuple[Floats, Floats, Floats]:
    """Return the instants at which jobs start or end, from ``first`` to ``last``, and two sums over them in between."""
    time, place = np.unique(np.concatenate([[first, last], start, end]), return_inverse=True)
    if len(time) == 1:
        return np.array([first, last]), np.zeros(1), np.zeros(1)
    place = place[2:]

    def level(power: Floats) -> Floats:
        change = np.bincount(place, np.concatenate([power, -power]), minlength=len(time))
        return np.maximum(np.cumsum(change)[:-1], 0.0)

    return time, level(dynamic), level(total)


def per_gpu(jobs: pd.DataFrame, machine: Machine, seed: int = 0) -> tuple[Floats, Floats]:
    """Return what each job adds and what it answers for, a second and GPU that it holds (W, (jobs,) each).

    For clocks on which jobs stop, go on and change their size. A job without GPUs has 0.
    """
    power = draw(jobs, machine, placement(jobs, machine), seed=seed).power
    gpus = jobs["gpus"].to_numpy(np.float64)
    adds, answers = (np.divide(w, gpus, out=np.zeros_like(gpus), where=gpus > 0) for w in (power.dynamic, power.total))
    return adds, answers


def energy_by(jobs: pd.DataFrame, energy: Floats, column: str) -> pd.Series[float]:
    """Return the energy (J) of the jobs of each user or tenant; those unknown are left out."""
    owner = jobs[column]
    known = (owner != "").to_numpy()
    return pd.Series(energy[known]).groupby(owner[known].astype(str).to_numpy()).sum()
