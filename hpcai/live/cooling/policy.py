"""The controller of a bundle of the domain cooling: a network in its graph, or rules by their parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from hpcai.configuration import validated
from hpcai.cooling.action import Actions
from hpcai.cooling.controllers.controller import Controller, Fixed
from hpcai.cooling.controllers.learned import PolicyMeta
from hpcai.cooling.controllers.pid import Pid
from hpcai.cooling.controllers.schedule import Schedule
from hpcai.cooling.controllers.trim_respond import Loop, TrimRespond
from hpcai.cooling.interface import SETPOINTS, SIDES, Floats
from hpcai.cooling.observation import OBSERVED, Scaling
from hpcai.errors import InputError
from hpcai.live.bundle import Bundle
from hpcai.live.cooling.features import action_tensor, observation_tensor
from hpcai.live.manifest import Manifest
from hpcai.live.ranking import NoAnswerError, make_session

OWN_CONTROL: Final = "the plant's own control"
"""The fallback of every bundle of cooling."""

Number = Annotated[float, Field(allow_inf_nan=False)]
Numbers = dict[str, Number]


class Parameters(BaseModel):
    """``policy`` of a manifest: the kind of controller with all of its parameters, and the step that it is made for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["default", "fixed", "schedule", "pid", "rules", "learned"]
    step_length: Annotated[float, Field(gt=0)] | None = None  # s from one decision to the next
    points: Numbers = {}  # fixed
    hours: dict[Number, Numbers] = {}  # schedule
    settings: Numbers = {}  # pid; rules: limit and band
    loops: dict[str, Numbers] = {}  # rules


class CoolingPolicy:
    """A bundle's controller; ``needs`` names what it looks at, of OBSERVED, ``notes`` say more of its last answer."""

    notes: dict[str, str] = {}  # noqa: RUF012 (replaced, never changed)

    def __init__(self, bundle: Bundle) -> None:
        """Raises InputError if the bundle is of another domain or another version."""
        manifest, where = bundle.manifest, f"bundle {bundle.where}"
        if manifest.domain != "cooling":
            raise InputError(f"{where}: expected the domain cooling, found {manifest.domain}")
        self.bundle = bundle
        self.parameters = validated(Parameters, manifest.policy, f"{where}: policy")
        if (self.parameters.kind == "learned") != (manifest.kind == "network"):
            raise InputError(f"{where}: a controller of kind {self.parameters.kind} in a bundle of {manifest.kind}")
        self.design_power: float | None = None  # W, of the site where a network learned
        if self.parameters.kind == "learned":
            meta = network_meta(manifest, where)
            self.design_power = meta.design_power
            self.controller: Controller = _Network(bundle, meta)
        else:
            self.controller = _rules(self.parameters, where)
        self.needs: tuple[str, ...] = _NEEDS[self.parameters.kind]

    def reset(self) -> None:
        """Forget the past."""
        self.controller.reset()

    def setpoints(self, observation: Floats) -> Floats:
        """Return setpoints (len(SETPOINTS),), nan for the plant's own; see hpcai.cooling.controllers.controller.

        Raises NoAnswerError if a value is one that no plant can be told.
        """
        told = self.controller.setpoints(observation)
        for point, value in zip(SETPOINTS, told.tolist(), strict=True):
            if not (np.isnan(value) or point.low - 1e-6 <= value <= point.high + 1e-6):
                raise NoAnswerError(f"the policy says {point.name} {value:g} {point.unit}")
        return told


class _Network:
    """A network in a bundle's graph."""

    def __init__(self, bundle: Bundle, meta: PolicyMeta) -> None:
        self._session = make_session(bundle)
        self._scaling, self._actions = Scaling(meta.design_power), Actions(meta.actions)

    def reset(self) -> None:
        """Nothing to forget."""

    def action(self, scaled: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the action for a scaled observation. Raises NoAnswerError if it is none."""
        (action,) = self._session.run(None, {"observation": scaled})
        if action.shape != (self._actions.size,) or not np.isfinite(action).all():
            raise NoAnswerError("the policy's action is not numbers")
        return np.asarray(action)

    def setpoints(self, observation: Floats) -> Floats:
        """Return what the network says."""
        return self._actions.setpoints(self.action(self._scaling(observation)).astype(np.float64))


def network_meta(manifest: Manifest, where: str) -> PolicyMeta:
    """Return how a network is asked. Raises InputError if it was made for features of another version."""
    meta = validated(PolicyMeta, manifest.network or {}, f"{where}: network")
    for found, expected in (
        (manifest.inputs, observation_tensor(meta.design_power)),
        (manifest.outputs, action_tensor(meta.actions)),
    ):
        if len(found) != 1 or _read(found[0]) != _read(expected):
            raise InputError(f"{where}: its features are not those of this version; train and export it again")
    return meta


def _read(tensor: Any) -> list[tuple[str, str, str]]:
    return [(feature.name, feature.unit, feature.scaling) for feature in tensor.features]


def _rules(parameters: Parameters, where: str) -> Controller:
    try:
        return _MADE[parameters.kind](parameters)
    except (TypeError, InputError) as error:
        raise InputError(f"{where}: policy: {error}") from error


def _of_rules(p: Parameters) -> dict[str, Any]:
    return {**p.settings, **{name: Loop(**loop) for name, loop in p.loops.items()}}


_MADE: Final[dict[str, Callable[[Parameters], Controller]]] = {
    "default": lambda _: Fixed(),
    "fixed": lambda p: Fixed(**p.points),
    "schedule": lambda p: Schedule(p.hours),
    "pid": lambda p: Pid(**p.settings),
    "rules": lambda p: TrimRespond(**_of_rules(p)),
}

_INLETS: Final = tuple(f"{side}_inlet" for side in SIDES)
_NEEDS: Final = {
    "default": (),
    "fixed": (),
    "schedule": (),
    "pid": _INLETS,
    "rules": (*_INLETS, *(f"{side}_{what}" for side in SIDES for what in ("supply", "zone")), "dry_bulb"),
    "learned": tuple(point.name for point in OBSERVED),
}
