"""The report of a comparison of disciplines: one HTML file that needs nothing else."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import numpy as np
import yaml

from hpcai.evaluation import figures
from hpcai.evaluation.figures import Figure
from hpcai.evaluation.gpu_cluster import tables
from hpcai.evaluation.gpu_cluster.config import ClusterConfig
from hpcai.evaluation.gpu_cluster.inputs import Inputs
from hpcai.evaluation.gpu_cluster.metrics import METRICS
from hpcai.evaluation.gpu_cluster.store import Cell, ClusterFolder
from hpcai.evaluation.humanise import number, ratio
from hpcai.evaluation.page import render_page
from hpcai.evaluation.tables import Table

_FLOOR: Final = 10.0  # s; where the axis of completion times begins
_WIDE: Final = 5.0  # times as large as the smallest: values that far apart are drawn on a logarithmic scale


def render(config: ClusterConfig, inputs: Inputs, results: dict[str, Any], folder: ClusterFolder) -> str:
    """Return the report as HTML."""
    chapter = Chapter(config, inputs, results, folder)
    return render_page(
        "cluster.html.j2",
        {f"{name}-{chapter.number}": figure for name, figure in chapter.figures.items()},
        package="hpcai.evaluation.gpu_cluster",
        title=config.title or "Which discipline serves the GPU cluster best?",
        chapter=chapter,
        definitions=list(METRICS.values()),
        settings=yaml.safe_dump(config.as_dict(), sort_keys=False, allow_unicode=True),
        disciplines=yaml.safe_dump(
            {name: row["settings"] for name, row in results["disciplines"].items()}, sort_keys=False
        ),
    )


class Chapter:
    """What the report says."""

    number = 0  # there is only one

    def __init__(self, config: ClusterConfig, inputs: Inputs, results: dict[str, Any], folder: ClusterFolder) -> None:
        self.config, self.inputs, self.results, self._folder = config, inputs, results, folder
        self.order = tables.ranked(results, config.objective)
        self.best, self.baseline = self.order[0], config.baseline

    @property
    def answer(self) -> str:
        """What came out, in a sentence."""
        metric = self.config.objective
        own = self.results["disciplines"][self.best]
        text = f"On {self.where}, {self.best} has a {tables.heading(metric)} of {tables.value_of(own, metric)}"
        if self.best == self.baseline:
            return f"{text}; none of the other disciplines did better."
        found = tables.ratio_of(own, metric)
        level = "" if found.clear or not np.isfinite(found.low) else " (not distinguishable)"
        return f"{text}, {ratio(found)} that of {self.baseline}{level}."

    @property
    def where(self) -> str:
        """What was replayed, in words."""
        cases, machine = self.inputs.cases, self.inputs.machine
        jobs = number(round(float(np.mean([len(case.jobs) for case in cases]))))
        what = "draws" if self.config.trace is None else "windows"
        count = f"{len(cases)} {what} of about {jobs} jobs" if len(cases) > 1 else f"{jobs} jobs"
        return f"{count} of {self.inputs.source} on {machine.name} ({number(machine.total_gpus)} GPUs)"

    @property
    def tiles(self) -> list[tuple[str, str, str]]:
        """Headline figures of the best discipline, and the baseline's beside them."""
        best, base = (self.results["disciplines"][name] for name in (self.best, self.baseline))
        result = []
        for metric in ("mean_jct", "utilisation", "goodput", "time_to_full_machine"):
            if best["metrics"][metric]["mean"] is not None:
                beside = f"{self.baseline}: {tables.value_of(base, metric)}" if self.best != self.baseline else ""
                result.append((tables.heading(metric), tables.value_of(best, metric), beside))
        return result

    @property
    def ranking_table(self) -> Table:
        """The ranked table."""
        return tables.ranking_table(self.results, self.config.objective, self.baseline)

    def overview(self, which: str) -> Table:
        """The metrics of 'jobs' or of the 'machine'."""
        return tables.overview_table(self.results, which, self.config.objective, self.baseline)

    @cached_property
    def challenge_table(self) -> Table | None:
        """What grand challenges cost."""
        return tables.challenge_table(self.results, self.config.objective, self.baseline)

    @property
    def class_table(self) -> Table:
        """How classes fared."""
        return tables.class_table(self.results, self.config.objective, self.baseline)

    @cached_property
    def tenant_tables(self) -> list[tuple[str, Table]]:
        """How tenants fared, under the best discipline, the baseline, and those with quotas."""
        with_quotas = [name for name in self.order if self.config.settings[name].quotas]
        shown = dict.fromkeys([self.best, self.baseline, *with_quotas])
        found = [(name, tables.tenant_table(self.results, name)) for name in shown]
        return [(name, table) for name, table in found if table is not None]

    @cached_property
    def typical(self) -> int:
        """The case that is drawn: the one in the middle by the best discipline's objective."""
        values = self.results["disciplines"][self.best]["metrics"][self.config.objective]["by_case"]
        order = np.argsort([tables.number_of(value) for value in values], kind="stable")
        return int(order[(len(order) - 1) // 2])

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """The figures by name."""
        drawn = {"jct": self._distribution(), "load": self._load()}
        if len(self.inputs.cases) > 1:
            drawn["cases"] = self._by_case()
        return drawn

    def _lines(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the disciplines and the looks of their lines."""
        return [
            (
                name,
                {
                    "name": figures.escape(name),
                    "mode": "lines",
                    "type": "scatter",
                    "legendgroup": name,
                    "line": {
                        "color": figures.PALETTE[place % len(figures.PALETTE)],
                        "dash": "solid" if place < len(figures.PALETTE) else "dash",
                        "width": 2.6 if place == 0 else 1.5,
                    },
                },
            )
            for place, name in enumerate(self.order)
        ]

    def _distribution(self) -> Figure:
        """Return the share of jobs that were complete within a time."""
        share, data, top = np.linspace(0, 1, 241), [], 10 * _FLOOR
        for name, looks in self._lines():
            frames = [self._folder.jobs(Cell(name, case.name)) for case in self.inputs.cases]
            jct = np.concatenate([(f["end"] - f["submit"])[f["kind"] != "service"].to_numpy() for f in frames])
            x = np.maximum(np.quantile(jct, share), _FLOOR) if len(jct) else np.full(241, _FLOOR)
            top = max(top, float(x[-1]))
            hover = "%{y:.1f} % of jobs: within %{x:.3s} s"
            data.append(looks | {"x": figures.packed(x), "y": figures.packed(100 * share), "hovertemplate": hover})
        axis = figures.log_axis("completion time", _FLOOR, top)
        ticks = {second: text for second, text in figures.TIME_TICKS.items() if _FLOOR <= second <= top}
        axis |= {"tickvals": list(ticks), "ticktext": list(ticks.values())}
        y = {"title": {"text": "jobs, %"}, "range": [0, 101]}
        return {"data": data, "layout": {"xaxis": axis, "yaxis": y, "hovermode": "x"}}

    def _load(self) -> Figure:
        """Return GPUs held (above) and jobs waiting (below) over time in the case that is drawn."""
        case = self.inputs.cases[self.typical]
        lines = {name: self._folder.measured(Cell(name, case.name))["timeline"] for name in self.order}
        begin, last = min(line["begin"] for line in lines.values()), max(line["end"] for line in lines.values())
        unit, seconds = figures.time_unit(last - begin)
        data = []
        for place, (name, looks) in enumerate(self._lines()):
            line = lines[name]
            edges = np.linspace(line["begin"], line["end"], len(line["gpus"]) + 1)
            shown = place < figures.CURVES or name == self.baseline
            own = looks | {
                "x": figures.packed(((edges[:-1] + edges[1:]) / 2 - begin) / seconds),
                "visible": True if shown else "legendonly",
            }
            share = 100 * np.array(line["gpus"]) / self.inputs.machine.total_gpus
            data.append(own | {"y": figures.packed(share), "hovertemplate": "%{y:.1f} %"})
            below: dict[str, Any] = {"yaxis": "y2", "showlegend": False, "hovertemplate": "%{y:.1f} jobs"}
            data.append(own | below | {"y": figures.packed(line["waiting"])})
        layout = {
            "xaxis": {"title": {"text": f"{unit} since the first submission"}, "anchor": "y2"},
            "yaxis": {"title": {"text": "GPUs held, %"}, "domain": [0.56, 1], "rangemode": "tozero"},
            "yaxis2": {"title": {"text": "jobs waiting"}, "domain": [0, 0.44], "rangemode": "tozero"},
            "hovermode": "x unified",
        }
        return {"data": data, "layout": layout}

    def _by_case(self) -> Figure:
        """Return the objective case by case."""
        metric = METRICS[self.config.objective]
        data = []
        values_of = {}
        for name, looks in self._lines():
            values = self.results["disciplines"][name]["metrics"][metric.name]["by_case"]
            y = values_of[name] = [tables.number_of(value) for value in values]
            dots = {"mode": "lines+markers", "marker": {"size": 5}, "x": list(range(len(y)))}
            data.append(looks | dots | {"y": figures.packed(y), "hovertemplate": "%{y:.3s}"})
        names = [case.name for case in self.inputs.cases]
        every = max(1, -(-len(names) // 12))
        x = {"tickvals": list(range(0, len(names), every)), "ticktext": names[::every], "title": {"text": ""}}
        title = tables.heading(metric.name) + (", s" if metric.unit == "s" else "")
        every_value = [value for trace in values_of.values() for value in trace if np.isfinite(value)]
        low, high = min(every_value, default=1.0), max(every_value, default=1.0)
        wide = low > 0 and high > _WIDE * low
        y_axis = figures.log_axis(title, low / 1.2, high * 1.2) if wide else {"title": {"text": title}}
        return {"data": data, "layout": {"xaxis": x, "yaxis": y_axis, "hovermode": "x unified"}}

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What was replayed, line by line."""
        machine, cases = self.inputs.machine, self.inputs.cases
        facts = [
            ("source", self.inputs.source),
            (
                "machine",
                f"{machine.name}: {number(machine.total_nodes)} nodes, {number(machine.total_cpus)} CPUs, "
                f"{number(machine.total_gpus)} GPUs",
            ),
            ("cases", f"{len(cases)}: {', '.join(case.name for case in cases[:6])}{', …' if len(cases) > 6 else ''}"),
            ("jobs", number(sum(len(case.jobs) for case in cases))),
        ]
        left: dict[str, int] = {}
        for case in cases:
            for reason, count in case.left_out.items():
                left[reason] = max(left.get(reason, 0), count)
        facts += [(f"left out, {reason}", number(count)) for reason, count in left.items()]
        return facts
