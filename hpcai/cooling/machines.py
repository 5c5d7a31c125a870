"""The machines of a side: power from load and inlet temperature. Compiled."""

from __future__ import annotations

from typing import Final

from hpcai.jit import jit

THROTTLED: Final = 45.0  # °C at the inlet, the limit of ASHRAE class A4: hotter machines throttle
TRIPPED: Final = 60.0  # °C: and here the last one is off

Plane = tuple[float, float, float, float]


@jit
def machines_power(
    load: float,
    inlet: float,
    design: float,
    fan_share: float,
    supply_efficiency: float,
    power: Plane,
    airflow: Plane,
    fan_exponent: float,
) -> float:
    """Return the power (W) of machines, their fans and their power supplies.

    EnergyPlus Engineering Reference, "Electric Equipment: ITE: Air Cooled": processors and fans by planes of load and
    inlet temperature, the losses of the power supplies on top. Above THROTTLED they shut down one after another.

    Args:
        load: 0..1.
        inlet: air at the inlets, °C.
        design: processors and fans at full load, W.
        fan_share: share of ``design`` that the fans take.
        supply_efficiency: what is lost in power supplies is (1 - efficiency) of processors and fans.
        power: c0 + c1 load + c2 max(0, inlet - knee), relative to the processors' design; (c0, c1, c2, knee).
        airflow: the same for the flow of the machines' own fans.
        fan_exponent: fan power ~ flow^exponent; 3 is the affinity law.
    """
    running = min(1.0, max(0.0, (TRIPPED - inlet) / (TRIPPED - THROTTLED)))
    inlet = min(inlet, THROTTLED)
    processors = max(0.0, power[0] + power[1] * load + power[2] * max(0.0, inlet - power[3]))
    flow = max(0.0, airflow[0] + airflow[1] * load + airflow[2] * max(0.0, inlet - airflow[3]))
    fans = flow if fan_exponent == 1.0 else flow**fan_exponent
    return running * design * ((1.0 - fan_share) * processors + fan_share * fans) * (2.0 - supply_efficiency)
