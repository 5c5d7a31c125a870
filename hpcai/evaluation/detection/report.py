"""The report of a detection: one HTML file that needs nothing else."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import numpy as np
import yaml

from hpcai.evaluation import figures
from hpcai.evaluation.figures import Figure
from hpcai.evaluation.humanise import duration, number, percent, ratio
from hpcai.evaluation.page import render_page
from hpcai.evaluation.statistics import Ratio
from hpcai.evaluation.tables import Cell, Row, Table, log_scale, mark_on

WORDS: Final = {
    "boosting": "boosted trees",
    "weibull": "Weibull hazard",
    "isolation": "isolation forest (no labels)",
    "count": "failures of the last 30 days",
    "last": "time since the last failure",
    "base": "guessing",
}
SETS: Final = {
    "unseen": "later time, nodes that were kept out",
    "later": "later time, nodes that were learned from",
    "all": "later time, all nodes",
}
DEFINITIONS: Final = {
    "average precision": "Area under the curve of precision over recall, as a sum of steps.",
    "lift": "Average precision over the share of rows that fail, which guessing reaches: 1 is no better than guessing.",
    "precision": "Share of the rows above the threshold that fail as foretold.",
    "recall": "Share of the rows that fail that are above the threshold.",
    "caught": "Failures of drained nodes: the node had been drained for the lead time or longer when it failed.",
    "drains": "Times that a node was taken away, and the hours for which drained nodes stood idle.",
    "saved": "1 - (cost of idle hours and missed failures) / (cost of all failures if nothing is ever drained).",
    "Brier score": "Mean squared difference of probability and outcome; less is better.",
}
_MOST_FEATURES: Final = 15


def render(results: dict[str, Any]) -> str:
    """Return the report as HTML."""
    chapter = Chapter(results)
    return render_page(
        "detection.html.j2",
        {f"{name}-0": figure for name, figure in chapter.figures.items()},
        package="hpcai.evaluation.detection",
        title=results["config"]["title"] or "Which node fails next?",
        chapter=chapter,
        definitions=DEFINITIONS,
        settings=yaml.safe_dump(results["config"], sort_keys=False, allow_unicode=True),
        sha256=results["sha256"],
        notes=results["log"]["notes"],
    )


class Chapter:
    """What the report says, in words, tables and figures."""

    number = 0

    def __init__(self, results: dict[str, Any]) -> None:
        self.results, self.config, self.log = results, results["config"], results["log"]
        self.models: dict[str, Any] = results["models"]
        self.chosen: str = results["chosen"]

    @property
    def order(self) -> list[str]:
        """The models, best first on nodes that were kept out."""
        return sorted(self.models, key=lambda kind: -(self.models[kind]["unseen"]["average_precision"]["value"] or 0))

    @property
    def task(self) -> str:
        """What is foretold, in a sentence."""
        config = self.config
        return (
            f"Every {duration(config['step'])} each node that is up is asked about: does it fail after "
            f"{duration(config['lead'])}, within {duration(config['horizon'])}? {self.log['nodes']:,} nodes, "
            f"{self.log['failures']:,} failures in {self.log['days']:,.0f} days."
        )

    @property
    def answer(self) -> str:
        """What came out, in two sentences."""
        own = self.models[self.chosen]["unseen"]
        lift, saved = _of(own["lift"]), _of(own["saved"])
        words = WORDS[self.chosen]
        first = (
            f"By {words}, nodes that were never seen are ranked {ratio(lift)} as well as by guessing"
            if lift.low > 1
            else f"By {words}, nodes that were never seen are ranked no better than by guessing, as far as can be told "
            f"({ratio(lift)})"
        )
        costs = self.config["costs"]
        if self.results["threshold"] is None:
            second = f"where a missed failure costs {number(costs['missed'])} node-hours it does not pay to drain"
        else:
            second = (
                f"drains at the threshold save {_share(saved)} of what failures cost, at "
                f"{number(costs['missed'])} node-hours for each that is missed"
            )
        return f"{first}; {second}."

    @property
    def model_tables(self) -> list[tuple[Table, str]]:
        """A table of the models for each set of rows, with its caption."""
        return [(self._table(name), words) for name, words in SETS.items()]

    def _table(self, name: str) -> Table:
        headings = ["model", "average precision", "lift", "precision", "recall", "caught", "drains", "saved"]
        lifts = {kind: _of(self.models[kind][name]["lift"]) for kind in self.order}
        scale = log_scale(list(lifts.values()))
        rows = []
        for kind in self.order:
            own = self.models[kind][name]
            area, lift = _of(own["average_precision"]), lifts[kind]
            of = own["caught"] + own["missed"]
            cells = [Cell(WORDS[kind]), Cell(_span(area), area.value)]
            cells.append(Cell("1" if kind == "base" else ratio(lift), lift.value, mark_on(lift, scale)))
            cells += [_percent(own["precision"]), _percent(own["recall"])]
            cells.append(Cell(f"{own['caught']:,} of {of:,}", own["caught"]))
            idle = f", {number(own['idle_hours'])} h" if own["drains"] else ""
            cells.append(Cell(f"{own['drains']:,}{idle}", own["drains"]))
            cells.append(Cell(_share(_of(own["saved"])), own["saved"]["value"] or 0.0))
            rows.append(Row(cells, "best" if kind == self.chosen else "baseline" if kind == "base" else ""))
        return Table(f"models-{name}", [(text, DEFINITIONS.get(text, "")) for text in headings], rows)

    @property
    def part_table(self) -> Table:
        """The parts of the rows."""
        headings = [(text, "") for text in ("part", "rows", "of which fail", "nodes", "from day", "to day")]
        rows = []
        for name, part in self.log["parts"].items():
            values = [part[key] for key in ("rows", "failing", "nodes", "from_day", "to_day")]
            rows.append(Row([Cell(name), *(Cell(number(value), value) for value in values)]))
        return Table("parts", headings, rows)

    @property
    def system_table(self) -> Table | None:
        """The chosen model on each system of the log; None if there is one alone."""
        systems = self.results["systems"]
        if len(systems) < 2:
            return None
        headings = [(text, "") for text in ("system", "rows", "of which fail", "average precision", "lift")]
        scale = log_scale([_of(own["lift"]) for own in systems.values()])
        rows = []
        for name, own in systems.items():
            area, lift = _of(own["average_precision"]), _of(own["lift"])
            cells = [Cell(name or "–"), *(Cell(number(own[key]), own[key]) for key in ("rows", "failing"))]
            cells += [Cell(_span(area), area.value), Cell(ratio(lift), lift.value, mark_on(lift, scale))]
            rows.append(Row(cells))
        return Table("systems", headings, rows)

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """The figures by name."""
        found = {"curves": self._curves(), "costs": self._costs(), "importance": self._importance()}
        if any("calibration" in own["all"] for own in self.models.values()):
            found["calibration"] = self._calibration()
        if self.models[self.chosen]["all"]["leads"]:
            found["leads"] = self._leads()
        return found

    def _looks(self, kind: str) -> dict[str, Any]:
        place = self.order.index(kind)
        colour = figures.RECORD_COLOUR if kind == "base" else figures.PALETTE[place % len(figures.PALETTE)]
        width = 2.6 if kind == self.chosen else 1.5
        line = {"color": colour, "width": width, "dash": "dash" if kind == "base" else "solid"}
        return {"name": WORDS[kind], "type": "scatter", "mode": "lines", "line": line}

    def _curves(self) -> Figure:
        """Return precision over recall of each model, on nodes that were kept out."""
        data = []
        for kind in self.order:
            curve = self.models[kind]["unseen"]["curve"]
            x, y = 100 * np.array(curve["recall"]), 100 * np.array(curve["precision"])
            hover = "recall %{x:.1f} %, precision %{y:.1f} %"
            data.append(self._looks(kind) | {"x": figures.packed(x), "y": figures.packed(y), "hovertemplate": hover})
        layout = {
            "xaxis": {"title": {"text": "recall, %"}, "range": [0, 100]},
            "yaxis": {"title": {"text": "precision, %"}, "rangemode": "tozero"},
        }
        return {"data": data, "layout": layout}

    def _calibration(self) -> Figure:
        """Return the share that failed over what was foretold."""
        data: list[dict[str, Any]] = []
        values = []
        for kind in self.order:
            bins = self.models[kind]["all"].get("calibration")
            if not bins:
                continue
            x, y = ([max(bin_[key], 1e-6) for bin_ in bins] for key in ("predicted", "failed"))
            up, down = [b["high"] - b["failed"] for b in bins], [b["failed"] - b["low"] for b in bins]
            values += [*x, *y]
            error = {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "thickness": 1}
            looks = self._looks(kind) | {"mode": "lines+markers", "x": x, "y": y, "error_y": error}
            looks["name"] = f"{WORDS[kind]}, Brier score {self.models[kind]['all']['brier']:.4g}"
            data.append(looks | {"hovertemplate": "foretold %{x:.2g}, came %{y:.2g}"})
        low, high = min(values) / 1.5, min(max(values) * 1.5, 1.0)
        diagonal = {"type": "scatter", "mode": "lines", "x": [low, high], "y": [low, high], "showlegend": False}
        diagonal |= {"line": {"color": figures.RECORD_COLOUR, "dash": "dot", "width": 1}, "hoverinfo": "skip"}
        layout = {
            "xaxis": figures.log_axis("probability that was foretold", low, high),
            "yaxis": figures.log_axis("share that failed", low, high),
        }
        return {"data": [diagonal, *data], "layout": layout}

    def _leads(self) -> Figure:
        """Return the share of the failures that were announced at least so long before."""
        own = self.models[self.chosen]["all"]
        leads, of = np.array(own["leads"]), own["caught"] + own["missed"]
        share = 100 * (len(leads) - np.arange(len(leads))) / max(of, len(leads))
        trace = self._looks(self.chosen) | {"x": figures.packed(leads), "y": figures.packed(share)}
        trace |= {"hovertemplate": "%{y:.1f} % of the failures: %{x:.1f} h before or more", "showlegend": False}
        layout = {
            "xaxis": {"title": {"text": "first alarm before the failure, hours"}, "rangemode": "tozero"},
            "yaxis": {"title": {"text": "failures, %"}, "rangemode": "tozero"},
        }
        return {"data": [trace], "layout": layout}

    def _costs(self) -> Figure:
        """Return what is saved by what a missed failure costs."""
        data = []
        for kind in self.order:
            if kind == "base":
                continue
            points = self.models[kind]["all"]["by_cost"]
            saved = [_of(point["saved"]) for point in points]
            up = [100 * (one.high - one.value) if np.isfinite(one.high) else 0.0 for one in saved]
            down = [100 * (one.value - one.low) if np.isfinite(one.low) else 0.0 for one in saved]
            error = {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "thickness": 1}
            looks = self._looks(kind) | {"mode": "lines+markers", "error_y": error}
            x, y = [point["missed"] for point in points], [100 * one.value for one in saved]
            data.append(looks | {"x": x, "y": y, "hovertemplate": "%{y:.1f} % saved"})
        first, last = (self.models[self.chosen]["all"]["by_cost"][i]["missed"] for i in (0, -1))
        layout = {
            "xaxis": figures.log_axis("cost of a missed failure, idle node-hours", first / 1.2, last * 1.2),
            "yaxis": {"title": {"text": "saved of the cost of failures, %"}},
        }
        return {"data": data, "layout": layout}

    def _importance(self) -> Figure:
        """Return by how much the average precision falls without each feature."""
        shown = list(self.results["importance"].items())[:_MOST_FEATURES]
        names = [figures.escape(name if len(name) <= figures.LONGEST_NAME else name[:38] + "…") for name, _ in shown]
        bar = {
            "type": "bar",
            "orientation": "h",
            "y": names,
            "x": [value for _, value in shown],
            "marker": {"color": figures.PALETTE[0]},
            "hovertemplate": "%{x:.3g}",
            "showlegend": False,
        }
        layout = {
            "xaxis": {"title": {"text": "fall of the average precision"}},
            "yaxis": {"autorange": "reversed", "automargin": True},
        }
        return {"data": [bar], "layout": layout}


def _of(told: dict[str, float | None]) -> Ratio:
    value, low, high = (np.nan if told[key] is None else told[key] for key in ("value", "low", "high"))
    return Ratio(float(value), float(low), float(high))  # type: ignore[arg-type]


def _span(one: Ratio) -> str:
    known = np.isfinite(one.low)
    return f"{one.value:.3f}" + (f" [{one.low:.3f}, {one.high:.3f}]" if known else "")


def _share(one: Ratio) -> str:
    if not np.isfinite(one.value):
        return "–"
    return percent(one.value) + (f" [{percent(one.low)}, {percent(one.high)}]" if np.isfinite(one.low) else "")


def _percent(value: float | None) -> Cell:
    return Cell("–", 0.0) if value is None else Cell(percent(value), value)


def table(results: dict[str, Any], name: str = "unseen") -> list[str]:
    """Return what the models are worth on a set of rows, as lines of Markdown, best first."""
    chapter = Chapter(results)
    lines = ["| model | average precision | lift | precision | recall | caught | saved |", "|---" * 7 + "|"]
    for kind in chapter.order:
        own = results["models"][kind][name]
        precision, recall = ("–" if own[key] is None else percent(own[key]) for key in ("precision", "recall"))
        of = own["caught"] + own["missed"]
        lines.append(
            f"| {WORDS[kind]} | {_span(_of(own['average_precision']))} | {ratio(_of(own['lift']))} | {precision} "
            f"| {recall} | {own['caught']:,} of {of:,} | {_share(_of(own['saved']))} |"
        )
    return lines
