"""The report of a plan: one HTML file that needs nothing else."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import numpy as np
import yaml

from hpcai.device_placement.graph import Ints
from hpcai.evaluation import figures
from hpcai.evaluation.device_placement.config import PlaceConfig
from hpcai.evaluation.device_placement.inputs import Inputs
from hpcai.evaluation.device_placement.timeline import timeline
from hpcai.evaluation.figures import Figure
from hpcai.evaluation.humanise import number, percent
from hpcai.evaluation.page import render_page
from hpcai.evaluation.tables import Cell, Row, Table

GB: Final = 1e9
_NEAR: Final = 3.0  # times the highest bar: a device's memory beyond is not drawn
DEFINITIONS: Final = {
    "step": "Time of one step: forward pass, and in a training backward pass and update of the weights.",
    "over the bound": "Step time over the largest of the lower bounds, which no placement can undercut.",
    "of single": "Step time over that of the best single device.",
    "lacks": "Memory that devices lack at their peaks, summed over devices; – if the placement fits.",
    "sent": "Bytes of all transfers between devices in a step.",
    "took": "Time that the method took.",
    "busy": "Part of the step in which the device computes.",
    "peak": "Most memory at a time: weights with their copies, activations, outputs and gradients.",
}


def render(config: PlaceConfig, inputs: Inputs, plan: dict[str, Any], placements: dict[str, Ints]) -> str:
    """Return the report as HTML."""
    chapter = Chapter(config, inputs, plan, placements)
    return render_page(
        "plan.html.j2",
        {f"{name}-{chapter.number}": figure for name, figure in chapter.figures.items()},
        package="hpcai.evaluation.device_placement",
        title=f"{inputs.graph.name} on {inputs.where}",
        chapter=chapter,
        definitions=DEFINITIONS,
        settings=yaml.safe_dump(plan["configuration"], sort_keys=False, allow_unicode=True),
        sources={name: row["source"] for name, row in plan["methods"].items()},
        sha256=inputs.sha256,
    )


def milliseconds(seconds: float) -> str:
    """Return a step time as people read it."""
    return f"{number(float(f'{seconds * 1e3:.4g}'))} ms"


class Chapter:
    """What the report says."""

    number = 0  # there is only one

    def __init__(self, config: PlaceConfig, inputs: Inputs, plan: dict[str, Any], placements: dict[str, Ints]) -> None:
        self.config, self.inputs, self.plan, self.placements = config, inputs, plan, placements
        self.best, self.bound, self.rows = plan["method"], plan["bound_seconds"], plan["methods"]
        self.order = sorted(self.rows, key=lambda name: (self.rows[name]["excess_bytes"], self._seconds(name)))
        self.course = inputs.simulator.course(placements[self.best])

    def _seconds(self, name: str) -> float:
        return float(self.rows[name]["step_seconds"])

    @property
    def answer(self) -> str:
        """What came out, in a sentence."""
        text = f"The placement of {self.best} takes {milliseconds(self._seconds(self.best))} a step"
        single = self.rows.get("single")
        if single and self.best != "single":
            if single["excess_bytes"] > 0:
                text += f"; a single device lacks {number(single['excess_bytes'] / GB)} GB of memory"
            else:
                text += f", {self._seconds(self.best) / self._seconds('single'):.2f} × that of the best single device"
        if self.bound > 0:
            text += f"; none can take less than {milliseconds(self.bound)}"
        return text + "."

    @property
    def facts(self) -> str:
        """What was placed, in words."""
        facts = self.plan["graph"]
        fused = f", fused into {number(facts['placed'])}" if facts["placed"] < facts["operators"] else ""
        kind = "a training step" if facts["trains"] else "a step of inference"
        return (
            f"{number(facts['operators'])} operators{fused}, {number(facts['edges'])} edges, "
            f"{number(facts['weight_bytes'] / GB)} GB of weights; {kind}"
        )

    @property
    def methods_table(self) -> Table:
        """How the methods fared, best first."""
        headings = ["method", "step, ms", "over the bound", "of single", "lacks, GB", "sent, GB", "took, s"]
        rows = []
        for name in self.order:
            row, seconds = self.rows[name], self._seconds(name)
            single = self._seconds("single") if "single" in self.rows else np.nan
            cells = [Cell(name), _cell(seconds * 1e3), _cell(seconds / self.bound if self.bound > 0 else np.nan)]
            cells += [
                _cell(seconds / single),
                Cell("–", 0.0) if row["excess_bytes"] == 0 else _cell(row["excess_bytes"] / GB),
            ]
            cells += [_cell(row["sent_bytes"] / GB), _cell(row["took_seconds"])]
            rows.append(Row(cells, "best" if name == self.best else "baseline" if name == "single" else ""))
        return Table("methods", [(heading, DEFINITIONS.get(heading.split(",")[0], "")) for heading in headings], rows)

    @property
    def devices_table(self) -> Table:
        """How the devices are used by the best placement."""
        headings = ["device", "kind", "operators", "busy", "peak, GB", "memory, GB", "sent, GB", "received, GB"]
        course, step = self.course, self._seconds(self.best)
        d = len(self.inputs.devices)
        busy = np.bincount(course.device, weights=course.end - course.start, minlength=d) / max(step, 1e-300)
        sent = np.bincount(course.source, weights=course.size, minlength=d) / GB
        received = np.bincount(course.target, weights=course.size, minlength=d) / GB
        placed = np.bincount(self.placements[self.best], minlength=d)
        rows = []
        for i, device in enumerate(self.plan["devices"]):
            memory = device["memory_bytes"] / GB if device["memory_bytes"] else np.nan
            cells = [Cell(device["name"]), Cell(device["kind"]), Cell(number(placed[i]), float(placed[i]))]
            cells += [Cell(percent(busy[i]), float(busy[i])), _cell(device["peak_bytes"] / GB), _cell(memory)]
            rows.append(Row([*cells, _cell(sent[i]), _cell(received[i])]))
        return Table("devices", [(heading, DEFINITIONS.get(heading.split(",")[0], "")) for heading in headings], rows)

    @property
    def bounds(self) -> list[tuple[str, str]]:
        """The lower bounds, each with its value in words."""
        words = {"path": "longest path", "work": "work over all devices", "cut": "a transfer that has to be"}
        return [(words[name], milliseconds(value)) for name, value in self.plan["bounds_seconds"].items() if value > 0]

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """The figures by name."""
        drawn = {"timeline": timeline(self.inputs, {name: self.placements[name] for name in self.order})}
        drawn |= {"methods": self._methods(), "memory": self._memory()}
        if self.course.size.size:
            drawn["pairs"] = self._pairs()
        if any("curve" in row for row in self.rows.values()):
            drawn["curves"] = self._curves()
        return drawn

    def _methods(self) -> Figure:
        """Return bars of the step times, and the bound as a line."""
        names = self.order[::-1]
        fits = [self.rows[name]["excess_bytes"] == 0 for name in names]
        bars = {
            "type": "bar",
            "orientation": "h",
            "y": names,
            "x": [self._seconds(name) * 1e3 for name in names],
            "marker": {"color": [figures.PALETTE[0] if fit else figures.RECORD_COLOUR for fit in fits]},
            "text": ["" if fit else "out of memory" for fit in fits],
            "hovertemplate": "%{y}: %{x:.4s} ms<extra></extra>",
            "showlegend": False,
        }
        line = {"color": figures.PALETTE[1], "dash": "dot", "width": 2}
        bound = self.bound * 1e3
        shape = {"type": "line", "x0": bound, "x1": bound, "y0": 0, "y1": 1, "yref": "paper", "line": line}
        layout = {"xaxis": {"title": {"text": "step, ms"}, "rangemode": "tozero"}, "yaxis": {}, "shapes": [shape]}
        return {"data": [bars], "layout": layout}

    def _memory(self) -> Figure:
        """Return bars of each device's memory at its peak: weights, and all else, with the device's memory."""
        devices, step = self.inputs.devices, self.inputs.simulator.step
        placement = self.placements[self.best]
        weights = np.bincount(placement, weights=step.weights, minlength=len(devices)) / GB
        peak = np.array([device["peak_bytes"] for device in self.plan["devices"]]) / GB
        parts = {
            "weights and their copies": weights,
            "activations, outputs, gradients": np.maximum(peak - weights, 0.0),
        }
        data: list[dict[str, Any]] = [
            {"type": "bar", "name": name, "x": list(devices.names), "y": part.tolist(), "marker": {"color": colour},
             "hovertemplate": "%{y:.3s} GB"}
            for (name, part), colour in zip(parts.items(), figures.PALETTE, strict=False)
        ]  # fmt: skip
        limited = np.where(devices.memory / GB <= _NEAR * peak.max(), devices.memory / GB, np.nan)
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": "memory of the device",
                "x": list(devices.names),
                "y": [None if np.isnan(value) else value for value in limited.tolist()],
                "marker": {"symbol": "line-ew", "size": 28, "line": {"width": 3, "color": figures.PALETTE[1]}},
                "hovertemplate": "%{y:.3s} GB",
            }
        )
        layout = {
            "barmode": "stack",
            "xaxis": {},
            "yaxis": {"title": {"text": "GB at the peak"}, "rangemode": "tozero"},
        }
        return {"data": data, "layout": layout}

    def _pairs(self) -> Figure:
        """Return the bytes sent between pairs of devices."""
        d, course = len(self.inputs.devices), self.course
        sent = np.zeros((d, d))
        np.add.at(sent, (course.source, course.target), course.size / GB)
        names = list(self.inputs.devices.names)
        heat = {
            "type": "heatmap",
            "x": names,
            "y": names,
            "z": [[None if value == 0 else value for value in row] for row in sent.tolist()],
            "colorscale": [[0, "#deebf7"], [1, "#08519c"]],
            "colorbar": {"title": {"text": "GB"}},
            "hovertemplate": "%{y} to %{x}: %{z:.3s} GB<extra></extra>",
        }
        layout = {"xaxis": {"title": {"text": "to"}}, "yaxis": {"title": {"text": "from"}, "autorange": "reversed"}}
        return {"data": [heat], "layout": layout}

    def _curves(self) -> Figure:
        """Return the best step time of each search over the placements that it has timed."""
        data, top, low, high = [], 10.0, np.inf, 0.0
        searches = [name for name in self.order if "curve" in self.rows[name]]
        for name, colour in zip(searches, figures.PALETTE, strict=False):
            curve = self.rows[name]["curve"]
            best = np.array([np.nan if value is None else value for value in curve["best"]]) * 1e3
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": name,
                    "line": {"color": colour, "width": 2, "shape": "hv"},
                    "x": curve["evaluations"],
                    "y": figures.packed(best),
                    "hovertemplate": "%{x} placements: %{y:.4s} ms",
                }
            )
            top = max(top, curve["evaluations"][-1])
            low, high = min(low, np.nanmin(best, initial=np.inf)), max(high, np.nanmax(best, initial=0.0))
        layout = {
            "xaxis": figures.log_axis("placements timed", 1.0, top),
            "yaxis": {"title": {"text": "best step, ms"}},
            "hovermode": "x unified",
        }
        return {"data": data, "layout": layout}


def _cell(value: float) -> Cell:
    """Return a cell with a number to four digits; – where there is none."""
    return Cell(
        number(float(f"{value:.4g}")) if np.isfinite(value) else "–", float(value) if np.isfinite(value) else 0.0
    )
