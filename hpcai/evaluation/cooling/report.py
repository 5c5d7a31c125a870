"""The report of a comparison of cooling controllers: one HTML file that needs nothing else."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import numpy as np
import yaml

from hpcai.cooling.interface import READING_INDEX, SETPOINT_INDEX
from hpcai.evaluation import figures
from hpcai.evaluation.cooling.config import CoolingConfig
from hpcai.evaluation.cooling.evaluate import CoolingFolder
from hpcai.evaluation.cooling.metrics import inlets, power
from hpcai.evaluation.figures import Figure
from hpcai.evaluation.humanise import duration, number, ratio
from hpcai.evaluation.page import render_page
from hpcai.evaluation.statistics import Ratio
from hpcai.evaluation.tables import Cell, Row, Table, log_scale, mark_on
from hpcai.simulation.cooling.hall import Record

PARTS: Final = ("fan", "chiller", "tower", "pumps", "evaporative")
DEFINITIONS: Final = {
    "HVAC": "Energy of all that cools: fans, chiller, tower, pumps, evaporative coolers. It can be gamed by warming "
    "the machines where their power follows their temperature, so IT and site stand beside it.",
    "IT": "Energy of the machines, their fans and power supplies.",
    "site": "Energy of everything.",
    "PUE": "Energy of the site over that of the machines.",
    "hot": "Time in which an inlet of either side was above the limit.",
    "K h hot": "Integral over time of the excess of the hotter side.",
    "cold": "Time in which an inlet of either side was below the lower limit, which costs energy and harms nothing.",
}
_DAYS_SHOWN: Final = 3
_COLOURS: Final = dict(zip(PARTS, ("#4477AA", "#EE6677", "#CCBB44", "#66CCEE", "#228833"), strict=True))


def render(config: CoolingConfig, results: dict[str, Any], folder: CoolingFolder) -> str:
    """Return the report as HTML."""
    chapters = [Chapter(i, name, config, results["cases"][name], folder) for i, name in enumerate(results["cases"])]
    drawn = {f"{name}-{c.number}": figure for c in chapters for name, figure in c.figures.items()}
    return render_page(
        "cooling.html.j2",
        drawn,
        package="hpcai.evaluation.cooling",
        title=config.title or "Which controller cools with least energy?",
        chapters=chapters,
        definitions=DEFINITIONS,
        settings=yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True),
        controllers=yaml.safe_dump(results["controllers"], sort_keys=False),
        sha256=results["sha256"],
    )


class Chapter:
    """What the report says of a case."""

    def __init__(
        self, number: int, name: str, config: CoolingConfig, result: dict[str, Any], folder: CoolingFolder
    ) -> None:
        self.number, self.name, self.config, self._folder = number, name, config, folder
        self._result, self.rows = result, result["controllers"]
        self._case = config.halls[name][0]
        self.limits = config.of_inlets(name)
        self.order = sorted(self.rows, key=lambda name: self.rows[name]["metrics"]["hvac_kwh"])

    @cached_property
    def records(self) -> dict[str, Record]:
        """The records by controller."""
        return {name: self._folder.record(self.name, name, self._case.step_length) for name in self.order}

    @property
    def where(self) -> str:
        """What was simulated, in words."""
        case = self._case
        curve = "whatever the" if case.it_curve == "flat" else "rising with the"
        days = number(round(self._result["steps"] * case.step_length / 86400.0, 1))
        time = f"{days} days in steps of {case.step_minutes} min"
        return f"{case.plant_words}; power of the machines {curve} temperature; {time}"

    @property
    def answer(self) -> str:
        """What came out, in a sentence: the controller of least energy that is no hotter than the baseline."""
        baseline = self.config.baseline
        allowed = self.rows[baseline]["metrics"]["hot_degree_hours"]
        fair = [name for name in self.order if self.rows[name]["metrics"]["hot_degree_hours"] <= allowed + 1e-9]
        best = fair[0]
        if best == baseline:
            return f"None needs less energy for cooling than {baseline} without being hotter."
        cooling, site = ratio(self.ratio_of(best, "hvac")), ratio(self.ratio_of(best, "site"))
        return f"{best} needs {cooling} the cooling energy of {baseline}, {site} that of the site, and is not hotter."

    def ratio_of(self, name: str, which: str) -> Ratio:
        """Return a controller's energy relative to the baseline's."""
        own = self.rows[name][f"{which}_ratio"]
        return Ratio(own["value"], *(np.nan if own[key] is None else own[key] for key in ("low", "high")))

    @property
    def table(self) -> Table:
        """Energies and violations, least HVAC first."""
        found = {name: self.ratio_of(name, "hvac") for name in self.order}
        scale = log_scale(list(found.values()))
        extra = [key for key in ("cost", "carbon_kg") if key in self.rows[self.order[0]]["metrics"]]
        words = {"cost": "cost", "carbon_kg": "CO2, kg"}
        headings = ["controller", "HVAC, MWh", f"ratio to {self.config.baseline}", "IT, MWh", "site, MWh", "PUE"]
        headings += [*(words[key] for key in extra), "hot", "K h hot", "cold", "warmest inlet, °C"]
        rows = []
        for name in self.order:
            of = self.rows[name]["metrics"]
            cells = [Cell(name), _mwh(of["hvac_kwh"])]
            cells.append(Cell(ratio(found[name]), found[name].value, mark_on(found[name], scale)))
            cells += [_mwh(of["it_kwh"]), _mwh(of["site_kwh"]), Cell(f"{of['pue']:.3f}", of["pue"])]
            cells += [Cell(number(of[key]), of[key]) for key in extra]
            cells += [_time(of["hot_minutes"]), Cell(number(of["hot_degree_hours"]), of["hot_degree_hours"])]
            cells += [_time(of["cold_minutes"]), Cell(f"{of['inlet_max']:.2f}", of["inlet_max"])]
            rows.append(Row(cells, "baseline" if name == self.config.baseline else ""))
        return Table("energies", [(heading, DEFINITIONS.get(heading.split(",")[0], "")) for heading in headings], rows)

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """The figures by name."""
        return {"parts": self._parts(), "inlets": self._inlets(), "days": self._days(), "months": self._months()}

    def _lines(self) -> list[tuple[str, dict[str, Any]]]:
        return [
            (
                name,
                {
                    "name": figures.escape(name),
                    "type": "scatter",
                    "mode": "lines",
                    "legendgroup": name,
                    "line": {"color": figures.PALETTE[i % len(figures.PALETTE)], "width": 2.4 if i == 0 else 1.5},
                },
            )
            for i, name in enumerate(self.order)
        ]

    def _parts(self) -> Figure:
        """Return where the energy for cooling goes."""
        names = [figures.escape(name) for name in self.order]
        data = [
            {
                "type": "bar",
                "orientation": "h",
                "name": part,
                "y": names,
                "x": [self.rows[name]["metrics"][f"{part}_kwh"] / 1000 for name in self.order],
                "marker": {"color": _COLOURS[part]},
                "hovertemplate": "%{x:.1f} MWh",
            }
            for part in PARTS
        ]
        y = {"autorange": "reversed", "automargin": True}
        return {"data": data, "layout": {"barmode": "stack", "xaxis": {"title": {"text": "MWh"}}, "yaxis": y}}

    def _inlets(self) -> Figure:
        """Return the share of time with the warmer inlet below a temperature."""
        share = np.linspace(0.0, 1.0, 241)
        data = []
        for name, looks in self._lines():
            warmest = np.quantile(inlets(self.records[name].readings).max(axis=1), share)
            hover = "%{y:.1f} % of the time below %{x:.1f} °C"
            data.append(
                looks | {"x": figures.packed(warmest), "y": figures.packed(100 * share), "hovertemplate": hover}
            )
        shapes = [
            {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper", "line": {"dash": "dot", "width": 1}}
            for x in (self.limits.low, self.limits.high)
        ]
        x = {"title": {"text": "warmer inlet, °C"}}
        return {"data": data, "layout": {"xaxis": x, "yaxis": {"title": {"text": "time, %"}}, "shapes": shapes}}

    def _days(self) -> Figure:
        """Return supply, airflow, inlets and power of cooling over the hottest days."""
        base = self.records[self.config.baseline]
        per_day = round(86400.0 / base.step_length)
        means = base.readings[: len(base.readings) // per_day * per_day, READING_INDEX["dry_bulb"]]
        hottest = int(np.argmax(means.reshape(-1, per_day).mean(axis=1))) if means.size else 0
        first = max(min(hottest - 1, len(base.readings) // per_day - _DAYS_SHOWN), 0) * per_day
        rows = slice(first, first + _DAYS_SHOWN * per_day)
        hours = (np.arange(len(base.readings[rows])) + 1) * base.step_length / 3600.0
        data = []
        for name, looks in self._lines():
            record = self.records[name]
            supply = record.setpoints[rows, SETPOINT_INDEX["east_supply"]]
            supply = np.where(np.isnan(supply), record.readings[rows, READING_INDEX["east_supply"]], supply)
            panels = {
                "y": record.readings[rows, READING_INDEX["east_inlet"]],
                "y2": supply,
                "y3": record.readings[rows, READING_INDEX["east_airflow"]],
                "y4": power(record.readings[rows], "hvac") / 1000.0,
            }
            for axis, values in panels.items():
                own = looks | {"x": figures.packed(hours), "y": figures.packed(values), "yaxis": axis}
                data.append(own | {"showlegend": axis == "y", "hovertemplate": "%{y:.2f}"})
        titles = ("inlet, °C", "supply, °C", "air, kg/s", "HVAC, kW")
        edges = np.linspace(1.0, 0.0, len(titles) + 1)
        layout: dict[str, Any] = {"xaxis": {"title": {"text": "hours"}, "anchor": "y4"}, "hovermode": "x"}
        for i, title in enumerate(titles):
            domain = [float(edges[i + 1]) + 0.02, float(edges[i]) - 0.02]
            layout["yaxis" + (str(i + 1) if i else "")] = {"title": {"text": title}, "domain": domain}
        return {"data": data, "layout": layout}

    def _months(self) -> Figure:
        """Return the power of cooling by week."""
        data = []
        for name, looks in self._lines():
            record = self.records[name]
            per = min(round(7 * 86400.0 / record.step_length), len(record.readings))
            values = power(record.readings, "hvac")
            weeks = values[: len(values) // per * per].reshape(-1, per).mean(axis=1) / 1000.0
            x = list(range(1, len(weeks) + 1))
            data.append(looks | {"x": x, "y": figures.packed(weeks), "hovertemplate": "%{y:.2f} kW"})
        y = {"title": {"text": "HVAC, kW"}, "rangemode": "tozero"}
        return {"data": data, "layout": {"xaxis": {"title": {"text": "week"}}, "yaxis": y, "hovermode": "x unified"}}


def _mwh(kwh: float) -> Cell:
    return Cell(f"{kwh / 1000:,.1f}" if kwh >= 10_000 else f"{kwh / 1000:.2f}", kwh)


def _time(minutes: float) -> Cell:
    return Cell(duration(60 * minutes) if minutes else "0", minutes)
