"""Drain policies compared: each is fitted to the training part of a machine's faults and plays the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hpcai.errors import InputError
from hpcai.evaluation.faults.drain_config import DrainConfig
from hpcai.evaluation.fragmentation import RESAMPLES, SEED_OF_INTERVALS
from hpcai.evaluation.progress import Progress
from hpcai.evaluation.statistics import ratios, resample
from hpcai.faults.checkpoints.of_log import in_full_service, machine_nodes
from hpcai.faults.checkpoints.waste import daly_interval
from hpcai.faults.draining.policies import DrainPolicy, NoDrain, Threshold
from hpcai.faults.draining.risk import DAY, NodeRisk, counts_by_step, counts_within, estimates, fit_risk
from hpcai.faults.outages import Outages, outages
from hpcai.records.failures import FailureLog, read_failures
from hpcai.simulation.faults.drain_replay import COLUMNS, FAULTS, FREE, USEFUL, GangSetting, NodeFaults, play_gangs

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_CLEARLY: Final = 1e-4  # of the goodput, by which a drain must do better in the training part to be taken


@dataclass(frozen=True)
class Part:
    """A stretch of a machine's time, decided at ``epochs``; ``risk`` is relative to the mean, (epochs - 1, nodes)."""

    epochs: Floats
    risk: Floats
    counts: dict[float, Floats]  # by window in days: faults of each node within it, (epochs - 1, nodes)


@dataclass(frozen=True)
class MachineFaults:
    """A machine's faults, as a comparison plays them."""

    name: str
    nodes: int
    faults: NodeFaults
    rate: float  # of a node in the training part (1/s)
    risk: NodeRisk
    past: Part
    rest: Part

    @cached_property
    def order(self) -> Floats:
        """A fixed order of the nodes that knows nothing of them."""
        return np.random.default_rng(0).permutation(self.nodes).astype(np.float64)

    def goodput(self, setting: GangSetting, part: Part, by_risk: bool, drained: Mask) -> Floats:
        """Return where the node time goes in each epoch of a part, (epochs - 1, columns)."""
        keys = part.risk if by_risk else np.broadcast_to(self.order, part.risk.shape)
        return play_gangs(setting, self.faults, part.epochs, drained, np.ascontiguousarray(keys))


def read_machines(config: DrainConfig) -> tuple[list[tuple[MachineFaults, tuple[int, ...]]], dict[str, str]]:
    """Return the machines, each with the sizes of gangs on it, and the SHA-256 of the logs."""
    found: list[tuple[MachineFaults, tuple[int, ...]]] = []
    sha256: dict[str, str] = {}
    for name, each in config.logs.items():
        log = read_failures(each.path, **each.options)
        sha256 |= log.sha256
        of = outages(log)
        found += [
            (_machine(f"{name} {system}".strip(), log, of, system, config), each.nodes)
            for system in each.systems or ("",)
        ]
    return found, sha256


def _machine(name: str, log: FailureLog, of: Outages, system: str, config: DrainConfig) -> MachineFaults:
    members = machine_nodes(log, (system,) if system else ())
    begin, end = in_full_service(log, members)
    here = np.isin(of.node, members) & (of.start >= begin) & (of.start < end)
    order = np.argsort(of.start[here], kind="stable")
    repair = np.where(np.isfinite(of.end), of.end - of.start, config.repair_if_unknown)
    time, node = of.start[here][order], np.searchsorted(members, of.node[here][order])
    cut, nodes = begin + config.train * (end - begin), len(members)
    past = np.arange(begin + config.warm_up * (cut - begin), cut, config.epoch)
    rest = np.arange(cut, end, config.epoch)
    seen = [estimates(time, node, nodes, epochs[:-1], begin) for epochs in (past, rest)]
    risk = fit_risk(seen[0], counts_by_step(time, node, nodes, past), config.epoch)

    def part(epochs: Floats, of_nodes: Floats) -> Part:
        rates = risk(of_nodes)
        counts = {
            days: counts_within(time, node, nodes, epochs[:-1], days * DAY).astype(np.float64) for days in config.days
        }
        return Part(epochs, rates / rates.mean(axis=1, keepdims=True), counts)

    rate = float((time < cut).sum()) / nodes / (cut - begin)
    faults = NodeFaults(time, node, repair[here][order])
    return MachineFaults(name, nodes, faults, rate, risk, part(past, seen[0]), part(rest, seen[1]))


@dataclass(frozen=True)
class Choice:
    """What a policy does: drains by what, how much of it, and whether gangs go by risk."""

    label: str
    policy: DrainPolicy
    days: float | None  # None: by risk
    by_risk: bool

    def play(self, machine: MachineFaults, setting: GangSetting, part: Part) -> Floats:
        """Return where the node time goes in each epoch, (epochs - 1, columns)."""
        against = part.risk if self.days is None else part.counts[self.days]
        drained = np.array([self.policy.drain(row) for row in against])
        return machine.goodput(setting, part, self.by_risk, drained)


def _candidates(name: str, config: DrainConfig, most: float) -> Iterator[Choice]:
    """Yield what a policy may choose from; it needs a reason to choose a later one."""
    if name == "none":
        yield Choice("none", NoDrain(), None, False)
    elif name == "threshold":
        for days in config.days:
            for k in config.counts:
                yield Choice(f"{k} in {days:g} days", Threshold(float(k), most), days, False)
    else:
        yield Choice("by risk alone", NoDrain(), None, True)
        for multiple in config.multiples if name == "learned" else ():
            yield Choice(f"risk {multiple:g} times the mean", Threshold(multiple, most), None, True)


def _chosen(name: str, config: DrainConfig, machine: MachineFaults, setting: GangSetting, most: float) -> Choice:
    """Return the choice that did best in the training part."""
    best, goodput = None, 0.0
    choices = list(_candidates(name, config, most))
    if len(choices) == 1:
        return choices[0]
    for choice in choices:
        rows = choice.play(machine, setting, machine.past)
        found = float(rows[:, USEFUL].sum() / rows[:, : FREE + 1].sum())
        if best is None or found > goodput * (1 + _CLEARLY):
            best, goodput = choice, found
    assert best is not None
    return best


def evaluate_drains(config: DrainConfig, *, quiet: bool = True) -> dict[str, Any]:
    """Return the results of a comparison, ready to be written as JSON.

    Raises InputError if a log cannot be read or no gang fits its machine.
    """
    machines, sha256 = read_machines(config)
    cells = {}
    for machine, sizes in machines:
        for size in sizes:
            for spare in config.spares:
                if size and (gangs := int(machine.nodes * (1 - spare)) // size):
                    cells[machine.name, size, gangs] = machine
    if not cells:
        raise InputError("drains: expected gangs of 'nodes' that fit a machine beside its spares, found none")
    cases = []
    with Progress(len(cells), "cases", quiet) as progress:
        for (_, size, gangs), machine in cells.items():
            cases.append(_case(config, machine, size, gangs))
            progress.advance()
    return {
        "hpcai": version("hpcai"),
        "config": config.model_dump(mode="json", exclude={"out"}),
        "sha256": sha256,
        "risk": {machine.name: [round(w, 4) for w in machine.risk.weights] for machine, _ in machines},
        "cases": cases,
    }


def _case(config: DrainConfig, machine: MachineFaults, size: int, gangs: int) -> dict[str, Any]:
    """Return how each policy fares with gangs of ``size`` nodes."""
    interval = daly_interval(config.write, 1.0 / machine.rate / size)
    setting = GangSetting(size, gangs, interval, config.write, config.restart, config.down)
    spare = machine.nodes - size * gangs
    most = max(spare // 2, 1) / machine.nodes
    choices = {name: _chosen(name, config, machine, setting, most) for name in config.policies}
    rows = {name: choice.play(machine, setting, machine.rest) for name, choice in choices.items()}
    windows = np.array_split(np.arange(len(machine.rest.epochs) - 1), config.windows)
    useful = {name: np.array([of[w, USEFUL].sum() for w in windows]) for name, of in rows.items()}
    weights = resample(config.windows, 2, RESAMPLES, np.random.default_rng(SEED_OF_INTERVALS))
    compared = {
        against: ratios(np.stack(list(useful.values()), axis=1), useful[against], weights, 2)
        for against in dict.fromkeys((config.baseline, "threshold"))
        if against in useful
    }
    return {
        "case": f"{machine.name}, {gangs} × {size} nodes",
        "nodes": machine.nodes,
        "spare": spare,
        "node_mtbf_hours": round(1 / machine.rate / 3600, 1),
        "policies": {
            name: {"choice": choices[name].label}
            | _shares(of)
            | {
                f"over_{against}": [round(x, 5) for x in (found[i].value, found[i].low, found[i].high)]
                for against, found in compared.items()
            }
            for i, (name, of) in enumerate(rows.items())
        },
    }


def _shares(rows: Floats) -> dict[str, float]:
    """Return the shares of the node time by kind, and the numbers a day."""
    sums = rows.sum(axis=0)
    total = float(sums[: FREE + 1].sum())
    shares = {name: round(float(sums[i]) / total, 6) for i, name in enumerate(COLUMNS[: FREE + 1])}
    return {"goodput": shares.pop("useful"), **shares, "faults": int(sums[FAULTS]), "swaps": int(sums[FAULTS + 1])}
