"""The figures of a survey: Optuna's own, in colours that suit light and dark pages, and those that Optuna has not."""

from __future__ import annotations

import itertools
import json
from typing import Any, Final

import numpy as np
from optuna import visualization
from optuna.trial import FrozenTrial, TrialState

from hpcai.evaluation.figures import PALETTE, RECORD_COLOUR, Figure, escape, time_unit
from hpcai.learning.sweeps.heartbeat import WORKER
from hpcai.learning.sweeps.space import Range
from hpcai.learning.sweeps.survey import Survey, quiet

CONTOURS: Final = 4
"""Parameters in the contours, a figure for each pair."""
INTERPOLATED: Final = 120
"""Trials between which contours are drawn: their grid has as many rows and columns."""
SLICES: Final = 12
PARALLEL: Final = 8
LINES: Final = 60
"""Parameters, and trials drawn on the way, of which more cannot be told apart."""
WORST: Final = 0.9  # quantile of values from which on contours and lines look alike
TIMES_MEDIAN: Final = 10.0  # range of values from which on their axis is logarithmic

SET_BY_PAGE: Final = ("template", "title", "width", "height", "plot_bgcolor", "paper_bgcolor")
BLUE, RED, GREEN, YELLOW = PALETTE[:4]
IN_TIME: Final = [[0, YELLOW], [1, PALETTE[5]]]  # from the first trial to the last; seen on light and on dark
DARK_FIRST: Final = [[0, "#08306b"], [0.5, "#4292c6"], [1, "#deebf7"]]
BETTER_FIRST: Final = [[0, RED], [0.3, YELLOW], [1, PALETTE[0]]]
BY_STATE: Final = {TrialState.COMPLETE: BLUE, TrialState.PRUNED: YELLOW, TrialState.FAIL: RED}
STATES: Final = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "given up", TrialState.FAIL: "failed"}


def draw(survey: Survey) -> dict[str, Figure]:
    """Return the figures by name; those that would say nothing are not there."""
    if len(survey.complete) < 2:
        return {}
    with quiet():
        return _drawn(survey)


def _drawn(survey: Survey) -> dict[str, Figure]:
    drawn: dict[str, Figure] = {"timeline": _timeline(survey)}
    for i in range(len(survey.config.targets)):
        drawn |= {f"{name}-{i}": figure for name, figure in _of_target(survey, i).items()}
    if survey.several:
        for i, j in pareto_pairs(survey):
            drawn[f"pareto-{i}-{j}"] = _pareto(survey, i, j)
    elif any(len(trial.intermediate_values) > 1 for trial in survey.complete):
        drawn["steps"] = _steps(survey)
    if survey.compared is not None:
        drawn["compared"] = _compared(survey)
    return drawn


def pareto_pairs(survey: Survey) -> list[tuple[int, int]]:
    """Return the pairs of objectives whose front is drawn; of more than three objectives, none."""
    count = len(survey.config.targets)
    return list(itertools.combinations(range(count), 2)) if 1 < count < 4 else []


def contour_pairs(survey: Survey) -> list[tuple[str, str]]:
    """Return the pairs of ranges that are drawn together, of those that every trial has; choices have no between."""
    ranges = {name for name in survey.always if isinstance(survey.config.space[name], Range)}
    chosen = [name for name in survey.leading if name in ranges][:CONTOURS]
    return list(itertools.combinations(chosen, 2))


def _of_target(survey: Survey, i: int) -> dict[str, Figure]:
    """Return the figures of one objective."""
    study, words, sign = survey.snapshot, axis_title(survey, i), survey.sign(i)
    worst = float(np.quantile(sign * survey.values(i), WORST))

    def target(trial: FrozenTrial) -> float:
        return float(trial.values[i])

    def up_to_worst(trial: FrozenTrial) -> float:
        return sign * min(sign * float(trial.values[i]), worst)

    of: dict[str, Any] = {"target": target, "target_name": words}
    drawn = {
        "history": _history(survey, i),
        "edf": _line_in(_taken(visualization.plot_edf(study, **of)), BLUE),
    }
    for name in survey.leading[:SLICES]:
        drawn[f"slice-{name}"] = _slice(survey, i, _taken(visualization.plot_slice(study, params=[name], **of)))
    of["target"] = up_to_worst
    if len(survey.always) > 1:
        chosen = [name for name in survey.leading if name in survey.always][:PARALLEL]
        parallel = _taken(visualization.plot_parallel_coordinate(study, params=chosen, **of))
        drawn["parallel"] = _parallel(parallel, sign)
    few = survey.sampled(INTERPOLATED) if contour_pairs(survey) else study
    for x, y in contour_pairs(survey):
        drawn[f"contour-{x}-{y}"] = _contour(_taken(visualization.plot_contour(few, params=[x, y], **of)), sign)
    if found := survey.importances(i):
        drawn["importance"] = _importance(found)
    return drawn


def axis_title(survey: Survey, i: int) -> str:
    """Return an objective's name with its unit, as an axis says it."""
    unit = survey.unit(i)
    return escape(survey.config.targets[i].name.replace("_", " ")) + (f", {unit}" if unit not in ("", "1") else "")


def _taken(figure: Any) -> Figure:
    """Return one of Optuna's figures as JSON without what the page sets."""
    plain: Figure = json.loads(figure.to_json())
    return {"data": plain["data"], "layout": {k: v for k, v in plain["layout"].items() if k not in SET_BY_PAGE}}


def _value_axis(survey: Survey, i: int) -> dict[str, Any]:
    """Return an axis of an objective, logarithmic where a few values dwarf the rest."""
    values = survey.values(i)
    wide = bool(values.min() > 0 and values.max() > TIMES_MEDIAN * float(np.median(values)))
    axis: dict[str, Any] = {"title": {"text": axis_title(survey, i)}}
    return axis | ({"type": "log", "dtick": 1} if wide else {})


def _line_in(figure: Figure, colour: str) -> Figure:
    """Return a figure of one curve in a colour."""
    for trace in figure["data"]:
        trace |= {"line": {"color": colour, "width": 2}, "showlegend": False}
    figure["layout"]["yaxis"] = {"title": {"text": "share of trials"}, "range": [0, 1.02], "tickformat": ".0%"}
    return figure


def _history(survey: Survey, i: int) -> Figure:
    """Return the values in the order of the trials, the best so far, and the rivals for comparison."""

    def target(trial: FrozenTrial) -> float:
        return float(trial.values[i])

    if survey.several:
        figure = _taken(visualization.plot_optimization_history(survey.snapshot, target=target))
        figure["data"] = figure["data"][:1]
    else:
        figure = _taken(visualization.plot_optimization_history(survey.snapshot))
    for trace, name in zip(figure["data"], ("trial", "best so far"), strict=False):
        trace["name"] = name
        trace |= {"marker": {"color": BLUE, "size": 6}} if name == "trial" else {"line": {"color": RED, "width": 2}}
    last = max(trial.number for trial in survey.complete)
    name = survey.config.targets[i].name
    for (label, values), dash in zip(survey.rivals.items(), ("dash", "dot", "dashdot"), strict=False):
        level = float(np.mean(values[name]))
        line = {"color": RECORD_COLOUR, "dash": dash, "width": 1.5}
        rival = {"type": "scatter", "mode": "lines", "name": escape(label), "line": line}
        figure["data"].append(rival | {"x": [0, last], "y": [level, level], "hovertemplate": "%{y:.4g}"})
    figure["layout"] |= {"yaxis": _value_axis(survey, i), "xaxis": {"title": {"text": "trial"}}, "showlegend": True}
    return figure


def _slice(survey: Survey, i: int, figure: Figure) -> Figure:
    for trace in figure["data"]:
        trace["marker"] |= {"colorscale": IN_TIME, "showscale": False, "size": 6, "opacity": 0.85}
    return _titled(figure, yaxis=figure["layout"]["yaxis"] | _value_axis(survey, i))


def _contour(figure: Figure, sign: int) -> Figure:
    """Return a contour plot whose better side is the same colour whichever way the objective goes."""
    for trace in figure["data"]:
        if trace["type"] == "contour":
            bar = trace.get("colorbar", {}) | {"thickness": 10, "title": {"text": ""}, "outlinewidth": 0}
            trace |= {"colorscale": DARK_FIRST, "reversescale": sign < 0, "colorbar": bar, "line": {"width": 0.4}}
        else:
            trace |= {"marker": {"color": RED, "size": 4, "line": {"width": 0}}, "showlegend": False}
    return _titled(figure)


def _titled(figure: Figure, **axes: dict[str, Any]) -> Figure:
    """Return a figure with other axes, numbers of its logarithmic ones at the powers of ten."""
    layout = figure["layout"] | axes
    for axis in (layout["xaxis"], layout["yaxis"]):
        if axis.get("type") == "log":
            axis |= {"dtick": 1, "exponentformat": "power"}
    return figure | {"layout": layout}


def _parallel(figure: Figure, sign: int) -> Figure:
    """Return parallel coordinates in colours that are seen on light and dark, the best trials on top."""
    from plotly.colors import sample_colorscale

    lines = [trace for trace in figure["data"] if trace.get("mode") == "lines"]
    for trace in lines:  # the first coordinate is the objective, 0..1
        place = min(max(float(trace["y"][0]), 0.0), 1.0)
        trace["line"]["color"] = sample_colorscale(BETTER_FIRST, [place if sign > 0 else 1 - place])[0]
    for trace in figure["data"]:
        if "marker" in trace:
            bar = trace["marker"].get("colorbar", {}) | {"thickness": 10, "title": {"text": ""}, "outlinewidth": 0}
            trace["marker"] |= {"colorscale": BETTER_FIRST, "reversescale": sign < 0, "colorbar": bar}
    for annotation in figure["layout"].get("annotations", []):
        annotation["font"] = {"size": 11}  # in the colour of the page
    lines.sort(key=lambda trace: -sign * float(trace["y"][0]))
    return figure | {"data": lines + [trace for trace in figure["data"] if trace.get("mode") != "lines"]}


def _pareto(survey: Survey, i: int, j: int) -> Figure:
    """Return two objectives of all trials, those of the front of all objectives in another colour."""
    names = [axis_title(survey, k) for k in (i, j)]
    figure = _taken(
        visualization.plot_pareto_front(
            survey.snapshot, target_names=names, targets=lambda trial: [trial.values[i], trial.values[j]]
        )
    )
    looks = ({"color": RECORD_COLOUR, "size": 6, "opacity": 0.6}, {"color": RED, "size": 8})
    for trace, marker, name in zip(figure["data"], looks, ("trial", "on the front"), strict=True):
        trace |= {"marker": marker, "showlegend": True, "name": name}
    return figure


def _importance(found: dict[str, dict[str, float]]) -> Figure:
    """Return the importance of each parameter by both methods, as bars side by side."""
    known = set().union(*found.values())
    order = sorted(known, key=lambda name: (sum(shares.get(name, 0) for shares in found.values()), name))
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "name": method,
            "y": [escape(name) for name in order],
            "x": [shares.get(name, 0.0) for name in order],
            "marker": {"color": colour},
            "hovertemplate": "%{y}: %{x:.1%}",
        }
        for (method, shares), colour in zip(found.items(), PALETTE, strict=False)
    ]
    axis = {"title": {"text": "importance"}, "tickformat": ".0%", "rangemode": "tozero"}
    return {"data": data, "layout": {"barmode": "group", "xaxis": axis, "yaxis": {"title": {"text": ""}}}}


def _steps(survey: Survey) -> Figure:
    """Return the values on the way: the best trial on top, complete ones and those given up below.

    Where a pruner compares windows, what was told is a value for each, of which the mean so far is drawn.
    """
    told = [t for t in survey.complete + survey.pruned if t.intermediate_values and t is not survey.best]
    if len(told) > LINES:
        told = [told[k] for k in np.unique(np.linspace(0, len(told) - 1, LINES).round().astype(int))]
    best = [survey.best] if survey.best is not None and survey.best.intermediate_values else []
    paired = survey.config.pruner.kind == "wilcoxon"
    data: list[dict[str, Any]] = []
    named: set[str] = set()
    for trial in [*sorted(told, key=lambda t: t.state == TrialState.COMPLETE), *best]:
        steps, values = zip(*sorted(trial.intermediate_values.items()), strict=True)
        name = f"best, trial {trial.number}" if trial is survey.best else STATES[trial.state]
        colour = RED if trial is survey.best else BY_STATE[trial.state]
        drawn = np.cumsum(values) / np.arange(1, len(values) + 1) if paired else np.asarray(values)
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": name,
                "legendgroup": name,
                "showlegend": name not in named,
                "x": [step + 1 for step in steps],
                "y": drawn.tolist(),
                "line": {"color": colour, "width": 3 if trial is survey.best else 1},
                "opacity": 1 if trial is survey.best else 0.5,
                "hovertemplate": f"trial {trial.number}, step %{{x}}: %{{y:.4g}}<extra></extra>",
            }
        )
        named.add(name)
    layout = {"xaxis": {"title": {"text": "step"}}, "yaxis": _value_axis(survey, 0), "hovermode": "closest"}
    return {"data": data, "layout": layout}


def _timeline(survey: Survey) -> Figure:
    """Return a row for each worker with a bar for each trial, coloured by how it ended."""
    trials = [t for t in survey.trials if t.datetime_start is not None and t.datetime_complete is not None]
    spans = np.array([[t.datetime_start.timestamp(), t.datetime_complete.timestamp()] for t in trials])  # type: ignore[union-attr]
    begin = float(spans.min())
    unit, seconds = time_unit(float(spans.max()) - begin)
    workers = list(dict.fromkeys(str(t.user_attrs.get(WORKER, "unknown")) for t in trials))
    data = []
    for state, name in STATES.items():
        own = [k for k, trial in enumerate(trials) if trial.state == state]
        bar = {
            "type": "bar",
            "orientation": "h",
            "name": name,
            "y": [workers.index(str(trials[k].user_attrs.get(WORKER, "unknown"))) for k in own],
            "base": [(float(spans[k, 0]) - begin) / seconds for k in own],
            "x": [float(spans[k, 1] - spans[k, 0]) / seconds for k in own],
            "text": [str(trials[k].number) for k in own],
            "textposition": "none",
            "marker": {"color": BY_STATE[state], "line": {"width": 0.5, "color": "rgba(128,128,128,0.6)"}},
            "hovertemplate": f"trial %{{text}}, {name}: %{{x:.3g}} {unit}<extra></extra>",
        }
        if own:
            data.append(bar)
    few = len(workers) <= 20
    names = {"tickvals": list(range(len(workers))), "ticktext": [escape(name) for name in workers]} if few else {}
    layout = {
        "barmode": "overlay",
        "bargap": 0.25,
        "showlegend": True,
        "xaxis": {"title": {"text": f"{unit} since the first trial began"}},
        "yaxis": {"title": {"text": "" if few else "worker"}, "autorange": "reversed"} | names,
        "hovermode": "closest",
    }
    return {"data": data, "layout": layout}


def _compared(survey: Survey) -> Figure:
    """Return validation against test, a dot for each trial; on the dotted line they are the same."""
    found = survey.compared
    assert found is not None
    name = axis_title(survey, 0)
    low = float(min(found.validation.min(), found.test.min()))
    high = float(max(found.validation.max(), found.test.max()))
    dots = {
        "type": "scatter",
        "mode": "markers",
        "x": found.validation.tolist(),
        "y": found.test.tolist(),
        "marker": {"size": 10, "color": PALETTE[0], "opacity": 0.8},
        "text": [f"trial {number}" for number in found.trials],
        "hovertemplate": "%{text}<br>validation %{x:.4g}<br>test %{y:.4g}<extra></extra>",
        "showlegend": False,
    }
    line = {
        "type": "scatter",
        "mode": "lines",
        "x": [low, high],
        "y": [low, high],
        "line": {"color": RECORD_COLOUR, "dash": "dot", "width": 1},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    layout = {
        "xaxis": {"title": {"text": f"{name}, validation"}},
        "yaxis": {"title": {"text": f"{name}, test"}},
        "hovermode": "closest",
    }
    return {"data": [line, dots], "layout": layout}
