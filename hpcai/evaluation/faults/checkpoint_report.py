"""The report of a comparison of checkpoint policies: one HTML file that needs nothing else."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import numpy as np
import yaml

from hpcai.evaluation import figures
from hpcai.evaluation.faults.checkpoint_config import POLICIES, CheckpointConfig
from hpcai.evaluation.figures import Figure
from hpcai.evaluation.humanise import duration, number, percent
from hpcai.evaluation.page import render_page
from hpcai.evaluation.statistics import Ratio
from hpcai.evaluation.tables import Cell, Row, Table

KINDS: Final = ("checkpointing", "lost", "restarting", "downtime")
DEFINITIONS: Final = {
    "waste": "Share of a job's time that is not useful work: writing checkpoints, work that a fault undoes, restarts, "
    "and the time from a fault to the restart.",
    "MTBF": "Mean time between the faults of a job: in the training part, then in the rest, in which policies play.",
    "shape": "Of the Weibull fitted to the time between a job's faults in the training part: below 1 the hazard falls "
    "with the time since the last fault. In brackets where a constant hazard is not refuted (likelihood ratio, 5 %).",
    "later": "The same for what is left of times of more than an hour: faults that follow at once strike while a job "
    "is down or restarts, where no checkpoint helps.",
    "bound by age": "What the best policy that goes by the time since the last fault wastes of what the best constant "
    "interval does, to first order, if faults came as that Weibull says.",
    "best constant": "The best constant interval known in hindsight: what a policy can gain that knows the rate of the "
    "rest.",
    "best by window": "The best constant interval of each window known in hindsight: more than any policy can know.",
}
_COLOURS: Final = dict(zip(KINDS, ("#4477AA", "#EE6677", "#CCBB44", "#66CCEE"), strict=True))


def render(config: CheckpointConfig, results: dict[str, Any]) -> str:
    """Return the report as HTML."""
    chapters = [Chapter(i, write, config, results["cases"]) for i, write in enumerate(config.writes)]
    drawn = {f"{name}-{c.number}": figure for c in chapters for name, figure in c.figures.items()}
    return render_page(
        "checkpoints.html.j2",
        drawn,
        package="hpcai.evaluation.faults",
        title=config.title or "When to write checkpoints?",
        chapters=chapters,
        definitions=DEFINITIONS,
        policies={name: POLICIES[name] for name in config.policies},
        left_out=results["left_out"],
        settings=yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True),
        sha256=results["sha256"],
    )


class Chapter:
    """What the report says of checkpoints of one cost."""

    def __init__(self, number_: int, write: float, config: CheckpointConfig, cases: list[dict[str, Any]]) -> None:
        self.number, self.config = number_, config
        self.name = f"A checkpoint takes {duration(write)}"
        self.cases = [case for case in cases if case["write"] == write]
        self.shown = [name for name in config.policies if name != config.baseline]

    @property
    def answer(self) -> str:
        """What came out, in a sentence."""
        means = {name: float(np.mean([c["policies"][name]["ratio"] for c in self.cases])) for name in self.shown}
        if not means:
            return ""
        best = min(means, key=lambda name: means[name])
        clear = sum(case["policies"][best]["high"] < 1 for case in self.cases)
        tenth = sum(
            case["policies"][best]["ratio"] <= 0.9 and case["policies"][best]["high"] < 1 for case in self.cases
        )
        return (
            f"{best} wastes {percent(means[best])} of what {self.config.baseline} does, on average over "
            f"{len(self.cases)} cases; clearly less in {clear} of them, a tenth less or more in {tenth}."
        )

    @property
    def table(self) -> Table:
        """The ratios of all policies by case."""
        baseline = self.config.baseline
        headings = [("case", ""), ("MTBF", DEFINITIONS["MTBF"]), ("shape", DEFINITIONS["shape"])]
        headings.append(("later", DEFINITIONS["later"]))
        headings += [(f"waste of {baseline}", DEFINITIONS["waste"]), ("bound by age", DEFINITIONS["bound by age"])]
        headings += [(name, DEFINITIONS[name]) for name in ("best constant", "best by window")]
        headings += [(name, POLICIES[name]) for name in self.shown]
        rows = []
        for case in self.cases:
            shape = case["weibull_shape"][0]
            of = case["policies"][baseline]["waste"]
            cells = [
                Cell(case["case"]),
                Cell(f"{number(case['mtbf_hours'])} → {number(case['mtbf_hours_rest'])} h", case["mtbf_hours"]),
                Cell(f"({shape:.2f})" if case["constant"] else f"{shape:.2f}", shape),
                Cell(f"{case['weibull_shape_after_an_hour']:.2f}", case["weibull_shape_after_an_hour"]),
                Cell(percent(of), of),
                *(Cell(f"{case[key]:.3f}", case[key]) for key in ("bound_by_age", "hindsight", "hindsight_by_window")),
                *(Cell(f"{r.value:.3f}{'*' if r.clear else ''}", r.value) for r in _ratios_of(case, self.shown)),
            ]
            rows.append(Row(cells))
        return Table("ratios", headings, rows)

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """The figures by name."""
        return {"ratios": self._ratios(), "kinds": self._kinds()}

    def _ratios(self) -> Figure:
        """Return the ratio of each policy in each case, with its interval."""
        names = [figures.escape(case["case"]) for case in self.cases]
        data = []
        for k, name in enumerate(self.shown):
            rows = [case["policies"][name] for case in self.cases]
            data.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": name,
                    "x": names,
                    "y": [row["ratio"] for row in rows],
                    "error_y": {
                        "type": "data",
                        "symmetric": False,
                        "array": [row["high"] - row["ratio"] for row in rows],
                        "arrayminus": [row["ratio"] - row["low"] for row in rows],
                        "thickness": 1,
                        "width": 0,
                    },
                    "marker": {"color": figures.PALETTE[k % len(figures.PALETTE)], "size": 7},
                    "visible": True if k >= len(self.shown) - 3 else "legendonly",
                }
            )
        layout = {
            "xaxis": {"automargin": True, "tickangle": -60, "type": "category"},
            "yaxis": {"title": {"text": f"waste relative to {self.config.baseline}"}},
        }
        return {"data": data, "layout": layout}

    def _kinds(self) -> Figure:
        """Return where the time goes, on average over the cases."""
        data = [
            {
                "type": "bar",
                "orientation": "h",
                "name": kind,
                "y": list(self.config.policies),
                "x": [
                    100 * float(np.mean([case["policies"][name][kind] for case in self.cases]))
                    for name in self.config.policies
                ],
                "marker": {"color": _COLOURS[kind]},
                "hovertemplate": "%{x:.2f} %<extra>" + kind + "</extra>",
            }
            for kind in KINDS
        ]
        axis = {"title": {"text": "share of the time, %"}}
        return {"data": data, "layout": {"barmode": "stack", "xaxis": axis, "yaxis": {"automargin": True}}}


def _ratios_of(case: dict[str, Any], names: list[str]) -> list[Ratio]:
    rows = [case["policies"][name] for name in names]
    return [Ratio(row["ratio"], row["low"], row["high"]) for row in rows]
