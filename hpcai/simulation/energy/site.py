"""The whole site: what cools the machines, and what all of its energy costs in money and in carbon.

The plant is made as large as the machine needs: its powers are scaled by the machine's most power over the design power
of the plant's own machines, and both of its sides carry the same load.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hpcai.cooling.interface import READING_INDEX, SIDES
from hpcai.errors import InputError
from hpcai.records.grid_signal import GridSignal
from hpcai.records.weather import Weather
from hpcai.simulation.energy.cooling import SiteCooling
from hpcai.simulation.energy.it_power import KWH, ItPower, step_means

Floats = npt.NDArray[np.float64]

STEP: Final = 900.0  # s, of the plant and of billing
_INLETS: Final = [READING_INDEX[f"{side}_inlet"] for side in SIDES]


@dataclass(frozen=True)
class SitePower:
    """The power of a site step by step (W, (n,) each); ``edges`` (n + 1,) are the ends of the steps in log time (s).

    ``of_jobs`` is the part of the machines' power that jobs answer for. Without a plant ``site`` is the machines'.
    ``price`` is per MWh in its currency, ``carbon`` in gCO2/kWh, ``inlet`` the warmer of the plant's inlets in °C, all
    nan where not known.
    """

    edges: Floats
    it: Floats
    of_jobs: Floats
    hvac: Floats
    site: Floats
    price: Floats
    carbon: Floats
    inlet: Floats

    def energy(self, name: str) -> float:
        """Return the energy (kWh) of ``it``, ``hvac`` or ``site``."""
        return float(np.dot(getattr(self, name), np.diff(self.edges))) / KWH

    @property
    def site_of_jobs(self) -> Floats:
        """What of the site's power the jobs answer for: as much of it as of the machines'."""
        share = np.divide(self.of_jobs, self.it, out=np.zeros_like(self.it), where=self.it > 0)
        result: Floats = self.site * share
        return result

    def means(self, edges: Floats, watts: Floats) -> Floats:
        """Return the mean of ``watts``, one of this site's powers, between neighbours of other ``edges`` (s)."""
        return step_means(self.edges, watts, edges)

    def bill(self, watts: Floats, rate: Floats) -> float:
        """Return what ``watts`` (W) cost or emit at ``price`` (then in its currency) or ``carbon`` (then in kg)."""
        return float(np.dot(watts * rate, np.diff(self.edges))) / KWH / 1000


class Site:
    """Where a machine stands: plant, weather, grid."""

    def __init__(
        self,
        cooling: SiteCooling | None = None,
        price: GridSignal | None = None,
        carbon: GridSignal | None = None,
        origin: float = float("nan"),
    ) -> None:
        """Take what is known of the site; steps of ``cooling`` are of STEP seconds.

        ``origin`` is the Unix time of the log's second 0; if that is not known the log is taken to begin where the
        weather does, else the price, else the carbon intensity.
        """
        if cooling is not None and cooling.case.step_length != STEP:
            raise InputError(f"step_minutes {cooling.case.step_minutes}: expected {STEP / 60:g} for a site")
        self.cooling, self.price, self.carbon = cooling, price, carbon
        self.origin = self._beginning() if np.isnan(origin) else origin

    @property
    def weather(self) -> Weather | None:
        """The weather, where a plant cools."""
        return None if self.cooling is None else self.cooling.weather

    def _beginning(self) -> float:
        if self.weather is not None:
            return self.weather.unix_start
        return next((signal.start for signal in (self.price, self.carbon) if signal is not None), 0.0)

    def power(self, machines: ItPower) -> SitePower:
        """Return the site's power while the machines draw what they draw.

        Raises InputError if weather, price or carbon intensity does not reach that far and is shorter than a year, and
        PlantError if the plant breaks down.
        """
        first, last = float(machines.time[0]), float(machines.time[-1])
        edges = np.append(np.arange(first, last, STEP), last)
        edges = np.array([first, first + STEP]) if len(edges) < 2 else edges
        it, of_jobs = machines.means(edges), machines.means(edges, machines.of_jobs)
        hvac, others, inlet = self._cool(it, machines.maximum, edges)
        middles = self.origin + (edges[:-1] + edges[1:]) / 2
        unknown = np.full(len(it), np.nan)
        price = unknown if self.price is None else self.price.at(middles)
        carbon = unknown if self.carbon is None else self.carbon.at(middles)
        return SitePower(edges, it, of_jobs, hvac, it + hvac + others, price, carbon, inlet)

    def _cool(self, it: Floats, maximum: float, edges: Floats) -> tuple[Floats, Floats, Floats]:
        """Return what cools, what else the building draws (lights), W over each step, and its warmer inlet, °C."""
        if self.cooling is None:
            return np.zeros(len(it)), np.zeros(len(it)), np.full(len(it), np.nan)
        load = np.clip(it / maximum, 0.0, 1.0) if maximum > 0 else np.zeros(len(it))
        begin = int(self.cooling.weather.since_start(np.array([self.origin + edges[0]]))[0] // STEP)
        readings = self.cooling.play(load, begin)
        hvac, own_it, whole = (readings[:, READING_INDEX[name]] for name in ("hvac", "it", "site"))
        scale = self.cooling.scale(maximum)
        return hvac * scale, (whole - own_it - hvac) * scale, readings[:, _INLETS].max(axis=1)
