"""The sub-commands of ``hpcai train``; whatever is heavy is imported when a command runs."""

from __future__ import annotations

import sys
import textwrap
from typing import Annotated

import typer

from hpcai.learning.runtime_commands import train_runtime_command

train_app = typer.Typer(no_args_is_help=True, help="Learn from recorded logs.")


train_app.command("runtime")(train_runtime_command)


@train_app.callback()
def _group() -> None:
    """Learn from recorded logs."""


@train_app.command("scheduling")
def scheduling_command(
    config: Annotated[
        str | None, typer.Argument(metavar="[CONFIG.yaml]", help="A run as data; options go before what it says.")
    ] = None,
    trace: Annotated[list[str] | None, typer.Option(help="A log; several make one policy for all.")] = None,
    format: Annotated[str | None, typer.Option(help="Format of the log; guessed by default.")] = None,
    machine: Annotated[
        str | None, typer.Option(help="A preset, a YAML file or a number of processors; the log's own by default.")
    ] = None,
    algo: Annotated[
        str | None, typer.Option(help="maskable-ppo, ppo, dqn or formula.  [default: maskable-ppo]")
    ] = None,
    backfill: Annotated[str | None, typer.Option(help="none, easy or conservative.  [default: easy]")] = None,
    estimate: Annotated[
        str | None, typer.Option(help="requested (time) or actual: what the scheduler believes.")
    ] = None,
    objective: Annotated[str | None, typer.Option(help="Metric to better.  [default: mean_bounded_slowdown]")] = None,
    window: Annotated[
        int | None, typer.Option(help="Jobs in a training window.  [default: 256; a formula's 1024]")
    ] = None,
    budget: Annotated[str | None, typer.Option(help="90s, 20m, 1h, or '5000 steps'.  [default: 20m]")] = None,
    patience: Annotated[int | None, typer.Option(help="Validations without improvement before it stops.")] = None,
    teacher: Annotated[str | None, typer.Option(help="Ordering to imitate first, or none.  [default: saf]")] = None,
    n_envs: Annotated[int | None, typer.Option(help="Environments side by side.  [default: 64]")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything.  [default: 0]")] = None,
    out: Annotated[str | None, typer.Option(help="Folder for the run.  [default: runs/training]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the folder of an interrupted run.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no summary.")] = False,
) -> None:
    """Teach a policy which job starts next, on the first 60 % of a log; the last 30 % stay unseen."""
    given = {
        key: value
        for key, value in locals().items()
        if key not in ("config", "resume", "quiet") and value is not None and value != []
    }
    if given.get("teacher") == "none":
        given["teacher"] = None
    from hpcai.learning.config import load_config, make_config
    from hpcai.learning.training import train

    settings = load_config(config, given) if config else make_config(given, "hpcai train scheduling")
    try:
        trained = train(settings, resume=resume, quiet=quiet)
    except KeyboardInterrupt:
        print(f"\nhpcai: interrupted; what was learned is in {settings.out}, --resume goes on", file=sys.stderr)
        raise typer.Exit(130) from None
    if not quiet:
        print(textwrap.shorten(trained.result, 200, placeholder=" ..."))
        print(f"{trained.score:.3f} of {trained.rival}, before the test part")
        policies = f"{trained.rival},run:{trained.folder}"
        print(f"Run: {trained.folder}\nJudge it on the unseen part: hpcai evaluate --policies {policies} --trace ...")
