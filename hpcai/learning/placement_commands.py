"""``hpcai train placement``; whatever is heavy is imported when the command runs."""

from __future__ import annotations

from typing import Annotated

import typer

from hpcai.options import Workers


def train_placement_command(
    config: Annotated[str, typer.Argument(metavar="CONFIG.yaml", help="Nodes, pods, the search.")],
    generations: Annotated[int | None, typer.Option(help="Of CMA-ES.  [default: as the file says, or 100]")] = None,
    out: Annotated[str | None, typer.Option(help="File for the weights (JSON).  [default: as the file says]")] = None,
    workers: Workers = 1,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no summary.")] = False,
) -> None:
    """Tune the weights of a learned placement so that few GPUs are left that nobody can use."""
    from hpcai.learning.placement import load_placement_training, tune_placement

    given = {key: value for key, value in (("generations", generations), ("out", out)) if value is not None}
    settings = load_placement_training(config, given)
    result = tune_placement(settings, workers=workers, quiet=quiet)
    if not quiet:
        least = min(score for _, score in result["validation"])
        print(f"GPUs left unallocated, relative to {settings.baseline}: {least:.3f} in validation")
        print(f"Weights: {settings.out}")
