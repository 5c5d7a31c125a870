"""Runs a comparison of methods; every placement is written as soon as it is found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any, Final

import numpy as np

from hpcai.arrays import file_hash
from hpcai.device_placement import zoo
from hpcai.device_placement.bounds import lower_bounds
from hpcai.device_placement.devices import Devices, pairwise
from hpcai.device_placement.graph import OperatorGraph
from hpcai.device_placement.machine_devices import GIB, HOST
from hpcai.device_placement.methods.problem import Options
from hpcai.device_placement.methods.registry import METHODS, Placed, run
from hpcai.device_placement.readers import read_graph
from hpcai.device_placement.readers.dnn_partitioning import DEVICE_KINDS
from hpcai.device_placement.simulator import StepSimulator
from hpcai.evaluation.device_placement.study_config import DeviceStudy, name_of
from hpcai.evaluation.device_placement.study_report import render
from hpcai.evaluation.device_placement.study_summary import summarise
from hpcai.evaluation.progress import Progress
from hpcai.evaluation.resumable import ResumableFolder

_POINTS: Final = 60  # of a curve
CELLS: Final = "cells.json"
RESULTS: Final = "results.json"


class StudyFolder(ResumableFolder):
    """cells.json: what each method found; results.json: that, and means; report.html."""

    kind = "hpcai device study"
    holds = "comparison of device placements"

    def _clear(self) -> None:
        for name in (CELLS, RESULTS, "report.html"):
            (self.path / name).unlink(missing_ok=True)

    def cells(self) -> dict[str, dict[str, Any]]:
        """Return what is there."""
        path = self.path / CELLS
        return dict(json.loads(path.read_text("utf-8"))) if path.exists() else {}


@dataclass(frozen=True)
class Case:
    """A graph on devices."""

    source: str
    graph: OperatorGraph
    devices: Devices

    @property
    def name(self) -> str:
        """In words, such as zoo:nmt on 4."""
        return f"{name_of(self.source)} on {sum(kind != HOST for kind in self.devices.kinds)}"

    @cached_property
    def simulator(self) -> StepSimulator:
        """Of the whole graph; dnn-partitioning says all that a node takes, so that it counts once."""
        copies = 1.0 if self.graph.device_kinds == DEVICE_KINDS else None
        return StepSimulator(self.graph, self.devices, weight_copies=copies)


def evaluate_devices(config: DeviceStudy, *, resume: bool = False, quiet: bool = False) -> dict[str, Any]:
    """Return the results, and write them and a report into the folder.

    Raises InputError for a graph or a network that cannot be used.
    """
    files = [source for source in (*config.graphs, *config.networks.values()) if not source.startswith("zoo:")]
    identity = {
        "version": version("hpcai"),
        "config": config.model_dump(mode="json"),
        "inputs": {source: file_hash(source) for source in files},
    }
    folder = StudyFolder(config.out, identity, resume)
    cells = folder.cells()
    cases = list(_cases(config))
    runs = [(case, method, seed) for case in cases for method in config.methods for seed in _seeds(config, method)]
    with Progress(len(runs), "placements", quiet) as progress:
        for case, method, seed in runs:
            key = f"{case.name} / {method} / {seed}"
            if key not in cells:
                cells[key] = _cell(config, case, method, seed)
                folder.write(CELLS, json.dumps(cells))
            progress.advance()
    facts = {case.name: _facts(case) for case in cases}
    results = summarise(identity, facts, list(cells.values()))
    folder.write(RESULTS, json.dumps(results, indent=1) + "\n")
    folder.write("report.html", render(config, results))
    folder.finish()
    return results


def _seeds(config: DeviceStudy, method: str) -> tuple[int, ...]:
    return config.seeds if METHODS[method].searches else config.seeds[:1]


def _cases(config: DeviceStudy) -> Iterator[Case]:
    for source in config.graphs:
        zoo_kinds = (config.kind, HOST) if config.host else (config.kind,)
        graph = zoo.build(source[4:], zoo_kinds) if source.startswith("zoo:") else read_graph(source)
        hosts = int(config.host and HOST in graph.device_kinds)
        for count in config.devices:
            memory = np.array([config.memory * GIB] * count + [np.inf] * hosts)
            between = np.full((len(memory), len(memory)), config.bandwidth * 1e9)
            kinds = [graph.device_kinds[0]] * count + [HOST] * hosts
            yield Case(source, graph, pairwise(kinds, memory, between, config.latency * 1e-6))


def _cell(config: DeviceStudy, case: Case, method: str, seed: int) -> dict[str, Any]:
    options = Options(
        weight_copies=case.simulator.weight_copies,
        seed=seed,
        evaluations=config.evaluations,
        seconds=config.seconds or np.inf,
        network=config.network_of(case.source),
    )
    placed = run(method, case.graph, case.devices, options)
    timing = case.simulator.time(placed.placement)
    found = {"case": case.name, "method": method, "seed": seed, "step_seconds": timing.seconds}
    return found | {"excess_bytes": timing.excess, "took_seconds": round(placed.seconds, 3)} | _curve(placed)


def _curve(placed: Placed) -> dict[str, Any]:
    """Return a search's evaluations and, thinned, its curve: where the best became better."""
    if placed.curve is None:
        return {}
    curve = placed.curve
    better = np.flatnonzero(np.diff(curve.best, prepend=np.inf) < 0)
    some = better[np.unique(np.linspace(0, len(better) - 1, min(_POINTS, len(better))).astype(int))]
    rows = [[int(curve.evaluations[i]), round(float(curve.seconds[i]), 4), float(curve.best[i])] for i in some]
    return {"evaluations": int(curve.evaluations[-1]), "curve": rows}


def _facts(case: Case) -> dict[str, Any]:
    """Return what is known of a case without a method: bounds, and all on one device of each kind."""
    bounds = lower_bounds(case.graph, case.simulator)
    alone = {}
    for kind in dict.fromkeys(case.devices.kinds):
        timing = case.simulator.time(np.full(len(case.graph), case.devices.kinds.index(kind)))
        alone[kind] = {"step_seconds": timing.seconds, "excess_bytes": timing.excess}
    facts = {"graph": name_of(case.source), "operators": len(case.graph), "devices": len(case.devices)}
    return facts | {"bound_seconds": bounds.best, "alone": alone}
