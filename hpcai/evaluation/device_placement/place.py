"""Places a model by every method that is asked for, and writes the plan, the map of devices and the report."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from hpcai.device_placement.bounds import lower_bounds
from hpcai.device_placement.device_map import device_map, module_path
from hpcai.device_placement.graph import Ints
from hpcai.device_placement.methods.registry import METHODS, run
from hpcai.device_placement.work import work_of
from hpcai.errors import InputError
from hpcai.evaluation.device_placement.config import PlaceConfig
from hpcai.evaluation.device_placement.inputs import Inputs, load_inputs
from hpcai.evaluation.device_placement.report import render
from hpcai.evaluation.progress import Progress
from hpcai.evaluation.resumable import write_json, write_whole

FORMAT: Final = "hpcai plan 1"
_POINTS: Final = 200  # of a curve


def place_model(config: PlaceConfig, quiet: bool = False) -> dict[str, Any]:
    """Return the plan: the best placement, and how all methods fared; write it with its map and report.

    Raises InputError as ``load_inputs`` does, or if no placement is feasible, with the memory that the best lacks.
    """
    inputs = load_inputs(config)
    bounds = lower_bounds(inputs.graph, inputs.simulator)
    placements, methods = _by_method(config, inputs, quiet)
    best = min(methods, key=lambda name: (methods[name]["excess_bytes"], methods[name]["step_seconds"]))
    _check(config, inputs, best, methods[best])
    seconds = work_of(inputs.graph, inputs.simulator).seconds.min(axis=0)
    names = zip(inputs.graph.operators, inputs.graph.kinds, strict=True)
    paths = [None if kind == "input" else module_path(name) for name, kind in names]
    mapped = device_map(paths, seconds, placements[best], inputs.devices)
    plan = {
        "format": FORMAT,
        "version": version("hpcai"),
        "configuration": config.model_dump(mode="json"),
        "sha256": inputs.sha256,
        "graph": _graph_facts(inputs),
        "bounds_seconds": bounds._asdict(),
        "bound_seconds": bounds.best,
        "method": best,
        "step_seconds": methods[best]["step_seconds"],
        "devices": [
            {"name": name, "kind": kind, "memory_bytes": memory if np.isfinite(memory) else None, "peak_bytes": peak}
            for name, kind, memory, peak in zip(
                inputs.devices.names,
                inputs.devices.kinds,
                inputs.devices.memory,
                methods[best]["peak_bytes"],
                strict=True,
            )
        ],
        "methods": methods,
        "device_map_agrees": mapped.agrees,
        "placement": {
            operator: inputs.devices.names[device]
            for operator, device in zip(inputs.graph.operators, placements[best], strict=True)
        },
    }
    out = Path(config.out)
    write_json(out / "plan.json", plan)
    write_json(out / "device_map.json", mapped.devices)
    write_whole(out / "report.html", render(config, inputs, plan, placements).encode())
    return plan


def _by_method(config: PlaceConfig, inputs: Inputs, quiet: bool) -> tuple[dict[str, Ints], dict[str, Any]]:
    """Return what each method places, and how it fared, in the order of METHODS."""
    names = [name for name in METHODS if name in config.methods]
    placements, methods = {}, {}
    with Progress(len(names), "placing", quiet) as progress:
        for name in names:
            found = run(name, inputs.placed, inputs.devices, inputs.options(config))
            grouping = inputs.grouping
            placement = found.placement if grouping is None else grouping.operators_placed(found.placement)
            timing = inputs.simulator.time(placement)
            placements[name] = placement
            methods[name] = {
                "step_seconds": timing.seconds,
                "excess_bytes": timing.excess,
                "peak_bytes": timing.peak.tolist(),
                "sent_bytes": float(inputs.simulator.course(placement).size.sum()),
                "took_seconds": found.seconds,
                "source": METHODS[name].source,
            }
            if found.curve is not None:
                shown = np.unique(np.linspace(0, len(found.curve.best) - 1, _POINTS).astype(int))
                finite = np.where(np.isfinite(found.curve.best), found.curve.best, np.nan)
                methods[name]["curve"] = {
                    "evaluations": found.curve.evaluations[shown].tolist(),
                    "seconds": found.curve.seconds[shown].tolist(),
                    "best": [None if np.isnan(value) else value for value in finite[shown].tolist()],
                }
            progress.advance()
    return placements, methods


def _check(config: PlaceConfig, inputs: Inputs, name: str, row: dict[str, Any]) -> None:
    """Raise InputError if the best placement is not feasible."""
    if row["excess_bytes"] > 0:
        lacking = np.array(row["peak_bytes"]) - inputs.devices.memory
        worst = int(lacking.argmax())
        most = f"{lacking[worst] / 1e9:.3f} GB of it on {inputs.devices.names[worst]}"
        raise InputError(
            f"{config.model} on {inputs.where}: expected a placement that fits the memory, found none; that of {name} "
            f"lacks {row['excess_bytes'] / 1e9:.3f} GB, {most}"
        )


def _graph_facts(inputs: Inputs) -> dict[str, Any]:
    graph = inputs.graph
    return {
        "name": graph.name,
        "operators": len(graph),
        "placed": len(inputs.placed),
        "edges": len(graph.edges),
        "trains": graph.trains,
        "weight_bytes": float(graph.weights.sum()),
        "weight_copies": inputs.simulator.weight_copies,
        "activation_bytes": float(graph.activations.sum()),
    }
