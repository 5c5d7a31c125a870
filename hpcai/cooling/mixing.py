"""The outdoor-air mixer and its economizer: how much outdoor air an air handler takes. Compiled."""

from __future__ import annotations

from hpcai.jit import jit


@jit
def outdoor_share(
    outdoor: float, dew_point: float, back: float, target: float, least: float, cap: float, limits: tuple[float, ...]
) -> float:
    """Return the share of outdoor air (0..1) in the supply air.

    Fixed dry-bulb economizer with a dew-point limit (EnergyPlus Engineering Reference, "Outdoor Air Controller"):
    where the weather allows it, outdoor and return air are mixed to reach ``target``, else the ``least`` share stays.

    Args:
        outdoor: outdoor dry-bulb temperature, °C.
        dew_point: outdoor dew point, °C.
        back: return air, °C.
        target: mixed air wanted, °C: the supply setpoint less the rise over the fan.
        least: smallest share.
        cap: largest share.
        limits: lowest dry-bulb, highest dry-bulb, highest dew-point temperature at which the economizer works, °C.
    """
    lowest, highest, highest_dew_point = limits
    if not (lowest <= outdoor <= highest and dew_point <= highest_dew_point):
        return min(least, cap)
    if outdoor >= target:  # even all of it is not too cold
        share = 1.0
    elif back <= target:  # nothing to cool
        share = 0.0
    else:
        share = (back - target) / (back - outdoor)
    return min(cap, max(least, share))
