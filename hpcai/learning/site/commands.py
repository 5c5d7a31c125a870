"""``hpcai train site``; whatever is heavy is imported when the command runs."""

from __future__ import annotations

from typing import Annotated

import typer


def train_site_command(
    config: Annotated[str, typer.Argument(metavar="CONFIG.yaml", help="What is learned, and on which site.")],
    budget: Annotated[str | None, typer.Option(help="20m, '5000 steps', '100 trials'.  [default: as the file]")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything.  [default: as the file says, or 0]")] = None,
    out: Annotated[str | None, typer.Option(help="Folder for the run.  [default: as the file says]")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no summary.")] = False,
) -> None:
    """Learn to rule a whole site: power, cooling, admission."""
    from hpcai.learning.site.config import load_site_training
    from hpcai.learning.site.training import train_site

    given = {"budget": budget, "seed": seed, "out": out}
    settings = load_site_training(config, {key: value for key, value in given.items() if value is not None})
    trained = train_site(settings, quiet)
    if quiet:
        return
    if trained.best is None:
        print(f"Interrupted before the first validation; nothing was learned in {settings.out}")
        return
    best = trained.best
    print(f"Best: {best.value:.4f}, the untaught site being 1; in validation, relative to it:")
    print(f"energy per work {best.per_work:.4f}, slowdown {best.slowdown:.4f}, work {best.work:.4f}")
    print(f"Agent: {settings.out}" + (" (interrupted; the best so far)" if trained.interrupted else ""))
