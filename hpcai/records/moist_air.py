"""Moist air by PsychroLib (ASHRAE Handbook - Fundamentals, 2017, ch. 1), over arrays, compiled once per machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
import psychrolib

Floats = npt.NDArray[np.float64]
F = TypeVar("F", bound=Callable[..., Any])

psychrolib.SetUnitSystem(psychrolib.SI)  # before anything is compiled: PsychroLib's units are compile-time constants

_humidity_ratio: Any = psychrolib.GetHumRatioFromRelHum
_wet_bulb: Any = psychrolib.GetTWetBulbFromHumRatio
_dew_point: Any = psychrolib.GetTDewPointFromRelHum
_relative_humidity: Any = psychrolib.GetRelHumFromTDewPoint


def humidity_ratio(dry_bulb: Floats, relative_humidity: Floats, pressure: Floats) -> Floats:
    """Return kg of water per kg of dry air; from °C, 0..1 and Pa, arrays of one shape."""
    result: Floats = _humidity_ratios(dry_bulb, relative_humidity, pressure)
    return result


def wet_bulb(dry_bulb: Floats, humidity_ratio: Floats, pressure: Floats) -> Floats:
    """Return the thermodynamic wet-bulb temperature (°C); from °C, kg/kg and Pa, arrays of one shape."""
    result: Floats = _wet_bulbs(dry_bulb, humidity_ratio, pressure)
    return result


def dew_point(dry_bulb: Floats, relative_humidity: Floats) -> Floats:
    """Return the dew point (°C); from °C and 0..1, arrays of one shape."""
    result: Floats = _dew_points(dry_bulb, relative_humidity)
    return result


def relative_humidity(dry_bulb: Floats, dew_point: Floats) -> Floats:
    """Return the relative humidity, 0..1; from °C, arrays of one shape, the dew point at most the dry bulb."""
    result: Floats = _relative_humidities(dry_bulb, np.minimum(dew_point, dry_bulb))
    return result


def standard_pressure(elevation: float) -> float:
    """Return the pressure (Pa) of the standard atmosphere at ``elevation`` (m)."""
    return float(101325 * (1 - 2.25577e-5 * elevation) ** 5.2559)


def _compiled(function: F) -> F:
    return cast(F, numba.njit(cache=True)(function))


@_compiled
def _humidity_ratios(dry_bulb: Floats, relative_humidity: Floats, pressure: Floats) -> Floats:
    result = np.empty_like(dry_bulb)
    for i in range(len(dry_bulb)):
        result[i] = _humidity_ratio(dry_bulb[i], relative_humidity[i], pressure[i])
    return result


@_compiled
def _wet_bulbs(dry_bulb: Floats, humidity_ratio: Floats, pressure: Floats) -> Floats:
    result = np.empty_like(dry_bulb)
    for i in range(len(dry_bulb)):
        result[i] = min(_wet_bulb(dry_bulb[i], humidity_ratio[i], pressure[i]), dry_bulb[i])
    return result


@_compiled
def _dew_points(dry_bulb: Floats, relative_humidity: Floats) -> Floats:
    result = np.empty_like(dry_bulb)
    for i in range(len(dry_bulb)):
        result[i] = _dew_point(dry_bulb[i], relative_humidity[i])
    return result


@_compiled
def _relative_humidities(dry_bulb: Floats, dew_point: Floats) -> Floats:
    result = np.empty_like(dry_bulb)
    for i in range(len(dry_bulb)):
        result[i] = min(_relative_humidity(dry_bulb[i], dew_point[i]), 1.0)
    return result
