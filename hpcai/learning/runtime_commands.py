"""``hpcai train runtime``; whatever is heavy is imported when the command runs."""

from __future__ import annotations

import math
from typing import Annotated

import typer


def train_runtime_command(
    trace: Annotated[str, typer.Option(help="A log.")],
    format: Annotated[str | None, typer.Option(help="Format of the log; guessed by default.")] = None,
    share: Annotated[float, typer.Option(help="Share of the log, its beginning, to learn from; at most 0.7.")] = 0.6,
    seed: Annotated[int, typer.Option(help="Seed of the fit.", min=0)] = 0,
    out: Annotated[str, typer.Option(help="Folder for the predictor and its summary.")] = "runs/predictor",
    quiet: Annotated[bool, typer.Option("--quiet", help="No summary.")] = False,
) -> None:
    """Learn to predict run times from the first 60 % of a log; judge it on the next 10 %."""
    from hpcai.learning.runtime import train_runtime

    summary = train_runtime(trace, format=format, share=share, seed=seed, out=out)
    if quiet:
        return
    for name, scores in summary["validation"].items():
        error, accuracy = scores["mean_absolute_log_error"], scores["mean_accuracy"]
        print(f"{name:10} accuracy {accuracy:.2f}   off by a factor of {math.exp(error):.1f} on average")
    print(f"Predictor: {out}/predictor.npz")
