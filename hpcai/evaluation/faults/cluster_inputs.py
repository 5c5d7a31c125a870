"""What a cluster under faults is played with: its jobs, its faults under each seed, and what policies learn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpcai.arrays import file_hash
from hpcai.cluster.spec import Machine
from hpcai.errors import InputError
from hpcai.evaluation.faults.checkpoint_cases import between_faults
from hpcai.evaluation.faults.checkpoint_policies import FOUR_MONTHS
from hpcai.evaluation.faults.cluster_config import ClusterFaultsConfig
from hpcai.faults.checkpoints.by_age import Hazard
from hpcai.faults.checkpoints.constant import ConstantRate, Fixed
from hpcai.faults.checkpoints.job import CheckpointedJob
from hpcai.faults.checkpoints.of_log import in_full_service, job_faults, machine_nodes
from hpcai.faults.checkpoints.recent import Past, fit_memory
from hpcai.faults.checkpoints.rule import CheckpointPolicy
from hpcai.faults.fitted import ClassModel, FittedFailures
from hpcai.faults.likelihood import fit
from hpcai.faults.outages import outages
from hpcai.records.failures import FailureLog, read_failures
from hpcai.records.generators import generate
from hpcai.records.read import read_trace
from hpcai.scheduling.jobs import replayable
from hpcai.simulation.faults.history import FaultHistory
from hpcai.simulation.faults.node_books import NodeBooks
from hpcai.simulation.faults.outages import Domain, Outage, merged, replayed

Whole = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Source:
    """Where faults come from: a log with the nodes that stand for the cluster's, known until ``cut`` to policies."""

    log: FailureLog
    chosen: Whole
    begin: float
    cut: float
    end: float

    def past(self) -> Past:
        """Return what each node met in the training part, as that of a job on it alone."""
        of = outages(self.log)
        job = CheckpointedJob(1.0, nodes=1, others=max(len(self.chosen) - 1, 0))
        faults = [job_faults(of, self.chosen[i : i + 1], self.chosen) for i in range(len(self.chosen))]
        return Past(faults, job, self.begin + 0.1 * (self.cut - self.begin), self.cut)


def cluster(config: ClusterFaultsConfig) -> Machine:
    """Return the cluster: nodes all alike, each of one processor, as jobs take whole nodes."""
    group = {"name": "node", "count": config.nodes, "cpus": 1, "memory_gib": 1}
    return Machine.model_validate({"name": f"{config.nodes} nodes", "groups": [group]})


def read_source(config: ClusterFaultsConfig) -> tuple[Source, dict[str, str]]:
    """Return where faults come from and the SHA-256 of its files. Raises InputError if it cannot be used.

    Of a model as much is drawn to learn from as a log of three times the duration would hold.
    """
    of = config.faults
    if of.log is not None:
        log = read_failures(of.log, **of.options)
        chosen = machine_nodes(log, (of.system,) if of.system else ())
        if len(chosen) < config.nodes:
            raise InputError(f"{of.log}: found {len(chosen)} nodes, expected {config.nodes} or more")
        begin, end = in_full_service(log, chosen)
        cut = begin + of.train * (end - begin)
        if end - cut < config.duration:
            raise InputError(f"{of.log}: {(end - cut) / 86400:.0f} days to play, expected {config.duration / 86400:g}")
        return Source(log, chosen[: config.nodes], begin, cut, end), dict(log.sha256)
    long = 3 * config.duration
    drawn = _model(config).sample(_names(config), long, seed=2**31 + config.first_seed)
    return Source(drawn, np.arange(config.nodes), 0.0, long, long), _hash_of_model(config)


def _hash_of_model(config: ClusterFaultsConfig) -> dict[str, str]:
    model = config.faults.model
    return {} if model is None else {model: file_hash(model)}


def _names(config: ClusterFaultsConfig) -> dict[str, str]:
    kind = config.faults.node_class or next(iter(_model(config).classes))
    return {f"node-{i:05d}": kind for i in range(config.nodes)}


def _model(config: ClusterFaultsConfig) -> FittedFailures:
    of = config.faults
    if of.model is not None:
        fitted = FittedFailures.load(of.model)
        if not of.node_class and len(fitted.classes) > 1:
            raise InputError(f"{of.model}: node_class: expected one of {', '.join(fitted.classes)}, not given")
        return fitted
    assert of.uptime is not None
    repair = None if of.repair is None else of.repair.lifetime
    one = ClassModel(nodes=1, failures=1, mtbf=of.uptime.mean, uptime=of.uptime.lifetime, repair=repair)
    return FittedFailures(name="given", classes={"node": one})


def outages_of(config: ClusterFaultsConfig, source: Source, seed: int) -> list[Outage]:
    """Return the outages under a seed: a stretch of the log's rest, or as drawn from the model; and of domains."""
    rng = np.random.default_rng([seed, 7])
    if config.faults.log is not None:
        begin = source.cut + rng.random() * (source.end - source.cut - config.duration)
        log, chosen = source.log, source.chosen
    else:
        log, begin = _model(config).sample(_names(config), config.duration, seed=seed), 0.0
        chosen = np.arange(config.nodes)
    of_nodes = replayed(log, chosen, begin, config.duration, repair_if_unknown=config.faults.repair_if_unknown)
    domains = [Domain(each.component, each.size, each.uptime.lifetime, each.repair.lifetime) for each in config.domains]
    return merged([of_nodes, *(domain.draw(config.nodes, config.duration, rng) for domain in domains)])


def jobs_of(config: ClusterFaultsConfig, machine: Machine, seed: int) -> pd.DataFrame:
    """Return the jobs under a seed that fit beside the spares: of the trace, or of Lublin's model."""
    if config.trace is not None:
        table = read_trace(config.trace).jobs
        size = np.maximum(table["processors"].to_numpy(), table["gpus"].to_numpy())
        nodes = np.maximum(np.ceil(size / config.node_processors).astype(np.int64), 1)
    else:
        table = _generated(config, seed)
        nodes = table["processors"].to_numpy()
    submit = table["submit"].to_numpy() - float(table["submit"].min())
    longer = {name: table[name] * config.longer for name in ("run_time", "requested_time")}
    here = (nodes <= config.nodes - config.spares) & (submit < config.duration)
    plain = {"partition": pd.Categorical([""] * len(table)), "gpu_kind": pd.Categorical([""] * len(table))}
    table = table.assign(submit=submit, nodes=nodes, processors=nodes, gpus=0.0, memory=np.nan, **longer, **plain)
    return replayable(table[here], machine)[0].reset_index(drop=True)


def _generated(config: ClusterFaultsConfig, seed: int) -> pd.DataFrame:
    """Return jobs of the model that are submitted over the whole duration, and a little longer."""
    machine = Machine.by_processors(config.nodes)
    jobs, load = 200, config.load / config.longer
    while True:
        table = generate("lublin", jobs, seed=seed, load=load, machine=machine).jobs
        span = float(np.ptp(table["submit"].to_numpy()))
        if span >= config.duration:
            return table
        jobs = int(jobs * max(1.2 * config.duration / max(span, 1.0), 1.2)) + 1


def policies_of(config: ClusterFaultsConfig, source: Source) -> tuple[dict[str, CheckpointPolicy], float]:
    """Return the policies, fitted to the training part, and the rate of faults of a node in it (1/s)."""
    past = source.past()
    mtbf = past.mtbf
    found: dict[str, CheckpointPolicy] = {}
    for name in config.policies:
        if name == "none":
            found[name] = Fixed()
        elif name in ("young", "daly", "best"):
            found[name] = ConstantRate(mtbf, name)  # type: ignore[arg-type]
        elif name == "hazard":
            found[name] = Hazard(fit(between_faults(past, outages(source.log).resolution))[0].lifetime)
        elif name == "four-months":
            found[name] = FOUR_MONTHS.policy(1.0 / mtbf)
        else:
            found[name] = fit_memory([past]).policy(1.0 / mtbf)
    return found, 1.0 / mtbf


class DrainAfter:
    """Drains nodes that failed so many times within a window (s)."""

    def __init__(self, faults: int, window: float) -> None:
        self.faults, self.window = faults, window

    def __call__(self, history: FaultHistory, books: NodeBooks, now: float) -> Mask:
        """Return which nodes, bool[nodes]."""
        return history.within(self.window, now) >= self.faults
