"""``hpcai train runtime``; whatever is heavy is imported when the command runs."""

from __future__ import annotations

import math
from typing import Annotated

import typer


def train_runtime_command(
    trace: Annotated[list[str], typer.Option(help="A log; may be repeated, for one predictor that serves all.")],
    format: Annotated[str | None, typer.Option(help="Format of the logs; guessed by default.")] = None,
    share: Annotated[float, typer.Option(help="Share of each log, its beginning, to learn from; at most 0.7.")] = 0.6,
    seed: Annotated[int, typer.Option(help="Seed of the fit.", min=0)] = 0,
    out: Annotated[str, typer.Option(help="Folder for the predictor and its summary.")] = "runs/predictor",
    quiet: Annotated[bool, typer.Option("--quiet", help="No summary.")] = False,
) -> None:
    """Learn to predict run times from the first 60 % of each log; judge it on the next 10 %."""
    from hpcai.learning.runtime import train_runtime

    summary = train_runtime(trace, format=format, share=share, seed=seed, out=out)
    if quiet:
        return
    for log in summary["logs"]:
        print(log["trace"])
        for name, scores in log["validation"].items():
            if not scores:  # nobody asked for a time
                continue
            error, accuracy = scores["mean_absolute_log_error"], scores["mean_accuracy"]
            print(f"  {name:10} accuracy {accuracy:.2f}   off by a factor of {math.exp(error):.1f} on average")
    print(f"Predictor: {out}/predictor.npz")
