"""The two-zone data centre in EnergyPlus behind the interface of every plant."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Final

import numpy as np

from hpcai.cooling.energyplus.building import STAGES, ItCurve, prepare, read_model
from hpcai.cooling.energyplus.process import EnergyPlusProcess, Floats, Job
from hpcai.cooling.interface import OWN, READINGS, SETPOINT_INDEX, SIDES, check_commands, checked
from hpcai.errors import InputError
from hpcai.records.readers._source import decompress
from hpcai.records.readers.epw import is_epw
from hpcai.records.weather import read_weather

_DAYS: Final = 365  # weather of a typical year
_EPOCH: Final = datetime.date(1991, 1, 1)  # the model's own year; no leap year

_FLOOR: Final = {"east": 256.49, "west": 229.94}  # m², of the model's geometry

_MEANS: Final = {  # name of a sum: the variables that make it up
    **{
        f"{side}_it": tuple(
            (f"ITE {part} Electricity Rate", f"{side.capitalize()}DataCenter_Equip") for part in ("CPU", "Fan", "UPS")
        )
        for side in SIDES
    },
    **{f"{side}_fan": (("Fan Electricity Rate", f"{side.capitalize()} Zone Supply Fan"),) for side in SIDES},
    "evaporative": tuple(
        ("Evaporative Cooler Electricity Rate", f"{side.capitalize()} Data Center {stage}")
        for side in SIDES
        for stage in ("DEC", "IEC")
    ),
    "chiller": (("Chiller Electricity Rate", "Chiller"),),
    "tower": (
        ("Cooling Tower Fan Electricity Rate", "Cooling Tower"),
        ("Cooling Tower Basin Heater Electricity Rate", "Cooling Tower"),
    ),
    "pumps": (("Pump Electricity Rate", "CW Circ Pump"), ("Pump Electricity Rate", "Cond Circ Pump")),
    "hvac": (("Facility Total HVAC Electricity Demand Rate", "Whole Building"),),
    "site": (("Facility Total Electricity Demand Rate", "Whole Building"),),
}
_LASTS: Final = {
    **{f"{side}_supply": ("System Node Temperature", f"{side.capitalize()} Zone Inlet Node") for side in SIDES},
    **{
        f"{side}_inlet": ("ITE Air Inlet Dry-Bulb Temperature", f"{side.capitalize()}DataCenter_Equip")
        for side in SIDES
    },
    **{f"{side}_zone": ("Zone Air Temperature", f"{side.capitalize()} Zone") for side in SIDES},
    **{f"{side}_airflow": ("System Node Mass Flow Rate", f"{side.capitalize()} Zone Inlet Node") for side in SIDES},
    "dry_bulb": ("Site Outdoor Air Drybulb Temperature", "Environment"),
    "wet_bulb": ("Site Outdoor Air Wetbulb Temperature", "Environment"),
}
_PARTS: Final = tuple(pair for parts in _MEANS.values() for pair in parts)
_STAGES: Final = np.array([SETPOINT_INDEX[f"{side}_{stage}"] for side in SIDES for stage in STAGES])


def _sums() -> Floats:
    """Return the matrix (readings, what the process says) of ones and zeros that makes readings of it."""
    variables = (*_PARTS, *_LASTS.values())
    of = _MEANS | {name: (pair,) for name, pair in _LASTS.items()}
    of["it"] = tuple(pair for side in SIDES for pair in _MEANS[f"{side}_it"])
    return np.array([[float(variable in of[point.name]) for variable in variables] for point in READINGS])


_SUMS: Final = _sums()


def _schedule(name: str, kind: str = "Constant") -> tuple[str, str, str]:
    return (f"Schedule:{kind}", "Schedule Value", name)


def _actuators(own_supply: bool) -> list[tuple[str | None, tuple[str, str, str], tuple[str, str] | None]]:
    """Return (setpoint, actuator, scale) of each actuator; those of the loads of both sides, without setpoint, last."""
    made: list[tuple[str | None, tuple[str, str, str], tuple[str, str] | None]] = []
    for side in SIDES:
        zone = side.capitalize()
        if not own_supply:
            made += [(f"{side}_{stage}", _schedule(f"{zone} {node} setpoint"), None) for stage, node in STAGES.items()]
        fan = f"{zone} Zone Supply Fan"
        made += [(f"{side}_airflow", ("Fan", "Fan Air Mass Flow Rate", fan), ("Fan Maximum Mass Flow Rate", fan))]
        made += [("economizer", _schedule(f"{zone} economizer"), None)]
    made += [("chilled_water", _schedule("CW Loop Temp Schedule", "Compact"), None)]
    made += [(None, _schedule(f"{side.capitalize()} load"), None) for side in SIDES]
    return made


class EnergyPlusPlant:
    """The building, with the weather of an .epw file and a process of EnergyPlus for each episode.

    Whether supply air is left to the model's own setpoint managers is settled by the first step of an episode: they
    are part of the model, so either they rule for all of it, or never. Then chilled water, airflow and economizer can
    still be left to the model or not at any step.
    """

    def __init__(
        self,
        weather: str | Path,
        *,
        model: str | Path | None = None,
        it_curve: ItCurve = "stock",
        steps_per_hour: int = 4,
    ) -> None:
        """Raise InputError if the weather or the model cannot be used, or EnergyPlus is not installed.

        Args:
            weather: an EPW file of a year, plain or compressed.
            model: an epJSON file, by default the one fetched before.
            it_curve: how the machines' power follows the temperature of their air; see building.ItCurve.
            steps_per_hour: a divisor of 60; 4 and 12 make steps of 15 and 5 minutes.
        """
        if steps_per_hour not in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60):
            raise InputError(f"steps_per_hour {steps_per_hour}: expected a divisor of 60")
        self.weather, self.it_curve = read_weather(weather), it_curve
        self._epw, _ = decompress(Path(weather).read_bytes())
        if not is_epw(self._epw.decode("utf-8-sig", "replace")) or self.weather.duration != _DAYS * 86400.0:
            raise InputError(f"{weather}: expected an EPW file of a year of {_DAYS} days, as EnergyPlus needs")
        self.step_length = 3600.0 / steps_per_hour
        self.steps = _DAYS * 24 * steps_per_hour
        self._per_hour = steps_per_hour
        self._model = read_model(model)
        machines = self._model["ElectricEquipment:ITE:AirCooled"]
        self.design_power = sum(
            _FLOOR[side] * equipment["watts_per_floor_area"] / equipment["design_electric_power_supply_efficiency"]
            for side, equipment in ((side, machines[f"{side.capitalize()}DataCenter_Equip"]) for side in SIDES)
        )
        self._process: EnergyPlusProcess | None = None
        self._start, self._now = 0, 0

    def reset(self, start: int = 0) -> Floats:
        """Begin at step ``start`` of the year; see :class:`hpcai.cooling.interface.Plant`."""
        if not 0 <= start < self.steps:
            raise InputError(f"start {start}: expected a step of the year, 0 to {self.steps - 1}")
        self._start = start
        self._begin(own_supply=False)
        return self._readings()

    def _begin(self, own_supply: bool) -> None:
        """Start EnergyPlus at midnight before the episode and let the model's own control run up to its beginning."""
        self.close()
        day, steps = divmod(self._start, 24 * self._per_hour)
        first = _EPOCH + datetime.timedelta(days=day)
        plan = _actuators(own_supply)
        self._told = np.array([SETPOINT_INDEX[name] for name, _, _ in plan if name is not None])
        self._own_supply = own_supply
        self._process = EnergyPlusProcess(
            Job(
                model=prepare(
                    self._model,
                    it_curve=self.it_curve,
                    steps_per_hour=self._per_hour,
                    first_day=(first.month, first.day),
                    own_supply=own_supply,
                ),
                weather=self._epw,
                means=_PARTS,
                lasts=tuple(_LASTS.values()),
                actuators=[actuator for _, actuator, _ in plan],
                scales=[scale for _, _, scale in plan],
            )
        )
        self._now = self._start
        if steps:
            self._process.roll(np.tile(np.concatenate((OWN[self._told], np.ones(len(SIDES)))), (steps, 1)))

    def step(self, setpoints: Floats, it_load: Floats) -> Floats:
        """Go one step on; see :class:`hpcai.cooling.interface.Plant`.

        Raises InputError, too, if supply air changes hands between the model and the caller within an episode, or
        some of its stages are left to the model and others not.
        """
        check_commands(setpoints, it_load)
        said = self._ready(setpoints[_STAGES], 1).step(np.concatenate((setpoints[self._told], it_load)))
        self._now += 1
        return np.asarray(_SUMS @ said)

    def rollout(self, setpoints: Floats, it_load: Floats) -> Floats:
        """Go on for as many steps as there are loads; see hpcai.cooling.interface.Plant; raises as ``step``."""
        setpoints, it_load = checked(setpoints, it_load)
        steps = len(it_load)
        process = self._ready(setpoints[:, _STAGES], steps)
        told = np.broadcast_to(setpoints[:, self._told], (steps, self._told.size))
        said = process.roll(np.hstack((told, it_load)))
        self._now += steps
        return np.asarray(said @ _SUMS.T)

    def _ready(self, stages: Floats, steps: int) -> EnergyPlusProcess:
        """Return the process, ready for so many steps in which the stages of supply air are told ``stages``."""
        if self._process is None:
            raise InputError("step: expected reset first")
        if self._now + steps > self.steps:
            raise InputError(f"step: the year is over, {self.steps} steps; expected reset")
        own = np.isnan(stages)
        every = bool(own.all())
        if self._now == self._start and every and not self._own_supply:
            self._begin(own_supply=True)
        if not (every if self._own_supply else not own.any()):
            raise InputError(
                "setpoints of supply air: EnergyPlus leaves all of them to the model, or none, for a whole episode; "
                f"found {int(own.sum())} of {own.size} left to it"
            )
        return self._process

    def _readings(self) -> Floats:
        assert self._process is not None
        return np.asarray(_SUMS @ self._process.readings)

    def close(self) -> None:
        """End the process of EnergyPlus."""
        if self._process is not None:
            self._process.close()
            self._process = None
