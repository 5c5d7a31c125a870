"""The best settings of a simple controller, by search: the rivals that an agent has to beat."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

import optuna

from hpcai.cooling.interface import SIDES
from hpcai.evaluation.cooling.controllers import ControllerConfig
from hpcai.evaluation.progress import Progress
from hpcai.learning.clock import Clock
from hpcai.learning.cooling.config import CoolingTraining
from hpcai.learning.cooling.run_folder import CoolingRunFolder
from hpcai.learning.cooling.scoring import Score, score

RANGES: Final = {
    "fixed": {"supply": (18.0, 27.5), "airflow": (0.25, 1.0), "chilled_water": (6.0, 16.0), "coil_offset": (0.0, 1.5)},
    "rules": {
        "limit": (24.0, 27.0),
        "supply.high": (22.0, 27.5),
        "supply.trim": (0.02, 0.5),
        "airflow.start": (0.3, 1.0),
        "airflow.low": (0.25, 0.7),
        "chilled_water.high": (7.0, 16.0),
    },
    "pid": {"target": (24.0, 27.0), "supply": (20.0, 27.0), "proportional": (0.0, 0.5), "integral": (0.0, 0.3)},
}
"""What is searched, by method: settings and their ranges."""

_DRAWN: Final = 6  # trials at random before the sampler has enough to go by


def controller_of(method: str, values: dict[str, float]) -> ControllerConfig:
    """Return the controller with searched settings; fixed coils lie ``coil_offset`` above the stages before them."""
    if method == "fixed":
        points = {name: value for name, value in values.items() if name != "coil_offset"}
        coils = {f"{side}_supply": values["supply"] + values.get("coil_offset", 0.0) for side in SIDES}
        return ControllerConfig(kind="fixed", points=points | coils)
    return ControllerConfig(kind="pid" if method == "pid" else "rules", settings=values)


def search(config: CoolingTraining, folder: CoolingRunFolder, quiet: bool) -> Score:
    """Find the settings with the best score over whole years of all weathers; the best so far is always on disk.

    Sampled by Optuna's Gaussian process, after the setpoints that the configuration begins with, where it has any.
    Returns the score of the best.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    halls = [config.case(weather).open() for weather in config.weather]
    study = optuna.create_study(sampler=optuna.samplers.GPSampler(seed=config.seed, n_startup_trials=_DRAWN))
    if beginning := config.beginning:
        study.enqueue_trial(_settings_of(config.method, beginning))
    clock, best = Clock(config.limits), None
    total = int(config.limits.steps) if config.limits.steps < float("inf") else 1000
    with closing(_Halls(halls)), Progress(total, "trials", quiet) as progress:
        while not clock.over:
            trial = study.ask()
            values = {name: trial.suggest_float(name, *span) for name, span in RANGES[config.method].items()}
            made = controller_of(config.method, values)
            found = score(config, [hall.play(made.make()) for hall in halls])
            study.tell(trial, found.value)
            clock.steps += 1
            folder.append({"trial": clock.steps} | values | _columns(found))
            if best is None or found.value < best.value:
                best = found
                folder.write_controller(made.model_dump(mode="json", exclude_defaults=True))
            progress.advance()
    assert best is not None
    return best


def _settings_of(method: str, points: dict[str, float]) -> dict[str, float]:
    """Return the settings of a search that fixed setpoints stand for, as far as they say."""
    known = {name: points[name] for name in RANGES[method] if name in points}
    if "coil_offset" in RANGES[method] and {"supply", "east_supply"} <= set(points):
        known["coil_offset"] = points["east_supply"] - points["supply"]
    return known


def _columns(found: Score) -> dict[str, Any]:
    return {"score": found.value, "kwh_a_day": found.energy, "hot_degree_hours_a_day": found.hot_degree_hours}


class _Halls:
    def __init__(self, halls: list[Any]) -> None:
        self._close: list[Callable[[], None]] = [hall.plant.close for hall in halls]

    def close(self) -> None:
        for close in self._close:
            close()
