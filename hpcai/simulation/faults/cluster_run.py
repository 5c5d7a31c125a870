"""A cluster under faults from beginning to end: where the time of its nodes and of its jobs goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import simpy
from numpy.typing import NDArray

from hpcai.cluster.spec import Machine, Reservation
from hpcai.errors import InputError
from hpcai.scheduling.jobs import demand
from hpcai.scheduling.policy import Policy
from hpcai.scheduling.state import make_state
from hpcai.simulation.faults.cluster import COMPUTING, WRITING, FaultSetting, FaultyFlow
from hpcai.simulation.faults.node_books import STATES
from hpcai.simulation.faults.outages import check_outages

Floats = NDArray[np.float64]

KINDS: Final = ("useful", "writing", "lost", "restarting")


@dataclass(frozen=True)
class ClusterRun:
    """What became of a cluster in ``duration`` s.

    ``jobs`` has a row per job: job_id, submit, first_start and end (s; nan: not yet), nodes, work (s), interruptions,
    running (s), and the seconds of its running by KINDS. ``node_seconds`` is float64[nodes, len(STATES)].
    """

    jobs: pd.DataFrame
    node_seconds: Floats
    outages: int
    duration: float

    def metrics(self) -> dict[str, float]:
        """Return goodput and what stands against it, as shares of all node time, and counts.

        goodput: useful node time; availability: that in which nodes are not down; mtti: running time over
        interruptions (s); turnaround: mean of the jobs that ended (s).
        """
        total = len(self.node_seconds) * self.duration
        of_nodes = self.jobs["nodes"].to_numpy(np.float64)
        shares = {kind: float((self.jobs[kind] * of_nodes).sum()) / total for kind in KINDS}
        states = {name: float(self.node_seconds[:, i].sum()) / total for i, name in enumerate(STATES)}
        interruptions = int(self.jobs["interruptions"].sum())
        ended = self.jobs[np.isfinite(self.jobs["end"])]
        return {
            "goodput": shares.pop("useful"),
            **shares,
            **{name: states[name] for name in ("idle", "down", "drained", "spare")},
            "availability": 1.0 - states["down"],
            "outages": float(self.outages),
            "interruptions": float(interruptions),
            "mtti": float(self.jobs["running"].sum()) / interruptions if interruptions else float("inf"),
            "ended": float(len(ended)),
            "turnaround": float((ended["end"] - ended["submit"]).mean()) if len(ended) else float("nan"),
        }

    def mtti_by_size(self) -> dict[str, tuple[float, int]]:
        """Return the mean time to interruption (s; inf: none) and the interruptions of jobs of 1, 2 to 3, ... nodes."""
        size = np.floor(np.log2(self.jobs["nodes"].to_numpy(np.float64))).astype(np.int64)
        found = {}
        for k in np.unique(size):
            of = self.jobs[size == k]
            count = int(of["interruptions"].sum())
            name = str(2**k) if k == 0 else f"{2**k} to {2 ** (k + 1) - 1}"
            found[name] = (float(of["running"].sum()) / count if count else float("inf"), count)
        return found


def run_cluster(
    jobs: pd.DataFrame, machine: Machine, policy: Policy, setting: FaultSetting, duration: float
) -> ClusterRun:
    """Return what becomes of ``jobs`` on a ``machine`` under faults from second 0 to ``duration``.

    ``jobs`` are rows of a canonical table that a replay can run; each gets whole nodes, and its run time is the useful
    work that it needs. What is running at the end has not lost anything.

    Raises InputError if the machine is not of one group of nodes or has reservations, if a job needs more nodes than
    are not spares, or an outage is of a node that is not there.
    """
    nodes = _check(jobs, machine, policy, setting, duration)
    order = np.argsort(jobs["submit"].to_numpy(), kind="stable")
    ordered = _alone(jobs.iloc[order], nodes[order], machine)
    own = tuple(Reservation(name=name, nodes=(name,)) for name in machine.node_names)
    state = make_state(ordered, machine.model_copy(update={"reservations": own}), policy)
    env = simpy.Environment()
    flow = FaultyFlow(env, state, setting)
    env.run(until=duration)
    for j in sorted(set().union(*flow.on_node)):
        run = flow.runs[j]
        if run.phase == COMPUTING:
            run.useful += env.now - run.since
        else:
            flow.stop_counting(j, moving=True)
        if run.phase == WRITING:
            run.lost, run.useful = run.lost - run.goal, run.useful + run.goal
        run.running += env.now - float(state.start[j])
    flow.books.finish(env.now)
    table = pd.DataFrame(
        {
            "job_id": ordered["job_id"].array,
            "submit": ordered["submit"].array,
            "nodes": nodes[order],
            **{
                name: [getattr(run, name) for run in flow.runs]
                for name in ("first_start", "end", "work", "interruptions", "running", *KINDS)
            },
        }
    )
    return ClusterRun(table, flow.books.seconds, flow.struck, duration)


def _alone(jobs: pd.DataFrame, nodes: NDArray[np.int64], machine: Machine) -> pd.DataFrame:
    """Return the jobs with whole nodes."""
    group = machine.groups[0]
    return jobs.assign(nodes=nodes, processors=nodes * group.cpus, gpus=(nodes * group.gpus).astype(np.float64))


def _check(
    jobs: pd.DataFrame, machine: Machine, policy: Policy, setting: FaultSetting, duration: float
) -> NDArray[np.int64]:
    """Return the nodes of each job, or raise InputError for what cannot be simulated."""
    if not machine.by_node or machine.reservations or len(machine.groups) > 1:
        raise InputError(f"machine {machine.name}: expected one group of nodes, and no reservations")
    if policy.network is not None:
        raise InputError("policy: expected an ordering, found a network, which runs on the compiled clock alone")
    if not 0 < duration < np.inf:
        raise InputError(f"duration {duration}: expected more than 0 s")
    total = len(machine.node_names)
    if not 0 <= setting.spares < total:
        raise InputError(f"spares {setting.spares}: expected 0 to {total - 1} of {total} nodes")
    if setting.crews is not None and setting.crews < 1:
        raise InputError(f"crews {setting.crews}: expected 1 or more")
    check_outages(setting.outages, total)
    nodes: NDArray[np.int64] = demand(jobs, machine).size
    if nodes.max(initial=0) > total - setting.spares:
        raise InputError(
            f"a job needs {nodes.max()} nodes: expected at most {total - setting.spares} beside the spares"
        )
    return nodes
