"""The report's figures as Plotly JSON; plain dictionaries, colours by theme are laid on in the page."""

from __future__ import annotations

import base64
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from hpcai.cluster.spec import Machine
from hpcai.evaluation.config import Entry
from hpcai.evaluation.gantt import rectangles
from hpcai.evaluation.humanise import duration, number
from hpcai.evaluation.load import Load
from hpcai.evaluation.metrics import Metric, job_values

Floats = npt.NDArray[np.float64]
Figure = dict[str, Any]

# Paul Tol's 'bright' scheme, told apart in every common form of colour blindness; legible on light and dark.
PALETTE: Final = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#EE7733", "#009988")
RECORD_COLOUR: Final = "#8A8F98"
DASHES: Final = {"easy": "solid", "conservative": "dot", "none": "dash", "recorded": "dash"}
SLOWDOWN_STEPS: Final = (  # name, upper bound, fill, outline
    ("below 2", 2.0, "#9ecae1", "#5b9fc4"),
    ("2 to 10", 10.0, "#4292c6", "#1f5f93"),
    ("10 to 100", 100.0, "#ee9a3a", "#a8640f"),
    ("100 and more", np.inf, "#c8402f", "#7f1d12"),
)
MOST_DRAWN: Final = 8  # entries with a line or a chart of their own
LONGEST_NAME: Final = 40  # characters in a legend
CURVES: Final = 3  # entries whose load is shown at first: more cannot be told apart
MOST_JOBS: Final = 1500  # submitted within a Gantt chart
BINS: Final = 300
LEAST_SPAN: Final = 1.0  # s; a window whose jobs all have run time 0 still gets an axis
TIME_TICKS: Final = {1: "1 s", 60: "1 min", 3600: "1 h", 86400: "1 d", 864000: "10 d", 8640000: "100 d"}


def packed(values: npt.ArrayLike) -> dict[str, str]:
    """Return numbers in Plotly's compact form: base64 of 32-bit floats, nan for a gap."""
    return {"dtype": "f4", "bdata": base64.b64encode(np.asarray(values, dtype="<f4").tobytes()).decode()}


def line(entry: Entry, colour: str, place: int) -> dict[str, Any]:
    """Return the looks of an entry's line: what matters most is thickest."""
    label = entry.label if len(entry.label) <= LONGEST_NAME else entry.label[: LONGEST_NAME - 1] + "…"
    return {
        "name": escape(label),
        "mode": "lines",
        "type": "scatter",
        "line": {"color": colour, "dash": DASHES[entry.backfill], "width": 2.6 if place < 2 else 1.5},
        "visible": True if place < MOST_DRAWN else "legendonly",
    }


def colours(entries: list[Entry]) -> dict[Entry, str]:
    """Return a colour for each entry, the record in grey."""
    competing = [entry for entry in entries if entry.policy is not None]
    result = {entry: PALETTE[i % len(PALETTE)] for i, entry in enumerate(competing)}
    return result | {entry: RECORD_COLOUR for entry in entries if entry.policy is None}


def distribution(pools: dict[Entry, pd.DataFrame], value: str, floor: float, title: str) -> Figure:
    """Return the share of jobs with at most x of ``value``, x logarithmic from ``floor``."""
    share = np.linspace(0, 1, 241)
    data = []
    top = floor * 10
    for place, (entry, pool) in enumerate(pools.items()):
        x = np.maximum(np.quantile(pool[value].to_numpy(), share), floor)
        top = max(top, float(x[-1]))
        trace = line(entry, colours(list(pools))[entry], place)
        hover = f"%{{y:.1f}} % of jobs: at most %{{x:.3s}}{' s' if value == 'wait' else ''}"
        data.append(trace | {"x": packed(x), "y": packed(100 * share), "hovertemplate": hover})
    axis = log_axis(title, floor, top)
    if value == "wait":
        ticks = {second: text for second, text in TIME_TICKS.items() if floor <= second <= top}
        axis |= {"tickvals": list(ticks), "ticktext": [f"≤ {t}" if s == floor else t for s, t in ticks.items()]}
    y = {"title": {"text": "jobs, %"}, "range": [0, 101]}
    return {"data": data, "layout": {"xaxis": axis, "yaxis": y, "hovermode": "x"}}


def log_axis(title: str, low: float, high: float) -> dict[str, Any]:
    """Return a logarithmic axis with ticks at 1, 2 and 5 of each decade, or at decades where there are many."""
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    steps = (1, 2, 5) if len(decades) < 4 else (1,)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    span = [float(np.log10(low)), float(np.log10(high))]
    words = [number(tick) for tick in ticks]
    return {"type": "log", "title": {"text": title}, "range": span, "tickvals": ticks, "ticktext": words}


def over_time(loads: dict[Entry, Load], machine: Machine) -> Figure:
    """Return utilisation (above) and queue length (below) over time, averaged in BINS equal spans.

    Time ends with the last replay; the record, which began on a busy machine, may go on for much longer.
    """
    begin = min(load.time[0] for load in loads.values())
    finish = max(load.time[-1] for entry, load in loads.items() if entry.policy is not None)
    finish = max(finish, begin + LEAST_SPAN)
    edges = np.linspace(begin, finish, BINS + 1)
    unit, seconds = time_unit(finish - begin)
    middle = packed(((edges[:-1] + edges[1:]) / 2 - begin) / seconds)
    total, used = (machine.total_gpus, "gpus") if machine.total_gpus else (machine.total_cpus, "processors")
    data = []
    for place, (entry, load) in enumerate(loads.items()):
        looks = line(entry, colours(list(loads))[entry], place) | {"x": middle, "legendgroup": entry.label}
        looks["visible"] = True if place < CURVES else "legendonly"
        busy = 100 * averages(load, getattr(load, used), edges) / total
        data.append(looks | {"y": packed(busy), "hovertemplate": "%{y:.1f} %"})
        queue = averages(load, load.queue, edges)
        below: dict[str, Any] = {"yaxis": "y2", "showlegend": False, "hovertemplate": "%{y:.1f} jobs"}
        data.append(looks | below | {"y": packed(queue)})
    layout = {
        "xaxis": {"title": {"text": f"{unit} since the window's first submission"}, "anchor": "y2"},
        "yaxis": {
            "title": {"text": f"{'GPUs' if used == 'gpus' else used} in use, %"},
            "domain": [0.56, 1],
            "rangemode": "tozero",
        },
        "yaxis2": {"title": {"text": "jobs waiting"}, "domain": [0, 0.44], "rangemode": "tozero"},
        "hovermode": "x unified",
    }
    return {"data": data, "layout": layout}


def averages(load: Load, values: Floats, edges: Floats) -> Floats:
    """Return the time average of a step function between ``edges``; 0 outside its time."""
    integral = np.concatenate([[0.0], np.cumsum(values * load.width)])
    result: Floats = np.diff(np.interp(edges, load.time, integral)) / np.diff(edges)
    return result


def time_unit(span: float) -> tuple[str, float]:
    """Return the unit in which a span of seconds is drawn, and its seconds."""
    if span > 4 * 86400:
        return "days", 86400.0
    return ("hours", 3600.0) if span > 4 * 3600 else ("minutes", 60.0)


def by_window(values: dict[Entry, Floats], submit: Floats, objective: Metric) -> Figure:
    """Return the objective of each window over the time of its first submission (``submit``, s)."""
    unit, seconds = time_unit(float(np.ptp(submit)))
    x = packed((submit - submit[0]) / seconds)
    data = [
        line(entry, colours(list(values))[entry], place)
        | {"mode": "lines+markers", "marker": {"size": 5}, "x": x, "y": packed(y), "hovertemplate": "%{y:.3s}"}
        for place, (entry, y) in enumerate(values.items())
    ]
    title = objective.name.replace("_", " ") + (", s" if objective.unit == "s" else "")
    axis: dict[str, Any] = {"title": {"text": title}}
    if "slowdown" in objective.name:
        axis = log_axis(title, min(y.min() for y in values.values()) / 1.2, max(y.max() for y in values.values()) * 1.2)
    layout = {
        "xaxis": {"title": {"text": f"start of the window, {unit} after that of the first"}},
        "yaxis": axis,
        "hovermode": "x unified",
    }
    return {"data": data, "layout": layout}


def gantt(schedules: dict[Entry, pd.DataFrame], machine: Machine, span: tuple[float, float] | None) -> Figure:
    """Return a Gantt chart per entry, of which the page shows one at a time (``meta`` is its number).

    Of the jobs, those that run within ``span`` (s) are drawn; None stands for all, until the last replay ends.
    They are filled outlines in one trace per step of bounded slowdown, with an unseen marker in the middle of
    each piece that carries the words.
    """
    begin = min(float(schedule["submit"].min()) for schedule in schedules.values())
    if span is None:
        finish = max(float(s["end"].max()) for entry, s in schedules.items() if entry.policy is not None)
        span = begin, max(finish, begin + LEAST_SPAN)
    unit, seconds = time_unit(span[1] - begin)
    data: list[dict[str, Any]] = []
    for number_, (_, schedule) in enumerate(schedules.items()):
        data += [
            trace | {"meta": number_, "visible": number_ == 0}
            for trace in _gantt_traces(
                schedule[(schedule["start"] < span[1]) & (schedule["end"] > span[0])], machine, begin, seconds
            )
        ]
    y_axis: dict[str, Any] = {"title": {"text": "processors"}, "range": [0, machine.total_cpus]}
    if machine.by_node:
        y_axis = _node_axis(machine)
    layout = {
        "xaxis": {
            "title": {"text": f"{unit} since the window's first submission"},
            "range": [(instant - begin) / seconds for instant in span],
        },
        "yaxis": y_axis,
        "hovermode": "closest",
        "legend": {"title": {"text": "bounded slowdown"}},
    }
    return {"data": data, "layout": layout}


def _gantt_traces(schedule: pd.DataFrame, machine: Machine, begin: float, seconds: float) -> list[dict[str, Any]]:
    values = job_values(schedule)
    pieces = rectangles(schedule, machine)
    left = (schedule["start"].to_numpy() - begin)[pieces.row] / seconds
    right = (schedule["end"].to_numpy() - begin)[pieces.row] / seconds
    slowdown = values.bounded_slowdown[pieces.row]
    traces: list[dict[str, Any]] = []
    below = 0.0
    for name, above, fill, outline in SLOWDOWN_STEPS:
        use = (slowdown >= below) & (slowdown < above)
        below = above
        gap = np.full(int(use.sum()), np.nan)
        x = np.column_stack([left[use], left[use], right[use], right[use], left[use], gap]).ravel()
        low, high = pieces.low[use], pieces.high[use]
        y = np.column_stack([low, high, high, low, low, gap]).ravel()
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "fill": "toself",
                "fillcolor": fill,
                "line": {"color": outline, "width": 0.5},
                "name": name,
                "x": packed(x),
                "y": packed(y),
                "hoverinfo": "skip",
            }
        )
    words = [
        f"job {job_id}<br>{number(size)} processors{f', {number(gpus)} GPUs' if gpus else ''}"
        f"<br>waited {duration(wait)}, ran {duration(run)}<br>bounded slowdown {number(slow)}"
        for job_id, size, gpus, wait, run, slow in zip(
            schedule["job_id"].map(escape),
            schedule["processors"],
            schedule["gpus"],
            values.wait,
            values.run_time,
            values.bounded_slowdown,
            strict=True,
        )
    ]
    traces.append(
        {
            "type": "scatter",
            "mode": "markers",
            "marker": {"opacity": 0, "size": 9},
            "showlegend": False,
            "x": packed((left + right) / 2),
            "y": packed((pieces.low + pieces.high) / 2),
            "text": [words[row] for row in pieces.row],
            "hovertemplate": "%{text}<extra></extra>",
        }
    )
    return traces


def _node_axis(machine: Machine) -> dict[str, Any]:
    """Return an axis with the names of up to twenty nodes at their first unit."""
    gpus = machine.total_gpus
    sizes = [group.gpus if gpus else group.cpus for group in machine.groups for _ in range(group.count)]
    edges = np.concatenate([[0], np.cumsum(sizes)])
    every = max(1, -(-len(sizes) // 20))
    return {
        "title": {"text": "GPUs by node" if gpus else "CPUs by node"},
        "range": [0, int(edges[-1])],
        "tickvals": edges[:-1:every].tolist(),
        "ticktext": [escape(name) for name in machine.node_names[::every]],
    }


def winners(frame: pd.DataFrame, better: str, worse: str) -> Figure:
    """Return users' mean bounded slowdown under two entries; below the diagonal ``better`` serves better.

    ``frame`` has columns group, jobs, x (under ``worse``), y (under ``better``).
    """
    x, y = frame["x"].to_numpy(), frame["y"].to_numpy()
    top = float(max(x.max(), y.max(), 10.0)) * 1.3
    size = 5 + 25 * np.sqrt(frame["jobs"] / frame["jobs"].max())
    dots: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "x": packed(x),
        "y": packed(y),
        "marker": {"size": packed(size), "color": PALETTE[0], "opacity": 0.65},
        "text": [
            f"{escape(name)}, {number(jobs)} jobs" for name, jobs in zip(frame["group"], frame["jobs"], strict=True)
        ],
        "hovertemplate": "%{text}<br>%{x:.3s} → %{y:.3s}<extra></extra>",
        "showlegend": False,
    }
    diagonal: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines",
        "x": [1, top],
        "y": [1, top],
        "line": {"color": RECORD_COLOUR, "dash": "dot", "width": 1},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    layout = {
        "xaxis": log_axis(worse, 0.93, top),
        "yaxis": log_axis(better, 0.93, top),
        "hovermode": "closest",
    }
    return {"data": [diagonal, dots], "layout": layout}


def escape(text: str) -> str:
    """Return text from the log in a form that Plotly's labels show as it is."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
