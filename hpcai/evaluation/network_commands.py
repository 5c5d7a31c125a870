"""``hpcai network``; whatever is heavy is imported when the command runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hpcai.cluster.network.catalogue import TrainedModel
    from hpcai.cluster.network.fabric import Fabric


def network_command(
    machine: Annotated[str, typer.Argument(metavar="MACHINE", help="A preset or a YAML file.")] = "mn-1a",
    model: Annotated[str, typer.Option(help="A model of the catalogue; --models lists them.")] = "resnet50",
    gpus: Annotated[str, typer.Option(help="Numbers of GPUs.  [default: 1, 8, 64, ... and all]")] = "",
    models: Annotated[bool, typer.Option("--models", help="List the models and where their figures are from.")] = False,
    calibration: Annotated[bool, typer.Option("--calibration", help="Compare with published training runs.")] = False,
) -> None:
    """Say how training scales on an empty machine: step time by allreduce algorithm, rate, efficiency, traffic."""
    from hpcai.cluster.network.calibration import calibration as rows
    from hpcai.cluster.network.calibration import table
    from hpcai.cluster.network.catalogue import catalogue, trained_model
    from hpcai.cluster.network.fabric import make_fabric
    from hpcai.cluster.spec import load_machine

    if models:
        for name, known in catalogue().items():
            print(f"{name}: {known.parameters / 1e6:.4g} M parameters, {known.rate:g} samples/s; {known.source}")
    elif calibration:
        print("\n".join([*table(rows()), "", *table(rows("missed"))]))
    else:
        fabric = make_fabric(load_machine(machine))
        numbers = _numbers(gpus, int(fabric.gpus[: fabric.leaf.shape[0]].sum()), machine)
        print("\n".join(_scaling(fabric, trained_model(model), numbers)))


def _numbers(text: str, most: int, machine: str) -> list[int]:
    """Return the numbers of GPUs that ``text`` lists; the powers of 8 and ``most`` if it is empty."""
    from hpcai.errors import InputError

    if not text:
        numbers = [1]
        while numbers[-1] * 8 < most:
            numbers.append(numbers[-1] * 8)
        return numbers + [most] * (most > 1)
    for part in text.split(","):
        if not (part.strip().isdecimal() and 0 < int(part) <= most):
            raise InputError(
                f"--gpus {text}: expected numbers from 1 to {most}, the GPUs of {machine}, found {part.strip()!r}"
            )
    return [int(part) for part in text.split(",")]


def _scaling(fabric: Fabric, model: TrainedModel, numbers: list[int]) -> list[str]:
    """Return the table as lines of Markdown."""
    from hpcai.cluster.network.catalogue import model_record
    from hpcai.cluster.network.collectives import ALGORITHMS
    from hpcai.cluster.network.scaling import efficiency, point

    records = {name: model_record(model.model_copy(update={"algorithm": name})) for name in ALGORITHMS}
    lines = [
        "| GPUs | nodes | leaves | ring ms | tree ms | hierarchical ms | samples/s | efficiency | GB/s per link |",
        "|---" * 9 + "|",
    ]
    for gpus in numbers:
        steps = [f"{point(fabric, records[name], gpus).step * 1e3:.1f}" for name in ("ring", "tree", "hierarchical")]
        best = point(fabric, records["best"], gpus)
        cells = [
            *map(str, best[:3]),
            *steps,
            f"{best.rate:,.0f}",
            f"{efficiency(fabric, records['best'], gpus):.1%}",
            f"{best.traffic / 1e9:.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines
