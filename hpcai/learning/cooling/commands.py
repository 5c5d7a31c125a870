"""``hpcai train cooling``; whatever is heavy is imported when the command runs."""

from __future__ import annotations

from typing import Annotated

import typer


def train_cooling_command(
    config: Annotated[str, typer.Argument(metavar="CONFIG.yaml", help="What is learned, on which plant and weather.")],
    preset: Annotated[str | None, typer.Option(help="Fast plant: a preset or a YAML file, as of cooling fit.")] = None,
    weather: Annotated[list[str] | None, typer.Option(help="Instead of what the file says; may be repeated.")] = None,
    budget: Annotated[str | None, typer.Option(help="20m, '50000 steps', '40 trials'.  [default: as the file]")] = None,
    log_days: Annotated[int | None, typer.Option(help="Of td3-bc: days of each log.  [default: as the file]")] = None,
    begin: Annotated[str | None, typer.Option(help="Folder of a search whose setpoints it begins with.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything.  [default: as the file says, or 0]")] = None,
    out: Annotated[str | None, typer.Option(help="Folder for the run.  [default: as the file says]")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no summary.")] = False,
) -> None:
    """Learn to cool: an agent on a plant, an agent from logs alone, or the best settings of simple controllers."""
    from hpcai.learning.cooling.config import load_cooling_training
    from hpcai.learning.cooling.training import train_cooling

    given = {"preset": preset, "weather": weather, "budget": budget, "log_days": log_days}
    given |= {"begin": begin, "seed": seed, "out": out}
    settings = load_cooling_training(
        config, {key: value for key, value in given.items() if value is not None and value != []}
    )
    trained = train_cooling(settings, quiet)
    if quiet:
        return
    best = trained.best
    if isinstance(best, float):
        print(f"Best: {best:.3f} of the cost of the setpoints that it began with, in validation")
    else:
        what = "of the site" if settings.reward.energy == "site" else "of all that cools"
        heat = f"{best.hot_degree_hours:.3f} K h above {settings.reward.high:g} °C"
        print(f"Best: {best.energy:.1f} kWh a day {what}, {heat}")
    print(f"Controller: {settings.out}" + (" (interrupted; the best so far)" if trained.interrupted else ""))
