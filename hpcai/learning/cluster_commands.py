"""``hpcai train cluster``; whatever is heavy is imported when the command runs."""

from __future__ import annotations

from typing import Annotated

import typer

from hpcai.options import Workers


def train_cluster_command(
    config: Annotated[str, typer.Argument(metavar="CONFIG.yaml", help="What is learned, on which jobs, the search.")],
    generations: Annotated[int | None, typer.Option(help="Of CMA-ES.  [default: as the file says, or 100]")] = None,
    out: Annotated[str | None, typer.Option(help="File for the weights (JSON).  [default: as the file says]")] = None,
    workers: Workers = 1,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no summary.")] = False,
) -> None:
    """Learn a placement of gangs, or whom to stop, on generated weeks of a GPU cluster."""
    from hpcai.learning.cluster import load_cluster_training, tune_cluster

    given = {key: value for key, value in (("generations", generations), ("out", out)) if value is not None}
    settings = load_cluster_training(config, given)
    result = tune_cluster(settings, workers=workers, quiet=quiet)
    if not quiet:
        least = min(score for _, score in result["validation"])
        print(f"{settings.objective}, relative to the baseline: {least:.3f} in validation")
        print(f"Weights: {settings.out}")
