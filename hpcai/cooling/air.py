"""Moist air: saturation, humidity, wet bulb, dew point, density. Compiled; SI units, °C, kg per kg of dry air."""

from __future__ import annotations

from math import exp, log
from typing import Final

from hpcai.jit import jit

DRY_AIR_CP: Final = 1006.0  # J/(kg K), ASHRAE Handbook of Fundamentals 2017, chapter 1
VAPOUR_CP: Final = 1860.0  # J/(kg K), ibid.
VAPORISATION: Final = 2.501e6 + VAPOUR_CP * 18.0  # J/kg: enthalpy of vapour at 18 °C, about where coils and pads work
GAS_CONSTANT: Final = 287.042  # J/(kg K), dry air, ibid.
MOLAR_RATIO: Final = 0.621945  # of water to dry air, ibid.
KELVIN: Final = 273.15
STANDARD_DENSITY: Final = 1.2  # kg/m3, at which fans are rated


@jit
def saturation_pressure(temperature: float) -> float:
    """Return the pressure (Pa) of saturated vapour over water at ``temperature`` (°C).

    Magnus form of Alduchov and Eskridge (1996), J. Appl. Meteor. 35:601, within 0.4 % over -40..50 °C.
    """
    return 610.94 * exp(17.625 * temperature / (temperature + 243.04))


@jit
def saturation_humidity(temperature: float, pressure: float) -> float:
    """Return the humidity ratio of saturated air (kg/kg) at ``temperature`` (°C) and ``pressure`` (Pa)."""
    vapour = min(saturation_pressure(temperature), 0.5 * pressure)  # near boiling it has no meaning any more
    return MOLAR_RATIO * vapour / (pressure - vapour)


@jit
def dew_point(humidity: float, pressure: float) -> float:
    """Return the dew point (°C) of air of ``humidity`` (kg/kg) at ``pressure`` (Pa): the Magnus form turned round."""
    vapour = pressure * humidity / (MOLAR_RATIO + humidity)
    scale = log(max(vapour, 1e-3) / 610.94)
    return 243.04 * scale / (17.625 - scale)


@jit
def heat_capacity(humidity: float) -> float:
    """Return the heat capacity (J/(K kg dry air)) of air of ``humidity`` (kg/kg)."""
    return DRY_AIR_CP + VAPOUR_CP * humidity


@jit
def density(temperature: float, pressure: float) -> float:
    """Return the density (kg/m3) of dry air at ``temperature`` (°C) and ``pressure`` (Pa)."""
    return pressure / (GAS_CONSTANT * (temperature + KELVIN))


@jit
def wet_bulb(temperature: float, humidity: float, pressure: float, cp: float) -> float:
    """Return the temperature (°C) to which air cools when water evaporates into it until it is saturated.

    Adiabatic saturation, cp (T - T*) = h (w*(T*) - w), by Newton's method from the dry-bulb side; the heat carried by
    the liquid water is left out, which costs less than 0.1 K. ``cp`` is that of the air, J/(K kg dry air).
    """
    ratio = VAPORISATION / cp
    guess = temperature if humidity > 0.02 else 0.5 * (temperature + dew_point(humidity, pressure))
    for _ in range(5):
        saturated = saturation_humidity(guess, pressure)
        slope = saturated * 17.625 * 243.04 / (guess + 243.04) ** 2 * (1 + saturated / MOLAR_RATIO)
        step = (guess - temperature + ratio * (saturated - humidity)) / (1 + ratio * slope)
        guess -= step
        if abs(step) < 1e-4:
            break
    return guess


@jit
def humidity_of_wet_bulb(temperature: float, wet_bulb_temperature: float, pressure: float) -> float:
    """Return the humidity ratio (kg/kg) from dry-bulb and wet-bulb temperature (°C), ASHRAE (2017) 1, eq. 33."""
    saturated = saturation_humidity(wet_bulb_temperature, pressure)
    latent = (2501.0 - 2.326 * wet_bulb_temperature) * saturated - 1.006 * (temperature - wet_bulb_temperature)
    return max(1e-5, latent / (2501.0 + 1.86 * temperature - 4.186 * wet_bulb_temperature))


@jit
def humidity_of_relative(temperature: float, relative: float, pressure: float) -> float:
    """Return the humidity ratio (kg/kg) from dry-bulb temperature (°C) and relative humidity (0..1)."""
    vapour = relative * saturation_pressure(temperature)
    return max(1e-5, MOLAR_RATIO * vapour / (pressure - vapour))
