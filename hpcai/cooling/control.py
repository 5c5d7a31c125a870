"""What a side does where no setpoint tells it: supply temperature and airflow of its own. Compiled."""

from __future__ import annotations

from hpcai.jit import jit


@jit
def own_supply(zone: float, need: float, flow: float, cp: float, low: float, high: float) -> float:
    """Return the supply temperature (°C) that takes ``need`` (W) out of the zone at the present ``flow`` (kg/s).

    EnergyPlus Engineering Reference, "SetpointManager:SingleZone:Cooling": T = T_zone - Q / (m cp), within limits.
    """
    return min(high, max(low, zone - need / (flow * cp)))


@jit
def own_airflow(wanted: float, entering: float, need: float, design_flow: float, cp: float, low: float) -> float:
    """Return the supply air (kg/s) that takes ``need`` (W) out of a zone at ``wanted`` when it enters at ``entering``.

    EnergyPlus Engineering Reference, "AirTerminal:SingleDuct:VAV:NoReheat": m = Q / (cp (T_zone - T_entering)), °C, no
    less than the share ``low`` of the design flow and no more than that; there the zone's temperature is that at the
    end of the step, near the one wanted.
    """
    if need <= 0:
        return low * design_flow
    if wanted - entering < 0.01:
        return design_flow
    return min(design_flow, max(low * design_flow, need / (cp * (wanted - entering))))
