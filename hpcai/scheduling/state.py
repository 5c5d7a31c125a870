"""The hot state: jobs, queue, running set and nodes as arrays with integer ids (DESIGN, rule 5).

One NamedTuple of NumPy arrays is all that the scheduling pass sees. Both clocks own one and call the same
functions on it. Records are used where fields are read together, so that one cache line serves them.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpcai.cluster.spec import Machine
from hpcai.scheduling.formula import evaluate_static
from hpcai.scheduling.headroom import check_headroom, static_needs
from hpcai.scheduling.jobs import MILLI, features, job_array, node_capacity, predicted_features
from hpcai.scheduling.orderings import formulas_of
from hpcai.scheduling.policy import Policy
from hpcai.scheduling.prediction import Prediction, make_prediction

NO_BACKFILL, EASY, CONSERVATIVE = 0, 1, 2
NO_USE, PRESENT_USE, DECAYED_USE = 0, 1, 2  # what is kept of accounts' use of the machine
BACKFILL: Final = {"none": NO_BACKFILL, "easy": EASY, "conservative": CONSERVATIVE}
UNBOUNDED: Final = np.iinfo(np.int64).max

SCALARS = np.dtype(
    [
        (
            "total",
            "i8",
        ),  # processors; on a machine counted by node, thousandths of GPUs (of CPUs if it has none)
        ("used", "i8"),  # of these, held by running jobs
        ("reserved", "i8"),  # processors wanted by the reservations in force
        ("waiting", "i8"),  # jobs in the queue
        ("running", "i8"),  # jobs in the running set
        ("started", "i8"),  # jobs started by the latest pass
        ("leaves", "i8"),  # of the queue tree: a power of two
        ("backfill", "i8"),
        ("depth", "i8"),  # backfill_depth
        ("dynamic", "i8"),  # ordering and headroom are evaluated anew at each pass
        ("ordering_steps", "i8"),  # of the program; the rest is that of the headroom
        ("usage", "i8"),  # NO_USE, PRESENT_USE or DECAYED_USE
        ("use_profile", "i8"),  # the pass needs a profile: conservative, or there are reservations
        ("blocks", "i8"),  # of the profile of processors
        ("changes", "i8"),  # in the profile of nodes
        ("starts", "i8"),  # jobs started so far
        ("passes", "i8"),
        ("capacity", "f8"),  # the machine in the unit of job sizes: processors, or GPUs (CPUs if it has none)
        ("accounts", "i8"),  # that share the machine equally in fair-share
        ("half_life", "f8"),  # s
    ],
    align=True,
)
RUNNING = np.dtype([("end", "f8"), ("job", "i8")], align=True)  # end: expected, start + estimate
LEAF = np.dtype([("needs", "i8"), ("estimate", "f8")], align=True)  # minima below a node of the queue tree
PLACE = np.dtype(
    [
        ("job", "i8"),  # [position].job: who waits there
        ("position", "i8"),  # [job].position: where a job waits under a static ordering
        ("key", "f8"),  # [position].key: its value of a dynamic ordering
    ],
    align=True,
)
STEP = np.dtype([("time", "f8"), ("free", "i8")], align=True)
BLOCK_WIDTH = 256  # steps of the profile that lie together, at most
BLOCK = np.dtype(
    [
        ("slot", "i8"),  # its steps are State.steps[slot * BLOCK_WIDTH :][:count]
        ("count", "i8"),
        ("begin", "f8"),  # time of its first step
        ("lowest", "i8"),  # free, of its steps
        ("highest", "i8"),
        ("shift", "i8"),  # to be added to the free of each of its steps
    ],
    align=True,
)
ACCOUNT = np.dtype([("usage", "f8"), ("rate", "f8"), ("since", "f8")], align=True)
WINDOW = np.dtype([("start", "f8"), ("end", "f8"), ("processors", "i8")], align=True)
# Columns of State.room. OPEN is 0, or minus the number of reservations that take the node.
CPU, MEMORY, GPU, OPEN, FIRST_GPU = 0, 1, 2, 3, 4
TAKE, GIVE = 1, -1
CHANGE = np.dtype([("time", "f8"), ("what", "i8"), ("sign", "i8")], align=True)  # what: job, or -1 - reservation
ENTRY = np.dtype([("node", "i8"), ("gpus", "i8")], align=True)  # gpus: bit mask of the task's GPUs on the node
# Of a shape: the pass in which it was found not to fit, and the moment (passes + starts so far) at which the nodes
# that it would take were found not to be in the head's extra.
FAILED = np.dtype([("in_pass", "i8"), ("at_moment", "i8")], align=True)


class State(NamedTuple):
    """Everything a scheduling pass reads and writes; n jobs, N nodes, A accounts, W reservations."""

    scalars: NDArray[np.void]  # SCALARS (1,)
    jobs: NDArray[np.void]  # JOB (n,)
    submit: NDArray[np.float64]  # (n,) effective submission; nan until known
    start: NDArray[np.float64]  # (n,) nan until started
    started: NDArray[np.int64]  # (n,) jobs started by the latest pass
    queue: NDArray[np.int64]  # (n,) waiting jobs of a dynamic ordering, else (0,)
    places: NDArray[np.void]  # PLACE (n,)
    merging: NDArray[np.void]  # PLACE (n,) room to sort places in; (0,) if they never are
    tree: NDArray[np.void]  # LEAF (2 * leaves,)
    running: NDArray[np.void]  # RUNNING (n,), latest expected end first
    accounts: NDArray[np.void]  # ACCOUNT (A + 1,), the last is the machine's total
    program: NDArray[np.int64]  # of the ordering, then of the headroom
    constants: NDArray[np.float64]
    features: NDArray[np.float64]  # (v, n); (v, 0) for a static ordering
    keys: NDArray[np.float64]  # (stack, n) room to evaluate the formulas in
    usage: NDArray[np.float64]  # (2, n) by place in the queue, see formula.evaluate
    steps: NDArray[np.void]  # STEP (blocks * BLOCK_WIDTH,) the profile, if one is used
    blocks: NDArray[np.void]  # BLOCK (blocks,)
    windows: NDArray[np.void]  # WINDOW (W,)
    prediction: Prediction  # None if nothing is predicted, which also is how compiled code knows
    # On a machine counted by processor the rest is None, which also is how compiled code tells the two apart.
    room: NDArray[np.int64]  # (N, 4 + G) what is free on each node; G is the most GPUs of a node
    node_group: NDArray[np.int64]  # (N,)
    window_nodes: NDArray[np.int64]  # (W, N) 1 where a reservation takes a node
    entries: NDArray[np.void]  # ENTRY (tasks of all jobs,)
    failed: NDArray[np.void]  # FAILED (shapes,)
    changes: NDArray[np.void]  # CHANGE (3 n + 2 W + 2,) the profile, if one is used
    ahead: NDArray[np.int64]  # like room, to work in: the room at the shadow time, or of the profile at its beginning
    begin: NDArray[np.int64]
    cursor: NDArray[np.int64]
    least: NDArray[np.int64]
    left: NDArray[np.int64]  # (G,)


def make_state(
    jobs: pd.DataFrame,
    machine: Machine,
    policy: Policy,
    *,
    past: pd.DataFrame | None = None,
    profile: bool = False,
    observed: bool = False,
) -> State:
    """Return the state before the first event.

    ``jobs`` must be replayable on ``machine`` (:func:`hpcai.scheduling.jobs.replayable`) and sorted by submit.
    ``past`` are earlier jobs of the same log, from which a predictor learns. ``profile`` makes every pass use the
    profile, which the tests compare with the quicker passes. ``observed`` keeps what an agent sees and a heuristic
    may not need: every account's use, predictions.
    """
    n = len(jobs)
    array = job_array(jobs, machine, policy)
    ordering, headroom = formulas_of(policy)
    formula = ordering.followed_by(headroom) if headroom else ordering
    static = np.concatenate((features(jobs, machine, policy, array), predicted_features(array)))
    predicts = policy.learns and (observed or formula.needs_prediction or policy.estimate == "predicted")
    dynamic = formula.dynamic or policy.dependencies or predicts
    windows = _windows(machine)
    use_profile = profile or policy.backfill == "conservative" or len(windows) > 0
    if headroom:
        check_headroom(machine, use_profile)
    leaves = 1 << max(n - 1, 0).bit_length()

    profile_length = 3 * n + 2 * len(windows) + 2 if use_profile else 0
    # Blocks are at least half full; a machine counted by node has a profile of its own.
    blocks = 2 * profile_length // BLOCK_WIDTH + 2 if use_profile and not machine.by_node else 0

    scalars = np.zeros(1, dtype=SCALARS)
    scalars["total"] = machine.processors or MILLI * (machine.total_gpus or machine.total_cpus)
    scalars["leaves"] = leaves
    scalars["backfill"] = BACKFILL[policy.backfill]
    scalars["depth"] = policy.backfill_depth or UNBOUNDED
    scalars["dynamic"] = dynamic
    scalars["ordering_steps"] = len(ordering.program)
    scalars["usage"] = DECAYED_USE if formula.needs_usage else PRESENT_USE if observed else NO_USE
    scalars["use_profile"] = use_profile
    scalars["capacity"] = scalars["total"] / (MILLI if machine.by_node else 1)
    scalars["accounts"] = int(array["account"].max(initial=-1)) + 1
    scalars["half_life"] = policy.usage_half_life

    places = np.zeros(n, dtype=PLACE)
    if not dynamic:
        array["needs"] = static_needs(headroom, array, static, int(scalars["total"][0]))
        # Stable: equal values keep the table's order, which is that of submission.
        places["job"] = np.argsort(evaluate_static(ordering, static), kind="stable")
        places["position"][places["job"]] = np.arange(n)
    tree = np.zeros(2 * leaves, dtype=LEAF)
    tree["needs"] = UNBOUNDED
    tree["estimate"] = np.inf
    return State(
        scalars=scalars,
        jobs=array,
        submit=np.full(n, np.nan),
        start=np.full(n, np.nan),
        started=np.zeros(n, dtype=np.int64),
        queue=np.zeros(n if dynamic else 0, dtype=np.int64),
        places=places,
        merging=np.zeros(n if dynamic or observed else 0, dtype=PLACE),
        tree=tree,
        running=np.zeros(n, dtype=RUNNING),
        accounts=np.zeros(int(scalars["accounts"][0]) + 1, dtype=ACCOUNT),
        program=formula.program,
        constants=formula.constants,
        features=static if dynamic or observed else static[:, :0],
        keys=np.zeros((formula.depth, n if dynamic else 0)),
        usage=np.zeros((2, n if formula.needs_usage else 0)),
        steps=np.zeros(blocks * BLOCK_WIDTH, dtype=STEP),
        blocks=np.zeros(blocks, dtype=BLOCK),
        windows=windows,
        prediction=make_prediction(jobs, policy, past) if predicts else cast(Any, None),
        **_node_arrays(machine, array, profile_length),
    )


def _node_arrays(machine: Machine, array: NDArray[np.void], profile_length: int) -> dict[str, Any]:
    """Return the fields of State that only a machine counted by node has."""
    if not machine.by_node:
        return dict.fromkeys(State._fields[State._fields.index("room") :])
    cpu, memory, gpus, group = node_capacity(machine)
    present = np.arange(int(gpus.max())) < gpus[:, None]
    room = np.column_stack((cpu, memory, gpus * MILLI, np.zeros_like(cpu), np.where(present, MILLI, 0)))
    return {
        "room": room,
        "node_group": group,
        "window_nodes": _window_nodes(machine),
        "entries": np.zeros(int(array["size"].sum()), dtype=ENTRY),
        "failed": np.zeros(int(array["shape"].max(initial=-1)) + 1, dtype=FAILED),
        "changes": np.zeros(profile_length, dtype=CHANGE),
        **{name: np.empty_like(room) for name in ("ahead", "begin", "cursor", "least")},
        "left": np.zeros(present.shape[1], dtype=np.int64),
    }


def _windows(machine: Machine) -> NDArray[np.void]:
    """Return when the machine's reservations are and how many processors they take."""
    windows = np.zeros(len(machine.reservations), dtype=WINDOW)
    for w, reservation in enumerate(machine.reservations):
        windows[w] = (reservation.start, reservation.end, reservation.processors)
    return windows


def _window_nodes(machine: Machine) -> NDArray[np.int64]:
    """Return which nodes each reservation takes, (W, N)."""
    names = np.array(machine.node_names, dtype=object)
    taken = [np.isin(names, reservation.nodes) for reservation in machine.reservations]
    return np.array(taken, dtype=np.int64).reshape(len(taken), len(names))
