"""What jobs have done: work, checkpoints, overhead; and when each has something due."""

from __future__ import annotations

import numpy as np

from hpcai.jit import jit
from hpcai.scheduling.gpu_cluster.state import CLAIMED, QUEUED, RUNNING, STOPPING, Cluster
from hpcai.scheduling.jobs import MILLI


@jit
def gpus_of(st: Cluster, j: int) -> float:
    """Return how many GPUs job ``j`` has, or asks for while it waits."""
    return float(st.run[j].tasks * st.work[j].gpu / MILLI)


@jit
def bring_up_to_date(st: Cluster, j: int) -> None:
    """Count what job ``j`` did since it was last looked at."""
    run, work, now = st.run[j], st.work[j], st.at[0].now
    held = now - run.since
    if held <= 0:
        return
    if run.status == RUNNING or run.status == STOPPING:
        ran = max(now - max(run.since, run.busy_until), 0.0) if run.status == RUNNING else 0.0
        done = min(ran * run.speed, run.remaining)
        run.attained += held * gpus_of(st, j)
        run.overhead += (held - ran) * gpus_of(st, j)
        run.executed += done
        count_checkpoints(st, j, ran)
        run.remaining -= done
        if work.service:
            run.saved, run.unsaved, run.risk = run.remaining, 0.0, 0.0
        use(st, work.tenant, held * gpus_of(st, j))
    elif run.status == QUEUED or run.status == CLAIMED:
        run.waited += held
    run.since = now


@jit
def count_checkpoints(st: Cluster, j: int, ran: float) -> None:
    """Note the latest checkpoint of ``ran`` s of running that ends now; work is still that of its beginning."""
    run, interval = st.run[j], st.work[j].checkpoint
    total = run.unsaved + ran
    if total < interval:
        run.unsaved = total
        run.risk += ran * gpus_of(st, j)
        return
    rest = total % interval
    run.saved = max(run.remaining - (ran - rest) * run.speed, 0.0)
    run.unsaved, run.risk = rest, rest * gpus_of(st, j)


@jit
def unsaved_at(st: Cluster, j: int, time: float) -> float:
    """Return for how many s of running job ``j`` will have no checkpoint if it runs on to ``time``."""
    run, work = st.run[j], st.work[j]
    if work.service or run.status != RUNNING:
        return 0.0
    total = run.unsaved + max(time - max(run.since, run.busy_until), 0.0)
    return float(total if total < work.checkpoint else total % work.checkpoint)


@jit
def risk_at(st: Cluster, j: int, time: float) -> float:
    """Return the GPU-s of running that job ``j`` would lose if it were killed at ``time``."""
    run, unsaved = st.run[j], unsaved_at(st, j, time)
    since = max(time - max(run.since, run.busy_until), 0.0)
    if unsaved < run.unsaved + since:  # there will have been a checkpoint
        return unsaved * gpus_of(st, j)
    return float(run.risk + since * gpus_of(st, j)) if unsaved > 0 else 0.0


@jit
def due(st: Cluster, j: int) -> float:
    """Return when running job ``j`` ends or is to be told to stop, whichever is first."""
    run = st.run[j]
    end = max(run.since, run.busy_until) + run.remaining / run.speed if run.speed > 0 else np.inf
    return float(min(end, run.signal))


@jit
def expected_left(st: Cluster, j: int) -> float:
    """Return for how many s the scheduler believes that job ``j`` will run from now on, undisturbed."""
    return float(max(st.work[j].estimate - (st.work[j].work - remaining(st, j)), 1.0))


@jit
def believed(st: Cluster, j: int) -> float:
    """Return for how many s the scheduler believes that waiting job ``j`` will hold its places once it starts."""
    return expected_left(st, j) + (st.rules[0].restart if st.run[j].stops > 0 else 0.0)


@jit
def expected_end(st: Cluster, v: int) -> float:
    """Return when the scheduler believes that job ``v``, which holds places, leaves them; if late, in the past."""
    run, work, now = st.run[v], st.work[v], st.at[0].now
    if run.status == STOPPING:
        return float(run.due)
    if run.status == CLAIMED:
        return float(now + believed(st, v))
    end = max(now, run.busy_until) + work.estimate - (work.work - remaining(st, v))
    return float(min(end, run.signal + st.rules[0].grace))


@jit
def remaining(st: Cluster, j: int) -> float:
    """Return the work that job ``j`` has left now, whenever it was last looked at."""
    run = st.run[j]
    if run.status != RUNNING:
        return float(run.remaining)
    return float(max(run.remaining - max(st.at[0].now - max(run.since, run.busy_until), 0.0) * run.speed, 0.0))


@jit
def use(st: Cluster, k: int, gpu_seconds: float) -> None:
    """Count use of tenant ``k``, which decays."""
    tenant, now = st.tenants[k], st.at[0].now
    tenant.usage = tenant.usage * 2.0 ** (-(now - tenant.since) / st.rules[0].half_life) + gpu_seconds
    tenant.since = now
