"""The figures of a survey: Optuna's own, stripped of colours that only suit white paper, and one of ours."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from typing import Any, Final

import optuna
from optuna import visualization
from optuna.trial import FrozenTrial

from hpcai.evaluation.figures import PALETTE, RECORD_COLOUR, Figure, escape
from hpcai.learning.sweeps.survey import Survey

CONTOURS: Final = 3
"""Parameters in the contours, which have a panel for each pair."""
SLICES: Final = 6
"""Parameters in the slices, side by side."""
MOST: Final = 500
"""Trials that are drawn, the best ones and a sample of the rest: more make a page slow and show no more."""


def draw(survey: Survey) -> dict[str, Figure]:
    """Return the figures by name; those that would say nothing are not there."""
    if len(survey.complete) < 2:
        return {}
    drawn: dict[str, Figure] = {"timeline": _taken(visualization.plot_timeline(survey.study))}
    for i, target in enumerate(survey.config.targets):
        drawn |= {f"{name}-{i}": figure for name, figure in _of_target(survey, i, target.name).items()}
    if survey.several and len(survey.config.targets) < 4:
        names = [_words(target.name) for target in survey.config.targets]
        drawn["pareto"] = _taken(visualization.plot_pareto_front(survey.study, target_names=names))
    elif any(len(trial.intermediate_values) > 1 for trial in survey.complete):
        drawn["steps"] = _without_names(_taken(visualization.plot_intermediate_values(_thinned(survey))))
    if survey.compared is not None:
        drawn["compared"] = _compared(survey)
    return drawn


def _of_target(survey: Survey, i: int, name: str) -> dict[str, Figure]:
    """Return the figures of one objective."""
    study, words = _thinned(survey), _words(name)

    def target(trial: FrozenTrial) -> float:
        return float(trial.values[i])

    of: dict[str, Any] = {"target": target, "target_name": words} if survey.several else {"target_name": words}
    leading = survey.leading
    drawn = {
        "history": _taken(visualization.plot_optimization_history(study, **of)),
        "edf": _taken(visualization.plot_edf(study, **of)),
    }
    if leading:
        drawn["slices"] = _taken(visualization.plot_slice(study, params=leading[:SLICES], **of))
    if len(leading) > 1:
        drawn["parallel"] = _taken(visualization.plot_parallel_coordinate(study, params=leading, **of))
        drawn["contours"] = _taken(visualization.plot_contour(study, params=leading[:CONTOURS], **of))
    if found := survey.importances(i):
        drawn["importance"] = _importance(found)
    return drawn


def _thinned(survey: Survey) -> optuna.Study:
    """Return the study, of a long one the best trials and every k-th of the rest."""
    trials = survey.complete + survey.pruned
    if len(trials) <= MOST:
        return survey.study
    best = survey.ranked()[: MOST // 2]
    kept = {trial.number for trial in best}
    rest = [trial for trial in trials if trial.number not in kept]
    every = -(-len(rest) // (MOST - len(best)))
    thin = optuna.create_study(directions=survey.study.directions)
    thin.add_trials(sorted([*best, *rest[::every]], key=lambda trial: trial.number))
    return thin


def _words(name: str) -> str:
    return name.replace("_", " ")


def _taken(figure: Any) -> Figure:
    """Return one of Optuna's figures as JSON without its template, title and sizes, which the page sets."""
    plain: Figure = json.loads(figure.to_json())
    layout = {
        key: value for key, value in plain["layout"].items() if key not in ("template", "title", "width", "height")
    }
    return {"data": plain["data"], "layout": layout}


def quietly(draw_all: Callable[[Survey], dict[str, Figure]], survey: Survey) -> dict[str, Figure]:
    """Return what ``draw_all`` draws without Optuna's notices of what it finds experimental or leaves out."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return draw_all(survey)
    finally:
        optuna.logging.set_verbosity(level)


def _without_names(figure: Figure) -> Figure:
    """Return a figure of many lines without a legend, in which they would be but numbers."""
    figure["layout"]["showlegend"] = False
    return figure


def _importance(found: dict[str, dict[str, float]]) -> Figure:
    """Return the importance of each parameter by both methods, as bars side by side."""
    order = sorted(next(iter(found.values())), key=lambda name: sum(shares.get(name, 0) for shares in found.values()))
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
    axis = {"title": {"text": "share of the variance"}, "tickformat": ".0%", "rangemode": "tozero"}
    return {"data": data, "layout": {"barmode": "group", "xaxis": axis, "yaxis": {"title": {"text": ""}}}}


def _compared(survey: Survey) -> Figure:
    """Return validation against test, a dot for each trial; on the dotted line they are the same."""
    found = survey.compared
    assert found is not None
    name = _words(survey.config.targets[0].name)
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
