"""A Gantt chart of one step: what each device computes, and sends, when."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hpcai.device_placement.expansion import UPDATE
from hpcai.device_placement.graph import BACKWARD, FORWARD, Floats, Ints
from hpcai.device_placement.simulator import Course
from hpcai.evaluation.device_placement.inputs import Inputs
from hpcai.evaluation.figures import Figure, escape, packed
from hpcai.evaluation.humanise import number

STAGES: Final = (  # of operators, with the look of their pieces
    (FORWARD, "forward", "#4292c6", "#1f5f93"),
    (BACKWARD, "backward", "#ee9a3a", "#a8640f"),
    (UPDATE, "update", "#8A8F98", "#5c6068"),
)
SENDING: Final = ("sending", "#228833", "#155520")
COMPUTES: Final = (0.34, 0.92)  # where a device's lane has what it computes, from the lane's top
SENDS: Final = (0.06, 0.28)
MOST: Final = 5000  # pieces that are drawn of one placement: the longest


def timeline(inputs: Inputs, placements: dict[str, Ints]) -> Figure:
    """Return a chart per placement, of which the page shows one at a time (``meta`` is its number)."""
    data: list[dict[str, Any]] = []
    longest = 0.0
    for place, placement in enumerate(placements.values()):
        course = inputs.simulator.course(placement)
        longest = max(longest, float(course.end.max(initial=0.0)))
        data += [trace | {"meta": place, "visible": place == 0} for trace in _traces(inputs, course)]
    names = list(inputs.devices.names)
    lanes = [lane + 0.5 for lane in range(len(names))]
    y_axis = {"tickvals": lanes, "ticktext": names, "range": [len(names), 0], "showgrid": False}
    x_axis = {"title": {"text": "ms since the step began"}, "range": [0, longest * 1e3 or 1.0]}
    return {"data": data, "layout": {"xaxis": x_axis, "yaxis": y_axis, "hovermode": "closest"}}


def _traces(inputs: Inputs, course: Course) -> list[dict[str, Any]]:
    """Return filled outlines, one trace per stage, and unseen markers in their middles that carry the words."""
    operators, stage = course.expansion.graph.operators, course.expansion.stage
    drawn = np.zeros(len(operators), bool)
    drawn[np.argsort(course.start - course.end, kind="stable")[:MOST]] = True
    drawn &= course.end > course.start
    traces = []
    for number_, name, fill, outline in STAGES:
        own = np.flatnonzero(drawn & (stage == number_))
        if len(own):
            words = [f"{escape(operators[i])}<br>{_ms(course.end[i] - course.start[i])}" for i in own]
            times = course.start[own], course.end[own]
            traces += _pieces((name, fill, outline), times, course.device[own], COMPUTES, words)
    sent = np.argsort(course.begin - course.arrive, kind="stable")[:MOST]
    if len(sent):
        names = inputs.devices.names
        words = [
            f"{escape(operators[course.what[i]])}<br>{names[course.source[i]]} to {names[course.target[i]]}"
            f"<br>{number(course.size[i] / 1e6)} MB, {_ms(course.arrive[i] - course.begin[i])}"
            for i in sent
        ]
        traces += _pieces(SENDING, (course.begin[sent], course.arrive[sent]), course.source[sent], SENDS, words)
    return traces


def _pieces(
    looks: tuple[str, str, str],
    times: tuple[Floats, Floats],
    lane: Ints,
    part: tuple[float, float],
    words: list[str],
) -> list[dict[str, Any]]:
    name, fill, outline = looks
    left, right = times[0] * 1e3, times[1] * 1e3
    low, high = lane + part[0], lane + part[1]
    gap = np.full(len(left), np.nan)
    shape: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines",
        "fill": "toself",
        "fillcolor": fill,
        "line": {"color": outline, "width": 0.5},
        "name": name,
        "x": packed(np.column_stack([left, left, right, right, left, gap]).ravel()),
        "y": packed(np.column_stack([low, high, high, low, low, gap]).ravel()),
        "hoverinfo": "skip",
    }
    said: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "marker": {"opacity": 0, "size": 9},
        "showlegend": False,
        "x": packed((left + right) / 2),
        "y": packed((low + high) / 2),
        "text": words,
        "hovertemplate": "%{text}<extra></extra>",
    }
    return [shape, said]


def _ms(seconds: float) -> str:
    return f"{number(float(f'{seconds * 1e3:.3g}'))} ms"
