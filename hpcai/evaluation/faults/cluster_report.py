"""The report of a cluster under faults: one HTML file that needs nothing else."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import numpy as np
import yaml

from hpcai.evaluation.faults.cluster_config import CLUSTER_POLICIES, ClusterFaultsConfig
from hpcai.evaluation.figures import PALETTE, Figure
from hpcai.evaluation.humanise import duration, number, percent, ratio
from hpcai.evaluation.page import render_page
from hpcai.evaluation.statistics import Ratio
from hpcai.evaluation.tables import Cell, Row, Table, log_scale, mark_on

_PARTS: Final = ("goodput", "writing", "lost", "restarting", "down", "drained", "spare", "idle")
DEFINITIONS: Final = {
    "goodput": "Share of all node time that is useful work, kept to the end.",
    "lost": "Share of all node time whose work a fault undid.",
    "interruptions": "Times that a job died with one of its nodes.",
    "MTTI": "Mean time to interruption: running time of all jobs over their interruptions.",
    "availability": "Share of node time in which nodes were not down.",
    "turnaround": "From submission to end, mean of the jobs that ended.",
}


def render(config: ClusterFaultsConfig, results: dict[str, Any]) -> str:
    """Return the report as HTML."""
    chapter = Chapter(config, results)
    return render_page(
        "cluster_faults.html.j2",
        {f"{name}-0": figure for name, figure in chapter.figures.items()},
        package="hpcai.evaluation.faults",
        title=config.title or "A cluster under faults",
        chapter=chapter,
        definitions=DEFINITIONS,
        policies={name: CLUSTER_POLICIES[name] for name in config.policies},
        settings=yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True),
        sha256=results["sha256"],
    )


class Chapter:
    """What the report says."""

    number = 0

    def __init__(self, config: ClusterFaultsConfig, results: dict[str, Any]) -> None:
        self.config, self.rows = config, results["policies"]
        self.order = sorted(self.rows, key=lambda name: -self.rows[name]["metrics"]["goodput"])

    @property
    def answer(self) -> str:
        """What came out, in a sentence."""
        baseline = self.config.baseline
        better = [name for name in self.order if self.ratio_of(name, "goodput").low > 1]
        if not better:
            return f"No policy has clearly more goodput than {baseline}."
        return f"{better[0]} has {ratio(self.ratio_of(better[0], 'goodput'))} the goodput of {baseline}."

    def ratio_of(self, name: str, key: str) -> Ratio:
        """Return a policy's metric relative to the baseline's."""
        return Ratio(*(np.nan if x is None else x for x in self.rows[name][f"{key}_ratio"]))

    @property
    def table(self) -> Table:
        """Metrics by policy, most goodput first."""
        found = {name: self.ratio_of(name, "goodput") for name in self.order}
        scale = log_scale(list(found.values()))
        headings = ["policy", "goodput", f"ratio to {self.config.baseline}", "lost", "interruptions", "MTTI"]
        headings += ["availability", "turnaround", "ended"]
        rows = []
        for name in self.order:
            of = self.rows[name]["metrics"]
            cells = [Cell(name), Cell(percent(of["goodput"]), of["goodput"])]
            cells.append(Cell(ratio(found[name]), found[name].value, mark_on(found[name], scale)))
            cells += [Cell(percent(of["lost"]), of["lost"]), Cell(number(of["interruptions"]), of["interruptions"])]
            cells += [_time(of["mtti"]), Cell(percent(of["availability"]), of["availability"])]
            cells += [_time(of["turnaround"]), Cell(number(of["ended"]), of["ended"])]
            rows.append(Row(cells, "baseline" if name == self.config.baseline else ""))
        return Table("goodputs", [(heading, DEFINITIONS.get(heading, "")) for heading in headings], rows)

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """The figures by name."""
        return {"parts": self._parts(), "sizes": self._sizes()}

    def _parts(self) -> Figure:
        """Return where the node time goes."""
        data = [
            {
                "type": "bar",
                "orientation": "h",
                "name": part,
                "y": self.order,
                "x": [100 * self.rows[name]["metrics"][part] for name in self.order],
                "marker": {"color": PALETTE[k % len(PALETTE)]},
                "hovertemplate": "%{x:.2f} %<extra>" + part + "</extra>",
            }
            for k, part in enumerate(_PARTS)
        ]
        axis = {"title": {"text": "share of node time, %"}}
        return {"data": data, "layout": {"barmode": "stack", "xaxis": axis, "yaxis": {"automargin": True}}}

    def _sizes(self) -> Figure:
        """Return the mean time to interruption by the nodes of a job."""
        of = self.rows[self.config.baseline]["mtti_hours_by_size"]
        known = {name: hours for name, hours in of.items() if hours is not None}
        data = [{"type": "bar", "x": list(known), "y": list(known.values())}]
        axis = {"title": {"text": "h"}, "type": "log"}
        nodes = {"title": {"text": "nodes of a job"}, "type": "category"}
        return {"data": data, "layout": {"xaxis": nodes, "yaxis": axis}}


def _time(seconds: float | None) -> Cell:
    return Cell("–", None) if seconds is None else Cell(duration(seconds), seconds)
