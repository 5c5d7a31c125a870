"""The state of a GPU cluster at a moment, as arrays: what each job has done and holds, who waits, who runs."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcai.cluster.spec import Machine
from hpcai.scheduling.gpu_cluster.ahead import Ahead, make_ahead
from hpcai.scheduling.gpu_cluster.discipline import VICTIM_FEATURES, Discipline, rules_of
from hpcai.scheduling.gpu_cluster.quotas import flavoured, make_quotas
from hpcai.scheduling.gpu_cluster.static_order import WEIGHTS
from hpcai.scheduling.gpu_cluster.traffic import Traffic, make_traffic
from hpcai.scheduling.gpu_cluster.work import CLASSES, Workload
from hpcai.scheduling.jobs import MILLI
from hpcai.scheduling.placement import Nodes, Rule, make_nodes, make_rule
from hpcai.scheduling.placement.pods import PLACE
from hpcai.scheduling.placement.policies import LOOKING_AHEAD
from hpcai.scheduling.state import CHANGE

AHEAD, QUEUED, CLAIMED, RUNNING, STOPPING, DONE = range(6)
"""What a job is: not submitted yet; waiting; its places are known but others still leave them; running; told to stop
and still there; over."""
STARTED, ENDED, STOPPED, RESIZED, SIGNALLED = range(5)
"""What the log notes."""

RUN = np.dtype(
    [
        ("status", "i8"),
        ("tasks", "i8"),  # pods it has now
        ("remaining", "f8"),  # s of work left
        ("saved", "f8"),  # s of work left as of its latest checkpoint
        ("unsaved", "f8"),  # s it ran since then
        ("risk", "f8"),  # GPU-s of running since then
        ("speed", "f8"),  # s of work per s
        ("alone", "f8"),  # the same with GPUs and links to itself; 0: not known yet
        ("since", "f8"),  # when the above was brought up to date
        ("busy_until", "f8"),  # until when it restarts or changes its size, and does no work
        ("due", "f8"),  # when it ends, is to be told to stop, or is gone; inf while it waits
        ("signal", "f8"),  # when it is to be told to stop; inf: not
        ("queued", "f8"),  # when it last joined the queue
        ("started", "f8"),  # when it first started; nan before
        ("begun", "f8"),  # when it last started
        ("ended", "f8"),  # nan before
        ("resized", "f8"),  # when it last changed its size
        ("attained", "f8"),  # GPU-s it held
        ("lost", "f8"),  # GPU-s of running that had to be repeated
        ("waited", "f8"),  # s it waited, up to `since`
        ("overhead", "f8"),  # GPU-s of restarting, changing size and stopping
        ("executed", "f8"),  # s of work done, repeated or not
        ("undone", "f8"),  # s of work lost
        ("stops", "i8"),  # how often it was stopped
        ("by", "i8"),  # for whom it is stopped
        ("deadline", "f8"),  # of a grand challenge: when it is to have its GPUs
        ("waived", "f8"),  # when somebody last decided that it waits
        ("flavour", "i8"),  # the GPU kind that it has places of, counted from 1; 0 where quotas are not by kind
        ("place", "i8"),  # where it stands in the list of those that run
        ("shrunk", "b1"),  # gave pods to a plan that is carried out
        ("lifted", "b1"),  # taken off the books while a plan is made
    ],
    align=True,
)
CLOCK = np.dtype(
    [
        ("now", "f8"),
        ("storage_free", "f8"),  # when the storage has written what is asked of it
        ("next_tick", "f8"),
        ("wake", "f8"),  # when a grand challenge is to be seen to
        ("submitted", "i8"),  # jobs that have been
        ("queued", "i8"),
        ("running", "i8"),
        ("logged", "i8"),
        ("released", "i8"),  # counts moments at which something became free
        ("changed", "i8"),  # counts all changes of the books
        ("free", "i8"),  # thousandths of GPUs that are on no book
        ("challenge", "i8"),  # grand challenge that the machine drains for, -1: none
        ("stale", "b1"),  # whether speeds have to be looked at again
        ("asked", "i8"),  # job that a decision is asked about, -1: none
        ("asking", "i8"),  # which decision: PLACE or PREEMPT
        ("rank", "i8"),  # where the pass stands: the class that is served,
        ("next", "i8"),  # who is next in the queue
        ("upto", "i8"),  # and where it ends for this class
        ("lifted", "i8"),  # a plan that is being made: entries of `lifted`,
        ("found", "i8"),  # candidates in `ids`, in order of cost; -1: not looked for yet
        ("placed", "b1"),  # whether there is room now, and the job on the books
        ("released_before", "i8"),  # `released` when it began
        ("changed_before", "i8"),
        ("kept", "i8"),  # jobs for which the pass keeps a place so far: entries of `kept`; 1 of EASY's
        ("laid", "i8"),  # of these, how many have found it
        ("changes", "i8"),  # of the profile: entries of `changes`
        ("shadow", "f8"),  # when the one for whom EASY keeps a place has it
        ("denied", "b1"),  # whether the job at hand waits only because it would delay who has a place kept
    ],
    align=True,
)
LOG = np.dtype(
    [("time", "f8"), ("job", "i8"), ("what", "i8"), ("tasks", "i8"), ("lost", "f8"), ("by", "i8")], align=True
)
EXTRA, BEGIN, CURSOR, LEAST = range(len(CLASSES), len(CLASSES) + 4)
"""Copies of the nodes: what is free beside the place that EASY keeps, or at the beginning of the profile; and to work
in, as in hpcai.scheduling.node_profile."""
LOG_ROOM: Final = 65_536
REMEMBERED: Final = 512  # types of pods whose costs are remembered, at most


class Cluster(NamedTuple):
    """Jobs J, pods of all jobs P, tenants K, flavours F (quotas.py)."""

    rules: NDArray[np.void]  # RULES (1,)
    at: NDArray[np.void]  # CLOCK (1,)
    work: NDArray[np.void]  # WORK (J,), by submission
    types: NDArray[np.void]  # POD (T,)
    flavours: NDArray[np.int64]  # (types of the workload, F) a type's own type of each flavour, -1: it may not have it
    run: NDArray[np.void]  # RUN (J,)
    places: NDArray[np.void]  # PLACE (P,)
    nodes: Nodes
    rule: Rule
    traffic: Traffic
    queue: NDArray[np.int64]  # (2 J,) who waits, in the order of the latest pass
    running: NDArray[np.int64]  # (J,) who holds places
    key: NDArray[np.float64]  # (J,) place in the order, lowest first
    cost: NDArray[np.float64]  # (J,) of stopping a job
    ids: NDArray[np.int64]  # (2, 2 J) to work in
    by_node: NDArray[np.float64]  # (2, N) likewise
    lifted: NDArray[np.int64]  # (J + P, 2) jobs and pods (-1: all) taken off the books by a plan
    ahead: Ahead  # copies of the nodes: one for each class (clearing.py), EXTRA, BEGIN, CURSOR and LEAST
    kept: NDArray[np.int64]  # (J,) conservative: for whom the pass keeps a place, in order
    kept_at: NDArray[np.float64]  # (J,) and from when on
    changes: NDArray[np.void]  # CHANGE (3 J + 2,) conservative: the profile
    failed: NDArray[np.int64]  # (shapes,) what such a job could go by (passes.known) when it last found no place
    tenants: NDArray[np.void]  # TENANT (K,)
    quotas: NDArray[np.void]  # QUOTA (K, F)
    cohorts: NDArray[np.void]  # QUOTA (C, F) the sums of its tenants
    total: NDArray[np.float64]  # (3,) CPUs, memory and GPUs of the machine, in the units of pods
    levels: NDArray[np.float64]  # thresholds of las
    weights: NDArray[np.float64]  # of multifactor: age, size, class, fair share; longest age
    victim_weights: NDArray[np.float64]  # (VICTIM_FEATURES,)
    log: NDArray[np.void]  # LOG, emptied from time to time


def make_cluster(
    workload: Workload, machine: Machine, discipline: Discipline, *, seed: int = 0, external: int = 0
) -> Cluster:
    """Return an empty cluster before its first job."""
    n = len(workload.work)
    run = np.zeros(n, dtype=RUN)
    run["remaining"] = run["saved"] = workload.work["work"]
    run["tasks"] = workload.work["tasks"]
    run["started"] = run["ended"] = np.nan
    run["due"] = run["signal"] = run["deadline"] = np.inf
    run["waived"] = run["resized"] = -np.inf
    run["by"] = run["place"] = -1
    at = np.zeros(1, dtype=CLOCK)
    at["now"] = -np.inf
    at["storage_free"] = -np.inf
    at["wake"] = at["next_tick"] = np.inf
    at["challenge"] = at["asked"] = -1
    at["free"] = machine.total_gpus * MILLI
    places = int(workload.work["most"].sum())
    nodes = make_nodes(machine)
    keeps = n if discipline.backfill == "conservative" else 0
    types, flavours = flavoured(workload.types, machine, discipline)
    tenants, quotas, cohorts = make_quotas(workload.tenants, machine, discipline)
    weights = WEIGHTS | discipline.parameters
    return Cluster(
        rules=rules_of(discipline, external),
        at=at,
        work=workload.work,
        types=types,
        flavours=flavours,
        run=run,
        places=np.zeros(places, dtype=PLACE),
        nodes=nodes,
        rule=_rule(workload, discipline, (len(types), len(nodes.cpu)), seed),
        traffic=make_traffic(workload, machine),
        queue=np.zeros(2 * n, dtype=np.int64),
        running=np.zeros(n, dtype=np.int64),
        key=np.zeros(n),
        cost=np.zeros(n),
        ids=np.zeros((2, 2 * n), dtype=np.int64),
        by_node=np.zeros((2, len(nodes.cpu))),
        lifted=np.zeros((n + places, 2), dtype=np.int64),
        ahead=make_ahead(nodes, len(CLASSES) + 4),
        kept=np.zeros(keeps, dtype=np.int64),
        kept_at=np.zeros(keeps),
        changes=np.zeros(3 * keeps + 2, dtype=CHANGE),
        failed=np.full(int(workload.work["shape"].max(initial=0)) + 1, -1, dtype=np.int64),
        tenants=tenants,
        quotas=quotas,
        cohorts=cohorts,
        total=np.maximum(np.array([nodes.cpus.sum(), nodes.memories.sum(), nodes.gpus.sum() * MILLI], dtype=float), 1),
        levels=np.array(discipline.thresholds, dtype=float),
        weights=np.array([weights[name] for name in WEIGHTS]),
        victim_weights=np.array([discipline.victim_weights.get(name, 0.0) for name in VICTIM_FEATURES]),
        log=np.zeros(LOG_ROOM + 4 * (n + places), dtype=LOG),  # so much may happen at one moment
    )


def _rule(workload: Workload, discipline: Discipline, size: tuple[int, int], seed: int) -> Rule:
    """Return the placement; looking ahead, it goes by the pods of the workload itself."""
    target = None
    if discipline.placement in LOOKING_AHEAD:
        target = workload.types.copy()
        target["weight"] = np.bincount(workload.work["type"], weights=workload.work["tasks"], minlength=len(target))
        target["weight"] /= target["weight"].sum()
    weights = discipline.placement_weights
    # To forget what many types cost on a node takes longer than to find out what one costs, unless that looks ahead.
    kept = size if target is not None and size[0] <= REMEMBERED else (0, 0)
    return make_rule(discipline.placement, target, weights=weights, seed=seed, remember=kept)
