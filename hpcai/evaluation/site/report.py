"""The report of a simulated site: timelines above each other on one axis, metrics side by side, tenants."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import numpy as np
import yaml

from hpcai.evaluation import figures
from hpcai.evaluation.figures import Figure, time_unit
from hpcai.evaluation.humanise import duration, number, percent
from hpcai.evaluation.page import render_page
from hpcai.evaluation.site.commands import ratio_text
from hpcai.evaluation.site.evaluate import Simulated
from hpcai.evaluation.site.measures import MEASURES
from hpcai.evaluation.tables import Cell, Row, Table

_HOUR: Final = 3600.0


def render(runs: dict[str, Simulated], results: dict[str, Any]) -> str:
    """Return the report as HTML."""
    chapter = Chapter(runs, results)
    drawn = {f"{name}-0": figure for name, figure in chapter.figures.items()}
    first = next(iter(runs.values())).config
    return render_page(
        "twin.html.j2",
        drawn,
        package="hpcai.evaluation.site",
        title=first.title or "A site, simulated",
        chapter=chapter,
        definitions={each.heading: each.meaning for each in MEASURES.values()},
        settings={
            name: yaml.safe_dump(run.config.as_dict(), sort_keys=False, allow_unicode=True)
            for name, run in runs.items()
        },
        sha256={key: value for run in runs.values() for key, value in run.prepared.sha256.items()},
    )


class Chapter:
    """What the report says."""

    number = 0

    def __init__(self, runs: dict[str, Simulated], results: dict[str, Any]) -> None:
        self.runs, self.results = runs, results

    @property
    def answer(self) -> str:
        """What came out, in a sentence."""
        base = self.results["baseline"]
        others = [name for name in self.runs if name != base]
        if not others:
            of = self.results["sites"][base]["metrics"]
            pue = "" if of["pue"] is None else f" at a PUE of {of['pue']:.3f}"
            return f"{number(of['site'])} MWh{pue}; jobs wait {duration(of['wait'])} in the mean."
        if len(others) == 1:
            return self._against(others[0], base)
        return f"Over {base}: {'; '.join(self._in_short(name) for name in others)}."

    def _in_short(self, name: str) -> str:
        ratios = self.results["sites"][name]["ratios"]
        words = {"per_work": "energy per work", "slowdown": "slowdown"}
        return f"{name} {', '.join(f'{ratios[key]:.3f} × the {word}' for key, word in words.items() if ratios[key])}"

    def _against(self, name: str, base: str) -> str:
        site = self.results["sites"][name]
        said = [
            f"{ratio_text(site, key)} × the {word}"
            for key, word in (
                ("site", "energy"),
                ("carbon", "CO2"),
                ("per_work", "energy per work"),
                ("slowdown", "slowdown"),
            )
            if site["ratios"][key] is not None
        ]
        return f"{name} has {', '.join(said)} of {base}."

    @property
    def where(self) -> str:
        """What was simulated, in words."""
        first = next(iter(self.runs.values()))
        machine, setting = first.prepared.setting.machine, first.prepared.setting
        begin = "" if first.prepared.begin is None else f" from {first.prepared.begin:%d %B} on"
        faults = f", {len(setting.outages)} outages" if setting.outages else ""
        return (
            f"{len(first.jobs):,} jobs on {machine.name} ({machine.total_nodes} nodes, {machine.total_gpus:,} GPUs), "
            f"{number(first.config.days)} days{begin} in ticks of {first.config.tick_minutes} min{faults}"
        )

    @property
    def tables(self) -> list[Table]:
        """Metrics in rows, sites in columns; ratios beside them, those of several others in a table."""
        base = self.results["baseline"]
        others = [name for name in self.runs if name != base]
        values = Table("metrics", [("metric", ""), *((name, "") for name in (base, *others))], [])
        ratios = Table("ratios", [("metric", ""), *((f"{name} / {base}", "") for name in others)], [])
        sites = self.results["sites"]
        for key, measure in MEASURES.items():
            if all(sites[name]["metrics"][key] is None for name in self.runs):
                continue
            cells = [_value(sites[name]["metrics"][key], measure.unit) for name in (base, *others)]
            shares = [Cell(ratio_text(sites[name], key), sites[name]["ratios"][key]) for name in others]
            values.rows.append(Row([Cell(measure.heading), *cells]))
            ratios.rows.append(Row([Cell(measure.heading), *shares]))
        if len(others) > 1:
            return [values, ratios]
        rows = [Row([*one.cells, *other.cells[1:]]) for one, other in zip(values.rows, ratios.rows, strict=True)]
        return [Table("metrics", [*values.headings, *ratios.headings[1:]], rows)]

    @property
    def draws(self) -> str:
        """How sure the ratios are, in words."""
        if (count := self.results["draws"]) == 1:
            return "One draw of jobs and faults: a ratio says what happened here, not what would on another seed."
        return (
            f"Means of {count} draws of jobs, faults and weather, the same for all; ratios of means with 95 % "
            "intervals, paired draw by draw (bootstrap, BCa). Timelines and tenants are those of the first draw."
        )

    @property
    def tenants(self) -> Table:
        """Energy and waiting by tenant, those of most energy first."""
        words = {
            "jobs": "jobs",
            "gpu_hours": "GPU h",
            "energy": "MWh",
            "carbon_kg": "CO2, kg",
            "cost": "cost",
            "wait": "mean wait",
        }
        shown = [
            key
            for key in words
            if any(np.isfinite(of[key]) for run in self.runs.values() for of in run.tenants.values())
        ]
        rows = []
        for name, run in self.runs.items():
            for tenant, of in list(run.tenants.items())[:12]:
                cells = [Cell(tenant or "unnamed"), Cell(name)]
                cells += [_value(of[key], "s" if key == "wait" else "") for key in shown]
                rows.append(Row(cells))
        return Table("tenants", [("tenant", ""), ("site", ""), *((words[key], "") for key in shown)], rows)

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """The figures by name."""
        return {"timeline": self._timeline()}

    @cached_property
    def panels(self) -> list[str]:
        """The panels that have something to show."""
        return [name for name in PANELS if any(_has(run, name) for run in self.runs.values())]

    @property
    def height(self) -> int:
        """Of the timelines, in pixels."""
        return 130 * len(self.panels) + 60

    def _timeline(self) -> Figure:
        """Return all timelines above each other over one axis of time."""
        first = next(iter(self.runs.values()))
        unit, seconds = time_unit(first.prepared.setting.duration)
        panels = self.panels
        data: list[dict[str, Any]] = []
        for i, (name, run) in enumerate(self.runs.items()):
            x = figures.packed(run.timeline["time"].to_numpy() / seconds)
            colour = figures.PALETTE[i % len(figures.PALETTE)]
            for k, panel in enumerate(panels):
                for j, (word, values) in enumerate(_lines(run, panel).items()):
                    label = f"{name}, {word}" if word else name
                    looks = {"color": colour, "width": 1.4, "dash": ("solid", "dot", "dash")[j]}
                    data.append(
                        {
                            "type": "scatter",
                            "mode": "lines",
                            "name": figures.escape(label),
                            "legendgroup": name,
                            "showlegend": k == 0 and j == 0,
                            "line": looks,
                            "x": x,
                            "y": figures.packed(values),
                            "yaxis": "y" if k == 0 else f"y{k + 1}",
                            "hovertemplate": "%{y:.4~g}",
                        }
                    )
        layout = _layout(panels, f"{unit} since the beginning")
        return {"data": data, "layout": layout}


PANELS: Final = {
    "waiting": "jobs waiting",
    "gpus": "GPUs in use, %",
    "it": "IT, kW",
    "hvac": "cooling, kW",
    "inlet": "inlets, outdoors, °C",
    "limit": "GPU limit, %",
    "down": "nodes down",
    "stops": "stops per hour",
    "carbon": "gCO2/kWh",
}


def _has(run: Simulated, panel: str) -> bool:
    return any(
        np.isfinite(values).any() and (panel != "limit" or values.min() < 100) for values in _lines(run, panel).values()
    )


def _lines(run: Simulated, panel: str) -> dict[str, Any]:
    """Return the lines of a panel by what each is, (spans,) each."""
    table, total = run.timeline, run.prepared.setting.machine.total_gpus
    if panel == "gpus":
        return {"": 100 * table["gpus"].to_numpy() / total}
    if panel == "it":
        return {"": (table["it_east"] + table["it_west"]).to_numpy() / 1e3}
    if panel == "hvac":
        cooled = run.prepared.setting.cooling is not None
        return {"": table["hvac"].to_numpy() / 1e3 if cooled else np.full(len(table), np.nan)}
    if panel == "inlet":
        names = {"east": "plant_east_inlet", "west": "plant_west_inlet", "outdoors": "plant_dry_bulb"}
        return {word: table[name].to_numpy() for word, name in names.items()}
    if panel == "limit":
        return {"": 100 * table[["limit_east", "limit_west"]].min(axis=1).to_numpy()}
    if panel == "stops":
        hours = np.diff(table["time"].to_numpy(), prepend=0.0) / _HOUR
        counts = {"preemptions": "preemptions", "by faults": "killed"}
        return {word: np.diff(table[name].to_numpy(), prepend=0.0) / hours for word, name in counts.items()}
    return {"": table[panel].to_numpy()}


def _layout(panels: list[str], title: str) -> dict[str, Any]:
    edges = np.linspace(1.0, 0.0, len(panels) + 1)
    last = "y" if len(panels) == 1 else f"y{len(panels)}"
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": title}, "anchor": last},
        "hovermode": "x",
    }
    for i, panel in enumerate(panels):
        domain = [float(edges[i + 1]) + 0.012, float(edges[i]) - 0.012]
        layout["yaxis" + (str(i + 1) if i else "")] = {"title": {"text": PANELS[panel]}, "domain": domain}
    return layout


def _value(value: float | None, unit: str) -> Cell:
    if value is None or not np.isfinite(value):
        return Cell("–")
    text = duration(value) if unit == "s" else percent(value) if unit == "%" else number(value)
    return Cell(text, value)
