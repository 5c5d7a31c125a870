"""The model against published training runs: what it says of each, and the error."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from hpcai.cluster.network.catalogue import Algorithm, data, model_record, trained_model
from hpcai.cluster.network.fabric import make_fabric
from hpcai.cluster.network.scaling import efficiency, point
from hpcai.cluster.spec import Machine, load_machine

Positive = Annotated[float, Field(gt=0)]


class Run(BaseModel):
    """A published figure: hours for ``samples``, efficiency relative to ``base`` GPUs, or else samples/s."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    machine: str  # of the file, or a preset
    model: str  # of the catalogue
    algorithm: Algorithm
    gpus: Annotated[int, Field(gt=0)]
    samples: Positive | None = None
    base: Annotated[int, Field(gt=0)] | None = None
    published: Positive
    basis: Literal["given", "fitted", "predicted"]


class Row(NamedTuple):
    """A run and what the model says of it."""

    run: Run
    unit: str
    model: float
    error: float  # relative to the published figure


def calibration(part: str = "runs") -> list[Row]:
    """Return the rows of the published ``runs``, or of those ``missed``."""
    content = data("calibration.yaml")
    machines = {name: Machine.model_validate(fields) for name, fields in content["machines"].items()}
    return [_row(Run.model_validate(fields), machines) for fields in content[part]]


def _row(run: Run, machines: dict[str, Machine]) -> Row:
    fabric = make_fabric(machines.get(run.machine) or load_machine(run.machine))
    model = model_record(trained_model(run.model).model_copy(update={"algorithm": run.algorithm}))
    if run.base is not None:
        unit, figure = "efficiency", efficiency(fabric, model, run.gpus, run.base)
    elif run.samples is not None:
        unit, figure = "hours", run.samples / point(fabric, model, run.gpus).rate / 3600
    else:
        unit, figure = "samples/s", point(fabric, model, run.gpus).rate
    return Row(run, unit, figure, figure / run.published - 1)


def table(rows: list[Row]) -> list[str]:
    """Return the rows as lines of Markdown."""
    lines = ["| run | GPUs | figure | published | model | error | basis |", "|---|---|---|---|---|---|---|"]
    for run, unit, figure, error in rows:
        of = f"{unit}, {run.base} = 1" if run.base else unit
        lines.append(
            f"| {run.run} | {run.gpus} | {of} | {run.published:.4g} | {figure:.4g} | {error:+.1%} | {run.basis} |"
        )
    return lines
