"""``hpcai train device-placement``; whatever is heavy is imported when the command runs."""

from __future__ import annotations

from typing import Annotated

import typer


def train_devices_command(
    config: Annotated[str, typer.Argument(metavar="CONFIG.yaml", help="Graphs, devices, budget.")],
    graph: Annotated[list[str] | None, typer.Option(help="Instead of what the file says; may be repeated.")] = None,
    begin: Annotated[str | None, typer.Option(help="A network to begin with, to tune it on your graph.")] = None,
    budget: Annotated[str | None, typer.Option(help="20m, '5000 steps'.  [default: as the file says]")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything.  [default: as the file says, or 0]")] = None,
    out: Annotated[str | None, typer.Option(help="Folder for the run.  [default: as the file says]")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no summary.")] = False,
) -> None:
    """Learn where the operators of a model run, on many graphs or on one."""
    from hpcai.learning.device_placement.config import load_device_training
    from hpcai.learning.device_placement.training import train_devices

    given = {"graphs": graph, "begin": begin, "budget": budget, "seed": seed, "out": out}
    settings = load_device_training(
        config, {key: value for key, value in given.items() if value is not None and value != []}
    )
    trained = train_devices(settings, quiet)
    if quiet:
        return
    print(f"Step in validation: {trained.begun:.3f} before, {trained.best:.3f} after, of the least without transfers")
    print(f"Network: {settings.out}/network.npz" + (" (interrupted; the best so far)" if trained.interrupted else ""))
