"""Means of a comparison: geometric ones of ratios of step times, with intervals over graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from hpcai.device_placement.methods.registry import METHODS
from hpcai.evaluation.statistics import Floats, resample

LEARNED: Final = ("learned", "zero-shot", "policy", "reinforce")
PUBLISHED: Final = tuple(name for name in METHODS if name not in (*LEARNED, "halving"))  # not ours, not learned
_RESAMPLES: Final = 10_000

Cells = Sequence[Mapping[str, Any]]


def summarise(identity: Mapping[str, Any], facts: Mapping[str, Any], cells: Cells) -> dict[str, Any]:
    """Return facts, cells, and ratios of each method: to the bound, and to the best published one of each case."""
    steps = step_times(facts, cells)
    graphs = [facts[case]["graph"] for case in facts]
    bound = np.array([facts[case]["bound_seconds"] for case in facts])
    rivals = [steps[name] for name in PUBLISHED if name in steps]
    to = {"bound": bound}
    if rivals:
        to["best_published"] = np.fmin.reduce(rivals)
    to |= {name: steps[name] for name in steps}
    summary = {
        name: {
            "cases": len(times),
            "not_feasible": int(np.isnan(times).sum()),
            "took_seconds": float(np.mean([cell["took_seconds"] for cell in cells if cell["method"] == name])),
            "to": {other: ratio(times, reference, graphs) for other, reference in to.items() if other != name},
        }
        for name, times in steps.items()
    }
    return {**identity, "cases": dict(facts), "methods": summary, "cells": list(cells)}


def step_times(facts: Mapping[str, Any], cells: Cells) -> dict[str, Floats]:
    """Return by method (cases,) geometric means of step seconds over seeds; nan where one is not feasible."""
    names = dict.fromkeys(cell["method"] for cell in cells)
    found: dict[tuple[str, str], list[float]] = {}
    for cell in cells:
        seconds = cell["step_seconds"] if cell["excess_bytes"] == 0 else np.nan
        found.setdefault((cell["method"], cell["case"]), []).append(seconds)
    return {name: np.array([np.exp(np.mean(np.log(found[name, case]))) for case in facts]) for name in names}


def ratio(times: Floats, reference: Floats, graphs: list[str]) -> dict[str, float] | None:
    """Return the geometric mean of ``times`` / ``reference`` (cases,) with its 95 % bootstrap interval over graphs.

    Cases in which either is nan do not count; None if none is left.
    """
    logs = np.log(times / reference)
    names = [name for name in dict.fromkeys(graphs) if np.isfinite(logs[np.array(graphs) == name]).any()]
    if not names:
        return None
    counts = np.array([[np.isfinite(logs[i]) and graph == name for i, graph in enumerate(graphs)] for name in names])
    sums, sizes = np.where(counts, np.nan_to_num(logs), 0.0).sum(axis=1), counts.sum(axis=1)
    weights = resample(len(names), 1, _RESAMPLES, np.random.default_rng(0))
    low, high = np.quantile((weights @ sums) / (weights @ sizes), [0.025, 0.975])
    mean = sums.sum() / sizes.sum()
    return {"ratio": float(np.exp(mean)), "low": float(np.exp(low)), "high": float(np.exp(high))}


def tables(results: Mapping[str, Any]) -> list[str]:
    """Return the comparison as lines of Markdown: means, and the step time of each case."""
    methods, cases = results["methods"], results["cases"]
    lines = ["| method | to the bound | to the best published | not feasible | took s |", "|---" * 5 + "|"]
    for name in sorted(methods, key=lambda name: (methods[name]["to"].get("bound") or {"ratio": np.inf})["ratio"]):
        row = methods[name]
        cells = [shown(row["to"].get(other)) for other in ("bound", "best_published")]
        lines.append(f"| {name} | {' | '.join(cells)} | {row['not_feasible']} | {row['took_seconds']:.2f} |")
    steps = step_times(cases, results["cells"])
    lines += ["", f"| step, ms | bound | {' | '.join(methods)} |", "|---" * (2 + len(methods)) + "|"]
    for i, case in enumerate(cases):
        times = [f"{steps[name][i] * 1e3:.2f}" if np.isfinite(steps[name][i]) else "–" for name in methods]
        lines.append(f"| {case} | {cases[case]['bound_seconds'] * 1e3:.2f} | {' | '.join(times)} |")
    return lines


def shown(found: Mapping[str, float] | None) -> str:
    """Return a ratio with its interval."""
    return f"{found['ratio']:.3f} [{found['low']:.3f}, {found['high']:.3f}]" if found else "–"
