"""The air of a zone over a step, exactly. Compiled."""

from __future__ import annotations

from math import exp

from hpcai.jit import jit


@jit
def relax(start: float, rate: float, source: float, dt: float) -> tuple[float, float]:
    """Return end and mean over ``dt`` of x in dx/dt = source - rate x, from ``start``; exact, any step length.

    The zone's energy balance (EnergyPlus Engineering Reference, "Basis for the Zone and Air System Integration",
    analytical solution) has this form: C dT/dt = gains + m cp (T_supply - T) + UA (T_out - T).
    """
    if rate * dt < 1e-12:
        return start + source * dt, start + 0.5 * source * dt
    steady = source / rate
    decay = exp(-rate * dt)
    return steady + (start - steady) * decay, steady + (start - steady) * (1.0 - decay) / (rate * dt)
