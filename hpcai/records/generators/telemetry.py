"""Telemetry of a cluster of GPU nodes with planted faults, and the failures that they end in.

Nodes run jobs of several ranks in lockstep. On the noise of healthy nodes (load that comes and goes by job, nodes
warmer than others, rare corrected errors and link flaps) these faults are planted, each on a node drawn by chance:

* **thermal**: the node's temperature drifts upwards until it fails, as when a fan wears out or dust settles;
* **memory**: corrected errors grow exponentially until one cannot be corrected;
* **network**: a link goes down again and again before it stays down;
* **slow**: the node takes longer for each step, for hours, and then is well again; it does not fail.

Besides, nodes fail **without a sign** at a constant rate, which nobody can foretell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from hpcai.records.failures import EVENT_COLUMNS, NODE_COLUMNS, FailureLog, strings
from hpcai.records.generators._parameters import ParameterModel
from hpcai.records.telemetry import Telemetry, telemetry_of

Floats = npt.NDArray[np.float64]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0)]

ORIGIN: Final = 1_704_067_200.0  # 2024-01-01 00:00 UTC
_DAY: Final = 86400.0
COMPONENT: Final = {"thermal": "cooling", "memory": "gpu", "network": "network", "slow": "gpu", "sudden": "unknown"}


class Parameters(ParameterModel):
    """All that the generator knows. Rates are of a node and day."""

    nodes: Count = 64
    days: Positive = 30.0
    step: Positive = 600.0  # s, from one sample to the next
    ranks: Count = 8  # nodes of a job
    job_hours: Positive = 12.0  # mean length of a job
    step_time: Positive = 1.0  # s, of a healthy rank
    noise: Positive = 0.01  # share, standard deviation of the logarithm of a step's time
    thermal: NotNegative = 0.01
    memory: NotNegative = 0.01
    network: NotNegative = 0.01
    slow: NotNegative = 0.01
    sudden: NotNegative = 0.005
    warning_hours: Positive = 48.0  # mean time that a fault shows before it ends in a failure, or of being slow
    drift: Positive = 15.0  # K, by which temperature has risen at the failure
    slowdown: Positive = 0.15  # share by which a slow node is slower
    repair_hours: Positive = 6.0


class Planted(NamedTuple):
    """A fault: what, on which node, from when to when (s)."""

    kind: str
    node: str
    begin: float
    end: float


@dataclass(frozen=True)
class Generated:
    """Telemetry, the failures beside it, and what was planted."""

    telemetry: Telemetry
    failures: FailureLog
    planted: tuple[Planted, ...]


def generate(parameters: Parameters, *, seed: int = 0) -> Generated:
    """Return telemetry with faults; the same seed gives the same."""
    rng = np.random.default_rng(seed)
    times = np.arange(parameters.step, parameters.days * _DAY + 1e-6, parameters.step)
    names = [f"n{i:04d}" for i in range(parameters.nodes)]
    planted = _plant(parameters, names, rng)
    place = {name: i for i, name in enumerate(names)}
    job, load = _jobs(parameters, times, rng)
    metrics = _healthy(parameters, times, load, rng)
    down = np.zeros(load.shape, dtype=bool)
    events = []
    for fault in planted:
        _show(fault, place[fault.node], parameters, times, metrics, rng)
        if fault.kind != "slow":
            back = fault.end + rng.exponential(parameters.repair_hours * 3600.0)
            down[place[fault.node]] |= (times > fault.end) & (times <= back)
            events.append((fault, back))
    return Generated(
        Telemetry(_table(names, times, job, metrics, down), ORIGIN), _log(parameters, names, events), tuple(planted)
    )


def _plant(parameters: Parameters, names: list[str], rng: np.random.Generator) -> list[Planted]:
    """Return the faults in order of their beginnings; none of a node overlaps another."""
    duration = parameters.days * _DAY
    planted: list[Planted] = []
    for kind in COMPONENT:
        for _ in range(rng.poisson(getattr(parameters, kind) * parameters.nodes * parameters.days)):
            begin = rng.uniform(0.0, duration)
            shows = 0.0 if kind == "sudden" else parameters.warning_hours * 3600.0 * rng.gamma(4.0, 0.25)
            planted.append(Planted(kind, names[int(rng.integers(len(names)))], begin, begin + shows))
    free = dict.fromkeys(names, -np.inf)
    kept = []
    for fault in sorted(planted, key=lambda fault: fault.begin):
        if fault.begin > free[fault.node] and fault.end < duration:
            kept.append(fault)
            free[fault.node] = fault.end + 4 * parameters.repair_hours * 3600.0
    return kept


def _jobs(parameters: Parameters, times: Floats, rng: np.random.Generator) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return the job of each node at each time, and its load 0..1; -1 and 0 where there is none, (nodes, times)."""
    job = np.full((parameters.nodes, len(times)), -1)
    load = np.zeros(job.shape)
    number = 0
    for first in range(0, parameters.nodes - parameters.ranks + 1, parameters.ranks):
        at = 0
        while at < len(times):
            length = max(int(rng.exponential(parameters.job_hours * 3600.0) / parameters.step), 1)
            rows, columns = slice(first, first + parameters.ranks), slice(at, at + length)
            job[rows, columns], load[rows, columns] = number, rng.uniform(0.5, 1.0)
            number += 1
            at += length + int(rng.exponential(0.05) * length)
    return job, load


def _healthy(parameters: Parameters, times: Floats, load: Floats, rng: np.random.Generator) -> dict[str, Floats]:
    own = rng.normal(0.0, 2.0, (len(load), 1))  # K: some places are warmer
    speed = rng.normal(0.0, parameters.noise / 4, (len(load), 1))  # and some nodes a little slower
    daily = np.sin(2 * np.pi * times / _DAY)[None, :]
    working = np.where(load > 0, parameters.step_time, np.nan)
    return {
        "temperature": 35.0 + 35.0 * load + own + daily + rng.normal(0.0, 1.0, load.shape),
        "power": 1500.0 + 8000.0 * load + rng.normal(0.0, 100.0, load.shape),
        "ecc_errors": rng.poisson(0.02, load.shape).astype(np.float64),
        "link_downs": rng.poisson(0.002, load.shape).astype(np.float64),
        "compute_time": working * np.exp(speed + rng.normal(0.0, parameters.noise, load.shape)),
    }


def _show(
    fault: Planted,
    node: int,
    parameters: Parameters,
    times: Floats,
    metrics: dict[str, Floats],
    rng: np.random.Generator,
) -> None:
    """Lay the signs of a fault over the metrics of its node."""
    shown = (times > fault.begin) & (times <= fault.end)
    if not shown.any():
        return
    grown = (times[shown] - fault.begin) / (fault.end - fault.begin)
    if fault.kind == "thermal":
        metrics["temperature"][node, shown] += parameters.drift * grown
    elif fault.kind == "memory":
        metrics["ecc_errors"][node, shown] += rng.poisson(0.05 * np.exp(5.0 * grown))
    elif fault.kind == "network":
        metrics["link_downs"][node, shown] += rng.poisson(0.05 + 0.5 * grown)
    elif fault.kind == "slow":
        metrics["compute_time"][node, shown] *= 1.0 + parameters.slowdown


def _table(
    names: list[str], times: Floats, job: npt.NDArray[np.int64], metrics: dict[str, Floats], down: npt.NDArray[np.bool_]
) -> pd.DataFrame:
    nodes, moments = np.nonzero(~down)  # a node that is down is not sampled
    numbers = job[nodes, moments]
    columns: dict[str, Any] = {
        "node": np.array(names)[nodes],
        "time": times[moments],
        "job": np.where(numbers >= 0, np.char.add("j", numbers.astype(str)), ""),
        **{name: values[nodes, moments] for name, values in metrics.items()},
    }
    return telemetry_of(columns)


def _log(parameters: Parameters, names: list[str], events: list[tuple[Planted, float]]) -> FailureLog:
    duration = parameters.days * _DAY
    columns: dict[str, Any] = {
        "node": strings([fault.node for fault, _ in events]),
        "component": strings([COMPONENT[fault.kind] for fault, _ in events]),
        "start": np.array([fault.end for fault, _ in events], dtype=np.float64),
        "end": np.array([back if back <= duration else np.nan for _, back in events], dtype=np.float64),
        "cause": strings([fault.kind for fault, _ in events]),
        "severity": strings(["fatal"] * len(events)),
    }
    frame = pd.DataFrame({column.name: columns[column.name] for column in EVENT_COLUMNS})
    unknown = np.full(len(names), np.nan)
    text = strings([""] * len(names))
    nodes = pd.DataFrame({c.name: text if c.dtype == "str" else unknown for c in NODE_COLUMNS})
    return FailureLog(
        "telemetry",
        frame.sort_values("start", kind="stable", ignore_index=True),
        nodes.assign(node=strings(names), node_class=strings(["generated"] * len(names)), in_service=0.0),
        origin=ORIGIN,
        observed=(0.0, duration),
        format="generated",
    )
