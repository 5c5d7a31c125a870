"""Controllers as data: a kind with its settings, a YAML file of these, or the folder of a training run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from hpcai.configuration import read_mapping, validated
from hpcai.cooling.controllers.controller import Controller, Fixed
from hpcai.cooling.controllers.learned import Learned, read_network
from hpcai.cooling.controllers.pid import Pid
from hpcai.cooling.controllers.predictive import Predictive
from hpcai.cooling.controllers.schedule import Schedule
from hpcai.cooling.controllers.shield import Shield
from hpcai.cooling.controllers.trim_respond import Loop, TrimRespond
from hpcai.cooling.foresight import Foresight
from hpcai.errors import InputError
from hpcai.simulation.cooling.case import CoolingCase

CONTROLLER_FILE: Final = "controller.yaml"
NETWORK_FILE: Final = "policy.npz"

Number = Annotated[float, Field(allow_inf_nan=False)]


class ControllerConfig(BaseModel):
    """``kind`` and its settings: setpoints by name, hours with setpoints, or parameters of the kind.

    ``predictive`` and ``shield`` look ahead with the fast plant of the case's preset; for EnergyPlus that is two-zone.
    They, ``pid`` and ``rules`` know air alone, and are no controllers of a liquid-cooled plant.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["default", "fixed", "schedule", "pid", "rules", "predictive", "learned"]
    points: dict[str, Number] = {}  # fixed: setpoints by name; supply and airflow stand for both sides
    hours: dict[Number, dict[str, Number]] = {}  # schedule
    settings: dict[str, Number] = {}  # pid, rules and predictive, see their classes
    network: str | None = None  # learned: a file
    shield: bool = False  # whether it is guarded by a Shield
    shield_margin: Annotated[float, Field(ge=0)] = 0.2  # K that the shield keeps from the limit

    def make(self, case: CoolingCase | None = None) -> Controller:
        """Return the controller for a case. Raises InputError if a setting is wrong, or a case needed and not given."""
        if case is not None and case.plant == "liquid" and (self.shield or self.kind not in _OF_LIQUID):
            found = f"{self.kind} with a shield" if self.shield else self.kind
            raise InputError(f"controller of a liquid-cooled plant: expected {', '.join(_OF_LIQUID)}, found {found}")
        made = _predictive(self, case) if self.kind == "predictive" else _KINDS[self.kind](self)
        return Shield(made, foresight(case, self, horizon=2), margin=self.shield_margin) if self.shield else made


def foresight(case: CoolingCase | None, config: ControllerConfig, horizon: int) -> Foresight:
    """Return the model that a controller of a case looks ahead with."""
    if case is None:
        raise InputError(f"controller of kind {config.kind}: expected a case whose plant it can foresee")
    return Foresight(
        case.plant_preset if case.plant == "fast" else "two-zone",
        it_curve=case.it_curve,
        step_length=case.step_length,
        pressure=float(case.read_weather().frame["pressure"].mean()),
        horizon=horizon,
    )


def _predictive(config: ControllerConfig, case: CoolingCase | None) -> Controller:
    settings: dict[str, Any] = dict(config.settings)
    horizon = int(settings.pop("horizon", 4))
    settings |= {name: int(settings[name]) for name in ("candidates", "rounds", "seed") if name in settings}
    unknown = set(settings) - {"limit", "margin", "penalty", "candidates", "rounds", "seed"}
    if unknown:
        expected = "horizon, limit, margin, penalty, candidates, rounds or seed"
        raise InputError(f"predictive setting {unknown.pop()!r}: expected {expected}")
    return Predictive(foresight(case, config, horizon), **settings)


def _fixed(config: ControllerConfig) -> Controller:
    return Fixed(**config.points)


def _pid(config: ControllerConfig) -> Controller:
    return Pid(**config.settings)


def _rules(config: ControllerConfig) -> Controller:
    """Make trim-and-respond rules; settings are ``limit``, ``band``, or of a loop, as ``supply.high``."""
    of_loops: dict[str, dict[str, float]] = {"supply": {}, "airflow": {}, "chilled_water": {}}
    own: dict[str, Any] = {}
    known = {field.name for field in fields(Loop)}
    for name, value in config.settings.items():
        loop, dot, part = name.partition(".")
        if dot and loop in of_loops and part in known:
            of_loops[loop][part] = value
        elif name in ("limit", "band"):
            own[name] = value
        else:
            raise InputError(f"rules setting {name!r}: expected limit, band, or LOOP.PART such as supply.high")
    plain = TrimRespond()
    for loop, changes in of_loops.items():
        given = getattr(plain, loop)
        own[loop] = Loop(**{field.name: changes.get(field.name, getattr(given, field.name)) for field in fields(Loop)})
    return TrimRespond(**own)


def _learned(config: ControllerConfig) -> Controller:
    if config.network is None:
        raise InputError("controller of kind learned: expected 'network', a file, or 'run', a folder")
    return Learned(read_network(config.network))


_KINDS: Final[dict[str, Callable[[ControllerConfig], Controller]]] = {
    "default": lambda _: Fixed(),
    "fixed": _fixed,
    "schedule": lambda config: Schedule(config.hours),
    "pid": _pid,
    "rules": _rules,
    "learned": _learned,
}


_ALONE: Final = ("default", "rules", "pid", "predictive")  # kinds that need no settings
_OF_LIQUID: Final = ("default", "fixed", "schedule", "learned")


def controller_config(given: Mapping[str, Any] | str, where: str) -> ControllerConfig:
    """Return a controller's configuration.

    A text is a kind that needs no settings, such as ``default``, or a YAML file that holds a mapping, or the folder of
    a training; the folder may be ``run`` in a mapping, too, beside which a shield may stand. Raises InputError if it
    is wrong, or there is no controller.
    """
    if isinstance(given, Mapping) and "run" in given and set(given) <= {"run", "shield", "shield_margin"}:
        guard = validated(
            ControllerConfig, {key: given[key] for key in given if key != "run"} | {"kind": "learned"}, where
        )
        update = {"shield": guard.shield, "shield_margin": guard.shield_margin}
        return _of_run(str(given["run"]), where).model_copy(update=update)
    if isinstance(given, str):
        return _named(given, where)
    return validated(ControllerConfig, given, where)


def _named(name: str, where: str) -> ControllerConfig:
    """Return what a text stands for."""
    if name in _ALONE:
        return validated(ControllerConfig, {"kind": name}, where)
    if not Path(name).is_file():
        return _of_run(name, where)
    fields = read_mapping(name)
    return controller_config(fields, name) if "run" in fields else _of_file(Path(name), fields)


def _of_run(folder: str, where: str) -> ControllerConfig:
    file = Path(folder) / CONTROLLER_FILE
    if not file.is_file():
        raise InputError(
            f"{where}: {folder}: expected 'default' or the folder of a training with {CONTROLLER_FILE}, "
            f"one of {', '.join(_ALONE[1:])}, or a YAML file"
        )
    return _of_file(file, read_mapping(file))


def _of_file(file: Path, fields: Mapping[str, Any]) -> ControllerConfig:
    """Return the controller in a file; its network lies beside it."""
    config = validated(ControllerConfig, fields, str(file))
    if config.network is not None:
        config = config.model_copy(update={"network": str(file.parent / config.network)})
    return config
