"""The figures of a report on failures that show what fits: quantiles, hazards, survival, rates by age."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hpcai.evaluation.failures.figures import POINTS, colours, diagonal
from hpcai.evaluation.failures.words import YEAR
from hpcai.evaluation.figures import PALETTE, RECORD_COLOUR, Figure, escape, log_axis, packed, time_unit
from hpcai.faults.fit_log import Fitted
from hpcai.faults.survival import Curve, RateByAge, empirical_hazard, kaplan_meier

Floats = npt.NDArray[np.float64]

DAY: Final = 86400.0
MOST_CURVES: Final = 6
FEWEST: Final = 5
"""Still at risk below which a survival curve is not drawn: it says nothing any more."""
_TIME_TICKS: Final = {
    seconds * size: f"{seconds} {unit}"
    for unit, size, numbers in (
        ("s", 1.0, (1, 10)),
        ("min", 60.0, (1, 10)),
        ("h", 3600.0, (1, 6)),
        ("d", DAY, (1, 3, 10, 30, 100)),
        ("y", YEAR, (1, 2, 5, 10, 100, 1000)),
    )
    for seconds in numbers
}


def quantiles(fitted: Fitted) -> Figure:
    """Return a quantile plot: the durations against those of each family, which lie on the diagonal if it fits."""
    curve = kaplan_meier(fitted.data)
    share = 1 - curve.survival
    before = np.append(0.0, share[:-1])
    use = (share > before) & (share < 1) & (curve.time >= max(fitted.data.resolution, 1e-9))
    if use.sum() > POINTS:
        targets = np.linspace(before[use][0], share[use][-1], POINTS)
        use = np.isin(np.arange(len(share)), np.unique(np.searchsorted(share, targets).clip(0, len(share) - 1))) & use
    found, middle = curve.time[use], ((share + before) / 2)[use]
    if not len(found):
        return {"data": [], "layout": {"xaxis": {}, "yaxis": {}}}
    low, high = float(np.quantile(found, 0.005)) / 1.5, float(found.max()) * 1.5
    data = [diagonal(low, high)]
    for i, fit in enumerate(fitted.fits):
        expected = np.clip(fit.lifetime.quantile(middle), low / 10, high * 10)
        looks: dict[str, Any] = {"type": "scatter", "mode": "markers", "name": fit.lifetime.family}
        looks["marker"] = {"size": 5 if i == 0 else 3.5, "color": PALETTE[i], "opacity": 0.9 if i == 0 else 0.55}
        data.append(looks | {"x": packed(expected), "y": packed(found), "hovertemplate": "%{x:.3s} s, %{y:.3s} s"})
    axis = {"x": _time_axis("of the distribution", low, high), "y": _time_axis("in the log", low, high)}
    return {"data": data, "layout": {"xaxis": axis["x"], "yaxis": axis["y"], "hovermode": "closest"}}


def _time_axis(title: str, low: float, high: float) -> dict[str, Any]:
    """Return a logarithmic axis of times in their usual units, some six ticks apart."""
    span = [float(np.log10(low)), float(np.log10(high))]
    ticks: dict[float, str] = {}
    for second, text in _TIME_TICKS.items():
        near = ticks and np.log10(second / max(ticks)) < (span[1] - span[0]) / 7
        if low <= second <= high and not near:
            ticks[second] = text
    axis: dict[str, Any] = {"type": "log", "title": {"text": title}, "range": span}
    return axis | {"tickvals": list(ticks), "ticktext": list(ticks.values())} if len(ticks) > 1 else axis


def survival(curves: Mapping[str, Curve]) -> Figure:
    """Return survival curves with their bands; at most MOST_CURVES."""
    data = []
    longest = max(
        (float(curve.time[curve.at_risk >= FEWEST].max(initial=1.0)) for curve in curves.values()), default=1.0
    )
    unit, seconds = ("years", YEAR) if longest > 2 * YEAR else time_unit(longest)
    for name, colour in colours(list(curves)[:MOST_CURVES]).items():
        curve = curves[name]
        told = int((curve.at_risk >= FEWEST).sum())
        rows = np.unique(np.linspace(0, told - 1, min(told, 2 * POINTS)).astype(int))
        x = np.append(0.0, curve.time[rows]) / seconds
        share = np.append(1.0, curve.survival[rows])
        low, high = (np.append(1.0, values[rows]) for values in (curve.low, curve.high))
        band: dict[str, Any] = {
            "type": "scatter",
            "mode": "lines",
            "line": {"width": 0, "shape": "hv"},
            "hoverinfo": "skip",
        }
        band |= {"legendgroup": name, "showlegend": False, "x": packed(x)}
        data.append(band | {"y": packed(100 * np.where(np.isnan(low), share, low))})
        data.append(
            band
            | {"y": packed(100 * np.where(np.isnan(high), share, high)), "fill": "tonexty", "fillcolor": _faint(colour)}
        )
        looks: dict[str, Any] = {"type": "scatter", "mode": "lines", "name": escape(name), "legendgroup": name}
        looks |= {"line": {"color": colour, "width": 2, "shape": "hv"}, "hovertemplate": "%{y:.1f} %"}
        data.append(looks | {"x": packed(x), "y": packed(100 * share)})
    axis = {"title": {"text": f"{unit} in service"}, "rangemode": "tozero"}
    return {
        "data": data,
        "layout": {"xaxis": axis, "yaxis": {"title": {"text": "not yet failed, %"}}, "hovermode": "x"},
    }


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.18)"


def rates(found: Mapping[str, RateByAge]) -> Figure:
    """Return the rate of failure by age with its interval."""
    data = []
    shown: list[float] = []
    for name, colour in colours(list(found)[:MOST_CURVES]).items():
        rate = found[name]
        middle = (rate.edges[:-1] + rate.edges[1:]) / 2
        y = np.where(rate.failures > 0, rate.rate * YEAR, np.nan)  # no logarithm of none
        shown += [float(value) for value in y[np.isfinite(y)]]
        error = {"type": "data", "array": packed(rate.high * YEAR - y), "arrayminus": packed(y - rate.low * YEAR)}
        looks = {
            "type": "scatter",
            "mode": "lines+markers",
            "name": escape(name),
            "line": {"color": colour, "shape": "hvh"},
        }
        looks |= {"marker": {"size": 4}, "error_y": error | {"thickness": 1, "width": 0}, "hovertemplate": "%{y:.3s}"}
        data.append(looks | {"x": packed(middle / YEAR), "y": packed(y)})
    x = {"title": {"text": "age, years"}, "rangemode": "tozero"}
    axis = _rate_axis(min(shown) / 2, max(shown) * 2)
    return {
        "data": data,
        "layout": {"xaxis": x, "yaxis": axis},
    }


def hazard(fitted: Fitted) -> Figure:
    """Return the rate of failure by the time since a node's return, as counted and as each family has it."""
    ended = fitted.data.value[fitted.data.ended]
    low = max(float(np.quantile(ended, 0.01)), fitted.data.resolution, 60.0)
    high = float(fitted.data.value.max())
    if not low < high:
        return {"data": [], "layout": {"xaxis": {}, "yaxis": {}}}
    edges = np.geomspace(low, high, 17)
    found = empirical_hazard(fitted.data, edges)
    use = found.failures > 0
    middle = np.sqrt(edges[:-1] * edges[1:])
    y = found.rate * YEAR
    error = {
        "type": "data",
        "array": packed((found.high * YEAR - y)[use]),
        "arrayminus": packed((y - found.low * YEAR)[use]),
        "thickness": 1,
        "width": 0,
    }
    dots = {"type": "scatter", "mode": "markers", "name": "counted", "marker": {"color": RECORD_COLOUR, "size": 7}}
    data: list[dict[str, Any]] = [
        dots | {"x": packed(middle[use]), "y": packed(y[use]), "error_y": error, "hovertemplate": "%{y:.3s}"}
    ]
    time = np.geomspace(low, high, 80)
    for i, fit in enumerate(fitted.fits):
        line = {"color": PALETTE[i], "width": 2.4 if i == 0 else 1.2}
        looks = {
            "type": "scatter",
            "mode": "lines",
            "name": fit.lifetime.family,
            "line": line,
            "hovertemplate": "%{y:.3s}",
        }
        data.append(looks | {"x": packed(time), "y": packed(fit.lifetime.hazard(time) * YEAR)})
    shown = y[use]
    axis = _rate_axis(float(shown.min()) / 4, float(shown.max()) * 4)
    return {"data": data, "layout": {"xaxis": _time_axis("time since its return", low, high), "yaxis": axis}}


def _rate_axis(low: float, high: float) -> dict[str, Any]:
    axis = log_axis("failures a node-year", low, high)
    return axis | {"ticktext": [f"{tick:g}" for tick in axis["tickvals"]]}
