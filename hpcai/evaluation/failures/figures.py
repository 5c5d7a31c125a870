"""The figures of a report on failures that show when and where they were, as Plotly JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from hpcai.evaluation.figures import PALETTE, RECORD_COLOUR, Figure, escape, packed, time_unit
from hpcai.faults.dependence import Offenders
from hpcai.faults.outages import Outages
from hpcai.records.failures import FailureLog

Floats = npt.NDArray[np.float64]

MOST_DOTS: Final = 5000
POINTS: Final = 150
_BARS: Final = 60


def colours(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for each name, greys for "unknown" and "others"."""
    rest = (colour for colour in PALETTE * 3)
    greys = {"unknown": "#B4B9C0", "others": RECORD_COLOUR}
    return {name: greys.get(name) or next(rest) for name in names}


def _axis(log: FailureLog) -> tuple[dict[str, Any], float]:
    """Return the axis of the log's time and its unit in s: dates where the log has them, as seconds else."""
    if np.isfinite(log.origin):
        return {"type": "date"}, 1.0
    unit, seconds = time_unit(log.observed[1] - log.observed[0])
    return {"title": {"text": f"{unit} since the log's origin"}}, seconds


def _times(log: FailureLog, seconds: Floats, unit: float) -> Any:
    if np.isfinite(log.origin):
        return pd.to_datetime(seconds + log.origin, unit="s").strftime("%Y-%m-%d %H:%M:%S").tolist()
    return packed(seconds / unit)


def timeline(log: FailureLog, of: Outages) -> Figure:
    """Return the outages of each of some sixty spans of time, by component."""
    edges = np.linspace(*log.observed, _BARS + 1)
    names, counts = np.unique(of.component.astype(str), return_counts=True)
    order = [str(name) for name in names[np.argsort(-counts, kind="stable")]]
    kept = order[:7]
    axis, unit = _axis(log)
    middle = _times(log, (edges[:-1] + edges[1:]) / 2, unit)
    width = (edges[1] - edges[0]) * (1000 if axis.get("type") == "date" else 1 / unit)
    data = []
    for name, colour in colours([*kept, *(["others"] if order[7:] else [])]).items():
        mine = np.isin(of.component, order[7:]) if name == "others" else of.component == name
        heights, _ = np.histogram(of.start[mine], edges)
        looks = {"type": "bar", "name": name, "marker": {"color": colour}, "width": width, "hovertemplate": "%{y}"}
        data.append(looks | {"x": middle, "y": packed(heights)})
    y = {"title": {"text": "outages"}}
    return {"data": data, "layout": {"barmode": "stack", "xaxis": axis, "yaxis": y, "hovermode": "x unified"}}


def by_node(log: FailureLog, of: Outages) -> Figure:
    """Return a dot for each outage over time and node; of many, a part drawn evenly."""
    every = max(1, -(-len(of.node) // MOST_DOTS))
    order = np.argsort(of.start, kind="stable")[::every]
    axis, unit = _axis(log)
    dots = {
        "type": "scatter",
        "mode": "markers",
        "marker": {"size": 3, "color": PALETTE[0], "opacity": 0.6},
        "x": _times(log, of.start[order], unit),
        "y": packed(of.node[order]),
        "text": [escape(log.nodes["node"].iloc[i]) for i in of.node[order]],
        "hovertemplate": "%{text}, %{x}<extra></extra>",
        "showlegend": False,
    }
    y = {"title": {"text": "node, in order of names"}, "rangemode": "tozero"}
    return {"data": [dots], "layout": {"xaxis": axis, "yaxis": y, "hovermode": "closest"}}


def diagonal(low: float, high: float) -> dict[str, Any]:
    """Return the line on which both axes say the same."""
    line = {"color": RECORD_COLOUR, "dash": "dot", "width": 1}
    looks = {"type": "scatter", "mode": "lines", "line": line, "hoverinfo": "skip", "showlegend": False}
    return looks | {"x": [low, high], "y": [low, high]}


def failures_per_node(found: Offenders) -> Figure:
    """Return how many nodes had so many failures, and how many would if nodes were alike, or differed by chance."""
    most = int(np.quantile(found.failures, 0.98)) + 2
    width = max(1, -(-most // 60))
    edges = np.arange(0, most + width, width)
    nodes, _ = np.histogram(np.minimum(found.failures, edges[-1] - 1), np.append(edges[:-1], edges[-1]))
    size = 1 / found.spread**2
    middle = (edges[:-1] + edges[1:] - 1) / 2
    bars = {"type": "bar", "name": "in the log", "marker": {"color": RECORD_COLOUR}, "hovertemplate": "%{y} nodes"}
    data: list[dict[str, Any]] = [bars | {"x": packed(middle), "y": packed(nodes)}]
    models = {
        "Poisson, nodes alike": [stats.poisson.cdf(edge - 1, found.expected) for edge in edges],
        "negative binomial, nodes differ": [
            stats.nbinom.cdf(edge - 1, size, size / (size + found.expected)) for edge in edges
        ],
    }
    for colour, (name, below) in zip(PALETTE, models.items(), strict=False):
        cumulative = np.sum(below, axis=1)
        looks = {"type": "scatter", "mode": "lines", "name": name, "line": {"color": colour, "width": 2}}
        data.append(looks | {"x": packed(middle), "y": packed(np.diff(cumulative)), "hovertemplate": "%{y:.1f} nodes"})
    steps = f", in steps of {width}" if width > 1 else ""
    x = {"title": {"text": f"failures of a node{steps}; the last bar is of all with more"}}
    return {
        "data": data,
        "layout": {
            "xaxis": x,
            "yaxis": {"title": {"text": "nodes"}, "rangemode": "tozero"},
            "bargap": 0.05,
            "hovermode": "x",
        },
    }


def lorenz(found: Offenders) -> Figure:
    """Return the share of failures that the worst nodes have, in the log and by chance."""
    rng = np.random.default_rng(0)
    chance = np.sort(rng.poisson(found.expected))[::-1]
    data = []
    for name, values, colour in (
        ("in the log", np.sort(found.failures)[::-1], PALETTE[1]),
        ("by chance, nodes alike", chance, PALETTE[0]),
    ):
        share = np.append(0.0, np.cumsum(values)) / max(values.sum(), 1)
        rows = np.unique(np.linspace(0, len(values), min(len(values) + 1, 2 * POINTS)).astype(int))
        looks = {"type": "scatter", "mode": "lines", "name": name, "line": {"color": colour, "width": 2.2}}
        x = packed(100 * rows / len(values))
        hover = "worst %{x:.1f} % of nodes: %{y:.1f} % of failures"
        data.append(looks | {"x": x, "y": packed(100 * share[rows]), "hovertemplate": hover})
    axis = {"title": {"text": "nodes, most failures first, %"}, "range": [0, 100]}
    y = {"title": {"text": "their share of failures, %"}, "range": [0, 101]}
    return {"data": [diagonal(0, 100), *data], "layout": {"xaxis": axis, "yaxis": y}}


def correlation(values: Floats, bins: int) -> Figure:
    """Return the autocorrelation of daily counts by lag, with the band within which 95 % of chance lies."""
    lags = np.arange(1, len(values) + 1)
    bars = {"type": "bar", "marker": {"color": PALETTE[0]}, "showlegend": False, "hovertemplate": "%{x} days: %{y:.2f}"}
    band = 1.96 / np.sqrt(bins)
    line = {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "line": {"dash": "dot", "width": 1, "color": RECORD_COLOUR},
    }
    shapes = [line | {"y0": bound, "y1": bound} for bound in (-band, band)]
    data = [bars | {"x": packed(lags), "y": packed(values)}]
    x = {"title": {"text": "lag, days"}}
    return {"data": data, "layout": {"xaxis": x, "yaxis": {"title": {"text": "autocorrelation"}}, "shapes": shapes}}
