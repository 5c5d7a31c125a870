"""The air handler of a side: mixer, fan, evaporative coolers, coils, in this order. Compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hpcai.cooling.air import wet_bulb
from hpcai.cooling.coil import chilled_water, contact_factor, direct_expansion
from hpcai.cooling.evaporative import direct, indirect
from hpcai.cooling.mixing import outdoor_share
from hpcai.jit import jit


class Outdoor(NamedTuple):
    """The weather of a step."""

    dry_bulb: float  # °C
    humidity: float  # kg/kg
    wet_bulb: float  # °C
    dew_point: float  # °C
    pressure: float  # Pa


class Stages(NamedTuple):
    """The setpoints of a side, all known, and of the plant as far as they matter to it."""

    direct: float  # °C
    indirect: float  # °C
    expansion: float  # °C
    supply: float  # °C
    economizer: float  # largest share of outdoor air
    water: float  # chilled water, °C
    most_heat: float  # that the chiller can take from this side, W


class Air(NamedTuple):
    """The air that an air handler moves."""

    flow: float  # kg/s
    share: float  # of the design flow
    fan_rise: float  # K
    cp: float  # J/(K kg)


class Handled(NamedTuple):
    """What an air handler made of its air; drops in K, positive when they cool."""

    supply: float  # °C
    humidity: float  # kg/kg
    outdoor_share: float
    direct_drop: float
    indirect_drop: float
    expansion_drop: float
    coil_drop: float
    evaporated: float  # water taken up, kg/kg
    condensed: float  # water left on the coil, kg/kg
    evaporative_power: float  # W
    expansion_power: float  # W
    coil_heat: float  # sensible and latent, to the chilled water, W
    water_flow: float  # kg/s


@jit
def handle(s: np.void, air: Air, back: float, back_humidity: float, stages: Stages, out: Outdoor) -> Handled:
    """Return what the air handler of side ``s`` makes of return air at ``back`` (°C) and ``back_humidity`` (kg/kg)."""
    x = outdoor_share(
        out.dry_bulb,
        out.dew_point,
        back,
        stages.supply - air.fan_rise,
        s["economizer_least"],
        stages.economizer,
        (s["economizer_lowest"], s["economizer_highest"], s["economizer_highest_dew_point"]),
    )
    blown = back + x * (out.dry_bulb - back) + air.fan_rise
    humidity = back_humidity + x * (out.humidity - back_humidity)
    wetted, moist, part = direct(
        blown,
        humidity,
        stages.direct,
        s["direct_effectiveness"],
        (s["direct_lowest"], s["direct_highest_wet_bulb"]),
        out.pressure,
        air.cp,
    )
    after, power = indirect(
        wetted,
        stages.indirect,
        air.share,
        out.dry_bulb,
        out.wet_bulb,
        (s["indirect_dry"], s["indirect_wet"]),
        (s["indirect_wetting_from"], s["indirect_highest_wet_bulb"]),
        (s["indirect_fan_power"], s["indirect_pump_power"]),
    )
    precooled, compressor = after, 0.0
    if s["expansion_capacity"] > 0 and after > stages.expansion:
        precooled, compressor = direct_expansion(
            after,
            stages.expansion,
            air.flow,
            out.dry_bulb,
            wet_bulb(after, moist, out.pressure, air.cp),
            s["expansion_capacity"],
            s["expansion_cop"],
            air.cp,
        )
    supply, dry, heat, water = chilled_water(
        precooled,
        moist,
        stages.supply,
        air.flow,
        contact_factor(air.flow, air.flow / air.share, s["coil_conductance"], air.cp),
        stages.water,
        s["coil_water_flow"],
        s["coil_effectiveness"],
        stages.most_heat,
        out.pressure,
        air.cp,
    )
    return Handled(
        supply,
        dry,
        x,
        blown - wetted,
        wetted - after,
        after - precooled,
        precooled - supply,
        moist - humidity,
        moist - dry,
        power + part * s["direct_pump_power"],
        compressor,
        heat,
        water,
    )
