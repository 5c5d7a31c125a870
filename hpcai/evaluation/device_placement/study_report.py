"""The report of a comparison: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import yaml

from hpcai.device_placement.methods.registry import METHODS
from hpcai.evaluation import figures
from hpcai.evaluation.device_placement.study_config import DeviceStudy
from hpcai.evaluation.device_placement.study_summary import shown, step_times
from hpcai.evaluation.figures import Figure
from hpcai.evaluation.page import render_page
from hpcai.evaluation.tables import Cell, Row, Table

HEADINGS = {
    "bound": "Geometric mean of step times over the largest lower bound, which no placement can undercut; in brackets "
    "the 95 % bootstrap interval over graphs.",
    "best_published": "The same over the best of the published methods in each case.",
}


def render(config: DeviceStudy, results: Mapping[str, Any]) -> str:
    """Return the report as HTML."""
    chapter = StudyChapter(results)
    return render_page(
        "study.html.j2",
        {f"{name}-{chapter.number}": figure for name, figure in chapter.figures.items()},
        package="hpcai.evaluation.device_placement",
        title="Methods of device placement",
        chapter=chapter,
        settings=yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True),
        sources={name: METHODS[name].source for name in config.methods},
        sha256=results["inputs"],
    )


class StudyChapter:
    """What the report says."""

    number = 0  # there is only one

    def __init__(self, results: Mapping[str, Any]) -> None:
        self.results, self.methods = results, results["methods"]

        def over_bound(name: str) -> float:
            found = self.methods[name]["to"].get("bound")
            return found["ratio"] if found else np.inf

        self.order = sorted(self.methods, key=over_bound)

    @property
    def means(self) -> Table:
        """Every method's means, best first."""
        headings = [("method", ""), ("to the bound", HEADINGS["bound"])]
        headings += [("to the best published", HEADINGS["best_published"]), ("not feasible", ""), ("took, s", "")]
        rows = []
        for name in self.order:
            method = self.methods[name]
            ratios = [method["to"].get(other) for other in ("bound", "best_published")]
            cells = [Cell(shown(found), found["ratio"] if found else np.inf) for found in ratios]
            last = [Cell(str(method["not_feasible"])), Cell(f"{method['took_seconds']:.2f}", method["took_seconds"])]
            rows.append(Row([Cell(name), *cells, *last]))
        return Table("means", headings, rows)

    @property
    def steps(self) -> Table:
        """The step of each case by each method, ms."""
        cases = self.results["cases"]
        steps = step_times(cases, self.results["cells"])
        rows = []
        for i, (case, facts) in enumerate(cases.items()):
            times = [facts["bound_seconds"], *(steps[name][i] for name in self.order)]
            cells = [Cell(f"{s * 1e3:.2f}", s) if np.isfinite(s) else Cell("–", np.inf) for s in times]
            rows.append(Row([Cell(case), *cells]))
        return Table("steps", [(heading, "") for heading in ("case", "lower bound", *self.order)], rows)

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """How the searches went: over placements timed, and over seconds."""
        searches = [name for name in self.order if any("curve" in cell for cell in self._cells(name))]
        if not searches:
            return {}
        return {"evaluations": self._curves(searches, 0, "placements timed"), "seconds": self._curves(searches, 1, "s")}

    def _cells(self, name: str) -> list[Mapping[str, Any]]:
        return [cell for cell in self.results["cells"] if cell["method"] == name]

    def _curves(self, searches: list[str], column: int, title: str) -> Figure:
        """Return the geometric mean over cases and seeds of the best step so far, to the bound."""
        ends = [row[column] for name in searches for cell in self._cells(name) for row in cell["curve"]]
        x = np.geomspace(max(min(ends), 1e-3), max(ends), 80)
        data = []
        for name, colour in zip(searches, figures.PALETTE, strict=False):
            logs = []
            for cell in self._cells(name):
                bound = self.results["cases"][cell["case"]]["bound_seconds"]
                at = np.array([row[column] for row in cell["curve"]])
                best = np.array([row[2] for row in cell["curve"]])
                last = np.searchsorted(at, x, side="right") - 1
                logs.append(np.where(last >= 0, np.log(best[np.maximum(last, 0)] / bound), np.nan))
            y = np.exp(np.mean(logs, axis=0))  # nan until all have a placement
            look = {"type": "scatter", "mode": "lines", "name": name, "line": {"color": colour, "width": 2}}
            data.append(look | {"x": figures.packed(x), "y": figures.packed(y), "hovertemplate": "%{y:.4f}"})
        layout = {
            "xaxis": figures.log_axis(title, x[0], x[-1]),
            "yaxis": {"title": {"text": "best step, to the bound"}},
            "hovermode": "x unified",
        }
        return {"data": data, "layout": layout}
