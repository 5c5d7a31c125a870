"""The best settings of a simple controller, by search: the rivals that an agent has to beat."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, Final

import numpy as np
import optuna
from scipy.optimize import minimize

from hpcai.cooling.interface import SIDES, Floats
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

OF_LIQUID: Final = {"supply": (15.0, 35.0), "airflow": (0.25, 1.0)}
"""The same of fixed setpoints of a liquid-cooled plant."""

Spans = Mapping[str, tuple[float, float]]
Judge = Callable[[dict[str, float]], float]
"""Returns the score of settings, which is to be low."""

_DRAWN: Final = 6  # trials at random before the sampler has enough to go by
_REACH: Final = 0.06  # of a span, of the first simplex


def controller_of(method: str, values: dict[str, float]) -> ControllerConfig:
    """Return the controller with searched settings; fixed coils lie ``coil_offset`` above the stages before them."""
    if method == "fixed":
        points = {name: value for name, value in values.items() if name != "coil_offset"}
        coils = {f"{side}_supply": values["supply"] + values.get("coil_offset", 0.0) for side in SIDES}
        return ControllerConfig(kind="fixed", points=points | coils)
    return ControllerConfig(kind="pid" if method == "pid" else "rules", settings=values)


def search(config: CoolingTraining, folder: CoolingRunFolder, quiet: bool) -> Score:
    """Find the settings with the best score over whole years of all weathers; the best so far is always on disk.

    From the setpoints that the configuration begins with by the simplex of Nelder and Mead, in the settings that these
    name; where there are none, by Optuna's Gaussian process in all. Returns the score of the best.
    """
    halls = [config.case(weather).open() for weather in config.weather]
    spans = OF_LIQUID if config.plant == "liquid" else RANGES[config.method]
    clock, found = Clock(config.limits), list[Score]()
    total = int(config.limits.steps) if config.limits.steps < float("inf") else 1000
    with ExitStack() as stack, Progress(total, "trials", quiet) as progress:
        for hall in halls:
            stack.callback(hall.plant.close)

        def judge(values: dict[str, float]) -> float:
            made = controller_of(config.method, values)
            own = score(config, [hall.play(made.make()) for hall in halls])
            clock.steps += 1
            folder.append({"trial": clock.steps} | values | _columns(own))
            if not found or own.value < found[-1].value:
                found.append(own)
                folder.write_controller(made.model_dump(mode="json", exclude_defaults=True))
            progress.advance()
            return own.value

        if beginning := _settings_of(spans, config.beginning):
            _descend(judge, beginning, {name: spans[name] for name in beginning}, clock)
        else:
            _sample(judge, spans, clock, config.seed)
    return found[-1]


def _sample(judge: Judge, spans: Spans, clock: Clock, seed: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.GPSampler(seed=seed, n_startup_trials=_DRAWN))
    while not clock.over:
        trial = study.ask()
        study.tell(trial, judge({name: trial.suggest_float(name, *span) for name, span in spans.items()}))


def _descend(judge: Judge, beginning: dict[str, float], spans: Spans, clock: Clock) -> None:
    """Go down from a beginning in shares of the spans, until the clock is over or the simplex has shrunk to nothing."""
    low = np.array([span[0] for span in spans.values()])
    wide = np.array([span[1] for span in spans.values()]) - low
    first = (np.array(list(beginning.values())) - low) / wide
    simplex = np.vstack((first, first + np.diag(np.where(first < 0.5, _REACH, -_REACH))))

    def value(shares: Floats) -> float:
        if clock.over:
            raise StopIteration
        values = low + np.clip(shares, 0.0, 1.0) * wide
        return judge(dict(zip(spans, values.tolist(), strict=True)))

    options = {"initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-3}
    with contextlib.suppress(StopIteration):
        minimize(value, first, method="Nelder-Mead", bounds=[(0.0, 1.0)] * len(first), options=options)


def _settings_of(spans: Spans, points: dict[str, float]) -> dict[str, float]:
    """Return the settings of a search that fixed setpoints stand for, as far as they say."""
    known = {name: points[name] for name in spans if name in points}
    if "coil_offset" in spans and {"supply", "east_supply"} <= set(points):
        known["coil_offset"] = points["east_supply"] - points["supply"]
    return known


def _columns(found: Score) -> dict[str, Any]:
    return {"score": found.value, "kwh_a_day": found.energy, "hot_degree_hours_a_day": found.hot_degree_hours}
