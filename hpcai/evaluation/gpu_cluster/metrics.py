"""What is measured of a replay on a GPU cluster: the registry of metrics, of groups of jobs, and measuring itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from hpcai.cluster.spec import Machine
from hpcai.evaluation.gpu_cluster.challenges import HOUR, Challenge, challenges_of
from hpcai.evaluation.gpu_cluster.timeline import Floats, Steps, held_between, load_of
from hpcai.evaluation.load import Load
from hpcai.evaluation.metrics import FEITELSON, Metric
from hpcai.scheduling.gpu_cluster.discipline import Discipline
from hpcai.scheduling.gpu_cluster.work import CLASSES
from hpcai.scheduling.jobs import SLOWDOWN_FLOOR
from hpcai.simulation.energy.it_power import KWH, model_for, per_gpu
from hpcai.simulation.gpu_cluster.replay import Outcome

_THEMIS: Final = "Mahajan et al., Themis, NSDI 2020"
METRICS: Final = {
    metric.name: metric
    for metric in (
        Metric("mean_jct", "s", "lower", "Mean of end - submit over jobs that are no services."),
        Metric("median_jct", "s", "lower", "Median of the same."),
        Metric("p95_jct", "s", "lower", "95th percentile of the same."),
        Metric("p99_jct", "s", "lower", "99th percentile of the same."),
        Metric("mean_wait", "s", "lower", "Mean of first start - submit over all jobs."),
        Metric("p95_wait", "s", "lower", "95th percentile of the same."),
        Metric(
            "mean_bounded_slowdown",
            "1",
            "lower",
            "Mean of max(1, (end - submit) / max(run time, 10 s)) over jobs that are no services.",
            FEITELSON,
        ),
        Metric(
            "max_finish_time_fairness",
            "1",
            "lower",
            "Largest (end - submit) / (run time x crowding) over jobs that are no services; crowding is the time "
            "average between submission and end of max(1, GPUs that waiting and running jobs ask for / GPUs).",
            _THEMIS,
        ),
        Metric("utilisation", "1", "higher", "GPU-seconds held from first to last submission / those that there are."),
        Metric(
            "goodput", "1", "higher", "Useful GPU-hours / (GPUs x makespan); useful is held less lost, less overhead."
        ),
        Metric("goodput_of_held", "1", "higher", "Useful GPU-hours / GPU-hours held."),
        Metric(
            "busy_of_held",
            "1",
            "higher",
            "GPU-hours in which GPUs are in use / GPU-hours held; services leave theirs idle for part of the time.",
        ),
        Metric("makespan", "s", "lower", "Last end - first submission."),
        Metric("gpu_hours", "h", "", "GPU-hours held."),
        Metric(
            "lost_gpu_hours", "h", "lower", "GPU-hours of running since the last checkpoint when jobs were stopped."
        ),
        Metric("overhead_gpu_hours", "h", "lower", "GPU-hours held in stopping, restarting and changing size."),
        Metric(
            "energy",
            "kWh",
            "lower",
            "Energy of the machines at the plug over the makespan: idle, and what jobs add while they hold GPUs.",
        ),
        Metric(
            "lost_energy",
            "kWh",
            "lower",
            "Energy of the GPU-hours lost or overhead, the idle power of what was held with it.",
        ),
        Metric("preemptions", "jobs", "lower", "How often a running job was stopped."),
        Metric("resizes", "jobs", "", "How often an elastic job changed its size."),
        Metric("time_to_full_machine", "s", "lower", "Mean over grand challenges of start - submit."),
        Metric("max_time_to_full_machine", "s", "lower", "The longest of these."),
        Metric(
            "gpu_hours_per_challenge",
            "h",
            "lower",
            "Mean over grand challenges of GPU-hours that they cost the others: work that victims lost, GPUs that "
            "nobody held between submission and start, GPUs that victims held while stopping and while restarting.",
        ),
        Metric(
            "node_hours_per_challenge", "h", "lower", "The same in nodes: divided by the mean GPUs of a node with GPUs."
        ),
        Metric("victims_per_challenge", "jobs", "lower", "Mean over grand challenges of jobs stopped for them."),
    )
}


def measure(jobs: pd.DataFrame, outcome: Outcome, machine: Machine, discipline: Discipline) -> dict[str, Any]:
    """Return what is measured of a replay of ``jobs``, as plain data: metrics, classes, tenants, challenges."""
    steps = Steps.of(outcome)
    load = load_of(steps, outcome.jobs)
    served = jobs["kind"].astype(str).to_numpy() == "service"
    found = challenges_of(outcome, steps, machine.total_gpus, discipline.restart)
    rank = outcome.jobs["rank"].to_numpy()
    tenant = outcome.jobs["tenant"].to_numpy()
    names = outcome.workload.tenants
    tenants = {}
    for k in np.argsort(names):
        own = tenant == k
        held = load_of(steps, outcome.jobs, own)
        quota = discipline.quotas.get(names[k], discipline.default_quota)
        tenants[names[k]] = _group(outcome.jobs[own], served[own]) | {
            "guaranteed": quota.total if discipline.quotas else None,
            "mean_gpus": held.integral(held.gpus) / load.duration if load.duration else 0.0,
            "max_gpus": float(held.gpus.max(initial=0.0)),
        }
    return {
        "metrics": _metrics(outcome, steps, load, served, machine)
        | _energy(jobs, outcome, load, machine)
        | _of_challenges(found, machine),
        "classes": {
            name: _group(outcome.jobs[rank == k], served[rank == k])
            for k, name in enumerate(CLASSES)
            if (rank == k).any()
        },
        "tenants": tenants,
        "challenges": [challenge.as_dict() for challenge in found],
    }


def _metrics(
    outcome: Outcome, steps: Steps, load: Load, served: npt.NDArray[np.bool_], machine: Machine
) -> dict[str, float]:
    jobs, gpus = outcome.jobs, machine.total_gpus
    jct, wait = (jobs["end"] - jobs["submit"]).to_numpy(), (jobs["start"] - jobs["submit"]).to_numpy()
    run, finite = jobs["work"].to_numpy(), ~served
    held, lost, over = (float(jobs[name].sum()) / HOUR for name in ("attained", "lost", "overhead"))
    first, last = float(jobs["submit"].min()), float(jobs["submit"].max())
    useful = held - lost - over
    rho = finish_time_fairness(jobs, gpus)
    return {
        "mean_jct": _mean(jct[finite]),
        "median_jct": _quantile(jct[finite], 0.5),
        "p95_jct": _quantile(jct[finite], 0.95),
        "p99_jct": _quantile(jct[finite], 0.99),
        "mean_wait": _mean(wait),
        "p95_wait": _quantile(wait, 0.95),
        "mean_bounded_slowdown": _mean(np.maximum(jct / np.maximum(run, SLOWDOWN_FLOOR), 1.0)[finite]),
        "max_finish_time_fairness": float(rho[finite].max()) if finite.any() else np.nan,
        "utilisation": held_between(load, first, last) / (gpus * (last - first)) if last > first else np.nan,
        "goodput": useful * HOUR / (gpus * load.duration) if load.duration else np.nan,
        "goodput_of_held": useful / held if held else np.nan,
        "busy_of_held": float((jobs["attained"] * jobs["busy"]).sum()) / HOUR / held if held else np.nan,
        "makespan": load.duration,
        "gpu_hours": held,
        "lost_gpu_hours": lost,
        "overhead_gpu_hours": over,
        "preemptions": float(jobs["stops"].sum()),
        "resizes": float((steps.what == "resize").sum()),
    }


def _energy(jobs: pd.DataFrame, outcome: Outcome, load: Load, machine: Machine) -> dict[str, float]:
    """Return energies (kWh); how hard jobs work their GPUs is drawn where the log does not say."""
    adds, answers = per_gpu(jobs, machine)
    held, wasted = outcome.jobs["attained"].to_numpy(), (outcome.jobs["lost"] + outcome.jobs["overhead"]).to_numpy()
    idle = model_for(machine, jobs).idle * load.duration
    return {"energy": (idle + float(held @ adds)) / KWH, "lost_energy": float(wasted @ answers) / KWH}


def _of_challenges(found: Sequence[Challenge], machine: Machine) -> dict[str, float]:
    waits = np.array([each.wait for each in found])
    total = _mean(np.array([each.total for each in found]))
    nodes = sum(group.count for group in machine.groups if group.gpus)
    return {
        "time_to_full_machine": _mean(waits),
        "max_time_to_full_machine": float(waits.max()) if len(waits) else np.nan,
        "gpu_hours_per_challenge": total,
        "node_hours_per_challenge": total * nodes / machine.total_gpus,
        "victims_per_challenge": _mean(np.array([float(each.victims) for each in found])),
    }


def finish_time_fairness(jobs: pd.DataFrame, gpus: int) -> Floats:
    """Return for each job its time in the cluster over that alone on an equal share (METRICS has the definition)."""
    submit, end = jobs["submit"].to_numpy(np.float64), jobs["end"].to_numpy(np.float64)
    size = jobs["gpus"].to_numpy(np.float64)
    time = np.concatenate([submit, end])
    order = np.argsort(time, kind="stable")
    time = time[order]
    asked = np.cumsum(np.concatenate([size, -size])[order])[:-1]
    crowd = np.concatenate([[0.0], np.cumsum(np.maximum(asked / gpus, 1.0) * np.diff(time))])
    among = np.interp(end, time, crowd) - np.interp(submit, time, crowd)
    spent = np.maximum(end - submit, 1e-9)
    result: Floats = spent / (jobs["work"].to_numpy() * np.maximum(among / spent, 1.0))
    return result


def _group(jobs: pd.DataFrame, served: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Return what is told of a group of jobs."""
    jct = (jobs["end"] - jobs["submit"]).to_numpy()[~served]
    return {
        "jobs": len(jobs),
        "mean_wait": _mean((jobs["start"] - jobs["submit"]).to_numpy()),
        "mean_jct": _mean(jct),
        "p95_jct": _quantile(jct, 0.95),
        "gpu_hours": float(jobs["attained"].sum()) / HOUR,
        "lost_gpu_hours": float(jobs["lost"].sum()) / HOUR,
        "preemptions": int(jobs["stops"].sum()),
    }


SUMMED: Final = ("jobs", "gpu_hours", "lost_gpu_hours", "preemptions")  # over cases; the rest is averaged


def pooled(parts: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Return groups of jobs over several cases: sums of SUMMED, means over the cases of the rest."""
    names = list(dict.fromkeys(name for part in parts for name in part))
    result: dict[str, dict[str, Any]] = {}
    for name in names:
        frame = pd.DataFrame([part[name] for part in parts if name in part]).astype(float)
        result[name] = {str(key): float(of.sum() if key in SUMMED else of.mean()) for key, of in frame.items()}
    return result


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _quantile(values: Floats, share: float) -> float:
    return float(np.quantile(values, share)) if len(values) else float("nan")
