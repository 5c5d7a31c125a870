"""What is measured of energy, defined."""

from __future__ import annotations

from typing import Final

OF_ENERGY: Final = (  # name, unit, definition
    ("it_energy", "kWh", "Energy of the machines at the plug, from the first submission to the last end."),
    ("job_energy", "kWh", "Of it, what jobs answer for: what they add, and the idle power of what they occupy."),
    ("idle_energy", "kWh", "Of it, the idle power of what no job occupies."),
    ("energy_per_job", "kWh", "Energy that jobs answer for / jobs that ran."),
    ("peak_power", "kW", "Highest power of the machines at any time."),
    ("hvac_energy", "kWh", "Energy of all that cools: fans, evaporative coolers, chiller, tower, pumps."),
    ("site_energy", "kWh", "Energy of machines, cooling and lights; without a plant, of the machines."),
    ("site_peak", "kW", "Highest mean power of the site in 15 min."),
    ("pue", "1", "Site energy / machines' energy."),
    ("hot_hours", "h", "Time in which an inlet was warmer than recommended: air above 27 °C, facility water 32 °C."),
    ("cost_usd", "USD", "Site energy times its price, step by step of 15 min."),
    ("cost_eur", "EUR", "The same where the price is in EUR."),
    ("carbon", "kg", "Site energy times the grid's carbon intensity, step by step of 15 min; CO2 equivalent."),
    ("job_cost_usd", "USD", "Of the cost, what jobs answer for: in each step as much as of the machines' energy."),
    ("job_cost_eur", "EUR", "The same where the price is in EUR."),
    ("job_carbon", "kg", "Of the carbon, what jobs answer for, in the same way."),
)
ENERGY_NAMES: Final = tuple(name for name, _, _ in OF_ENERGY)
