"""The report's figures of energy as Plotly JSON: power over time, energy by policy."""

from __future__ import annotations

from typing import Any

import numpy as np

from hpcai.evaluation.config import Entry
from hpcai.evaluation.figures import BINS, CURVES, Figure, colours, escape, line, packed, time_unit
from hpcai.evaluation.tables import Means
from hpcai.simulation.energy.it_power import ItPower
from hpcai.simulation.energy.site import Site, SitePower

_PARTS = (  # metrics of the parts of a site's energy, names, colours from dark to light
    ("job_energy", "jobs", "#4477AA"),
    ("idle_energy", "idle machines", "#66CCEE"),
    ("hvac_energy", "cooling", "#EE7733"),
)


def power_over_time(drawn: dict[Entry, tuple[ItPower, SitePower]], site: Site) -> Figure:
    """Return the power of machines (above) and, below, that of the site or what the grid says, over time (kW).

    Time ends with the last replay; the record may go on for longer.
    """
    begin = min(machines.time[0] for machines, _ in drawn.values())
    replays = [machines for entry, (machines, _) in drawn.items() if entry.policy is not None]
    finish = max(float(machines.time[-1]) for machines in replays)
    edges = np.linspace(begin, max(finish, begin + 1), BINS + 1)
    unit, seconds = time_unit(finish - begin)
    middle = packed(((edges[:-1] + edges[1:]) / 2 - begin) / seconds)
    data: list[dict[str, Any]] = []
    for place, (entry, (machines, power)) in enumerate(drawn.items()):
        looks = line(entry, colours(list(drawn))[entry], place) | {"x": middle, "legendgroup": entry.label}
        looks["visible"] = True if place < CURVES else "legendonly"
        known = np.where(edges[1:] <= machines.time[-1], 1e-3, np.nan)  # kW; no line after the last end
        data.append(looks | {"y": packed(machines.means(edges) * known), "hovertemplate": "%{y:.1f} kW"})
        if site.cooling is not None:
            below = {"yaxis": "y2", "showlegend": False, "hovertemplate": "%{y:.2f} kW"}
            data.append(looks | below | {"y": packed(power.means(edges, power.hvac) * known)})
    longest = max((power for _, power in drawn.values()), key=lambda power: float(power.edges[-1]))
    signals = _signals(longest, site, begin, seconds)
    return {"data": data + signals, "layout": _layout(unit, site, bool(signals))}


def _signals(power: SitePower, site: Site, begin: float, seconds: float) -> list[dict[str, Any]]:
    """Return price or carbon intensity over time as a line at the bottom; price goes first."""
    signal = site.price or site.carbon
    if signal is None:
        return []
    values = power.price if site.price is not None else power.carbon
    looks = {"type": "scatter", "mode": "lines", "line": {"color": "#8A8F98", "width": 1.2, "shape": "hv"}}
    hover = f"%{{y:.0f}} {signal.unit}"
    own = {
        "yaxis": "y3",
        "name": signal.kind,
        "hovertemplate": hover,
        "x": packed((power.edges[:-1] - begin) / seconds),
    }
    return [looks | own | {"y": packed(values)}]


def _layout(unit: str, site: Site, signals: bool) -> dict[str, Any]:
    panels = ["yaxis", *(["yaxis2"] if site.cooling else []), *(["yaxis3"] if signals else [])]
    titles = {"yaxis": "machines, kW", "yaxis2": "cooling, kW", "yaxis3": _grid_title(site)}
    height = (1 - 0.08 * (len(panels) - 1)) / len(panels)
    layout: dict[str, Any] = {"hovermode": "x unified"}
    for place, panel in enumerate(panels):
        top = 1 - place * (height + 0.08)
        layout[panel] = {"title": {"text": titles[panel]}, "domain": [max(top - height, 0.0), top]}
        if panel != "yaxis3":
            layout[panel]["rangemode"] = "tozero"
    anchor = "y" + panels[-1].removeprefix("yaxis")
    return layout | {"xaxis": {"title": {"text": f"{unit} since the window's first submission"}, "anchor": anchor}}


def _grid_title(site: Site) -> str:
    signal = site.price or site.carbon
    return "" if signal is None else signal.unit


def by_policy(means: Means, entries: list[Entry]) -> Figure:
    """Return bars of the energy of each policy (kWh, means over windows): jobs, idle machines, cooling."""
    labels = [escape(entry.label) for entry in entries][::-1]
    data = []
    for metric, name, colour in _PARTS:
        values = [means[entry].get(metric, np.nan) for entry in entries][::-1]
        if np.isfinite(values).any():
            bars: dict[str, Any] = {"type": "bar", "orientation": "h", "name": name, "marker": {"color": colour}}
            data.append(
                bars | {"y": labels, "x": [None if np.isnan(v) else v for v in values], "hovertemplate": "%{x:.0f} kWh"}
            )
    layout = {
        "barmode": "stack",
        "xaxis": {"title": {"text": "energy per window, kWh"}},
        "yaxis": {"automargin": True},
        "hovermode": "closest",
    }
    return {"data": data, "layout": layout}
