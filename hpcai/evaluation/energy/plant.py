"""What cools the machines of an evaluation: the plant, who runs it, and how large it is taken to be."""

from __future__ import annotations

from typing import Any

from hpcai.evaluation.config import EvaluationConfig
from hpcai.evaluation.humanise import number
from hpcai.evaluation.inputs import Input
from hpcai.simulation.energy.cooling import SiteCooling
from hpcai.simulation.energy.it_power import model_for


def described(source: Input, cooling: SiteCooling, config: EvaluationConfig) -> dict[str, Any]:
    """Return plant, controller and scale as plain data: powers of the plant count ``scale`` times."""
    most = model_for(source.machine, source.jobs).maximum
    return {
        "plant": cooling.case.plant_words,
        "controller": config.controller.model_dump(mode="json", exclude_defaults=True),
        "design_kw": _rounded(cooling.design_power / 1000),
        "machines_kw": _rounded(most / 1000),
        "scale": _rounded(cooling.scale(most)),
    }


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def in_words(found: dict[str, Any], config: EvaluationConfig) -> str:
    """Return what :func:`described` found, and what it means."""
    return (
        f"cooled by {found['plant']} under {_controller(config)}; the {number(found['machines_kw'])} kW that the "
        f"machines can draw stand for the {number(found['design_kw'])} kW that its own have by design, so that its "
        f"powers count {number(found['scale'])} times"
    )


def _controller(config: EvaluationConfig) -> str:
    given, controller = config.cooling_controller, config.controller
    if controller.kind == "default":
        return "its own control"
    name = given if isinstance(given, str) else given.get("run", controller.kind)
    return f"the controller {name}{', shielded' if controller.shield else ''}"
