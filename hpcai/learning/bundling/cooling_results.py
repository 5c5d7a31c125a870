"""Results of a controller in a finished ``hpcai cooling run``, for its bundle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from hpcai.arrays import file_hash
from hpcai.errors import InputError
from hpcai.evaluation.cooling.controllers import ControllerConfig
from hpcai.live.manifest import Metric

_COMPARED: Final = {"hvac_kwh": "hvac_ratio", "site_kwh": "site_ratio"}
_PLAIN: Final = ("it_kwh", "hot_minutes", "hot_degree_hours")
"""Metrics without intervals: without them energy alone could be gamed."""


def cooling_metrics(folder: str | Path, config: ControllerConfig) -> tuple[Metric, ...]:
    """Return the results of a controller, known by its settings or its network's hash.

    Raises InputError if ``folder`` holds no results, or none of it.
    """
    path = Path(folder) / "results.json"
    try:
        results = json.loads(path.read_text("utf-8"))
        name = _name(results, config)
        found = () if name is None else tuple(_metrics(results, name))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as results of hpcai cooling run: {error}") from error
    if not found:
        raise InputError(f"{path}: expected results of this controller, found {', '.join(results['controllers'])}")
    return found


def _name(results: dict[str, Any], config: ControllerConfig) -> str | None:
    """Return what the results call the controller."""
    if config.network is not None:
        digest = file_hash(config.network)
        of = {name: results["sha256"].get(str(each.get("network"))) for name, each in results["controllers"].items()}
        return next((name for name, other in of.items() if other == digest), None)
    own = config.model_dump(mode="json", exclude_defaults=True)
    return next((name for name, each in results["controllers"].items() if each == own), None)


def _metrics(results: dict[str, Any], name: str) -> Iterator[Metric]:
    rival = results["config"]["baseline"]
    for case, result in results["cases"].items():
        own, other = (result["controllers"][each] for each in (name, rival))
        for metric in (*_COMPARED, *_PLAIN):
            value, rival_value = own["metrics"][metric], other["metrics"][metric]
            ratio = own[_COMPARED[metric]] if metric in _COMPARED else {}
            yield Metric(
                trace=case,
                part=f"{result['plant']}, {result['it_curve']} IT power",
                windows=f"{result['steps']} steps",
                metric=metric,
                value=value,
                rival=rival,
                rival_value=rival_value,
                ratio=ratio.get("value", value / rival_value if rival_value else None),
                low=ratio.get("low"),
                high=ratio.get("high"),
                intervals="95% by bootstrap over weeks" if ratio else "none",
            )
